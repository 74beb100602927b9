"""Measures CA4 on real servers of this machine: `ca4 serve` in front of Kafka, and `ca4 work` from Kafka into a store.

    .deps/venv/bin/python bench/kafka.py [--connections 16] [--seconds 5] [--events 10000]

One fresh topic a row. Load generator, broker and database run on the same cores, so events/s says what they can do together;
CPU an event is that of the named process alone.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from frame.load import payloads, wrk
from frame.process import Server, cpu_seconds, memory_mib
from frame.results import BUILD, table

sys.path += [str(Path(__file__).resolve().parent.parent / folder) for folder in ("tests", "lab")]
from kafka_records import fresh_topic, warm_up  # noqa: E402
from kafka_server import KafkaCluster  # noqa: E402
from mongo_server import NxServer  # noqa: E402
from support import Program, eventually, metric  # noqa: E402

SERVE_ROWS = [
    # what is posted, further flags of `serve`
    ("json", []),
    ("base64", []),
    ("json x64", []),
    ("json", ["--kafka-value-format", "record"]),
    ("base64 x64", ["--kafka-value-format", "record"]),
    ("json", ["--kafka-compression", "lz4"]),
    ("json", ["--kafka-compression", "none"]),
]
# What a worker gets through while someone waits for the figure.
MONGO_EVENTS = 2000


def serve_on(broker, topic, folder, flags):
    argv = [str(BUILD / "ca4"), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(folder / topic), "--log-level", "error"]
    # Without the outbox: it would take what the broker is too slow for, and this is about Kafka.
    return Server([*argv, "--kafka-bootstrap", broker.address(), "--topic", topic, "--no-kafka-outbox", *flags])


def serve_row(broker, name, flags, given, folder):
    payload = payloads()[name]
    events_file = payload.file(folder)
    server = serve_on(broker, fresh_topic(broker.address(), partitions=6), folder, flags)
    try:
        wrk(server, events_file, payload, given.connections, 1)
        server.when_idle()
        broker_before = cpu_seconds(broker.server.process.pid)
        result = wrk(server, events_file, payload, given.connections, given.seconds)
        broker_s = cpu_seconds(broker.server.process.pid) - broker_before
        events = result["events"]
        return {
            "posted": name, "flags": " ".join(flags), "events/s": f"{events / result['seconds']:.0f}",
            "serve CPU µs": f"{result['cpu_s'] / max(events, 1) * 1e6:.0f}", "broker CPU µs": f"{broker_s / max(events, 1) * 1e6:.0f}",
            "p50 ms": f"{result['p50_ms']:.2f}", "p99 ms": f"{result['p99_ms']:.2f}",
            "peak MiB": f"{memory_mib(server.pid):.0f}", "failed": result["failed"],
        }
    finally:
        server.stop()


def post(server, events):
    """`events` different ids in batches."""
    templates = [json.loads(text) for text in payloads()["base64"].events]
    for first in range(0, events, 64):
        some = [templates[n % len(templates)] | {"metadata_id": f"bench-{n}"} for n in range(first, min(first + 64, events))]
        body = "\n".join(map(json.dumps, some)).encode()
        request = urllib.request.Request(
            f"http://{server.host}:{server.port}/metadata/batch", body, {"Content-Type": "application/x-ndjson"})
        answer = urllib.request.urlopen(request, timeout=60).read()
        assert answer.count(b'"status":"ok"') == len(some), answer[:1000]


def lag(server):
    metrics = urllib.request.urlopen(f"http://{server.host}:{server.port}/metrics", timeout=60).read().decode()
    return metric(metrics, "ca4_lag_records", group="ca4-worker")


def work_row(broker, store, value_format, events, env, folder):
    topic = fresh_topic(broker.address(), partitions=6)
    server = serve_on(broker, topic, folder, ["--kafka-value-format", value_format])
    try:
        post(server, events)
        eventually(lambda: lag(server) == events, "all of it is in the topic")
        worker = Program("work", "--data-dir", folder / f"{topic}-work", "--kafka-bootstrap", broker.address(), "--topic", topic,
                         "--no-archive", env=env)
        try:
            begun = time.monotonic()
            eventually(lambda: lag(server) == 0, "the worker has all of it", 600)
            took = time.monotonic() - begun
            return {"store": store, "values": value_format, "events": events, "events/s": f"{events / took:.0f}",
                    "work CPU µs": f"{cpu_seconds(worker.pid) / events * 1e6:.0f}",
                    "peak MiB": f"{memory_mib(worker.pid):.0f}"}
        finally:
            worker.stop()
    finally:
        server.stop()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--connections", type=int, default=16)
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--events", type=int, default=10_000, help="that a worker gets")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="ca4-bench-") as name:
        folder = Path(name)
        cluster = KafkaCluster(folder / "kafka")
        mongo = NxServer(folder)
        try:
            (broker,) = cluster.start().nodes
            warm_up(broker.address())
            mongo.start()
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start\n\nserve in front of Kafka:\n")
            rows = [serve_row(broker, posted, flags, given, folder) for posted, flags in SERVE_ROWS]
            print(table(rows), "\n\nfrom Kafka through the worker into a store:\n")
            rows = [work_row(broker, "embedded", form, given.events, {}, folder) for form in ("json", "record")]
            for form in ("json", "record"):
                env = {"MONGO_URI": mongo.uri, "MONGO_DB": f"bench_{form}"}
                rows.append(work_row(broker, "nx-27017", form, MONGO_EVENTS, env, folder))
            print(table(rows))
        finally:
            mongo.kill()
            cluster.stop()


if __name__ == "__main__":
    main()
