"""The VPC of docs/deploy.md on this machine: each machine a network namespace, each server a real process, nftables between them.

    laptop --22--> bastion --9092--> node (Kafka, ca4 work) --27017--> database
    ca4 serve, ca4 tunnel                                   --7070---> s3

Needs root. Everything ends with the process that made it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "lab"))
import rules  # noqa: E402
from basics import BINARY, ENVIRONMENT, ROOT, eventually  # noqa: E402
from kafka_server import KafkaCluster  # noqa: E402
from mongo_server import NxServer  # noqa: E402
from netns import Network  # noqa: E402
from s3_server import REGION, S3Server  # noqa: E402
from sshd_server import Sshd  # noqa: E402

PYTHON = ROOT / ".deps/venv/bin/python"
BUCKET = "ca4-archive"
PROCESSOR = f"http://127.0.0.1:{rules.PROCESSOR}"

# What the laptop's own ca4.toml would say, and the settings of deploy/k8s on the node.
LAPTOP = """data_dir = "{home}/data"
[kafka]
bootstrap = "127.0.0.1:9092"
broker_map = "kafka:9092=127.0.0.1:9092"
outbox_file = "{home}/outbox/gpu-metadata.db"
[tunnel]
bastion = "bastion"
user = "{user}"
key_file = "{key}"
known_hosts_file = "{home}/known_hosts"
forwards = "9092:kafka:9092"
# A dead link is noticed in three times that; by default in 15 s.
keepalive_interval_s = 2
backoff_ms_max = 2000
"""
NODE = """data_dir = "{home}/data"
[kafka]
bootstrap = "kafka:9092"
[store]
mongo_uri = "mongodb://database:27017/"
[worker]
backoff_ms_max = 2000
[archive]
s3_bucket = "{bucket}"
s3_endpoint = "http://s3:7070"
s3_region = "{region}"
linger_ms = 2000
"""

# How often each id that begins so is in the collection, by a client that is not ours.
COUNT = """
import collections, json, pymongo, sys
found = pymongo.MongoClient(sys.argv[1])["ca4"]["gpu_metadata"].find({"metadata_id": {"$regex": "^" + sys.argv[2]}}, {"metadata_id": 1})
print(json.dumps(collections.Counter(document["metadata_id"] for document in found)))
"""

MAKE_BUCKET = """
import sys
_, lab, endpoint, bucket, *keys = sys.argv
sys.path.append(lab)
from s3_server import signed_request
answer = signed_request(endpoint, "PUT", f"/{bucket}", None, b"", None, keys=keys)
print(answer.status_code if answer.ok else answer.text)
"""


class Vpc:
    """`folder` is made anew. `say(name, seconds, text)` is told of each thing that is ready."""

    # The disk of the processor's outbox, so that it can be filled without filling this machine's. A little more than preflight asks for.
    outbox_bytes = 1100 << 20

    def __init__(self, folder, say=lambda *_: None):
        self.folder, self.say = Path(folder), say
        self.logs = self.folder / "logs"
        self.servers = {}
        self.network = None

    def start(self):
        """Returns when an event could be sent. Raises AssertionError with the reason and the log of what did not start."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.logs.mkdir(parents=True)
        began = time.monotonic()
        self.network = Network(self.folder / "machines", *rules.MACHINES)
        self._name_hosts()
        self.set_firewall()
        self.say("network", time.monotonic() - began, f"{len(rules.MACHINES)} machines, nftables between them")
        self._make_servers()
        self._configure()
        self._start_servers()
        return self

    def set_firewall(self):
        """As the table says, whatever it was before."""
        self.network.forbid_all()
        for source, target, ports in rules.ALLOWED:
            self.network.allow(source, target, *ports)

    def _name_hosts(self):
        # Within the VPC; the laptop knows the bastion alone, as it would in a real one.
        inner = {name: self[name].address for name in ("node", "database", "s3")}
        inner |= {name: self["node"].address for name in ("kafka", "k3s-api", "grafana")}
        self.network.name_hosts(inner, on=["bastion", "node"])

    def __getitem__(self, name):
        return self.network[name]

    def home(self, name):
        """The folder of a machine's own files."""
        return self[name].folder

    def _make_servers(self):
        permitted = [f"kafka:{rules.KAFKA}", f"k3s-api:{rules.K3S_API}", f"grafana:{rules.GRAFANA}"]
        self.bastion = Sshd(self.home("bastion"), rules.SSH, permit_open=permitted, host=self["bastion"])
        ports = {"PLAINTEXT": rules.KAFKA, "CONTROLLER": rules.CONTROLLER, "INTERNAL": rules.BETWEEN_BROKERS}
        # As the manifests set it: nothing makes a topic but `ca4 topics ensure`.
        settings = {"auto.create.topics.enable": "false"}
        kafka = KafkaCluster(
            self.home("node") / "kafka", hosts=[self["node"]], ports=ports, advertise=lambda *_: "kafka:9092", settings=settings
        )
        kafka.format()
        self.s3 = S3Server(self.home("s3"), host=self["s3"], port=rules.S3)
        self.servers = {
            "sshd": self.bastion.server,
            "kafka": kafka.nodes[0].server,
            "database": NxServer(self.home("database"), host=self["database"], port=rules.DATABASE),
            "s3": self.s3,
            "tunnel": self._program("laptop", "tunnel"),
            "serve": self._program("laptop", "serve", ready=lambda: self["laptop"].connects("127.0.0.1", rules.PROCESSOR)),
            "work": self._program("node", "work"),
        }
        for name, server in self.servers.items():
            server.log_file = self.logs / f"{name}.log"

    def _program(self, machine, *args, ready=None):
        return self[machine].server(f"ca4 {args[0]}", [BINARY, *args], self.logs / args[0], env=self.env(machine), ready=ready)

    def env(self, machine):
        """What ca4 is told on a machine, beside its configuration file: the keys of the archive."""
        settings = {"CA4_CONFIG": str(self.home(machine) / "ca4.toml")} if machine in ("laptop", "node") else {}
        return settings | (self.s3.keys_env if machine == "node" else {})

    def _configure(self):
        laptop, node = self.home("laptop"), self.home("node")
        (laptop / "ca4.toml").write_text(LAPTOP.format(home=laptop, user=self.bastion.user, key=self.bastion.key))
        (laptop / "known_hosts").write_text(self.bastion.known_hosts_line("bastion"))
        (node / "ca4.toml").write_text(NODE.format(home=node, bucket=BUCKET, region=REGION))
        outbox = laptop / "outbox"
        outbox.mkdir()
        self["laptop"].run("mount", "-t", "tmpfs", "-o", f"size={self.outbox_bytes}", "outbox", outbox)
        for name in rules.MACHINES:
            settings = self.env(name) | {"PATH": f"{BINARY.parent}:{os.environ['PATH']}"}
            (self.home(name) / "env").write_text("".join(f"{key}='{value}'\n" for key, value in settings.items()))
            (self.home(name) / "bashrc").write_text(f"PS1='{name}:\\w# '\n")
            (self.home(name) / "pid").write_text(str(self[name].holder.pid))

    def _start_servers(self):
        began = time.monotonic()
        said = {
            "sshd": "on the bastion, port 22, forwards to kafka, k3s-api and grafana alone",
            "s3": f"versitygw, bucket {BUCKET}",
            "database": "nx-27017, which speaks MongoDB's protocol",
            "kafka": "one broker, on the node",
        }
        for name in said:
            self.servers[name].launch()
        for name, text in said.items():
            self.servers[name].wait_until_ready()
            self.say(name, time.monotonic() - began, text)
        self._make_bucket()
        for args, text in ((("topics", "ensure"), "gpu-metadata and its dead letters"), (("db", "ensure"), "the collection's indexes")):
            began = time.monotonic()
            # A broker takes connections a moment before it can make a topic.
            done = eventually(lambda args=args: self.succeeds("node", *args), lambda args=args: self.ca4("node", *args).stderr)
            self.say(f"ca4 {' '.join(args)}", time.monotonic() - began, text)
            assert done
        for name, text in (("work", "on the node: Kafka to database and archive"), ("tunnel", "on the laptop: its 9092 is Kafka's")):
            self.start_one(name, text)
        self.start_one("serve", f"on the laptop: the processor at {PROCESSOR}")
        # Who has nothing to wait for may have ended meanwhile.
        for server in self.servers.values():
            assert server.runs(), f"{server.name} ended with {server.process.returncode}:\n{server.said()}"

    def start_one(self, name, text):
        began = time.monotonic()
        self.servers[name].start()
        if name == "tunnel":
            self.await_tunnel()
        self.say(f"ca4 {name}", time.monotonic() - began, text)

    def await_tunnel(self):
        up = self.ca4("laptop", "tunnel", "--status", "--wait-s", "60")
        assert up.returncode == 0, f"the tunnel does not get up:\n{up.stdout}{up.stderr}{self.servers['tunnel'].said()}"

    def _make_bucket(self):
        argv = [PYTHON, "-c", MAKE_BUCKET, ROOT / "lab", self.s3.endpoint, BUCKET, self.s3.access, self.s3.secret]
        made = self["node"].run(*argv)
        assert made.strip() == "200", f"the bucket could not be made: {made}"

    def ca4(self, machine, *args, env=None, timeout_s=180):
        """Runs ca4 to its end on a machine, with that machine's configuration."""
        return subprocess.run(
            self[machine].inside(BINARY, *args),
            capture_output=True,
            text=True,
            env=ENVIRONMENT | self.env(machine) | (env or {}),
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )

    def succeeds(self, machine, *args):
        return self.ca4(machine, *args).returncode == 0

    def load_command(self, prefix):
        """The command that sends events with ids that begin so, from the laptop."""
        return self["laptop"].inside("/usr/bin/python3", ROOT / "deploy/sim/load.py", PROCESSOR, prefix)

    def metrics(self):
        """The processor's."""
        return self["laptop"].run("curl", "-sS", f"{PROCESSOR}/metrics")

    def documents(self, prefix):
        """{metadata_id: how often} of the documents whose id begins so."""
        return json.loads(self["node"].run(PYTHON, "-c", COUNT, "mongodb://database:27017/", prefix))

    def archived(self, prefix):
        """{metadata_id: in how many places} of the events in the archive's bucket whose id begins so."""
        rows = self["s3"].run("find", self.home("s3") / "data" / BUCKET, "-name", "*.ndjson.zst", "-exec", "zstdcat", "{}", "+")
        ids = (json.loads(row)["metadata_id"] for row in rows.splitlines())
        return Counter(i for i in ids if i.startswith(prefix))

    def restore(self):
        """Starts the servers that do not run."""
        for server in self.servers.values():
            if not server.runs():
                server.start()

    def stop(self):
        """What has something in hand ends it first."""
        for name in ("serve", "work", "tunnel"):
            if name in self.servers:
                self.servers[name].stop()
        for server in self.servers.values():
            server.kill()
        if self.network is not None:
            self.network.close()
        for pid in (self.folder / "machines").glob("*/pid"):
            pid.unlink()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
