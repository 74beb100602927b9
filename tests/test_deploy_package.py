"""The Debian package: what is in it, what Debian and systemd say about it, and a life of it from installation to purge, in a Debian made by
debootstrap: once without an init (a chroot), once booted by systemd, where the units run with all their hardening."""

import json
import re
import shutil
import subprocess

import pytest
from booted_machine import BootedMachine
from netlab import Machine, command
from server_process import ServerProcess
from sshd_server import Sshd
from support import PATIENCE_S, ROOT, event, eventually

DEBIAN = ROOT / ".deps/debian/root"
UNITS = ["ca4-serve", "ca4-tunnel", "ca4-up", "ca4-work"]
APT = ["apt-get", "-qq", "-o", "Dpkg::Options::=--force-confold", "-y", "--no-install-recommends"]
SIZE_BYTES_MAX = 15 << 20  # of the stripped binary


@pytest.fixture(scope="module")
def package():
    assert DEBIAN.is_dir(), f"{DEBIAN} is not there: run scripts/setup-debian.sh"
    made = subprocess.run([ROOT / "scripts/package.sh"], capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    (path,) = (ROOT / "build/package").glob("ca4_*.deb")
    return path


@pytest.fixture(scope="module")
def newer(package, tmp_path_factory):
    """The same as a later version, which brings another settings file."""
    folder = tmp_path_factory.mktemp("newer")
    command("dpkg-deb", "-R", package, folder / "tree")
    control = folder / "tree/DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0", control.read_text(), flags=re.MULTILINE))
    with (folder / "tree/etc/ca4/ca4.toml").open("a") as file:
        file.write("\n# A line that the later version brings.\n")
    command("dpkg-deb", "--root-owner-group", "-b", folder / "tree", folder / "ca4_99.0.deb")
    return folder / "ca4_99.0.deb"


@pytest.mark.parametrize("unit", UNITS)
def test_units_expose_little(unit):
    path = ROOT / f"deploy/systemd/{unit}.service"
    # In tenths: at most 2.0 of 10.
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", path], capture_output=True, text=True, timeout=60
    )
    assert judged.returncode == 0, judged.stdout


def test_debian_has_nothing_to_say_about_it(package):
    said = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", package], capture_output=True, text=True, timeout=120)
    assert (said.returncode, said.stdout) == (0, "")


def test_the_same_sources_give_the_same_package(package):
    first = package.read_bytes()
    command(ROOT / "scripts/package.sh")
    assert package.read_bytes() == first


def test_the_package_holds_a_stripped_binary_and_names_its_libraries(package, tmp_path):
    command("dpkg-deb", "-x", package, tmp_path)
    binary = tmp_path / "usr/bin/ca4"
    assert binary.stat().st_size < SIZE_BYTES_MAX
    assert "no symbols" in command("nm", binary) or ".symtab" not in command("readelf", "-S", binary)
    for library in ("libc6", "libcurl4", "libmongoc-1.0-0", "librdkafka1", "libsqlite3-0", "libssl3", "adduser"):
        assert re.search(rf"\b{re.escape(library)}\b", command("dpkg-deb", "-f", package, "Depends")), library
    units = {f"{unit}.service" for unit in UNITS} | {"ca4-.service.d"}
    assert {path.name for path in (tmp_path / "lib/systemd/system").iterdir()} == units
    for name in ("bash-completion/completions/ca4", "zsh/vendor-completions/_ca4", "man/man1/ca4.1.gz", "doc/ca4/configuration.md"):
        assert (tmp_path / "usr/share" / name).stat().st_size > 0
    assert str(ROOT).encode() not in binary.read_bytes()


def put(machine, package, name="/var/tmp/ca4.deb"):
    shutil.copy(package, machine.path(name))
    return name


class Chroot(Machine):
    """That Debian without an init, off every network."""

    def __init__(self, folder):
        super().__init__("debian", folder, own_root=DEBIAN)

    def path(self, name):
        return f"/proc/{self.holder.pid}/root{self.root}/{name.lstrip('/')}"

    def apt(self, *args):
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", *APT, *args)

    def has(self, path):
        return subprocess.run(self.inside("test", "-e", path), timeout=60).returncode == 0


@pytest.fixture
def chroot(tmp_path):
    machine = Chroot(tmp_path)
    yield machine
    machine.close()


def curl(on_network, path, *args):
    return on_network("curl", "--silent", "--show-error", "--max-time", str(PATIENCE_S), f"http://127.0.0.1:8000{path}", *args)


def is_ready(on_network):
    try:
        return curl(on_network, "/readyz", "--fail") != ""
    except AssertionError:
        return False


def post(on_network, metadata_id):
    said = curl(on_network, "/metadata", "--header", "Content-Type: application/json", "--data", json.dumps(event(metadata_id)))
    assert json.loads(said)["status"] == "ok", said


def stored(run, *as_user):
    found = run(*as_user, "ca4", "query", "--config", "/etc/ca4/ca4.toml", "--format", "ndjson", "--limit", "0")
    return {json.loads(line)["metadata_id"] for line in found.splitlines()}


def test_a_life_without_an_init(chroot, package, newer):
    chroot.apt("install", put(chroot, package))
    assert chroot.run("ca4", "--version").startswith("ca4 ")
    assert re.fullmatch(r"uid=\d+\(ca4\) gid=\d+\(ca4\) groups=\d+\(ca4\)", chroot.run("id", "ca4").strip())
    assert chroot.run("stat", "-c", "%U:%G %a", "/var/lib/ca4").strip() == "ca4:ca4 750"
    as_ca4 = ["setpriv", "--reuid=ca4", "--regid=ca4", "--clear-groups", "--"]
    server = chroot.start(*as_ca4, "ca4", "up", "--config", "/etc/ca4/ca4.toml", log=chroot.folder / "up.log")
    try:
        eventually(lambda: is_ready(chroot.enter), "ca4 up is ready")
        post(chroot.enter, "first")
        eventually(lambda: "first" in stored(chroot.run, *as_ca4), "the event is stored")
    finally:
        server.terminate()
        assert server.wait(PATIENCE_S) == 0

    chroot.run("sh", "-c", "echo '# mine' >> /etc/ca4/ca4.toml")
    chroot.apt("install", put(chroot, newer))
    assert "Version: 99.0" in chroot.run("dpkg", "-s", "ca4")
    assert chroot.read("/etc/ca4/ca4.toml").endswith("# mine\n")
    assert "the later version" in chroot.read("/etc/ca4/ca4.toml.dpkg-dist")
    assert stored(chroot.run, *as_ca4) == {"first"}

    chroot.apt("remove", "ca4")
    assert not chroot.has("/usr/bin/ca4")
    assert chroot.has("/etc/ca4/ca4.toml")
    chroot.run("sh", "-c", "echo MONGO_URI=mongodb://u:p@h > /etc/ca4/ca4.env")
    said = chroot.run("sh", "-c", f"{' '.join(APT)} purge ca4 2>&1")
    assert "/var/lib/ca4 holds data and stays" in said
    for gone in ("/etc/ca4/ca4.toml", "/etc/ca4/ca4.env", "/etc/ca4", "/lib/systemd/system/ca4-up.service", "/usr/share/doc/ca4"):
        assert not chroot.has(gone), gone
    assert chroot.has("/var/lib/ca4/store")


def test_purging_what_was_never_used_leaves_nothing(chroot, package):
    chroot.apt("install", put(chroot, package))
    chroot.apt("purge", "ca4")
    left = chroot.run("find", "/", "-xdev", "-path", "/proc", "-prune", "-o", "-name", "*ca4*", "-print").split()
    assert [path for path in left if not path.startswith(("/var/tmp/", "/var/lib/dpkg/", "/var/cache/", "/tmp/"))] == []


@pytest.fixture
def booted(tmp_path, package):
    machine = BootedMachine(tmp_path / "machine", DEBIAN)
    try:
        machine.run(*APT, "install", put(machine, package))
        yield machine
    finally:
        machine.close()


def show(machine, unit, *properties):
    text = machine.run("systemctl", "show", unit, *(f"--property={name}" for name in properties))
    return dict(line.split("=", 1) for line in text.splitlines())


def started(machine, *units):
    machine.run("systemctl", "start", *units)
    eventually(lambda: is_ready(machine.on_network), lambda: machine.run("journalctl", "--no-pager", "-n", "30"))


def test_systemd_finds_no_fault_and_starts_nothing_by_itself(booted):
    for unit in UNITS:
        assert booted.try_("systemctl", "is-enabled", unit).stdout == "disabled\n"
        assert show(booted, unit, "ActiveState") == {"ActiveState": "inactive"}
    checked = booted.try_("systemd-analyze", "verify", "--man=no", *(f"/lib/systemd/system/{unit}.service" for unit in UNITS))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_pipeline_runs_hardened_and_is_started_again(booted, newer):
    started(booted, "ca4-up")
    post(booted.on_network, "first")
    pid = show(booted, "ca4-up", "MainPID")["MainPID"]
    status = booted.run("cat", f"/proc/{pid}/status")
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
    mounts = booted.run("cat", f"/proc/{pid}/mounts")
    assert re.search(r"^\S+ / \S+ ro", mounts, re.MULTILINE), mounts
    assert re.search(r"^\S+ /var/lib/ca4 \S+ rw", mounts, re.MULTILINE), mounts

    booted.run("systemctl", "kill", "--signal=KILL", "ca4-up")
    eventually(lambda: show(booted, "ca4-up", "NRestarts", "ActiveState") == {"NRestarts": "1", "ActiveState": "active"}, "started again")
    started(booted, "ca4-up")
    post(booted.on_network, "second")
    booted.run("systemctl", "reload", "ca4-up")

    # An upgrade restarts what runs, with the data it had.
    before = show(booted, "ca4-up", "MainPID")["MainPID"]
    booted.run(*APT, "install", put(booted, newer))
    started(booted, "ca4-up")
    assert show(booted, "ca4-up", "MainPID")["MainPID"] != before
    as_ca4 = ["setpriv", "--reuid=ca4", "--regid=ca4", "--clear-groups", "--"]
    eventually(lambda: stored(booted.run, *as_ca4) == {"first", "second"}, "both are stored")

    booted.run("systemctl", "stop", "ca4-up")
    assert show(booted, "ca4-up", "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    booted.run("systemctl", "enable", "--now", "ca4-up")
    booted.run(*APT, "purge", "ca4")
    assert show(booted, "ca4-up", "ActiveState", "LoadState") == {"ActiveState": "inactive", "LoadState": "not-found"}
    assert booted.try_("test", "-L", "/etc/systemd/system/multi-user.target.wants/ca4-up.service").returncode == 1


def test_processor_and_worker_share_the_folder_as_units_of_their_own(booted):
    started(booted, "ca4-serve", "ca4-work")
    post(booted.on_network, "a")
    as_ca4 = ["setpriv", "--reuid=ca4", "--regid=ca4", "--clear-groups", "--"]
    eventually(lambda: stored(booted.run, *as_ca4) == {"a"}, "the worker has stored it")
    assert show(booted, "ca4-work", "NRestarts") == {"NRestarts": "0"}


def test_variables_come_from_a_file_that_root_alone_reads(booted):
    file = booted.path("/etc/ca4/ca4.env")
    file.write_text("CA4_LOGGING_FORMAT=json\nMONGO_URI='mongodb://h.example/?a=b&c=d'\n")
    file.chmod(0o600)
    started(booted, "ca4-serve")
    eventually(lambda: '{"' in booted.run("journalctl", "--no-pager", "--output=cat", "--unit=ca4-serve"), "it logs JSON")
    # A command reads it as the instructions say.
    (line,) = re.findall(r"^sudo sh -c '(set -a.* ca4) query ", (ROOT / "docs/install.md").read_text(), re.MULTILINE)
    shown = booted.run("sh", "-c", f"{line} config --config /etc/ca4/ca4.toml")
    assert re.search(r"^store.mongo_uri +\S*h.example/\?a=b&c=d\S* +env MONGO_URI", shown, re.MULTILINE), shown


class NetworkOf:
    """A booted machine's network with this machine's files, as sshd_server wants its host."""

    address = "127.0.0.1"

    def __init__(self, machine):
        self.machine = machine

    def inside(self, *argv):
        return ["nsenter", f"--target={self.machine.init}", "--net", *map(str, argv)]

    def connects(self, address, port):
        script = f"import socket; socket.create_connection(({address!r}, {port}), 1)"
        return subprocess.run(self.inside("/usr/bin/python3", "-c", script), capture_output=True, timeout=60).returncode == 0


SETTINGS = """
data_dir = "/var/lib/ca4"
[tunnel]
bastion = "127.0.0.1"
port = 2222
user = "root"
key_file = "/etc/ca4/bastion_key"
known_hosts_file = "/etc/ca4/known_hosts"
forwards = "3001:127.0.0.1:3000=http/"
"""


def test_the_tunnels_ssh_works_with_all_its_hardening(booted, tmp_path):
    booted.run(*APT, "install", "openssh-client")
    network = NetworkOf(booted)
    (tmp_path / "web").mkdir()
    argv = ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", tmp_path / "web", "3000"]
    web = ServerProcess("web", network.inside(*argv), tmp_path / "web.log", ready=lambda: network.connects("127.0.0.1", 3000))
    sshd = Sshd(tmp_path / "sshd", 2222, permit_open=["127.0.0.1:3000"], host=network)
    try:
        web.start()
        sshd.start()
        shutil.copy(sshd.key, booted.path("/etc/ca4/bastion_key"))
        booted.run("chown", "ca4:ca4", "/etc/ca4/bastion_key")
        booted.run("chmod", "0600", "/etc/ca4/bastion_key")
        booted.path("/etc/ca4/known_hosts").write_text(sshd.known_hosts_line("127.0.0.1"))
        booted.path("/etc/ca4/ca4.toml").write_text(SETTINGS)
        booted.run("systemctl", "start", "ca4-tunnel")
        status = ["ca4", "tunnel", "--status", "--config", "/etc/ca4/ca4.toml", "--wait-s", PATIENCE_S]
        shown = booted.try_("setpriv", "--reuid=ca4", "--regid=ca4", "--clear-groups", "--", *status)
        assert shown.returncode == 0, shown.stdout + booted.run("journalctl", "--no-pager", "--unit=ca4-tunnel")
        assert network.connects("127.0.0.1", 3001)
        booted.run("systemctl", "stop", "ca4-tunnel")
        assert not network.connects("127.0.0.1", 3001)
    finally:
        sshd.stop()
        web.stop()


def test_wrong_settings_are_told_once_and_not_tried_again(booted):
    # A tunnel to nowhere: no bastion is set.
    booted.try_("systemctl", "start", "ca4-tunnel")
    eventually(lambda: show(booted, "ca4-tunnel", "ActiveState") == {"ActiveState": "failed"}, "it is given up")
    assert show(booted, "ca4-tunnel", "ExecMainStatus", "NRestarts") == {"ExecMainStatus": "78", "NRestarts": "0"}
    # The journal may be a moment behind the unit.
    eventually(lambda: "through which host?" in booted.run("journalctl", "--no-pager", "--output=cat", "--unit=ca4-tunnel"), "it says why")
