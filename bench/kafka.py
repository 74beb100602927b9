"""Measures `ca4 serve` in front of a real Kafka broker on this machine: events/s, and CPU of `serve` and of the broker an event.

    .deps/venv/bin/python bench/kafka.py [--connections 16] [--seconds 10]

One fresh topic a row. The load generator and the broker run on the same cores, so events/s says what they can do together;
CPU an event is that of the process alone.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from run import BUILD, Server, cpu_seconds, payloads, wrk

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from kafka_records import fresh_topic  # noqa: E402
from kafka_server import KafkaCluster  # noqa: E402

ROWS = [
    # what is posted, further flags of `serve`
    ("json", []),
    ("base64", []),
    ("json x64", []),
    ("json", ["--kafka-value-format", "record"]),
    ("base64 x64", ["--kafka-value-format", "record"]),
    ("json", ["--kafka-compression", "lz4"]),
    ("json", ["--kafka-compression", "none"]),
]


def measure(broker, payload, flags, connections, seconds, work_dir):
    topic = fresh_topic(broker.address(), partitions=6)
    argv = [str(BUILD / "ca4"), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(work_dir / topic)]
    server = Server([*argv, "--kafka-bootstrap", broker.address(), "--topic", topic, *flags])
    try:
        wrk(server, work_dir, payload, connections, 1)
        broker_before = cpu_seconds(broker.server.process.pid)
        result = wrk(server, work_dir, payload, connections, seconds)
        broker_s = cpu_seconds(broker.server.process.pid) - broker_before
    finally:
        server.stop()
    events = (result["requests"] - result["failed"]) * payload[3]
    return {
        "events_per_s": events / result["seconds"],
        "serve_us": result["cpu_s"] / max(events, 1) * 1e6,
        "broker_us": broker_s / max(events, 1) * 1e6,
        "p50_ms": result["p50_ms"],
        "p99_ms": result["p99_ms"],
        "failed": result["failed"],
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--connections", type=int, default=16)
    arguments.add_argument("--seconds", type=int, default=10)
    arguments.add_argument("--json", action="store_true", help="one JSON object a row")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="ca4-bench-") as folder:
        cluster = KafkaCluster(Path(folder) / "kafka")
        try:
            (broker,) = cluster.start().nodes
            print(f"{'posted':<12} {'flags':<32} {'events/s':>9} {'serve us':>9} {'broker us':>10} {'p50 ms':>7} {'p99 ms':>7}")
            for name, flags in ROWS:
                row = measure(broker, payloads()[name], flags, given.connections, given.seconds, Path(folder))
                if given.json:
                    print(json.dumps({"posted": name, "flags": flags} | row))
                    continue
                print(
                    f"{name:<12} {' '.join(flags):<32} {row['events_per_s']:>9.0f} {row['serve_us']:>9.1f} "
                    f"{row['broker_us']:>10.1f} {row['p50_ms']:>7.2f} {row['p99_ms']:>7.2f}"
                    + (f"  {row['failed']} FAILED" if row["failed"] else "")
                )
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
