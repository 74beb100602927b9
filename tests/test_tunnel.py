"""`ca4 tunnel` through a real OpenSSH bastion, in a small private network of namespaces where the laptop reaches nothing
but the bastion. Behind it: a real Kafka, an HTTPS server with /livez in K3s' place (ca4's own), and an HTTP server with
/api/health in Grafana's: neither K3s nor Grafana can be had here."""

import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import proc
import pytest
from kafka_server import KafkaCluster
from netns import Network
from sshd_server import Sshd, make_key
from support import BINARY, ENVIRONMENT, Program, eventually, run, when_stored

FORWARDS = "9092:kafka:9092,16443:k3s-api:6443,3000:grafana:3000"
# What the bastion may forward to, as a careful administrator writes it.
PERMITTED = ["kafka:9092", "k3s-api:6443", "grafana:3000"]


def kafka_server(folder, host):
    """A broker on `host`, port 9092, that tells clients to come to `kafka:9092`."""
    cluster = KafkaCluster(folder, hosts=[host], ports={"PLAINTEXT": 9092}, advertise=lambda *_: "kafka:9092")
    cluster.format()
    return cluster.nodes[0].server


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=k3s-api", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True,
        capture_output=True,
    )
    return ["--tls-cert-file", folder / "cert.pem", "--tls-key-file", folder / "key.pem"]


def https_server(folder, host):
    folder.mkdir()
    listen = f"{host.address}:6443"
    argv = [BINARY, "serve", "--data-dir", folder / "data", "--listen", listen, *certificate(folder)]
    return host.server("https", argv, folder / "log", env=ENVIRONMENT, ready=lambda: host.connects(host.address, 6443))


def http_server(folder, host):
    (folder / "api").mkdir(parents=True)
    (folder / "api/health").write_text('{"database": "ok"}')
    argv = ["/usr/bin/python3", "-m", "http.server", "--bind", host.address, "--directory", folder, "3000"]
    return host.server("http", argv, folder.parent / "http.log", ready=lambda: host.connects(host.address, 3000))


class Vpc:
    """The private network and what runs in it."""

    def __init__(self, folder):
        self.network = Network(folder, "laptop", "bastion", "node")
        self.servers = {}
        try:
            self.laptop, self.node = self.network["laptop"], self.network["node"]
            # The laptop does not know these names, as it would not in a VPC.
            names = {name: self.node.address for name in ("kafka", "k3s-api", "grafana")}
            self.network.name_hosts(names, on=["bastion", "node"])
            self.network.allow("laptop", "bastion", 22)
            self.network.allow("bastion", "node", 9092, 6443, 3000)
            self.servers["kafka"] = kafka_server(folder / "kafka", self.node)
            self.servers["k3s-api"] = https_server(folder / "https", self.node)
            self.servers["grafana"] = http_server(folder / "http", self.node)
            for server in self.servers.values():
                server.start()
        except BaseException:
            self.close()
            raise

    def close(self):
        for server in self.servers.values():
            server.kill()
        self.network.close()


@pytest.fixture(scope="module")
def vpc(tmp_path_factory):
    made = Vpc(tmp_path_factory.mktemp("vpc"))
    yield made
    made.close()


class Bastion(Sshd):
    """The sshd of the bastion host, and what a laptop needs to get in."""

    def __init__(self, folder, host, permit_open=PERMITTED):
        super().__init__(folder, 22, permit_open=permit_open, host=host)
        self.known_hosts = folder / "known hosts"  # with a space: people have them
        self.trust()

    def trust(self):
        self.known_hosts.write_text(self.known_hosts_line("bastion"))

    def flags(self, name="bastion", key=None):
        login = ["--bastion-user", self.user, "--bastion-key-file", key or self.key]
        return ["--bastion", name, *login, "--known-hosts-file", self.known_hosts]


@pytest.fixture
def bastion(vpc, tmp_path):
    made = Bastion(tmp_path / "bastion", vpc.network["bastion"]).start()
    yield made
    made.stop()
    vpc.network.mend()


# Quick to notice, for tests; the timeout is generous, for a busy machine.
QUICK = ["--check-interval-ms", "200", "--check-timeout-ms", "2000", "--keepalive-interval-s", "2"]
QUICK += ["--tunnel-backoff-ms-max", "300", "--connect-timeout-s", "5"]


class Tunnel(Program):
    """`ca4 tunnel`, on a host or here."""

    def __init__(self, data_dir, *flags, host=None, forwards=FORWARDS, **keywords):
        self.data_dir, self.host = data_dir, host
        flags = ["--data-dir", data_dir, "--forwards", forwards, *QUICK, *flags]
        super().__init__("tunnel", *flags, host=host, **keywords)

    def status(self):
        """What `--status` says; None when no tunnel runs."""
        shown = run("tunnel", "--status", "--json", "--data-dir", self.data_dir)
        return json.loads(shown.stdout) if shown.stdout else None

    def states(self):
        return {f["target"].split(":")[0]: f["state"] for f in (self.status() or {"forwards": []})["forwards"]}

    def detail(self, name):
        return next(f["detail"] for f in self.status()["forwards"] if f["target"].startswith(name))

    def link(self):
        return self.status()["links"][0]

    def when_healthy(self):
        def healthy():
            assert self.runs(), f"ended with {self.process.returncode}: {self.said()}"
            return set(self.states().values()) == {"healthy"}

        eventually(healthy, lambda: f"every forward is healthy: {self.status()} {self.said()}")
        return self

    def when(self, **states):
        def there():
            now = self.states()
            return all(now.get(name.replace("_", "-")) == state for name, state in states.items())

        eventually(there, lambda: f"{states}: {self.status()} {self.said()}")

    def when_down(self):
        eventually(lambda: self.link()["state"] != "connected", lambda: f"the link is down: {self.status()}")

    def programs(self):
        """The pids of what runs for the tunnel, without the guards, which are ca4 itself."""
        return [pid for pid in proc.children(self.pid) if proc.name(pid) not in ("", "ca4")]


@pytest.fixture
def tunnel(vpc, programs, tmp_path):
    def begin(*flags, **keywords):
        programs.append(Tunnel(tmp_path / "data", *flags, host=vpc.laptop, **keywords))
        return programs[-1]

    return begin


def listening(host):
    """The addresses on which TCP ports are open on a host: {port: address}."""
    rows = [line.split() for line in host.run("cat", "/proc/net/tcp").splitlines()[1:]]
    found = {}
    for row in rows:
        if row[3] == "0A":
            address, port = row[1].split(":")
            found[int(port, 16)] = ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
    return found


def gone(pid):
    try:
        return "(zombie)" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_only_the_bastion_is_reachable_and_everything_goes_through_it(vpc, bastion, tunnel):
    laptop = vpc.laptop
    for port in (9092, 6443, 3000, 22):
        assert not laptop.connects(vpc.node.address, port), f"the laptop reaches the node's port {port} by itself"
    assert laptop.connects(bastion.address, 22)
    kept_up = tunnel(*bastion.flags()).when_healthy()
    assert kept_up.printed() == 'kafka.broker_map = "kafka:9092=127.0.0.1:9092"\n'
    fetch = ["/usr/bin/python3", "-c", "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"]
    assert laptop.run(*fetch, "http://127.0.0.1:3000/api/health") == '{"database": "ok"}\n'
    assert {port: address for port, address in listening(laptop).items()} == {
        9092: "127.0.0.1",
        16443: "127.0.0.1",
        3000: "127.0.0.1",
    }
    (ssh,) = kept_up.programs()
    kept_up.stop()
    assert gone(ssh)
    assert kept_up.status() is None
    # One line a change of state, and nothing else.
    said = kept_up.said()
    assert said.count(" is up\n") == 1, said
    assert said.count(" is healthy: ") == 3 + said.count(" is unhealthy: "), said
    assert len(said.splitlines()) == said.count(" is up\n") + said.count("healthy: ") + 1, said


def test_a_service_that_dies_behind_the_bastion_is_unhealthy_though_the_port_accepts(vpc, bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    grafana = vpc.servers["grafana"]
    grafana.kill()
    kept_up.when(grafana="unreachable", kafka="healthy", k3s_api="healthy")
    assert vpc.laptop.connects("127.0.0.1", 3000)
    assert "Connection refused" in kept_up.detail("grafana")
    assert "127.0.0.1:3000 -> grafana:3000 is unhealthy" in kept_up.said()
    grafana.start()
    kept_up.when_healthy()
    assert kept_up.link()["restarts"] == 0, "ssh itself was well"


def test_a_broker_that_hangs_is_silent_and_the_others_keep_their_connection(vpc, bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    vpc.servers["kafka"].pause()
    try:
        kept_up.when(kafka="silent", grafana="healthy", k3s_api="healthy")
        # Longer than three rounds of checks: nobody cuts the link for one silent service.
        time.sleep(3)
        assert kept_up.link()["restarts"] == 0
    finally:
        vpc.servers["kafka"].resume()
    kept_up.when_healthy()


def test_a_target_that_the_bastion_does_not_permit_is_named(vpc, tunnel, tmp_path):
    strict = Bastion(tmp_path / "strict", vpc.network["bastion"], permit_open=["kafka:9092", "k3s-api:6443"]).start()
    try:
        kept_up = tunnel(*strict.flags())
        kept_up.when(grafana="unreachable", kafka="healthy")
        assert "administratively prohibited" in kept_up.detail("grafana")
        shown = run("tunnel", "--status", "--data-dir", kept_up.data_dir)
        assert shown.returncode == 1
        assert "administratively prohibited" in shown.stdout
        kept_up.stop()
    finally:
        strict.stop()


def test_a_connection_that_dies_is_made_again(bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    bastion.kill_sessions()
    eventually(lambda: kept_up.link()["restarts"] >= 1, "the tunnel comes back")
    kept_up.when_healthy()


def test_a_bastion_that_is_killed_and_comes_back_is_used_again(bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    bastion.kill()
    eventually(lambda: "nobody answers ssh" in kept_up.link()["problem"], lambda: f"{kept_up.status()}")
    time.sleep(1.5)  # several tries
    assert kept_up.said().count("nobody answers ssh") == 1, "the same problem again is no news"
    bastion.start()
    kept_up.when_healthy()


def test_a_bastion_that_hangs_is_given_up_and_used_again(bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    bastion.pause()
    kept_up.when_down()
    bastion.resume()
    kept_up.when_healthy()


def test_dropped_packets_are_noticed_and_the_tunnel_heals(vpc, bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    vpc.network.cut("laptop", "bastion")
    kept_up.when_down()
    vpc.network.mend()
    kept_up.when_healthy()


def test_packets_dropped_behind_the_bastion_are_noticed_too(vpc, bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    vpc.network.cut("bastion", "node")
    eventually(lambda: "healthy" not in kept_up.states().values(), "no forward is healthy")
    vpc.network.mend()
    kept_up.when_healthy()


# Posts events until its standard input ends; says for each that was taken where it is durable.
POST = """
import json, sys, threading, urllib.request
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
number = 0
while not over.wait(0.005):
    body = json.dumps({"metadata_id": f"img-{number}", "embedding": [0.5] * 64}).encode()
    request = urllib.request.Request(sys.argv[1] + "/metadata", body, {"Content-Type": "application/json"})
    print(f"img-{number}", json.load(urllib.request.urlopen(request, timeout=60))["durable_in"], flush=True)
    number += 1
"""


def test_a_tunnel_that_is_cut_in_the_middle_of_a_batch_loses_no_event(vpc, bastion, tunnel, serve, work, tmp_path):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    topic = f"tunnelled-{uuid.uuid4().hex[:8]}"
    here = ["--kafka-bootstrap", "127.0.0.1:9092", "--kafka-broker-map", "kafka:9092=127.0.0.1:9092", "--topic", topic]
    made = run("topics", "ensure", *here, host=vpc.laptop)
    assert made.returncode == 0, made.stdout + made.stderr
    server = serve("serve", tmp_path / "laptop", *here, "--kafka-delivery-timeout-ms", "2000", host=vpc.laptop)
    work(tmp_path / "node", "--kafka-bootstrap", "kafka:9092", "--topic", topic, host=vpc.node)
    said = tmp_path / "said"
    argv = vpc.laptop.inside("/usr/bin/python3", "-c", POST, server.url)
    with said.open("w") as output, subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output) as load:

        def taken(place):
            return [line.split()[0] for line in said.read_text().splitlines() if line.endswith(f" {place}")]

        def more(place, count):
            before = len(taken(place))
            eventually(lambda: len(taken(place)) > before + count, f"{count} more events are durable in {place}")

        more("kafka", 50)
        bastion.kill_sessions()
        more("kafka", 50)
        vpc.network.cut("laptop", "bastion")
        more("outbox", 50)
        vpc.network.mend()
        kept_up.when_healthy()
        more("kafka", 50)
        load.stdin.close()
        assert load.wait(60) == 0
    when_stored(tmp_path / "node", taken("kafka") + taken("outbox"))


def test_an_ssh_that_hangs_is_killed_and_replaced(bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    (ssh,) = kept_up.programs()
    os.kill(ssh, signal.SIGSTOP)
    eventually(lambda: kept_up.link()["restarts"] >= 1, lambda: f"ssh is replaced: {kept_up.status()}")
    kept_up.when_healthy()
    assert gone(ssh)
    assert "no answer through any forward in 3 checks" in kept_up.said()


def test_a_changed_host_key_is_refused_until_somebody_has_looked(bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    bastion.kill()
    bastion.change_host_key()
    bastion.start()
    eventually(lambda: "is not the one in" in kept_up.link()["problem"], lambda: f"{kept_up.status()}")
    assert "ssh-keygen -R bastion" in kept_up.link()["fix"]
    assert kept_up.runs()
    assert "healthy" not in kept_up.states().values()
    bastion.trust()
    kept_up.when_healthy()


def refused(program):
    """The message of a tunnel that gives up at the start."""
    assert program.wait() == 1, program.said()
    assert "what to do: " in program.said()
    return program.said()


def test_at_the_start_what_needs_a_person_ends_it_with_a_message(vpc, bastion, tunnel, tmp_path):
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()
    bastion.known_hosts.write_text(f"bastion {other[0]} {other[1]}\n")
    assert f"the host key of bastion is not the one in '{bastion.known_hosts}'" in refused(tunnel(*bastion.flags()))
    bastion.known_hosts.write_text("")
    assert "the host key of bastion is not known" in refused(tunnel(*bastion.flags()))
    accepting = ["--host-key-checking", "accept-new"]
    stranger = make_key(tmp_path / "stranger")
    said = refused(tunnel(*bastion.flags(key=stranger), *accepting))
    assert "bastion does not let root in: root@bastion: Permission denied" in said
    assert "the host key" not in said
    assert bastion.known_hosts.read_text().strip(), "the first key was believed, and noted"
    said = refused(tunnel(*bastion.flags(key=tmp_path / "nothing")))
    assert f"there is no key file {tmp_path / 'nothing'}" in said
    locked = make_key(tmp_path / "locked", passphrase="secret words")
    assert "without a passphrase or in the agent (ssh-add)" in refused(tunnel(*bastion.flags(key=locked)))
    bastion.key.chmod(0o644)
    assert f"chmod 600 {bastion.key}" in refused(tunnel(*bastion.flags()))


def test_a_bastion_that_is_not_there_is_waited_for(vpc, bastion, tunnel):
    bastion.kill()
    kept_up = tunnel(*bastion.flags())
    eventually(lambda: "nobody answers ssh at bastion" in kept_up.said(), kept_up.said)
    assert "does the bastion run" in kept_up.said()
    bastion.start()
    kept_up.when_healthy()


def test_an_unknown_name_is_said_once_and_tried_again(vpc, bastion, tunnel):
    kept_up = tunnel(*bastion.flags(name="no-such-bastion"))
    eventually(lambda: "nobody knows the name no-such-bastion" in kept_up.said(), kept_up.said)
    time.sleep(1)
    assert kept_up.said().count("is down") == 1, kept_up.said()
    kept_up.stop()


def test_without_ssh_it_says_what_to_install(start, tmp_path):
    program = start("tunnel", "--data-dir", tmp_path, "--bastion", "x", env={"PATH": str(tmp_path)})
    assert "no program ssh in PATH" in refused(program)


def test_a_local_port_in_use_is_named(vpc, bastion, tunnel, tmp_path):
    blocker = vpc.laptop.server(
        "blocker",
        ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "16443"],
        tmp_path / "blocker.log",
        ready=lambda: vpc.laptop.connects("127.0.0.1", 16443),
    ).start()
    try:
        said = refused(tunnel(*bastion.flags()))
        assert "can't listen on 127.0.0.1:16443: Address already in use" in said
    finally:
        blocker.kill()


def test_kill_9_leaves_no_ssh_behind(bastion, tunnel):
    kept_up = tunnel(*bastion.flags()).when_healthy()
    (ssh,) = kept_up.programs()
    kept_up.kill()
    eventually(lambda: gone(ssh), "ssh ends with us")
    assert kept_up.status() is None
    tunnel(*bastion.flags()).when_healthy().stop()


def test_status_and_a_second_tunnel(bastion, tunnel, ca4, tmp_path):
    none = ca4("tunnel", "--status", "--data-dir", tmp_path / "data")
    assert (none.returncode, none.stdout) == (1, "")
    assert f"no tunnel runs on {tmp_path / 'data'}" in none.stderr
    kept_up = tunnel(*bastion.flags())
    shown = ca4("tunnel", "--status", "--wait-s", "60", "--data-dir", kept_up.data_dir)
    assert shown.returncode == 0, shown.stdout
    assert "ssh to bastion: connected" in shown.stdout
    assert "127.0.0.1:9092   -> kafka:9092" in shown.stdout
    second = tunnel(*bastion.flags())
    assert second.wait() == 1
    assert "another `ca4 tunnel` runs" in second.said()
    assert kept_up.when_healthy().runs()
    kept_up.signal(signal.SIGINT)
    assert kept_up.wait() == 0


def test_several_brokers_get_a_port_and_an_entry_each(vpc, bastion, tunnel):
    # One broker under two names stands for two: what matters here is the map.
    names = {"kafka-0.kafka": vpc.node.address, "kafka-1.kafka": vpc.node.address}
    vpc.network.name_hosts(names, on=["bastion"])
    bastion.kill()
    wide = Bastion(bastion.folder / "wide", bastion.host, permit_open=[f"{name}:9092" for name in names]).start()
    try:
        kept_up = tunnel(*wide.flags(), forwards="9092:kafka-0.kafka:9092,9093:kafka-1.kafka:9092").when_healthy()
        expected = "kafka-0.kafka:9092=127.0.0.1:9092,kafka-1.kafka:9092=127.0.0.1:9093"
        assert kept_up.printed() == f'kafka.broker_map = "{expected}"\n'
        kept_up.stop()
    finally:
        wide.stop()


def test_what_it_needs_to_know_is_a_configuration_error(ca4, tmp_path):
    nobody = ca4("tunnel", "--data-dir", tmp_path)
    assert nobody.returncode == 78
    assert "Set tunnel.bastion" in nobody.stderr
    file = tmp_path / "ca4.toml"
    file.write_text('[tunnel]\nbastion = "b"\nforwards = "9092:kafka"\n')
    wrong = ca4("tunnel", "--data-dir", tmp_path, "--config", file)
    assert wrong.returncode == 78
    assert "'9092:kafka': expected LOCAL:HOST:PORT[=PROBE]" in wrong.stderr
    option = ca4("tunnel", "--data-dir", tmp_path, "--bastion=-oProxyCommand=x")
    assert option.returncode == 2
