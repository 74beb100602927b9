"""Every alert of deploy/monitoring is made to fire by a real Prometheus with the cluster's configuration and rules: here, or in the story of
test_dashboards.py. The causes are real faults of real programs; of exporters that can't be had here what they would show is played.
"""

import json
import re
import time
import uuid

import pytest
import requests
import yaml
from confluent_kafka.admin import AdminClient, NewTopic
from kafka_records import fresh_topic
from kafka_records import produce as put_record
from kafka_server import KafkaCluster
from mongo_server import Database, NxServer
from prometheus_server import DEBIAN, MONITORING, PlayedExporter, Prometheus, pod
from server_process import ServerProcess, free_port
from support import MODEL, PHOTOS, Program, event, eventually, metric, nvidia_driver
from tcp_fault_proxy import TcpFaultProxy
from test_alerts import alerts
from test_dashboards import PANELS, SAID, only_elsewhere

# {alert: (what is done, labels (patterns) that tell it from one that fires for another reason)}.
REAL = {
    "Ca4LagGrows": ("the database answers seconds late, and events go on coming", {}),
    "Ca4EventsLate": ("the database answers seconds late, and events go on coming", {}),
    "Ca4DatabaseSlow": ("the database answers seconds late, and events go on coming", {"command": "update"}),
    "Ca4LogFillsUp": ("the embedded log is small, and its worker slow", {"instance": "slow-0"}),
    "Ca4WorkerStuck": ("the topic of dead letters was deleted, and a record is no event", {"step": "dead_letter"}),
    "Ca4OutboxRefused": ("the topic is made by hand, for small records only, while events wait in the outbox", {"instance": "refused-0"}),
    "Ca4GpuHot": ("NVIDIA's libraries, which are played, say 91 degrees", {"instance": "hot-0", "gpu": "0"}),
    "NodeDiskFull": ("a file system of 4 MiB has a file of 3.8 MiB", {"instance": "node-2", "mountpoint": "/mnt/full"}),
    "NodeDiskFillsUp": ("a file grows on a file system of 16 MiB", {"instance": "node-2", "mountpoint": "/mnt/filling"}),
    "NodeMemoryLow": ("node-exporter finds another /proc/meminfo", {"instance": "node-2"}),
    "RulesFail": ("a further rule joins many series to many", {"rule_group": ".*/broken.yaml;broken"}),
    "AlertsNotDelivered": ("nobody listens where Alertmanager sends alerts", {"integration": "webhook"}),
}

# What exporters show, by the names and labels of their documentation: {alert: (exporter, while all is well, once it is not, labels)}.
PLAYED = {
    "KafkaBrokerMissing": ("kafka-exporter", "kafka_brokers 3", "kafka_brokers 2", {}),
    "KafkaCopiesMissing": (
        "kafka-exporter",
        'kafka_topic_partition_under_replicated_partition{partition="0",topic="gpu-metadata"} 0',
        'kafka_topic_partition_under_replicated_partition{partition="0",topic="gpu-metadata"} 1',
        {"topic": "gpu-metadata"},
    ),
    "KafkaGroupStandsStill": (
        "kafka-exporter",
        'kafka_consumergroup_current_offset{consumergroup="ca4-worker",partition="0",topic="gpu-metadata"} 7000\n'
        'kafka_consumergroup_lag{consumergroup="ca4-worker",partition="0",topic="gpu-metadata"} 3',
        'kafka_consumergroup_current_offset{consumergroup="ca4-worker",partition="0",topic="gpu-metadata"} 7000\n'
        'kafka_consumergroup_lag{consumergroup="ca4-worker",partition="0",topic="gpu-metadata"} 500',
        {"consumergroup": "ca4-worker"},
    ),
    "KafkaArchiverStandsStill": (
        "kafka-exporter",
        'kafka_consumergroup_current_offset{consumergroup="ca4-archiver",partition="0",topic="gpu-metadata"} 6500\n'
        'kafka_consumergroup_lag{consumergroup="ca4-archiver",partition="0",topic="gpu-metadata"} 90',
        'kafka_consumergroup_current_offset{consumergroup="ca4-archiver",partition="0",topic="gpu-metadata"} 6500\n'
        'kafka_consumergroup_lag{consumergroup="ca4-archiver",partition="0",topic="gpu-metadata"} 5000',
        {"consumergroup": "ca4-archiver"},
    ),
    "KafkaDeletesUnread": (
        "kafka-exporter",
        'kafka_topic_partition_current_offset{partition="1",topic="gpu-metadata"} 9000\n'
        'kafka_topic_partition_oldest_offset{partition="1",topic="gpu-metadata"} 1000\n'
        'kafka_consumergroup_lag{consumergroup="ca4-worker",partition="1",topic="gpu-metadata"} 4',
        'kafka_topic_partition_current_offset{partition="1",topic="gpu-metadata"} 9000\n'
        'kafka_topic_partition_oldest_offset{partition="1",topic="gpu-metadata"} 1100\n'
        'kafka_consumergroup_lag{consumergroup="ca4-worker",partition="1",topic="gpu-metadata"} 7900',
        {"consumergroup": "ca4-worker", "partition": "1"},
    ),
    # A node-exporter, because nobody may set this machine's clock.
    "NodeClockWrong": (
        "node-exporter",
        "node_timex_sync_status 1\nnode_timex_maxerror_seconds 0.02",
        "node_timex_sync_status 0\nnode_timex_maxerror_seconds 16",
        {"instance": "node-3"},
    ),
    "NodeNotReady": (
        "kube-state-metrics",
        'kube_node_status_condition{node="node-9",condition="Ready",status="true"} 1',
        'kube_node_status_condition{node="node-9",condition="Ready",status="true"} 0',
        {"node": "node-9"},
    ),
    "PodRestarts": (
        "kube-state-metrics",
        'kube_pod_container_status_restarts_total{namespace="app",pod="worker-7f-x",uid="1",container="worker"} 1',
        'kube_pod_container_status_restarts_total{namespace="app",pod="worker-7f-x",uid="1",container="worker"} 6',
        {"namespace": "app", "pod": "worker-7f-x"},
    ),
    "PodsMissing": (
        "kube-state-metrics",
        'kube_statefulset_replicas{namespace="platform",statefulset="kafka"} 3\n'
        'kube_statefulset_status_replicas_ready{namespace="platform",statefulset="kafka"} 3',
        'kube_statefulset_replicas{namespace="platform",statefulset="kafka"} 3\n'
        'kube_statefulset_status_replicas_ready{namespace="platform",statefulset="kafka"} 2',
        {"namespace": "platform", "statefulset": "kafka"},
    ),
    "JobFailed": (
        "kube-state-metrics",
        'kube_job_failed{namespace="platform",job_name="kafka-topics",condition="true"} 0',
        'kube_job_failed{namespace="platform",job_name="kafka-topics",condition="true"} 1',
        {"namespace": "platform", "job_name": "kafka-topics"},
    ),
}

# What panels show of these exporters besides, as long as all is well.
SHOWN = {
    "kafka-exporter": """
kafka_topic_partition_current_offset{partition="0",topic="gpu-metadata"} 7500
kafka_topic_partition_oldest_offset{partition="0",topic="gpu-metadata"} 100
kafka_consumergroup_members{consumergroup="ca4-worker"} 2
""",
    "kube-state-metrics": """
kube_deployment_spec_replicas{namespace="app",deployment="worker"} 2
kube_deployment_status_replicas_available{namespace="app",deployment="worker"} 2
kube_daemonset_status_desired_number_scheduled{namespace="monitoring",daemonset="alloy"} 2
kube_daemonset_status_number_available{namespace="monitoring",daemonset="alloy"} 2
kube_pod_status_phase{namespace="app",pod="worker-7f-x",uid="1",phase="Running"} 1
""",
    "node-exporter": "",
}

# In mount and process namespaces of its own: a node with little memory, a full disk, and one that fills up until the node is gone.
NODE = """
mount -t tmpfs tmpfs /mnt
mkdir /mnt/full /mnt/filling
mount -t tmpfs -o size=4m full /mnt/full
mount -t tmpfs -o size=16m filling /mnt/filling
head -c 3800K /dev/zero > /mnt/full/file
head -c 11M /dev/zero > /mnt/filling/file
printf 'MemTotal: 16000000 kB\\nMemFree: 100000 kB\\nMemAvailable: 500000 kB\\n' > /mnt/meminfo
mount --bind /mnt/meminfo /proc/meminfo
while sleep 0.5; do head -c 32K /dev/zero >> /mnt/filling/file; done &
exec "$@"
"""
BROKEN_RULE = {"groups": [{"name": "broken", "rules": [{"record": "many_to_many", "expr": "up * on () up"}]}]}


class Troubles:
    """Everything goes wrong at once, in places that do not disturb each other, under one Prometheus."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = {name: free_port() for name in ("slow", "stuck", "refused", "hot", "node", "alertmanager")}
        self.exporters = {name: PlayedExporter(self.text(name, 1)) for name, *_ in PLAYED.values()}
        self.kafka = KafkaCluster(folder / "kafka")
        (folder / "nx").mkdir()
        self.nx = NxServer(folder / "nx")
        self.slow_network = TcpFaultProxy(("127.0.0.1", self.nx.port))
        self.prometheus = Prometheus(
            folder / "prometheus",
            [
                *(pod(name, self.ports[name]) for name in ("slow", "stuck", "refused", "hot")),
                pod("alertmanager", self.ports["alertmanager"], namespace="monitoring"),
                pod("node-exporter", self.ports["node"], node="node-2", controller="DaemonSet", namespace="monitoring"),
                pod("kafka-exporter", self.exporters["kafka-exporter"].port, namespace="monitoring"),
                pod("kube-state-metrics", self.exporters["kube-state-metrics"].port, namespace="monitoring"),
                pod("node-exporter", self.exporters["node-exporter"].port, node="node-3", controller="DaemonSet", namespace="monitoring", number=1),
            ],
            alertmanager=self.ports["alertmanager"],
        )
        (folder / "prometheus/broken.yaml").write_text(yaml.safe_dump(BROKEN_RULE))
        self.running = []
        self.since = time.time()

    @staticmethod
    def text(exporter, state):
        return SHOWN[exporter] + "\n".join(played[state] for played in PLAYED.values() if played[0] == exporter)

    def run(self, name, *argv):
        server = ServerProcess(name, argv, self.folder / f"{name}.log")
        self.running.append(server)
        server.launch()

    def program(self, name, *args, **keywords):
        made = Program(*args, "--admin-listen", f"127.0.0.1:{self.ports[name]}", **keywords)
        self.running.append(made)
        return made

    def start(self):
        self.kafka.format()
        self.kafka.nodes[0].server.launch()
        self.nx.launch()
        self.run_alertmanager()
        self.run_node()
        self.prometheus.start()
        self.run_hot_gpu()
        self.nx.wait_until_ready()
        self.slow_database()
        self.kafka.nodes[0].server.wait_until_ready()
        self.run_refused()
        self.run_stuck()
        self.exporters_fall_ill()
        return self

    def run_alertmanager(self):
        config = yaml.safe_load((MONITORING / "components/alert-webhook/alertmanager.yaml").read_text())
        config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        # Debian's version does not read the address from a file yet.
        (webhook,) = config["receivers"][0]["webhook_configs"]
        del webhook["url_file"]
        webhook["url"] = f"http://127.0.0.1:{free_port()}/"
        file = self.folder / "alertmanager.yaml"
        file.write_text(yaml.safe_dump(config))
        flags = [f"--storage.path={self.folder / 'alertmanager'}", "--cluster.listen-address="]
        listen = f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}"
        # Its templates are where Debian's package puts them.
        own = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /usr/share && exec "$@"', DEBIAN.parent / "share"]
        self.run("alertmanager", *own, DEBIAN / "prometheus-alertmanager", f"--config.file={file}", *flags, listen)

    def run_node(self):
        (exporter,) = [d for d in yaml.safe_load_all((MONITORING / "node-exporter.yaml").read_text()) if d["kind"] == "DaemonSet"]
        (container,) = exporter["spec"]["template"]["spec"]["containers"]
        flags = [flag for flag in container["args"] if not flag.startswith("--path.")]
        # Debian's version leaves a tmpfs out by itself.
        flags += ["--collector.filesystem.fs-types-exclude=^proc$", f"--web.listen-address=127.0.0.1:{self.ports['node']}"]
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
        self.run("node", *own, "bash", "-ec", NODE, "node", DEBIAN / "prometheus-node-exporter", *flags)

    def run_hot_gpu(self):
        """It waits for a processor that is not there."""
        (self.folder / "produce").mkdir()
        flags = ["--endpoint", f"http://127.0.0.1:{free_port()}", "--model", MODEL, "--device", "cpu", "--journal", self.folder / "journal"]
        env = nvidia_driver(self.folder / "driver", "hot")
        self.program("hot", "produce", PHOTOS, *flags, cwd=self.folder / "produce", env=env)

    def slow_database(self):
        """Answers come 1.6 s late, and more events than one can store so are sent until the log is nearly full."""
        database = Database(self.nx, f"mongodb://{self.slow_network.address}/")
        flags = ["--listen", "127.0.0.1:0", "--log-bytes-max", 4 << 20, "--worker-batch-records-max", 10]
        up = self.program("slow", "up", "--data-dir", self.folder / "slow", *flags, env=database.env)
        address = eventually(lambda: re.search(r"^listening on (\S+)$", up.printed(), re.MULTILINE), "it listens")[1]
        self.post(address, 1)
        lag = 'ca4_lag_records{instance="slow-0", group="ca4-worker"} == 0'
        eventually(lambda: self.prometheus.get("query", query=lag)["result"], "there is no lag yet")
        self.slow_network.slow(delay_s=0.8)
        while self.used(address) < 0.85:
            self.post(address, 100)

    @staticmethod
    def post(address, count):
        lines = "\n".join(json.dumps(event(f"e{uuid.uuid4()}", dim=64)) for _ in range(count))
        answer = requests.post(f"{address}/metadata/batch", lines, headers={"Content-Type": "application/x-ndjson"}, timeout=30)
        assert answer.status_code == 200, answer.text

    @staticmethod
    def used(address):
        text = requests.get(f"{address}/metrics", timeout=30).text
        return metric(text, "ca4_log_used_bytes") / metric(text, "ca4_log_max_bytes")

    def run_refused(self):
        """The topic is not there; then somebody makes it, with a limit that is too small."""
        flags = ["--listen", "127.0.0.1:0", "--kafka-bootstrap", self.kafka.bootstrap(), "--topic", "by-hand"]
        serve = self.program("refused", "serve", "--data-dir", self.folder / "refused", *flags)
        address = eventually(lambda: re.search(r"^listening on (\S+)$", serve.printed(), re.MULTILINE), "it listens")[1]
        answer = requests.post(f"{address}/metadata", json=event("large", dim=2048), timeout=30)
        assert answer.json()["durable_in"] == "outbox"
        small = NewTopic("by-hand", 1, 1, config={"max.message.bytes": "1000"})
        by_hand = AdminClient({"bootstrap.servers": self.kafka.bootstrap()})
        by_hand.create_topics([small])["by-hand"].result(30)

    def run_stuck(self):
        topic = fresh_topic(self.kafka.bootstrap())
        by_hand = AdminClient({"bootstrap.servers": self.kafka.bootstrap()})
        by_hand.delete_topics([f"{topic}.dlq"])[f"{topic}.dlq"].result(30)
        put_record(self.kafka.bootstrap(), topic, b"poison", b"no event at all")
        flags = ["--kafka-bootstrap", self.kafka.bootstrap(), "--topic", topic, "--kafka-delivery-timeout-ms", 1000]
        self.program("stuck", "work", "--data-dir", self.folder / "stuck", *flags)

    def exporters_fall_ill(self):
        """Once Prometheus has had the time to complain of what is well."""
        for figure in ("kafka_brokers", "kube_job_failed", 'node_timex_maxerror_seconds{instance="node-3"}'):
            seen = f"count_over_time({figure}[5m]) >= 4"
            eventually(lambda seen=seen: self.prometheus.get("query", query=seen)["result"], f"{figure} was asked for")
        self.said_when_well = [alert for alert in PLAYED if self.fired(alert)]
        for name, exporter in self.exporters.items():
            exporter.text = self.text(name, 2)

    def fired(self, alert):
        """When it fired so far, with the labels that it must have."""
        labels = REAL[alert][-1] if alert in REAL else PLAYED[alert][-1]
        selected = "".join(f', {name}=~"{value}"' for name, value in labels.items())
        return self.prometheus.series(f'ALERTS{{alertname="{alert}", alertstate="firing"{selected}}}', self.since)

    def stop(self):
        for program in reversed(self.running):
            program.kill()
        self.prometheus.kill()
        for exporter in self.exporters.values():
            exporter.close()
        self.slow_network.close()
        self.nx.kill()
        self.kafka.stop()


@pytest.fixture(scope="module")
def troubles(tmp_path_factory):
    made = Troubles(tmp_path_factory.mktemp("troubles"))
    try:
        yield made.start()
    finally:
        made.stop()


def test_every_alert_is_made_to_fire_in_one_place():
    everywhere = [*REAL, *PLAYED, *SAID]
    assert sorted(everywhere) == sorted(alerts())


@pytest.mark.parametrize("alert", [*REAL, *PLAYED])
def test_alert_fires(troubles, alert):
    eventually(lambda: troubles.fired(alert), f"{alert} fires")


# Of the panels whose exporters are not in the story of test_dashboards.py.
ELSEWHERE = [(dashboard, title, query) for dashboard, title, query in PANELS if only_elsewhere(query)]


@pytest.mark.parametrize(("dashboard", "title", "query"), ELSEWHERE, ids=lambda v: v if len(v) < 40 else v[:36] + "…")
def test_panel_shows_what_its_exporter_says(troubles, dashboard, title, query):
    values = [float(v) for s in troubles.prometheus.series(query, troubles.since) for _, v in s["values"]]
    assert any(v == v for v in values), f"{dashboard}, {title}: no data"


def test_nothing_was_said_while_exporters_showed_that_all_was_well(troubles):
    assert troubles.said_when_well == []


def test_each_alert_has_its_text(troubles):
    texts = [text for a in troubles.prometheus.get("alerts")["alerts"] for text in a["annotations"].values()]
    assert len(texts) > 3 * 15
    # A label that is not there leaves "<no value>" or nothing.
    assert [t for t in texts if "<" in t or "  " in t or "{{" in t] == []
