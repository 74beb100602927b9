"""Measures `ca4 work` beside its peers and its floors, from one backlog in a real Kafka into a MongoDB-wire server.

    .deps/venv/bin/python bench/worker.py [--events N] [--rounds N] [--seconds N] [--full]

In each round everyone in turn drains the same topic for a group that is new, into a database that is new. The figure is CPU
seconds (user + system) of the process under test an event, between the event that ends its warm-up and the last one, or for
--seconds, where a peer is slower. What they write to is bench/mongo_sink.cc, which costs next to nothing; a few events go into
nx-27017, a real server, as well. Writes build/bench/worker.json.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymongo
from confluent_kafka.admin import AdminClient
from frame.process import cpu_seconds, memory_mib
from frame.results import BUILD, ROOT, Comparison
from kafka import lag, post, serve_on

sys.path += [str(ROOT / folder) for folder in ("tests", "lab")]
from basics import ENVIRONMENT, eventually  # noqa: E402
from frame.broker import PARTITIONS, fresh_topic, one_broker  # noqa: E402
from kafka_server import VERSION  # noqa: E402
from mongo_server import NxServer  # noqa: E402
from server_process import free_port  # noqa: E402

PEERS = ROOT / ".deps/bench/worker"
# How long anyone may take until it writes: a JVM and a group's first assignment on a busy machine.
START_S = 600
# A drain of ours has no limit but this: its whole way through the backlog is what tells whether memory is bounded.
DRAIN_S = 1800
# What nx-27017 gets through while someone waits for the figure.
REAL_EVENTS = 1500
SINK = "the sink"
# connect-standalone.sh's own.
CONNECT_JVM = ["-Xms256M", "-Xmx2G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
               "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


@dataclass
class Task:
    """One turn: a topic, and a database to drain it into."""

    broker: str
    topic: str
    events: int
    uri: str
    database: str
    folder: Path
    group: str  # a name that was never used


def ours(task):
    # Its group has one name, and is new when the broker has forgotten it.
    forget_group(task.broker, "ca4-worker")
    argv = [BUILD / "ca4", "work", "--data-dir", task.folder / task.group, "--kafka-bootstrap", task.broker, "--topic", task.topic,
            "--no-archive", "--log-level", "warn"]
    return argv, ENVIRONMENT | {"MONGO_URI": task.uri, "MONGO_DB": task.database}


def python(way):
    def command(task):
        return [PEERS / "venv/bin/python", ROOT / "bench/peers/python_worker.py", way, task.broker, task.topic, task.group, task.uri,
                task.database], os.environ
    return command


def connect(task):
    worker = {
        "bootstrap.servers": task.broker, "listeners": f"HTTP://127.0.0.1:{free_port()}", "offset.storage.file.filename":
        task.folder / f"{task.group}.offsets", "plugin.discovery": "only_scan", "key.converter":
        "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    }
    connector = {
        "name": task.group, "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector", "tasks.max": 1, "topics": task.topic,
        "connection.uri": task.uri, "database": task.database, "collection": "gpu_metadata",
        # The key is metadata_id: `_id` is made of it, and the document of that id is replaced.
        "transforms": "id", "transforms.id.type": "org.apache.kafka.connect.transforms.HoistField$Key", "transforms.id.field": "_id",
        "document.id.strategy": "com.mongodb.kafka.connect.sink.processor.id.strategy.ProvidedInKeyStrategy",
        "writemodel.strategy": "com.mongodb.kafka.connect.sink.writemodel.strategy.ReplaceOneDefaultStrategy",
    }
    files = []
    for name, settings in (("worker", worker), ("connector", connector)):
        files.append(task.folder / f"{task.group}-{name}.properties")
        files[-1].write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return ["java", *CONNECT_JVM, "-cp", f"{PEERS}/connect/*", "org.apache.kafka.connect.cli.ConnectStandalone", *files], os.environ


def floor(writes):
    def command(task):
        return [BUILD / "bench/drain", task.broker, task.topic, task.events, *([task.uri, task.database] if writes else [])], os.environ
    return command


@dataclass
class Subject:
    name: str
    kind: str  # "ours", "peer" or "floor"
    values: str  # which topic it reads: "json" or "record"
    command: object  # Task -> argv, env
    warm_up: int = 2000  # events before the first that counts

    @property
    def reports(self):
        """A floor is our own program and prints its figures."""
        return self.kind == "floor"


OURS = Subject("ca4 work", "ours", "json", ours)
PYTHON_ONE = "kafka-python + pymongo, insert_one"
CONNECT = "Kafka Connect + MongoDB sink"
READ = "librdkafka, no work"
SUBJECTS = [
    OURS,
    Subject(PYTHON_ONE, "peer", "json", python("one"), 500),
    Subject("kafka-python + pymongo, bulk_write of a poll", "peer", "json", python("many")),
    # A JVM compiles what is hot, which is neither done nor cheap in the first seconds.
    Subject(CONNECT, "peer", "json", connect, 20_000),
    Subject(READ, "floor", "json", floor(False)),
    Subject("consume + numbers + BSON + send", "floor", "json", floor(True)),
    Subject("ca4 work", "ours", "record", ours),
    Subject(READ, "floor", "record", floor(False)),
    Subject("consume + BSON + send", "floor", "record", floor(True)),
]


def forget_group(broker, group):
    admin = AdminClient({"bootstrap.servers": broker})

    def gone():
        try:
            admin.delete_consumer_groups([group])[group].result()
        except Exception as error:
            return "GROUP_ID_NOT_FOUND" in str(error)
        return True

    eventually(gone, f"group {group} is empty, and gone")


@contextmanager
def running(argv, env, log):
    with log.open("wb") as errors:
        process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=errors, env=env, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class Sink:
    """mongo_sink, fresh."""

    def __enter__(self):
        self.process = subprocess.Popen([str(BUILD / "bench/mongo_sink")], stdout=subprocess.PIPE, text=True)
        self.uri = self.process.stdout.readline().split()[-1]
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def watch(process, log, counted, subject, task, seconds, pause_s):
    """From the end of the warm-up to the last event, or for so many seconds."""

    def sample():
        assert process.poll() is None, f"{subject.name} ended with {process.returncode}:\n{log.read_text()[-4000:]}"
        return counted(), time.monotonic(), cpu_seconds(process.pid)

    def warm():
        found = sample()
        return found if found[0] >= min(subject.warm_up, task.events // 5) else None

    first = eventually(warm, lambda: f"{subject.name} writes:\n{log.read_text()[-4000:]}", START_S)
    last = first
    while last[0] < task.events and last[1] - first[1] < seconds:
        time.sleep(pause_s)
        last = sample()
    return {"events": last[0] - first[0], "seconds": round(last[1] - first[1], 3), "cpu_seconds": round(last[2] - first[2], 3),
            "memory_peak_mib": round(memory_mib(process.pid))}


def turn(subject, task, seconds, pause_s=0.05):
    log = task.folder / f"{task.group}.log"
    argv, env = subject.command(task)
    with running(argv, env, log) as process, pymongo.MongoClient(task.uri) as client:
        collection = client[task.database]["gpu_metadata"]
        if not subject.reports:
            return watch(process, log, collection.estimated_document_count, subject, task, seconds, pause_s)
        printed = process.stdout.readline()
        assert printed, f"{subject.name}:\n{log.read_text()[-4000:]}"
        told = json.loads(printed)
        if subject.command(task)[0][-1] == task.database:
            assert collection.estimated_document_count() == task.events
        return {key: told[key] for key in ("events", "seconds", "cpu_seconds")} | {"memory_peak_mib": told["peak_mib"]}


# As bench/api.py has them: JSON as by default, compressed, and records not, whose floats hardly become smaller.
COMPRESSION = {"json": "zstd", "record": "none"}


def fill(broker, values, events, folder):
    """A topic with a backlog, as `ca4 serve` writes it."""
    topic = fresh_topic(broker)
    server = serve_on(broker, topic, folder, ["--kafka-value-format", values, "--kafka-compression", COMPRESSION[values]])
    try:
        post(server, events)
        eventually(lambda: lag(server) == events, "all of it is in the topic")
    finally:
        server.stop()
    return topic


def work_name(values, events, server):
    return f"2048 floats, {'JSON values' if values == 'json' else 'records not compressed'}, a backlog of {events:,}, into {server}"


class Bench:
    def __init__(self, broker, folder, given, results):
        self.broker, self.folder, self.given, self.results = broker, folder, given, results
        self.topics = {}
        self.turns = 0

    def topic(self, values, events):
        if (values, events) not in self.topics:
            self.topics[values, events] = fill(self.broker, values, events, self.folder)
        return self.topics[values, events]

    def run(self, subject, events, server, uri, number, seconds, **options):
        self.turns += 1
        name = f"turn-{self.turns}"
        task = Task(self.broker.address(), self.topic(subject.values, events), events, uri, name, self.folder, name)
        self.results.add(subject.name, subject.kind, work_name(subject.values, events, server), number, **turn(subject, task, seconds, **options))

    def sides(self):
        """All in turn, round by round."""
        for number in range(1, self.given.rounds + 1):
            for subject in SUBJECTS:
                with Sink() as sink:
                    self.run(subject, self.given.events, SINK, sink.uri, number, DRAIN_S if subject.kind == "ours" else self.given.seconds)

    def memory(self):
        """Ours alone, with backlogs of other sizes."""
        sizes = [self.given.events // 10] + ([self.given.events * 10] if self.given.full else [])
        for events in sizes:
            with Sink() as sink:
                self.run(OURS, events, SINK, sink.uri, 1, DRAIN_S)
        ours = [run for run in self.results.found["runs"] if run["subject"] == OURS.name and "JSON" in run["work"] and SINK in run["work"]]
        self.results.table("Peak memory of `ca4 work` by backlog", [
            {"work": run["work"], "round": run["round"], "peak MiB": run["memory_peak_mib"]} for run in ours])

    def on_a_real_server(self):
        server = NxServer(self.folder).start()
        try:
            for subject in SUBJECTS:
                if subject.values == "json" and subject.name != READ:
                    self.run(subject, REAL_EVENTS, "nx-27017", server.uri, 1, DRAIN_S, pause_s=0.5)
        finally:
            server.kill()

    def aims(self):
        json_work, record_work = (work_name(values, self.given.events, SINK) for values in ("json", "record"))
        ours, records = (OURS.name, json_work), (OURS.name, record_work)
        ratio = self.results.aim_ratio
        ratio("worker, events a CPU second of an insert_one worker", ours, (PYTHON_ONE, json_work), at_least=15)
        ratio("the same, records not compressed beside the peer's JSON", records, (PYTHON_ONE, json_work), at_least=15)
        ratio("worker, events a CPU second of Kafka Connect", ours, (CONNECT, json_work), at_least=2)
        floors = ((ours, ("consume + numbers + BSON + send", json_work), "JSON values"), (records, ("consume + BSON + send", record_work), "records"))
        for mine, its, values in floors:
            ratio(f"floor of the worker, events a CPU second of ours, {values}", its, mine, at_most=2)


def versions():
    def first_line(*argv):
        run = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=True)
        return (run.stdout + run.stderr).splitlines()[0]

    def debian(package):
        return first_line("dpkg-query", "-W", "-f", "${Version}\n", package)

    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "bench/peers/requirements-worker.txt").read_text(), re.MULTILINE))
    jars = {re.sub(r"-[\d.]+$", "", jar.stem): jar.stem.rsplit("-", 1)[1] for jar in (PEERS / "connect").glob("*.jar")}
    return {
        "ca4": first_line(BUILD / "ca4", "--version").split()[1], "Kafka": VERSION, "librdkafka": debian("librdkafka1"),
        "libmongoc": debian("libmongoc-1.0-0"), "Python": first_line(PEERS / "venv/bin/python", "--version").split()[1],
        "kafka-python": pinned["kafka-python"], "pymongo": pinned["pymongo"], "Kafka Connect": jars["connect-runtime"],
        "mongo-kafka-connect": jars["mongo-kafka-connect"], "mongodb-driver-sync": jars["mongodb-driver-sync"],
        "Java": first_line("java", "-version"), "nx-27017": re.search(r"nx-27017==(\S+)", (ROOT / "tests/nx-requirements.txt").read_text())[1],
    }


SETUP = [
    f"- One broker, {PARTITIONS} partitions; events as `ca4 serve` writes them, JSON compressed by zstd, records (`kafka.value_format`) not; everyone in turn "
    "reads the same topic with a new group into a new database, a member and a task each.",
    "- CPU seconds (user + system) of the process under test, after a warm-up: 500 events for `insert_one`, 20,000 for the JVM, 2,000 else (a fifth of the "
    "backlog at most). A peer that is not through is stopped after a while; its events are what the database has by then.",
    "- `ca4 work` checks each event, normalises it, hashes it, and replaces only older versions, with a majority's acknowledgement; the peers store the JSON "
    "that came. kafka-python has its compiled CRC-32C; Kafka Connect has the heap and collector of its own start script.",
    "- The sink is `bench/mongo_sink.cc`, which walks through each document, keeps its `_id` and answers: a real server that can be had here takes "
    "7 ms an event, which would make it hours. That is `nx-27017`, shown with few events: the JVM is not warm there.",
    "- Floors: librdkafka's consumer with its defaults (it unpacks these values twice; ours has it do it once: `src/log/kafka_unpack.cc`), and that with the numbers parsed (simdjson), written as a BSON array with the id, and sent by "
    "libmongoc's bulk inserts: no check, no other field.",
]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=100_000, help="in the topic (default: %(default)s)")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=15, help="after which a peer that is not through is stopped (default: %(default)s)")
    arguments.add_argument("--full", action="store_true", help="also ten times the backlog, for the memory")
    given = arguments.parse_args()
    results = Comparison("worker", "Worker: from Kafka into MongoDB", SETUP, versions(), "make bench-worker")
    with tempfile.TemporaryDirectory(prefix="ca4-bench-") as name, one_broker(Path(name) / "kafka") as broker:
        bench = Bench(broker, Path(name), given, results)
        try:
            bench.sides()
            bench.memory()
            bench.on_a_real_server()
        finally:  # what was measured is kept, also when this is interrupted
            bench.aims()
            results.save()


if __name__ == "__main__":
    main()
