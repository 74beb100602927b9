"""The brokers of deploy/k8s as they would run in their pods: the manifests' own scripts, properties and environment start real Kafka, each
"pod" in a network namespace with the names that Kubernetes would give it.

Kafka is of the release that the tests have, from Maven; its jars come without the shell wrappers of the image, so these are written here:
they do what Kafka's own do, start the class of that name, the broker's with what decides where it logs to.
"""

import re
import shlex
import subprocess

import pytest
from k8s_manifests import K8S, build, containers, merged, of, pods
from kafka_server import java_command
from netlab import Lab
from support import BINARY, ROOT, eventually, set_clock, with_clock

TOOLS = ROOT / ".deps/kafka-tools"
CLASSES = {
    "kafka-storage.sh": "kafka.tools.StorageTool",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-broker-api-versions.sh": "org.apache.kafka.tools.BrokerApiVersionsCommand",
}
# As Kafka's own: unless it is told otherwise a broker logs to files, and so does its garbage collection.
SERVER_START = """#!/bin/sh
case "${EXTRA_ARGS--name kafkaServer -loggc}" in
  *-loggc*) gc="-Xlog:gc*:file=$LOG_DIR/kafkaServer-gc.log:time,tags:filecount=10,filesize=100M" ;;
esac
mkdir -p "$LOG_DIR"
exec %(java)s ${gc:+"$gc"} "-Dkafka.logs.dir=$LOG_DIR" ${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=%(logging)s} %(broker)s "$@"
"""
LOGGING_TO_FILES = """
appender.file.type = File
appender.file.name = file
appender.file.fileName = ${sys:kafka.logs.dir}/server.log
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""
# A broker may take its time on a busy machine.
PATIENCE_S = 180


class Pods:
    """The Kafka of a system, one namespace a pod."""

    def __init__(self, docs, folder):
        assert TOOLS.is_dir(), f"{TOOLS} is not there: run scripts/setup-kafka-tools.sh"
        self.folder = folder
        self.stateful = next(d for d in of(docs, "StatefulSet") if d["metadata"]["name"] == "kafka")
        self.job = next(d for d in of(docs, "Job") if d["metadata"]["name"] == "kafka-topics")
        config = next(d for d in of(docs, "ConfigMap") if d["metadata"]["name"].startswith("kafka-config"))
        self.brokers = [p for p in pods(docs) if re.fullmatch(r"kafka-\d", p.name)]
        self.lab = Lab(folder, {"pods": {p.name: f"{p.address}/16" for p in self.brokers} | {"client": "10.42.9.9/16"}})
        self._write(config)

    def _write(self, config):
        self.config, self.tools = self.folder / "config", self.folder / "tools"
        for path in (self.config, self.tools):
            path.mkdir()
        for name, text in config["data"].items():
            (self.config / name).write_text(text)
        for name, main in CLASSES.items():
            java = shlex.join(java_command(main, libraries=[TOOLS]))
            (self.tools / name).write_text(f'#!/bin/sh\nexec {java} "$@"\n')
        logging = self.tools / "log4j2.properties"
        logging.write_text(LOGGING_TO_FILES)
        java, *broker = java_command("kafka.Kafka", libraries=[TOOLS])
        script = SERVER_START % {"java": java, "logging": logging, "broker": shlex.join(broker)}
        (self.tools / "kafka-server-start.sh").write_text(script)
        for tool in self.tools.glob("*.sh"):
            tool.chmod(0o755)
        # What the cluster's DNS says of a headless service.
        names = "".join(f"{p.address} {p.name}.kafka.platform.svc.cluster.local kafka\n" for p in self.brokers)
        for machine in self.lab.machines.values():
            machine.hosts.write_text("127.0.0.1 localhost\n" + names)

    def environment(self, workload, name):
        """What the manifest sets, but for where things lie in the image."""
        values = {v["name"]: v["value"] for v in containers(workload)[0]["env"]}
        here = {
            "HOSTNAME": name,
            "PATH": f"{self.tools}:/usr/local/bin:/usr/bin:/bin",
            "KAFKA_PROPERTIES": str(self.config),
            "KAFKA_CONFIG": str(self.folder / f"{name}.properties"),
            "LOG_DIR": str(self.logs(name)),
        }
        return values | here

    def logs(self, name):
        return self.folder / f"logs-{name}"

    def command(self, workload):
        """The manifest's command, with the folder of its configuration where it is here."""
        return [part.replace("/etc/ca4-kafka", str(self.config)) for part in containers(workload)[0]["command"]]

    def start(self, broker):
        machine = self.lab[broker.name]
        data = self.folder / f"data-{broker.name}"
        data.mkdir(exist_ok=True)
        machine.run("mkdir", "-p", "/var/lib/kafka")
        machine.run("mount", "--bind", data, "/var/lib/kafka")
        return self.lab.start(
            broker.name,
            *self.command(self.stateful),
            log=self.folder / f"{broker.name}.log",
            env=self.environment(self.stateful, broker.name),
        )

    def wait_until_ready(self):
        """As the readiness probe: the port `internal` takes connections."""
        for broker in self.brokers:
            ready = containers(self.stateful)[0]["readinessProbe"]["tcpSocket"]["port"]
            port = broker.ports[ready]
            client = self.lab["client"]
            eventually(lambda b=broker, p=port: client.connects(b.address, p), f"{broker.name} takes connections", PATIENCE_S)

    def run(self, name, argv):
        return subprocess.run(
            self.lab[name].inside(*argv),
            env=self.environment(self.job, name),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def make_topics(self):
        result = self.run("client", self.command(self.job))
        assert result.returncode == 0, result.stdout + result.stderr

    def topics(self):
        argv = ["kafka-topics.sh", "--bootstrap-server", "kafka:9092", "--describe"]
        result = self.run("client", argv)
        assert result.returncode == 0, result.stderr
        found = re.findall(r"Topic: (\S+)\s.*PartitionCount: (\d+)\s+ReplicationFactor: (\d+)\s+Configs: (\S+)", result.stdout)
        return {name: (int(partitions), int(copies), configs) for name, partitions, copies, configs in found}

    def advertised(self, broker):
        """Who the brokers say they are, asked at the tunnel listener of one."""
        argv = ["kafka-broker-api-versions.sh", "--bootstrap-server", f"{broker.address}:{broker.ports['tunnel']}"]
        said = self.run(broker.name, argv)
        return set(re.findall(r"localhost:\d+", said.stdout + said.stderr))


@pytest.fixture(scope="module")
def run_system(tmp_path_factory):
    running = []

    def begin(name, docs):
        system = Pods(docs, tmp_path_factory.mktemp(name))
        running.append(system)
        for broker in system.brokers:
            system.start(broker)
        system.wait_until_ready()
        return system

    yield begin
    for system in running:
        system.lab.close()


def test_one_broker_starts_has_its_topics_and_sends_tunnel_clients_to_localhost(run_system):
    system = run_system("one", build(K8S / "overlays/k3s"))
    (broker,) = system.brokers
    system.make_topics()
    system.make_topics()  # again: nothing to do
    topics = system.topics()
    assert topics["gpu-metadata"][:2] == (6, 1)
    assert topics["gpu-metadata.dlq"][:2] == (1, 1)
    # A letter is nowhere else, and nobody may look for a week; nor does Kafka forget then how far `ca4 dlq replay` came.
    assert {"retention.ms=-1", "retention.bytes=-1"} <= set(topics["gpu-metadata.dlq"][2].split(","))
    assert "offsets.retention.minutes = 5259600\n" in (system.folder / "kafka-0.log").read_text()
    assert "min.insync.replicas=1" in topics["gpu-metadata"][2]
    # Port 9092 of this pod is the internal listener, so the client gets an answer there and names it.
    assert system.advertised(broker) == {"localhost:9092"}
    # Who comes to a node by itself, behind a VPN and not a tunnel, gets there with the map that wireguard.sh tells.
    (told,) = re.findall(r"CA4_KAFKA_BROKER_MAP=(\S+:9092)=", (ROOT / "deploy/aws/growth/wireguard.sh").read_text())
    node = f"{broker.address}:{broker.ports['tunnel']}"
    flags = ["--kafka-bootstrap", node, "--kafka-broker-map", f"{told}={node}", "--data-dir", system.folder]
    verified = system.run("client", [str(BINARY), "verify", "kafka", *map(str, flags)])
    assert verified.returncode == 0, verified.stdout + verified.stderr
    # What is sent by a clock that far behind would be deleted as too old, read or not.
    set_clock(system.folder / "clock", -172_800)
    late = ["env", *(f"{name}={value}" for name, value in with_clock(system.folder / "clock").items())]
    refused = system.run("client", [*late, str(BINARY), "verify", "kafka", *map(str, flags)])
    assert "this machine's clock is too far from the brokers'" in refused.stdout + refused.stderr
    # It logs to where the kubelet bounds it, and writes no file: on the small /tmp nobody deletes any.
    assert "Kafka Server started" in (system.folder / "kafka-0.log").read_text()
    assert list(system.logs(broker.name).iterdir()) == []


def test_three_brokers_find_each_other_and_keep_three_copies(run_system):
    system = run_system("three", merged(K8S / "overlays/k3s-ha/platform"))
    assert len(system.brokers) == 3
    system.make_topics()
    topics = system.topics()
    assert topics["gpu-metadata"][:2] == (6, 3)
    assert "min.insync.replicas=2" in topics["gpu-metadata"][2]
    for number in range(3):
        properties = (system.folder / f"kafka-{number}.properties").read_text()
        assert f"TUNNEL://localhost:{9092 + number}\n" in properties
