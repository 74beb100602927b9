"""Real Kafka brokers: Apache Kafka in KRaft mode, one process a node, broker and controller at once."""

import subprocess
import uuid
from pathlib import Path

from basics import ROOT
from server_process import HERE, READY_S, ServerProcess, free_port

KAFKA = ROOT / ".deps/kafka"
VERSION = "4.4.0"
SCRAM_VERSION = "3.9.1"  # takes SCRAM from librdkafka before 2.6.1 (docs/kafka.md)
# A test's broker lives for minutes: it must start soon and stay small.
JVM = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]

TUNING = {
    # Kafka's default: a topic is made when a client asks for it in a certain way. The tests show that CA4 never does.
    "auto.create.topics.enable": "true",
    "group.initial.rebalance.delay.ms": 0,
    "num.network.threads": 2,
    "num.io.threads": 2,
    "background.threads": 1,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.num.partitions": 1,
    "transaction.state.log.min.isr": 1,
    # How soon a lost broker is noticed, and its partitions get other leaders.
    "broker.heartbeat.interval.ms": 500,
    "broker.session.timeout.ms": 3000,
}


def java_command(main, *args, version=VERSION, libraries=()):
    """The command that runs a class of Kafka, with the jars of further folders before its own."""
    path = ":".join(f"{folder}/*" for folder in [*libraries, KAFKA / version])
    return ["java", *JVM, "-cp", path, main, *map(str, args)]


class KafkaNode:
    """One broker with its data. Its ports stay the same over restarts."""

    def __init__(self, cluster, node_id, host):
        self.cluster, self.node_id, self.host = cluster, node_id, host
        self.folder = cluster.folder / f"node-{node_id}"
        self.ports = {
            name: cluster.ports.get(name) or free_port() for name in ["CONTROLLER", "INTERNAL", *cluster.listeners]
        }
        self.server = ServerProcess(
            f"kafka broker {node_id}",
            host.inside(*cluster.java("kafka.Kafka", self.folder / "server.properties")),
            self.folder / "broker.log",
            env=cluster.env,
            ready=lambda: all(host.connects(host.address, port) for port in self.ports.values()),
        )

    def address(self, listener="PLAINTEXT"):
        return f"{self.host.address}:{self.ports[listener]}"

    def properties(self):
        protocols = {"CONTROLLER": "PLAINTEXT", "INTERNAL": "PLAINTEXT"} | self.cluster.listeners
        count = len(self.cluster.nodes)
        return TUNING | {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "log.dirs": self.folder / "data",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": ",".join(f"{n.node_id}@{n.address('CONTROLLER')}" for n in self.cluster.nodes),
            "inter.broker.listener.name": "INTERNAL",
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "listeners": ",".join(f"{name}://{self.address(name)}" for name in self.ports),
            "advertised.listeners": ",".join(
                f"{name}://{self.cluster.advertise(self, name)}" for name in self.ports if name != "CONTROLLER"
            ),
            "default.replication.factor": count,
            "offsets.topic.replication.factor": count,
            "transaction.state.log.replication.factor": count,
        } | self.cluster.settings

    def format(self):
        self.folder.mkdir(parents=True)
        config = self.folder / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in self.properties().items()))
        formatted = subprocess.run(
            self.cluster.java(
                "kafka.tools.StorageTool", "format", "-t", self.cluster.cluster_id, "-c", config, *self.cluster.format_args
            ),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert formatted.returncode == 0, formatted.stdout + formatted.stderr


class KafkaCluster:
    """`count` brokers below `folder`. `listeners` are those for clients: {name: security protocol}.

    `advertise(node, listener)` is the name a broker tells clients to use, by default the address it listens on.
    `settings` are further broker settings, `format_args` of StorageTool, `env` of the processes. `hosts` are the
    netns.Hosts that they run on, one a broker, `ports` says where a listener must be: {name: port}; all others get free ones.
    """

    def __init__(
        self,
        folder,
        count=1,
        listeners=None,
        advertise=None,
        settings=None,
        format_args=(),
        env=None,
        version=VERSION,
        hosts=None,
        ports=None,
    ):
        self.folder, self.version = Path(folder), version
        self.ports = ports or {}
        self.listeners = listeners or {"PLAINTEXT": "PLAINTEXT"}
        self.settings, self.format_args, self.env = settings or {}, format_args, env
        self._advertise = advertise
        # 22 characters of base64url, as Kafka wants it; one that began with "-" would be taken for a flag.
        self.cluster_id = "ca4-tests-" + uuid.uuid4().hex[:12]
        self.nodes = []
        self.nodes += [KafkaNode(self, number, host) for number, host in enumerate(hosts or [HERE] * count, start=1)]

    def java(self, main, *args):
        return java_command(main, *args, version=self.version)

    def advertise(self, node, listener):
        if self._advertise is None or listener == "INTERNAL":
            return node.address(listener)
        return self._advertise(node, listener)

    def format(self):
        """Once, before the first start."""
        assert (KAFKA / self.version).is_dir(), f"{KAFKA / self.version} is not there: run scripts/setup-kafka.sh"
        for node in self.nodes:
            node.format()

    def start(self, ready_s=READY_S):
        self.format()
        # All at once: the first alone is no majority, and would not get ready.
        for node in self.nodes:
            node.server.launch()
        for node in self.nodes:
            node.server.wait_until_ready(ready_s)
        return self

    def bootstrap(self, listener="PLAINTEXT"):
        return ",".join(node.address(listener) for node in self.nodes)

    def stop(self):
        for node in self.nodes:
            node.server.kill()
