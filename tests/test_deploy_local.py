"""`make run-local-processor`: tunnel and processor as one thing that is started, looked at, survives its parts' deaths, and ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import proc
import pytest
import requests
from kafka_records import records
from kafka_server import KafkaCluster
from netns import Network
from server_process import free_port
from sshd_server import Sshd
from support import BINARY, ENVIRONMENT, PATIENCE_S, ROOT, event, eventually, run

TOOL = ROOT / "deploy/local/processor.py"


class Local:
    """deploy/local/processor.py with a folder of its own, here or on a netns.Host."""

    def __init__(self, folder, host=None, **env):
        self.folder, self.host = folder / "local", host
        nothing = {"CA4_LOCAL_DIR": str(self.folder), "CA4_STATE_DIR": str(folder / "state"), "CA4_BINARY": str(BINARY)}
        self.env = ENVIRONMENT | nothing | env
        self.cwd = folder

    def run(self, *argv, **env):
        argv = [*map(str, argv)]
        return subprocess.run(
            self.host.inside(*argv) if self.host else argv,
            env=self.env | env,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=180,
            stdin=subprocess.DEVNULL,
        )

    def __call__(self, *args, **env):
        return self.run("/usr/bin/python3", "-B", TOOL, *args, **env)

    def start(self, *args, **env):
        started = self("start", "--wait-s", PATIENCE_S, *args, **env)
        assert started.returncode == 0, started.stdout + started.stderr
        return started.stdout

    def status(self):
        shown = self("status", "--json")
        return json.loads(shown.stdout) | {"exit_code": shown.returncode}

    def part(self, name):
        return next(part for part in self.status()["parts"] if part["name"] == name)

    def when_well(self):
        return eventually(lambda: self.status()["well"], lambda: f"all is well: {self('status').stdout}")

    def pids(self):
        """Whatever runs for it: all of it has its folder in the environment."""
        mark = f"CA4_LOCAL_DIR={self.folder}\0".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes():
                    found.append(int(environ.parent.name))
            except OSError:
                continue
        return found

    def when_gone(self):
        eventually(lambda: not self.pids(), lambda: f"nothing is left: {self.pids()}")


@pytest.fixture
def local(tmp_path):
    """local(KAFKA_BOOTSTRAP=...) is a Local; what still runs when the test is over is killed."""
    made = []

    def begin(**keywords):
        made.append(Local(tmp_path, **keywords))
        return made[-1]

    yield begin
    for one in made:
        for pid in one.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """A laptop that reaches nothing but a bastion, and a Kafka behind it that is called `kafka`."""
    folder = tmp_path_factory.mktemp("private")
    with Network(folder, "laptop", "bastion", "node") as network:
        # The K3s API and Grafana are known by name, and nobody answers there.
        network.name_hosts({name: network["node"].address for name in ("kafka", "k3s-api", "grafana")}, on=["bastion", "node"])
        network.allow("laptop", "bastion", 22)
        network.allow("bastion", "node", 9092, 6443, 3000)
        broker = KafkaCluster(folder / "kafka", hosts=[network["node"]], ports={"PLAINTEXT": 9092}, advertise=lambda *_: "kafka:9092")
        bastion = Sshd(folder / "bastion", 22, permit_open=["kafka:9092", "k3s-api:6443", "grafana:3000"], host=network["bastion"])
        try:
            broker.start()
            bastion.start()
            network.bastion, network.broker = bastion, broker
            yield network
        finally:
            bastion.stop()
            broker.stop()


def applied_settings(folder, bastion):
    """What `make ca4-apply` leaves behind on this machine, for that bastion."""
    made = """
import pathlib, sys, types
sys.path.insert(0, sys.argv[1])
import outputs
state = pathlib.Path(sys.argv[2])
state.mkdir()
settings = types.SimpleNamespace(state_dir=state, kafka_brokers=1)
found = {"bastion_public_ip": sys.argv[3]}
outputs.replace(state / "ca4.toml", outputs.ca4_config(settings, found, {"CA4_SSH_PUBLIC_KEY_FILE": sys.argv[4]}))
"""
    argv = [sys.executable, "-c", made, ROOT / "deploy/aws", folder / "state", bastion.address, f"{bastion.key}.pub"]
    subprocess.run(argv, check=True, timeout=60)


POST = "import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), {'Content-Type': 'application/json'})).read().decode())"


def post(one, metadata_id):
    """Where the event is durable, as the processor on the laptop answers."""
    answer = one.run("/usr/bin/python3", "-c", POST, "http://127.0.0.1:8000/metadata", json.dumps(event(metadata_id)))
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)["durable_in"]


READ = "import sys; sys.path[:0] = sys.argv[2:]; import kafka_records as k; print(*(r.key.decode() for r in k.records('kafka:9092', sys.argv[1])))"


def in_kafka(network, topic):
    """The ids in the topic, read beside the broker."""
    return set(network["node"].run(sys.executable, "-c", READ, topic, ROOT / "tests", ROOT / "lab").split())


def test_a_laptop_sends_through_the_tunnel_whatever_is_killed(private, local, work, tmp_path):
    applied_settings(tmp_path, private.bastion)
    laptop = local(host=private["laptop"], CA4_TUNNEL_USER="root", CA4_TUNNEL_CHECK_INTERVAL_MS="200", CA4_TUNNEL_BACKOFF_MS_MAX="300")
    assert laptop("status").returncode == 3
    made = run("topics", "ensure", "--kafka-bootstrap", "kafka:9092", host=private["node"])
    assert made.returncode == 0, made.stderr
    said = laptop.start()
    assert "http://127.0.0.1:8000, ready" in said
    assert "connected" in said
    laptop.when_well()
    assert laptop.status()["exit_code"] == 0
    before = laptop.status()
    assert {part["name"]: part["state"] for part in before["parts"]} == {"tunnel": "up", "processor": "up"}
    assert post(laptop, "first") == "kafka"
    assert re.search(r"127\.0\.0\.1:9092 .*healthy", by_hand(laptop, "tunnel", "--status"))

    # The other side of `start`: it changes nothing about what runs.
    laptop.start()
    assert [part["pid"] for part in laptop.status()["parts"]] == [part["pid"] for part in before["parts"]]

    # The checks of `ca4 verify` find it, by make alone, and follow a marker to the worker behind the bastion.
    work(tmp_path / "node", "--kafka-bootstrap", "kafka:9092", "--archive-linger-ms", "100", host=private["node"])
    make = ["make", "--directory", ROOT, "--old-file=build"]
    checked = laptop.run(*make, "verify-preflight", MAKEFLAGS="", MAKELEVEL="")
    for check in ("tunnel kafka:9092", "processor", "processor-ready", "event-log"):
        assert re.search(rf"^  ok   {check} ", checked.stdout, re.MULTILINE), checked.stdout + checked.stderr
    checked = laptop.run(*make, "verify-workflow", "VERIFY_FLAGS=--timeout-s 60", MAKEFLAGS="", MAKELEVEL="")
    assert checked.returncode == 0, checked.stdout + checked.stderr

    ssh = next(pid for pid in laptop.pids() if proc.name(pid) == "ssh")
    os.kill(ssh, signal.SIGKILL)
    os.kill(laptop.part("processor")["pid"], signal.SIGKILL)
    eventually(lambda: laptop.part("processor")["restarts"] == 1, "the processor is started again")
    os.kill(laptop.part("tunnel")["pid"], signal.SIGKILL)
    eventually(lambda: laptop.part("tunnel")["restarts"] == 1, "the tunnel is started again")
    laptop.when_well()
    assert "signal 9 (SIGKILL)" in laptop.part("processor")["last_error"]
    assert post(laptop, "second") in ("kafka", "outbox")
    eventually(lambda: {"first", "second"} <= in_kafka(private, "gpu-metadata"), "both are in Kafka")

    stopped = laptop("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    laptop.when_gone()
    assert laptop("stop").stdout == "not running\n"
    assert laptop("status").returncode == 3


def test_a_bastion_that_is_away_is_named_and_events_wait_for_it(private, local, tmp_path):
    applied_settings(tmp_path, private.bastion)
    laptop = local(
        host=private["laptop"],
        CA4_TUNNEL_USER="root",
        CA4_TUNNEL_BACKOFF_MS_MAX="300",
        CA4_KAFKA_DELIVERY_TIMEOUT_MS="1000",
    )
    private.cut("laptop", "bastion")
    # The rest of the ten seconds is for the start itself.
    started = laptop("start", "--wait-s", 10, CA4_TUNNEL_CONNECT_TIMEOUT_S="1")
    assert started.returncode == 1
    assert f"{private.bastion.address} does not answer" in started.stdout
    assert "does its security group let this network in?" in started.stdout
    assert "it goes on trying" in started.stderr
    eventually(lambda: laptop.part("processor")["ready"], "the processor is ready")
    assert post(laptop, "early") == "outbox"
    assert "1 event on this disk" in laptop("status").stdout
    assert re.search(r"^waiting +1$", by_hand(laptop, "spool", "stats"), re.MULTILINE)
    assert json.loads(by_hand(laptop, "spool", "export"))["metadata_id"] == "early"
    stopped = laptop("stop")
    assert "1 event on this disk" in stopped.stdout
    assert "the next start sends them" in stopped.stdout
    laptop.when_gone()
    private.mend()
    laptop.start()
    eventually(lambda: laptop.status()["outbox"]["waiting"] == 0, "nothing waits any more")
    assert "early" in in_kafka(private, "gpu-metadata")
    laptop("stop")


def by_hand(one, *args):
    """A command of the runbook as it says for this processor, whose folder is another one than the default."""
    (setting,) = set(re.findall(r"`(CA4_DATA_DIR=\.ca4-processor/\S+) build/release/ca4 …`", (ROOT / "docs/runbook.md").read_text()))
    name, folder = setting.split("=")
    return one.run(BINARY, *args, **{name: folder.replace(".ca4-processor", str(one.folder))}).stdout


def here(local, kafka, **env):
    """Without a bastion, on a broker that this machine reaches, listening on any port."""
    return local(KAFKA_BOOTSTRAP=kafka, **({"CA4_PROCESSOR_LISTEN": "127.0.0.1:0"} | env))


def test_without_a_tunnel_it_runs_on_the_kafka_that_is_given(local, on_kafka, kafka):
    one = here(local, kafka, KAFKA_TOPIC=on_kafka[-1])
    one.start()
    assert [part["name"] for part in one.status()["parts"]] == ["processor"]
    url = one.part("processor")["url"]
    health = requests.get(url + "/health", timeout=PATIENCE_S).json()
    assert health["kafka_enabled"]
    assert health["kafka_bootstrap"] == kafka
    assert health["outbox_file"].startswith(str(one.folder))
    answer = requests.post(url + "/metadata", json=event("a"), timeout=PATIENCE_S).json()
    assert answer["durable_in"] == "kafka"
    assert [record.key for record in records(kafka, on_kafka[-1])] == [b"a"]
    assert one("stop").returncode == 0
    one.when_gone()


def test_a_public_url_is_shown_and_its_token_led_to_the_checks(local, on_kafka, kafka, tmp_path):
    agent = tmp_path / "agent"
    agent.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/fake_agent.py "$@"\n')
    agent.chmod(0o755)
    one = here(local, kafka, KAFKA_TOPIC=on_kafka[-1], CA4_PROCESSOR_TUNNEL_COMMAND=str(agent))
    one.start("--public", "ngrok")
    public = eventually(lambda: one.part("processor")["public_url"], "there is a public URL")
    assert f"public at {public}" in one("status").stdout
    assert requests.post(public + "/metadata", json=event("a"), timeout=PATIENCE_S).status_code == 401
    checks = (one.folder / "checks.mk").read_text()
    # The drill on a cluster runs the checks, too.
    assert all("incident-drill" in line.split(":")[0].split() for line in checks.splitlines()[1:])
    token_file = re.search(r"export CA4_PRODUCER_TOKEN_FILE \?= (\S+)", checks)[1]
    token = Path(token_file).read_text().strip()
    assert token not in checks + (one.folder / "state.json").read_text()
    answer = requests.post(public + "/metadata", json=event("a"), headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S)
    assert answer.status_code == 200
    one("stop")
    one.when_gone()


def test_killing_the_supervisor_leaves_nothing_behind(local, on_kafka, kafka):
    one = here(local, kafka, KAFKA_TOPIC=on_kafka[-1])
    one.start()
    os.kill(one.status()["pid"], signal.SIGKILL)
    one.when_gone()
    assert one("status").returncode == 3
    one.start()
    assert one("stop").returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """What a Local of this test writes goes to a disk of 24 MiB."""
    folder = tmp_path / "local"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_ends_neither_supervisor_nor_processor_for_good(local, on_kafka, kafka, small_disk):
    one = here(local, kafka, KAFKA_TOPIC=on_kafka[-1])
    one.start()
    before, filler = one.status(), small_disk / "filler"
    assert subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True).returncode == 1
    os.kill(one.part("processor")["pid"], signal.SIGKILL)
    # It would be started again after a second, and on this disk can't be or ends at once.
    time.sleep(3)
    filler.unlink()
    after = one.when_well() and one.status()
    assert after["pid"] == before["pid"]
    assert after["parts"][0]["restarts"] > 0
    answer = requests.post(after["parts"][0]["url"] + "/metadata", json=event("a"), timeout=PATIENCE_S).json()
    assert answer["durable_in"] == "kafka"
    assert one("stop").returncode == 0
    one.when_gone()


def test_a_processor_that_cannot_start_says_why_and_nothing_is_left(local, kafka, tmp_path):
    one = here(local, kafka, CA4_PROCESSOR_TOKEN_FILE=str(tmp_path / "missing"))
    started = one("start")
    assert started.returncode == 1
    assert "the processor could not start: it ended with exit code" in started.stderr
    assert str(tmp_path / "missing") in started.stderr
    one.when_gone()


def test_a_taken_port_is_named_with_what_to_do(local, kafka, serve, tmp_path):
    port = serve("serve", tmp_path / "other").address[1]
    started = here(local, kafka, CA4_PROCESSOR_LISTEN=f"127.0.0.1:{port}")("start")
    assert started.returncode == 78
    assert f"127.0.0.1:{port} is taken by another program" in started.stderr
    assert f"CA4_PROCESSOR_LISTEN=127.0.0.1:{port + 1}" in started.stderr


def test_without_kafka_or_infrastructure_it_says_what_comes_first(local):
    one = local()
    started = one("start")
    assert started.returncode == 78
    for way in ("make ca4-apply", "CA4_TUNNEL_BASTION", "KAFKA_BOOTSTRAP"):
        assert way in started.stderr
    assert not one.folder.exists()


def test_a_missing_key_is_named(local, tmp_path):
    started = local(CA4_TUNNEL_BASTION="203.0.113.7", CA4_TUNNEL_KEY_FILE=str(tmp_path / "id"))("start")
    assert started.returncode == 78
    assert f"there is no SSH key {tmp_path / 'id'}" in started.stderr
    assert "CA4_SSH_PUBLIC_KEY_FILE" in started.stderr


def test_a_tunnel_that_no_retry_can_mend_ends_the_start(local, tmp_path):
    """A local port that is in use, here that of the forward."""
    port = free_port()
    taken = subprocess.Popen(["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", str(port)], stderr=subprocess.DEVNULL)
    try:
        sshd = Sshd(tmp_path / "sshd", free_port(), permit_open=["kafka:9092"]).start()
        one = local(
            CA4_TUNNEL_BASTION="127.0.0.1",
            CA4_TUNNEL_PORT=str(sshd.port),
            CA4_TUNNEL_USER=sshd.user,
            CA4_TUNNEL_KEY_FILE=str(sshd.key),
            CA4_TUNNEL_KNOWN_HOSTS_FILE=str(tmp_path / "known_hosts"),
            CA4_TUNNEL_HOST_KEY_CHECKING="accept-new",
            CA4_TUNNEL_FORWARDS=f"{port}:kafka:9092",
            CA4_PROCESSOR_LISTEN="127.0.0.1:0",
        )
        started = one("start")
        sshd.stop()
    finally:
        taken.kill()
        taken.wait()
    assert started.returncode == 1, started.stdout
    assert "the tunnel could not start" in started.stderr
    assert str(port) in started.stderr
    one.when_gone()


def test_what_ends_at_once_is_started_again_after_growing_pauses(tmp_path):
    sys.path.insert(0, str(ROOT / "deploy/local"))
    try:
        from supervisor import Part
    finally:
        sys.path.remove(str(ROOT / "deploy/local"))
    part = Part("processor", ["sh", "-c", "date +%s.%N; echo ca4 serve: no luck; exit 3"], dict(os.environ), tmp_path / "log")
    deadline = time.monotonic() + PATIENCE_S
    while part.starts < 4 and time.monotonic() < deadline:
        part.tick()
        time.sleep(0.02)
    part.stop()
    assert part.last_error.startswith("it ended with exit code 3: ")
    assert part.last_error.endswith("\nca4 serve: no luck")
    starts = [float(line) for line in (tmp_path / "log").read_text().splitlines() if line[0].isdigit()]
    pauses = [later - earlier for earlier, later in zip(starts, starts[1:])]
    assert pauses[0] >= 0.9 and pauses[1] >= 1.9, pauses
