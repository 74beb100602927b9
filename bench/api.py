"""`ca4 serve` beside a FastAPI processor, bridges from HTTP to Kafka, and floors: leaves build/bench/api.json.

    .deps/venv/bin/python bench/api.py [--full] [--rounds 3] [--seconds 2]

Every run is a fresh process with a fresh topic on one real broker; it is warmed up, then loaded for some seconds. Of one work all
subjects run in turn, --rounds times. --full: all works with all subjects, 10^5 events a run or 20 s, whichever is less.
"""

import argparse
import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / folder) for folder in ("tests", "lab")]

from frame.broker import delete_topic, fresh_topic, one_broker  # noqa: E402
from frame.load import BATCH, payloads, wrk  # noqa: E402
from frame.process import cpu_seconds, memory_mib  # noqa: E402
from frame.results import BUILD, OUT, Comparison  # noqa: E402
from basics import percentile  # noqa: E402
from peers import servers  # noqa: E402

FIRST = 3  # works that the aims are about; a long run has them early
EVENTS_FULL, SECONDS_FULL = 100_000, 20
EMBEDDED, KAFKA = "ca4 serve, embedded log", "ca4 serve, Kafka"
PLAIN, RECORDS = "ca4 serve, Kafka, not compressed", "ca4 serve, Kafka, records not compressed"
FASTAPI, BENTHOS, CAMEL = "FastAPI + kafka-python", "Benthos + franz-go", "Apache Camel"
NGINX, NUMBERS, ROWS = "nginx, reads the body", "our HTTP + number parsing", "the same + rows into SQLite"


@dataclass
class Subject:
    name: str
    kind: str
    start: object  # (broker, topic, folder) -> Server
    takes_batches: bool = True
    warm_s: int = 1


SUBJECTS = [
    Subject(EMBEDDED, "ours", servers.ca4()),
    Subject(KAFKA, "ours", servers.ca4_kafka()),
    Subject(PLAIN, "ours", servers.ca4_kafka("--kafka-compression", "none")),
    Subject(RECORDS, "ours", servers.ca4_kafka("--kafka-compression", "none", "--kafka-value-format", "record")),
    Subject(FASTAPI, "peer", servers.fastapi, takes_batches=False),
    Subject(BENTHOS, "peer", servers.benthos, takes_batches=False),
    Subject(CAMEL, "peer", servers.camel, takes_batches=False, warm_s=6),  # a JVM compiles first
    Subject(NGINX, "floor", servers.nginx),
    Subject(NUMBERS, "floor", servers.http_floor),
    Subject(ROWS, "floor", servers.http_floor),
]
ROWS_DIM = 2048  # what `floor write` writes: 8 kB
FEW = [EMBEDDED, KAFKA, FASTAPI]
NO_CAMEL = [subject.name for subject in SUBJECTS if subject.name != CAMEL]


@dataclass
class Work:
    payload: str = "json"
    dim: int = 2048
    connections: int = 16
    names: list = None  # of the subjects by default; None: all that can do it

    def __str__(self):
        form, _, batch = self.payload.partition(" x")
        form = {"json": "JSON", "base64": "base64"}[form]
        return f"{self.dim} floats, {form}{f' in batches of {batch}' if batch else ''}, {self.connections} connection{'s' if self.connections > 1 else ''}"


HEADLINE, BASE64, BATCHES = Work(), Work("base64", names=NO_CAMEL), Work(f"base64 x{BATCH}")
WORKS = [HEADLINE, BASE64, BATCHES, Work(connections=1, names=FEW), Work(connections=64, names=FEW), Work(dim=512, names=FEW),
         Work(dim=4096, names=FEW)]
ALL_WORKS = [Work(form, dim, connections) for form in payloads(1) for dim in (2048, 512, 4096) for connections in (16, 1, 64)]

HALF = f"{HEADLINE}, each at half of its own rate"

SETUP = """Each request carries an event (or 64) with the numbers of an embedding as Python prints them (2,048: 42 kB) or as base64 of float32 (11 kB). Ours, at its
defaults, answers when the event is durable: in Kafka with `acks=all`, values as JSON, compressed by zstd; or fsynced in the embedded log. Also shown: `kafka.compression = "none"`, which is what the peers do, and with it `kafka.value_format = "record"`. The peers:

- **FastAPI + kafka-python**, as it is usually written ([fastapi_processor.py](../bench/peers/fastapi_processor.py)): pydantic, `send`, and the answer, without waiting for the broker. Its
  values are JSON, not compressed. One uvicorn process, with uvloop and httptools. Of batches it knows nothing; the ratio to it is there that of our batches to its single events.
- **Benthos + franz-go**: Benthos is the engine of Redpanda Connect (which the Go module proxy does not have), with its `http_server` input and an output to Kafka
  ([main.go](../bench/peers/benthos/main.go)); answers after `acks=all`. It passes bytes on: nothing is parsed or checked.
- **Apache Camel**: `platform-http` (Vert.x) to `kafka` with `acks=all` ([Bridge.java](../bench/peers/camel/Bridge.java)); passes bytes on as well. 512 MiB of heap, 6 s of warm-up.

Karapace and Strimzi's bridge could not be had from PyPI and Maven Central. The floors: **nginx** with two workers reads the body in memory and answers 200 (in Lua; `return 200` would answer before the body
is there); **our HTTP + number parsing** is what our server spends on reading and dropping bodies, and simdjson or the base64 decoder on their numbers, summed: nothing is
checked, kept or sent; with **rows into SQLite** of 8 kB, fsynced in groups as large as ours just were, the floor of the embedded log.""".splitlines()


def load(subject, work, payload, seconds, broker, folder, full):
    """One run: what wrk saw, CPU, memory, start-up."""
    topic = fresh_topic(broker)
    server = subject.start(broker, topic, folder)
    try:
        events_file = payload.file(folder)
        warmed = wrk(server, events_file, payload, work.connections, subject.warm_s)
        server.when_idle()
        if full and warmed["events"]:
            seconds = min(SECONDS_FULL, max(2, round(EVENTS_FULL * warmed["seconds"] / warmed["events"])))
        broker_before = cpu_seconds(broker.server.process.pid)
        result = wrk(server, events_file, payload, work.connections, seconds)
        server.when_idle()  # what it had answered for and not yet sent costs too
        result["memory_peak_mib"] = memory_mib(server.pid)
        result["broker_cpu_seconds"] = cpu_seconds(broker.server.process.pid) - broker_before
        return result
    finally:
        server.stop()
        delete_topic(broker, topic)


def events_a_commit(data_dir):
    """How large the log's groups were: the records of one transaction have one time."""
    log = sqlite3.connect(data_dir / "log/gpu-metadata.db")
    events, commits = log.execute("SELECT count(*), count(DISTINCT appended_at_us) FROM records").fetchone()
    log.close()
    return events / commits


def floor_us(*args):
    run = subprocess.run([BUILD / "bench/floor", *map(str, args)], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)["cpu_us_per_event"]


def one_run(comparison, subject, work, payload, round, given, broker):
    folder = Path(tempfile.mkdtemp(dir=OUT))
    try:
        result = load(subject, work, payload, given.seconds, broker, folder, given.full)
        more = {key: result[key] for key in ("memory_peak_mib", "broker_cpu_seconds", "failed", "p50_ms", "p99_ms", "p999_ms")}
        if subject.name == EMBEDDED:
            more["events_a_commit"] = events_a_commit(folder / "data")
        if subject.name in (NUMBERS, ROWS):
            for key in ("p50_ms", "p99_ms", "p999_ms"):
                del more[key]  # of a part of it
            result["cpu_s"] += result["events"] * floor_us("parse", folder / "events") / 1e6
        if subject.name == ROWS:
            group = comparison.runs(EMBEDDED, str(work))[-1]["events_a_commit"]
            result["cpu_s"] += result["events"] * floor_us("write", folder / "floor.db", max(int(group + 0.5), 1)) / 1e6
        comparison.add(subject.name, subject.kind, str(work), round, result["events"], result["seconds"], result["cpu_s"], **more)
    finally:
        shutil.rmtree(folder)


def compare(comparison, work, given, broker):
    payload = payloads(work.dim)[work.payload]
    subjects = [s for s in SUBJECTS if (given.full or work.names is None or s.name in work.names)
                and (payload.events_a_request == 1 or s.takes_batches)
                and (s.name != ROWS or work.dim == ROWS_DIM)]
    for round in range(1, given.rounds + 1):
        for subject in subjects:
            one_run(comparison, subject, work, payload, round, given, broker)


def paced(server, payload, folder, connections, rate, seconds):
    """Posts `rate` events a second; milliseconds to the answer of each, sorted."""
    body, log = folder / "body", folder / "answers"
    body.write_text(payload.events[0])
    log.unlink(missing_ok=True)  # h2load appends
    subprocess.run(["h2load", "--h1", f"-c{connections}", "-t1", f"-D{seconds}", f"--rps={rate / connections:.2f}", "-d", body,
                    "-H", f"content-type: {payload.content_type}", f"--log-file={log}", server.url + payload.target],
                   capture_output=True, text=True, check=True, timeout=seconds + 60)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    assert rows and all(row[1] == "200" for row in rows), f"refused: {[row for row in rows if row[1] != '200'][:3]}"
    return sorted(int(row[2]) / 1000 for row in rows)


def half_load(comparison, given, broker):
    """Each at half of the rate that it had at its best."""
    payload = payloads(HEADLINE.dim)[HEADLINE.payload]
    for round in range(1, given.rounds + 1):
        for subject in (s for s in SUBJECTS if s.name in FEW):
            rate = statistics.median(r["events"] / r["seconds"] for r in comparison.runs(subject.name, str(HEADLINE))) / 2
            folder = Path(tempfile.mkdtemp(dir=OUT))
            server = subject.start(broker, fresh_topic(broker), folder)
            try:
                paced(server, payload, folder, HEADLINE.connections, rate, 1)
                server.when_idle()
                before = cpu_seconds(server.pid)
                took = paced(server, payload, folder, HEADLINE.connections, rate, given.seconds)
                server.when_idle()
                comparison.add(subject.name, subject.kind, HALF, round, len(took), given.seconds, cpu_seconds(server.pid) - before,
                               p50_ms=percentile(took, 0.5), p99_ms=percentile(took, 0.99), p999_ms=percentile(took, 0.999),
                               memory_peak_mib=memory_mib(server.pid))
            finally:
                server.stop()
                shutil.rmtree(folder)


def start_up(comparison, given, broker):
    """From the start of the process to a connection accepted."""
    took, used = {}, {}
    for _ in range(given.rounds):
        for subject in (s for s in SUBJECTS if s.kind != "floor"):
            folder = Path(tempfile.mkdtemp(dir=OUT))
            server = subject.start(broker, fresh_topic(broker), folder)
            took.setdefault(subject.name, []).append(server.started_s * 1000)
            used.setdefault(subject.name, []).append(cpu_seconds(server.pid) * 1000)
            server.stop()
            shutil.rmtree(folder)
    comparison.table("Start-up", [
        {"subject": name, "ms to a connection accepted, median (lowest–highest)": f"{statistics.median(ms):.0f} ({min(ms):.0f}–{max(ms):.0f})",
         "CPU ms until then": f"{statistics.median(used[name]):.0f}", f"÷ {EMBEDDED}": f"{statistics.median(ms) / statistics.median(took[EMBEDDED]):.1f}"} for name, ms in took.items()])
    for name in (EMBEDDED, KAFKA):
        comparison.aim(f"start-up, {name}", took[name], "ms", at_most=50)
        comparison.aim(f"start-up, CPU alone, {name}", used[name], "ms", at_most=50)


def binary(comparison):
    stripped = OUT / "ca4-stripped"
    subprocess.run(["strip", "-o", stripped, BUILD / "ca4"], check=True)
    comparison.aim("the binary, stripped", [stripped.stat().st_size / 1e6], "MB", at_most=15)
    stripped.unlink()


def aims(comparison):
    peer = (FASTAPI, str(HEADLINE))
    for ours in (KAFKA, PLAIN, RECORDS, EMBEDDED):
        for what, work, least in (("JSON", HEADLINE, 60), ("base64", BASE64, 150), ("base64 in batches of 64", BATCHES, 300)):
            comparison.aim_ratio(f"events a CPU second, {what}: {ours} ÷ {FASTAPI} (JSON)", (ours, str(work)), peer, at_least=least)
        for bridge in (BENTHOS, CAMEL):
            comparison.aim_ratio(f"events a CPU second, JSON: {ours} ÷ {bridge}", (ours, str(HEADLINE)), (bridge, str(HEADLINE)), at_least=3)
        for what, work in (("JSON", HEADLINE), ("base64", BASE64)):
            floor = ROWS if ours == EMBEDDED else NUMBERS
            comparison.aim_ratio(f"events a CPU second, {what}: {ours} ÷ the floor ({floor})", (ours, str(work)), (floor, str(work)), at_least=0.5)
    for name in (KAFKA, EMBEDDED):
        comparison.aim(f"p99 to durable at half load, {name}", [r["p99_ms"] for r in comparison.runs(name, HALF)], "ms", at_most=10)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of load a run (default: 2)")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    command = " ".join(["bench/api.py", *sys.argv[1:]])
    comparison = Comparison("api", "The processor: HTTP to durable", SETUP, servers.versions(), command)
    try:
        with tempfile.TemporaryDirectory(prefix="ca4-bench-") as name, one_broker(Path(name) / "kafka") as broker:
            works = ALL_WORKS if given.full else WORKS
            for work in works[:FIRST]:
                compare(comparison, work, given, broker)
            half_load(comparison, given, broker)
            start_up(comparison, given, broker)
            for work in works[FIRST:]:
                compare(comparison, work, given, broker)
    finally:  # what was measured is kept, also when this is interrupted
        aims(comparison)
        binary(comparison)
        comparison.save()


if __name__ == "__main__":
    main()
