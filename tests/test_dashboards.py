"""Dashboards and alerts beside a real pipeline: a real Prometheus with the cluster's own configuration and rules watches processor, worker,
producer and node under load and faults; every panel's query is asked, and what should have been said was said.
"""

import json
import re
import socket
import threading
import time

import pytest
import requests
import test_deploy_monitoring as manifests
import yaml
from kafka_records import produce as put_record
from kafka_records import warm_up, when_direct
from kafka_server import KafkaCluster
from mongo_server import Database, NxServer
from prometheus_server import DEBIAN, MONITORING, PlayedExporter, Prometheus, pod
from server_process import ServerProcess, free_port
from support import MODEL, PHOTOS, Program, Server, event, eventually, nvidia_driver, run

DASHBOARDS = {p.stem: json.loads(p.read_text()) for p in sorted((MONITORING / "dashboards").glob("*.json"))}

# Whose figures can't be had here, and why; test_alerts_fire.py plays them.
NOT_HERE = {
    "kafka": "kafka-exporter is an image; its Go module forbids to be installed",
    "kube": "kube-state-metrics is an image, and tells of a cluster",
    "loki": "Loki is an image; its Go module takes two cores half an hour to build",
}


def queries(name):
    """(title of the panel, query) of a dashboard."""
    return [(p["title"], t["expr"]) for p in DASHBOARDS[name]["panels"] for t in p["targets"]]


def metrics_of(query):
    """Names of metrics and recorded figures in it, roughly: what is followed by braces, or is no function or label."""
    bare = re.sub(r'\{[^}]*\}|"[^"]*"|\b(by|without|on)\s*\([^)]*\)|\[\w+\]', " ", query)
    return {w for w in re.findall(r"[a-zA-Z_][\w:]+\b(?!\s*\()", bare)} - {"or", "and", "unless", "by"}


class Traffic(threading.Thread):
    """A steady trickle of good and bad requests, until told to stop; what they are answered is Prometheus' matter."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.over = url, threading.Event()
        self.start()

    def run(self):
        number = 0
        with requests.Session() as session:
            while not self.over.wait(0.02):
                number += 1
                body = {"metadata_id": ""} if number % 20 == 0 else event(f"e{number}", dim=512)
                try:
                    session.post(f"{self.url}/metadata", json=body, timeout=10)
                    if number % 50 == 0:
                        self.no_http()
                except OSError:
                    continue

    def no_http(self):
        address, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((address, int(port)), timeout=10) as connection:
            connection.sendall(b"this is no HTTP\r\n\r\n")
            connection.recv(1024)

    def stop(self):
        self.over.set()
        self.join(30)


class Pipeline:
    """Processor and worker on a broker and a database of their own, a producer, and who watches them."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = {name: free_port() for name in ("endpoint", "processor", "worker", "producer", "node-exporter")}
        self.running = []
        self.gossip = PlayedExporter('told_of_a_pod{namespace="platform", pod="kafka-0", node="node-9"} 1')
        self.kafka = KafkaCluster(folder / "kafka")
        (folder / "nx").mkdir()
        self.database = NxServer(folder / "nx")
        self.prometheus = Prometheus(
            folder / "prometheus",
            [
                *(pod(name, self.ports[name]) for name in ("processor", "worker", "producer")),
                pod("node-exporter", self.ports["node-exporter"], controller="DaemonSet", namespace="monitoring"),
                pod("gossip", self.gossip.port, namespace="monitoring"),
            ],
        )

    def start(self):
        self.since = time.time()
        self.kafka.start()
        self.database.start()
        bootstrap = self.kafka.bootstrap()
        warm_up(bootstrap)
        assert run("topics", "ensure", "--kafka-bootstrap", bootstrap).returncode == 0
        node = ["--web.listen-address", f"127.0.0.1:{self.ports['node-exporter']}"]
        self.running.append(ServerProcess("node-exporter", [DEBIAN / "prometheus-node-exporter", *node], self.folder / "node.log"))
        self.running[-1].launch()
        self.prometheus.start()
        quick = ["--archive-linger-ms", 500, "--worker-backoff-ms-max", 300]
        hurry = {"CA4_STORE_MONGO_CONNECT_TIMEOUT_MS": "1000", "CA4_STORE_MONGO_SELECTION_TIMEOUT_MS": "1000"}
        self.worker = Program(
            *["work", "--data-dir", self.folder / "work", "--kafka-bootstrap", bootstrap, *quick, *self.admin("worker")],
            env=Database(self.database).env | hurry,
        )
        self.running.append(self.worker)
        return self

    def start_processor(self):
        small = ["--kafka-delivery-timeout-ms", 1000, "--kafka-outbox-bytes-max", 1 << 20]
        flags = ["--kafka-bootstrap", self.kafka.bootstrap(), *small, *self.admin("processor")]
        self.processor = Server("serve", self.folder / "serve", *flags, listen=f"127.0.0.1:{self.ports['endpoint']}")
        self.running.append(self.processor)
        self.processor.wait_until_listening()
        when_direct(self.processor)

    def admin(self, name):
        return ["--admin-listen", f"127.0.0.1:{self.ports[name]}"]

    def start_producer(self):
        """Photographs from a machine with two GPUs, sent to where the processor will be."""
        (self.folder / "produce").mkdir()
        endpoint = f"http://127.0.0.1:{self.ports['endpoint']}"
        producer = Program(
            *["produce", PHOTOS, "--endpoint", endpoint, "--model", MODEL, "--device", "cpu"],
            *["--journal", self.folder / "journal", *self.admin("producer")],
            cwd=self.folder / "produce",
            env=nvidia_driver(self.folder / "driver"),
        )
        self.running.append(producer)
        return producer

    def complaints(self):
        """What fires now, but for exporters that are not here, this machine's own disks and memory, and a producer that is at its end."""
        about_us = 'ALERTS{alertstate="firing", alertname=~"Ca4.*|TargetDown|RulesFail", job!="producer"}'
        return {s["metric"]["alertname"] for s in self.prometheus.get("query", query=about_us)["result"]}

    def break_archive(self):
        """A file in the folder's place."""
        archive = self.folder / "work/archive"
        archive.rename(self.folder / "archive-as-it-was")
        archive.write_text("")

    def stop(self):
        for program in reversed(self.running):
            program.kill()
        self.prometheus.kill()
        self.gossip.close()
        self.database.kill()
        self.kafka.stop()


def wait_for(pipeline, *alerts):
    for alert in alerts:
        eventually(lambda alert=alert: pipeline.prometheus.fires(alert), f"{alert} fires")


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """The whole of it, once: a good time, then one fault after the other."""
    pipeline = Pipeline(tmp_path_factory.mktemp("watched"))
    try:
        pipeline.start()
        producer = pipeline.start_producer()
        wait_for(pipeline, "Ca4ProducerUnheard")
        pipeline.start_processor()
        assert producer.wait() == 0, producer.said()
        traffic = Traffic(pipeline.processor.url)
        late = 'ca4:end_to_end_seconds:p99_5m > 0 unless on () ALERTS{alertname="Ca4ProducerUnheard"}'
        eventually(lambda: pipeline.prometheus.get("query", query=late)["result"], "events pass, and the producer is done")
        eventually(lambda: pipeline.complaints() == set(), "nothing fires while all is well")
        put_record(pipeline.kafka.bootstrap(), "gpu-metadata", b"poison", b"no event at all")
        wait_for(pipeline, "Ca4DeadLetters")
        pipeline.break_archive()
        pipeline.database.kill()
        wait_for(pipeline, "Ca4DatabaseFails", "Ca4ArchiveFails")
        pipeline.kafka.nodes[0].server.kill()
        wait_for(pipeline, "Ca4KafkaUnreachable", "Ca4OutboxHoldsEvents", "Ca4OutboxFillsUp", "Ca4EventsFail")
        pipeline.worker.kill()
        wait_for(pipeline, "Ca4NoWorker", "TargetDown")
        traffic.stop()
        yield pipeline
    finally:
        pipeline.stop()


# The other alerts fire in test_alerts_fire.py.
SAID = {
    # Those whose exporters are not here, and those of the story.
    *("KafkaUnseen", "ClusterUnseen", "LogsMissing"),
    *("Ca4DeadLetters", "Ca4DatabaseFails", "Ca4ArchiveFails", "Ca4KafkaUnreachable", "Ca4OutboxHoldsEvents"),
    *("Ca4OutboxFillsUp", "Ca4EventsFail", "Ca4NoWorker", "TargetDown", "Ca4ProducerUnheard"),
}


def test_each_fault_was_said(story):
    said = story.prometheus.fired(story.since)
    assert said >= SAID
    assert "RulesFail" not in said


def test_every_rule_is_worked_out_and_every_alert_has_its_text(story):
    rules = [r for g in story.prometheus.get("rules")["groups"] for r in g["rules"]]
    assert len(rules) > 35
    assert [(r["name"], r.get("lastError")) for r in rules if r["health"] != "ok"] == []
    alerts = story.prometheus.get("alerts")["alerts"]
    texts = [text for a in alerts for text in a["annotations"].values()]
    assert texts
    # A label that is not there leaves "<no value>" or nothing.
    assert [t for t in texts if "<" in t or "  " in t or "{{" in t] == []


def test_targets_are_named_as_in_the_cluster(story):
    up = story.prometheus.series("up", story.since)
    found = {(s["metric"]["job"], s["metric"]["instance"], s["metric"].get("namespace")) for s in up}
    assert {x for x in found if x[0] != "prometheus"} == {
        ("processor", "processor-0", "app"),
        ("worker", "worker-0", "app"),
        ("producer", "producer-0", "app"),
        ("node-exporter", "node-1", "monitoring"),
        ("gossip", "gossip-0", "monitoring"),
    }
    (told,) = story.prometheus.series("told_of_a_pod", story.since)
    assert told["metric"] == {
        "__name__": "told_of_a_pod",
        **{"job": "gossip", "instance": "gossip-0"},
        **{"namespace": "platform", "pod": "kafka-0", "node": "node-9"},
    }


PANELS = [(d, title, q) for d in DASHBOARDS if d != "logs" for title, q in queries(d)]


def only_elsewhere(query):
    return all(m.split("_")[0] in NOT_HERE for m in metrics_of(query))


@pytest.mark.parametrize(("dashboard", "title", "query"), PANELS, ids=lambda v: v if len(v) < 40 else v[:36] + "…")
def test_panel(story, dashboard, title, query):
    found = story.prometheus.series(query, story.since)
    values = [float(v) for s in found for _, v in s["values"]]
    if only_elsewhere(query):
        assert not found, "it can be had here after all: NOT_HERE is out of date"
    else:
        assert any(v == v for v in values), f"{dashboard}, {title}: no data"


def test_a_query_of_nothing_is_seen(story):
    assert story.prometheus.series("rate(ca4_no_such_total[1m])", story.since) == []
    assert not only_elsewhere('sum(rate(ca4_events_total{kube="a"}[1m])) or kafka_brokers')
    assert only_elsewhere('sum by (topic) (kafka_topic_partition_current_offset{topic="t"} - kube_x)')


def test_dashboards_are_whole_and_in_the_cluster(tmp_path):
    docs = manifests.rendered(tmp_path)
    shown = next(d for d in docs if d["kind"] == "ConfigMap" and d["metadata"]["name"].startswith("grafana-dashboards-"))["data"]
    assert {k.removesuffix(".json"): json.loads(v) for k, v in shown.items()} == DASHBOARDS
    rules = next(d for d in docs if d["kind"] == "ConfigMap" and d["metadata"]["name"].startswith("prometheus-rules-"))["data"]
    assert rules.keys() == {p.name for p in (MONITORING / "rules").glob("*.yaml")}
    assert {d["title"] for d in DASHBOARDS.values()} == {"Pipeline", "Kafka", "Worker", "GPU fleet", "Nodes", "Logs"}
    assert len({d["uid"] for d in DASHBOARDS.values()}) == len(DASHBOARDS)
    sources = {s["uid"] for s in yaml.safe_load((MONITORING / "config/datasources.yaml").read_text())["datasources"]}
    for dashboard in DASHBOARDS.values():
        cells = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            own = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            assert not own & cells and max(x for x, _ in own) < 24, panel["title"]
            cells |= own
            assert panel["datasource"]["uid"] in sources
        ids = [p["id"] for p in dashboard["panels"]]
        assert len(set(ids)) == len(ids)


def test_only_requests_are_counted_in_requests():
    counted = [p for d in DASHBOARDS.values() for p in d["panels"] if p.get("fieldConfig", {}).get("defaults", {}).get("unit") == "reqps"]
    assert counted
    assert [t["expr"] for p in counted for t in p["targets"] if not re.search(r"_requests_total|_http_refused_total", t["expr"])] == []


def test_none_of_what_must_be_there_is_red_and_not_grey():
    """A sum over nothing is no figure: the panel would have no colour when the last one is gone."""
    must = [p for d in DASHBOARDS.values() for p in d["panels"] if p["type"] == "stat"]
    must = [p for p in must if p["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"] == "red"]
    # What an exporter says is missing with the exporter: KafkaUnseen.
    own = [t["expr"] for p in must for t in p["targets"] if not only_elsewhere(t["expr"])]
    assert len(own) > 1
    assert [q for q in own if not q.endswith("or vector(0)")] == []


def test_log_queries_ask_for_labels_that_alloy_gives():
    alloy = (MONITORING / "config/config.alloy").read_text()
    given = set(re.findall(r'target_label *= "([a-z]\w+)"', alloy)) | {"stream", "level"}
    asked = {label for _, q in queries("logs") for label in re.findall(r'(\w+) *(?:=~|!=|=)"?', q)}
    assert asked and asked <= given
