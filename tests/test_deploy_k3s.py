"""What the machines of deploy/aws do when they boot, and deploy/k3s/bootstrap.sh, over real SSH through a real bastion.

The user data and addresses are those of an applied system. Laptop, bastion and nodes are network namespaces; bastion and nodes have file
systems of their own, and OpenSSH with the bastion's real configuration. K3s itself cannot be had here, so nothing here starts it: the
file that is "released" is any file with a checksum, and what a K3s server would have written (token, kubeconfig) is laid down by the test.
"""

import base64
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from netlab import Lab
from support import ROOT, eventually

CLOUD_INIT = ROOT / ".deps/cloud-init/usr/lib/python3/dist-packages"
VERSION = "v9.9.9+k3s1"
RELEASED = b"not K3s, but a file whose checksum is known\n"


@pytest.fixture(scope="module")
def user_data(applied):
    """{stack: user data} of every machine, as the cloud would give it to it."""
    ec2 = applied.client("ec2")
    found = {}
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            stack = next(t["Value"] for t in instance["Tags"] if t["Key"] == "aws:cloudformation:stack-name")
            answer = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
            found[stack] = base64.b64decode(answer["UserData"]["Value"]).decode()
    assert sorted(found) == ["ca4-bastion", "ca4-node-1", "ca4-node-2"]
    return found


def schema_faults(text, tmp_path):
    path = tmp_path / "user-data"
    path.write_text(text)
    result = subprocess.run(
        [sys.executable, "-m", "cloudinit.cmd.main", "schema", "--config-file", path],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(CLOUD_INIT), "PATH": os.environ["PATH"]},
        timeout=60,
    )
    return "" if result.returncode == 0 and "Valid" in result.stdout else result.stdout + result.stderr


def test_user_data_fits_cloud_inits_schema(user_data, tmp_path):
    for text in user_data.values():
        assert text.startswith("#cloud-config\n")
        assert len(text) < 16_384
        assert schema_faults(text, tmp_path) == ""


def test_the_schema_sees_a_mistake(user_data, tmp_path):
    broken = user_data["ca4-node-1"].replace('permissions: "0755"', "permissions: 0755")
    assert "permissions" in schema_faults(broken, tmp_path)


def test_nodes_get_the_script_and_the_pinned_release(user_data, applied):
    pinned = dict(re.findall(r"^(K3S_\w+)=(.*)$", (ROOT / "deploy/k3s/version.env").read_text(), re.MULTILINE))
    assert re.fullmatch(r"[0-9a-f]{64}", pinned["K3S_SHA256"])
    server = applied.outputs()["edge_node_private_ips"].split(",")[0]
    for stack, role, address in (("ca4-node-1", "server", ""), ("ca4-node-2", "agent", server)):
        config = yaml.safe_load(user_data[stack])
        (file,) = config["write_files"]
        assert gzip.decompress(base64.b64decode(file["content"])) == (ROOT / "deploy/k3s/node.sh").read_bytes()
        assert config["runcmd"] == [
            [file["path"], "install", pinned["K3S_VERSION"], pinned["K3S_SHA256"], role, address],
            [file["path"], "boot"],
        ]


class Releases:
    """Where K3s is fetched from: one file, and a count of who asked for it."""

    def __init__(self, machine, folder):
        path = folder / VERSION / "k3s"
        path.parent.mkdir(parents=True)
        path.write_bytes(RELEASED)
        self.log = folder / "log"
        self.url = f"http://{machine.addresses[-1]}:8080"
        self.argv = ["/usr/bin/python3", "-m", "http.server", "8080", "--directory", folder]

    def downloads(self):
        return self.log.read_text().count("GET /v9.9.9%2Bk3s1/k3s")


class Site:
    """The applied system, as machines."""

    def __init__(self, account, user_data, folder):
        outputs = account.outputs()
        self.folder = folder
        self.public = "192.0.2.1"  # the simulator's address for the bastion is one of loopback
        self.server, self.agent = outputs["edge_node_private_ips"].split(",")
        self.user_data = {stack: yaml.safe_load(text) for stack, text in user_data.items()}
        self.lab = Lab(
            folder,
            {
                "internet": {"laptop": "192.0.2.2/24", "bastion": f"{self.public}/24"},
                "vpc": {"bastion": "10.40.0.10/16", "node-1": f"{self.server}/16", "node-2": f"{self.agent}/16"},
            },
            own_root=("bastion", "node-1", "node-2"),
        )
        self.state = folder / "state"
        shutil.copytree(account.state, self.state)
        self._point_at_the_bastion(account.state, outputs["bastion_public_ip"])
        self.key = self._private_key()
        self._boot("bastion", "ca4", self.user_data["ca4-bastion"])
        for number in (1, 2):
            self._boot(f"node-{number}", "ec2-user", self.user_data[f"ca4-node-{number}"])
        self.tree = self._tree()
        self.releases = self._serve_releases()

    def _point_at_the_bastion(self, written_for, simulated):
        config = self.state / "ssh_config"
        config.write_text(config.read_text().replace(str(written_for), str(self.state)).replace(simulated, self.public))

    def _private_key(self):
        return re.search(r"IdentityFile (\S+)", (self.state / "ssh_config").read_text())[1]

    def _boot(self, name, user, config):
        """What cloud-init does with the parts that are about SSH, and sshd as the distribution starts it."""
        machine = self.lab[name]
        account = next((u for u in config["users"] if u != "default"), {})
        keys = account.get("ssh_authorized_keys") or config["ssh_authorized_keys"]
        machine.hosts.write_text(machine.hosts.read_text() + f"127.0.1.1 {os.uname().nodename}\n")  # sudo asks for it
        machine.run("useradd", "--create-home", "--shell", account.get("shell", "/bin/bash"), user)
        # A new account is locked on Debian, and its sshd lets no locked one in.
        machine.run("passwd", "--delete", user)
        if user == "ec2-user":
            # No systemd runs on a namespace. Told so, systemctl enables units, which is a matter of files, and starts nothing.
            rights = "ec2-user ALL=(ALL) NOPASSWD:ALL\nDefaults env_keep += SYSTEMD_OFFLINE\n"
            machine.write("/etc/sudoers.d/ec2-user", rights, "0440")
        machine.write(f"/home/{user}/.ssh/authorized_keys", "\n".join(keys) + "\n", "0600")
        machine.run("chown", "-R", user, f"/home/{user}")
        machine.run("rm", "-rf", "/etc/ssh/sshd_config.d")
        for file in config["write_files"]:
            if "encoding" not in file:
                machine.write(file["path"], file["content"], file["permissions"])
        for command in config.get("bootcmd", []):
            machine.hosts.write_text(machine.hosts.read_text() + self._hosts_line(command))
        machine.write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM no\nSetEnv SYSTEMD_OFFLINE=1\n")
        machine.run("ssh-keygen", "-A")
        machine.run("mkdir", "-p", "/run/sshd")
        machine.run("/usr/sbin/sshd", "-t")
        self.lab.start(name, "/usr/sbin/sshd", "-D", "-e", log=self.folder / f"{name}.sshd.log")
        eventually(lambda: machine.connects(machine.addresses[-1], 22), f"sshd on {name}")

    def _hosts_line(self, command):
        """Runs the boot command on a file of its own: /etc/hosts of a namespace is a mount, which sed -i can't replace."""
        scratch = self.folder / "etc-hosts"
        scratch.write_text("")
        subprocess.run([*command[:-1], command[-1].replace("/etc/hosts", str(scratch))], check=True)
        return scratch.read_text()

    def _tree(self):
        """The repository, but with a release that can be had here."""
        tree = self.folder / "tree"
        shutil.copytree(ROOT / "deploy/k3s", tree / "deploy/k3s")
        self.pin(tree, hashlib.sha256(RELEASED).hexdigest())
        return tree

    def pin(self, tree, checksum):
        (tree / "deploy/k3s/version.env").write_text(f"K3S_VERSION={VERSION}\nK3S_SHA256={checksum}\n")

    def _serve_releases(self):
        releases = Releases(self.lab["bastion"], self.folder / "releases")
        self.lab.start("bastion", *releases.argv, log=releases.log)
        eventually(lambda: self.lab["node-1"].connects("10.40.0.10", 8080), "the release's server")
        return releases

    def ssh(self, *argv, **keywords):
        command = ["ssh", "-F", self.state / "ssh_config", "-o", "BatchMode=yes", *argv]
        return subprocess.run(
            self.lab["laptop"].inside(*command), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **keywords
        )

    def bootstrap(self, patience_s=1):
        env = {
            "PATH": os.environ["PATH"],
            "CA4_STATE_DIR": str(self.state),
            "CA4_BOOTSTRAP_PATIENCE_S": str(patience_s),
            "K3S_RELEASES": self.releases.url,
        }
        script = self.tree / "deploy/k3s/bootstrap.sh"
        return subprocess.run(
            self.lab["laptop"].inside(script), capture_output=True, text=True, timeout=120, env=env, stdin=subprocess.DEVNULL
        )


@pytest.fixture(scope="module")
def site(applied, user_data, tmp_path_factory):
    site = Site(applied, user_data, tmp_path_factory.mktemp("site"))
    yield site
    site.lab.close()


def greet(site, name, port):
    """A server on a node that says where it is."""
    site.lab.start(
        name,
        *("/usr/bin/python3", "-c"),
        f"import socket\ns = socket.create_server(('', {port}))\nwhile True:\n c = s.accept()[0]\n c.sendall(b'{name} {port}')\n c.close()",
        log="/dev/null",
    )
    machine = site.lab[name]
    eventually(lambda: machine.connects(machine.addresses[-1], port), f"port {port} of {name}")


def test_the_bastion_forwards_to_what_the_contract_names(site):
    for name, port in (("kafka", 9092), ("k3s-api", 6443), ("grafana", 3000)):
        greet(site, "node-1", port)
        assert site.ssh("-W", f"{name}:{port}", "ca4-bastion").stdout == f"node-1 {port}"


def test_nothing_but_the_bastion_is_in_reach(site):
    greet(site, "node-1", 9100)
    assert site.lab["bastion"].connects(site.server, 9100)
    assert not site.lab["laptop"].connects(site.server, 9100)
    assert not site.lab["laptop"].connects(site.server, 22)


@pytest.mark.parametrize("target", ["kafka:22000", "grafana:9090", "k3s-api:10250", "localhost:8080", "{server}:9092"])
def test_the_bastion_forwards_to_nothing_else(site, target):
    result = site.ssh("-W", target.format(server=site.server), "ca4-bastion")
    assert result.returncode != 0
    assert "administratively prohibited" in result.stderr


def test_the_bastion_has_no_shell(site):
    result = site.ssh("ca4-bastion", "id")
    assert result.returncode != 0
    assert "uid" not in result.stdout
    assert "not available" in result.stdout + result.stderr


def test_the_bastion_opens_no_port_for_the_other_side(site):
    result = site.ssh("-o", "ExitOnForwardFailure=yes", "-N", "-R", "7777:localhost:22", "ca4-bastion")
    assert result.returncode != 0
    assert "remote port forwarding failed" in result.stderr


@pytest.mark.parametrize("user", ["root", "ec2-user"])
def test_the_bastion_knows_one_account(site, user):
    result = site.ssh("-l", user, "ca4-bastion", "id")
    assert result.returncode != 0
    assert "Permission denied (publickey)" in result.stderr


def test_the_bastion_takes_no_password(site):
    result = site.ssh("-o", "BatchMode=no", "-o", "PubkeyAuthentication=no", "-W", "kafka:9092", "ca4-bastion")
    assert result.returncode != 0
    assert "Permission denied (publickey)" in result.stderr


def lay_down_what_a_server_writes(site):
    """In the form that K3s' documentation gives."""
    node = site.lab["node-1"]
    node.write("/var/lib/rancher/k3s/server/node-token", "K10abc::server:secret-of-the-cluster\n", "0600")
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default", "cluster": {"server": "https://127.0.0.1:6443"}}],
    }
    node.write("/etc/rancher/k3s/k3s.yaml", yaml.safe_dump(kubeconfig), "0600")


def test_bootstrap_installs_configures_and_hands_over_and_a_second_time_changes_nothing(site):
    # Before a server runs, the one thing that is missing is named.
    early = site.bootstrap()
    assert early.returncode == 1
    assert "the server has no token yet" in early.stderr

    lay_down_what_a_server_writes(site)
    done = site.bootstrap()
    # As far as it goes without K3s: the nodes never get ready, and it says so.
    assert "0 of 2 nodes are ready" in done.stderr, done.stderr
    assert done.returncode == 1

    nodes = {"node-1": "server", "node-2": "agent"}
    for name, role in nodes.items():
        machine = site.lab[name]
        assert machine.run("sha256sum", "/usr/local/bin/k3s").split()[0] == hashlib.sha256(RELEASED).hexdigest()
        unit = machine.read("/etc/systemd/system/k3s.service")
        assert f"ExecStart=/usr/local/bin/k3s {role}\n" in unit
        # K3s renews its certificates when it starts within 90 days of their end, and else never.
        assert "Restart=always\n" in unit
        assert int(re.search(r"^RuntimeMaxSec=(\d+)d$", unit, re.MULTILINE)[1]) < 90
        assert machine.run("systemd-analyze", "verify", "--man=no", "/etc/systemd/system/k3s.service") == ""
        # Enabled: it starts with the machine.
        machine.run("test", "-L", "/etc/systemd/system/multi-user.target.wants/k3s.service")
    server, agent = (yaml.safe_load(site.lab[n].read("/etc/rancher/k3s/config.yaml")) for n in nodes)
    assert server["secrets-encryption"] is True
    assert "k3s-api" in server["tls-san"]
    assert agent == {"server": f"https://{site.server}:6443", "token-file": "/etc/rancher/k3s/ca4-token"}
    assert site.lab["node-2"].read("/etc/rancher/k3s/ca4-token") == "K10abc::server:secret-of-the-cluster\n"
    assert site.lab["node-2"].run("stat", "-c", "%a", "/etc/rancher/k3s/ca4-token") == "600\n"
    assert "secret-of-the-cluster" not in done.stdout + done.stderr

    path = site.tree / ".kube/kubeconfig.yaml"
    assert yaml.safe_load(path.read_text())["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:16443"
    assert path.stat().st_mode & 0o077 == 0

    downloads = site.releases.downloads()
    assert downloads == 2
    files = ("/usr/local/bin/k3s", "/etc/rancher/k3s/config.yaml", "/etc/systemd/system/k3s.service")
    before = [site.lab[n].run("stat", "-c", "%Y %i", *files) for n in nodes]
    assert "0 of 2 nodes are ready" in site.bootstrap().stderr
    assert [site.lab[n].run("stat", "-c", "%Y %i", *files) for n in nodes] == before
    assert site.releases.downloads() == downloads


def test_another_file_than_the_pinned_one_is_not_installed(site):
    node = site.lab["node-1"]

    def installed():
        return node.run("sh", "-c", "sha256sum /usr/local/bin/k3s* 2>/dev/null || true")

    before = installed()
    site.pin(site.tree, "0" * 64)
    refused = site.bootstrap()
    site.pin(site.tree, hashlib.sha256(RELEASED).hexdigest())
    assert refused.returncode == 1
    assert "nothing is installed" in refused.stderr
    assert hashlib.sha256(RELEASED).hexdigest() in refused.stderr
    assert installed() == before


def test_a_bastion_that_is_away_is_told(site, tmp_path):
    state = tmp_path / "state"
    shutil.copytree(site.state, state)
    config = state / "ssh_config"
    config.write_text(config.read_text().replace(site.public, "192.0.2.99").replace("ConnectTimeout 10", "ConnectTimeout 1"))
    original, site.state = site.state, state
    result = site.bootstrap()
    site.state = original
    assert result.returncode == 1
    assert "does not answer through the bastion after 1 s" in result.stderr
