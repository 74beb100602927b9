"""The whole pipeline on real servers: Kafka, a MongoDB-wire database and S3, with processors and workers that die."""

import json
import os
import random
import re
import signal
import time

import pytest
import requests
from kafka_records import fresh_topic, when_direct
from mongo_server import Database
from s3_server import S3Server
from server_process import free_port
from support import PATIENCE_S, event, eventually, run
from test_durability import Load
from test_s3 import settings, view

# CA4_KILL_ROUNDS=50 kills a hundred processes; a handful finds what is plainly wrong.
KILL_ROUNDS = int(os.environ.get("CA4_KILL_ROUNDS", "6"))


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = S3Server(tmp_path_factory.mktemp("s3")).start()
    yield server
    server.stop()


class Servers:
    """Processors and workers of one topic, one database and one bucket. Each worker has a data directory of its own."""

    def __init__(self, begin, work, folder, kafka, nx, s3):
        self.begin, self.work, self.folder, self.s3 = begin, work, folder, s3
        self.database = Database(nx)
        self.bucket = f"ca4-{random.randrange(1 << 40):010x}"
        s3.make_bucket(self.bucket)
        self.topic = fresh_topic(kafka, partitions=6)
        self.env = self.database.env | settings(self.bucket, s3.endpoint) | s3.keys_env
        self.flags = ["--kafka-bootstrap", kafka, "--topic", self.topic, "--archive-linger-ms", "200"]
        self.flags += ["--kafka-session-timeout-ms", "6000"]
        self.listen = f"127.0.0.1:{free_port()}"

    def serve(self):
        return self.begin("serve", self.folder / "serve", *self.flags, listen=self.listen, env=self.env)

    def worker(self, name):
        return self.work(self.folder / name, *self.flags, env=self.env)

    def judge(self, acknowledged):
        """After everything healed: each acknowledged event in the database and, with one version, in the archive's view; no dead letter."""
        eventually(lambda: self.database.holds(acknowledged), f"{len(acknowledged)} documents in the database", 120)

        def archived():
            return acknowledged <= {row["metadata_id"] for row, _ in view(self.s3, self.bucket).values()}

        eventually(archived, "everything is archived", 120)
        # A place of the log is in the view once; an event that was sent again stands at several places, with one version.
        places = view(self.s3, self.bucket)
        versions = {}
        for row, _ in places.values():
            versions.setdefault(row["metadata_id"], set()).add(row["version"])
        assert all(len(v) == 1 for v in versions.values())
        counted = run("dlq", "count", *self.flags[:4], "--data-dir", self.folder / "serve", "--format", "ndjson")
        assert re.search(r'"letters":\s*0\b', counted.stdout), counted.stdout + counted.stderr


@pytest.fixture
def servers(serve, work, tmp_path, kafka, nx, s3):
    return Servers(serve, work, tmp_path, kafka, nx, s3)


def test_an_event_gets_all_the_way(servers):
    server = when_direct(servers.serve())
    servers.worker("w1")
    assert server.accept(event("img-1", dim=8))["durable_in"] == "kafka"
    servers.judge({"img-1"})
    found = run("query", "--id", "img-1", "--format", "ndjson", "--data-dir", servers.folder / "w1", env=servers.env)
    assert '"img-1"' in found.stdout, found.stderr
    verified = run(
        "verify", "workflow", "--endpoint", server.url, "--data-dir", servers.folder / "w1", *servers.flags, env=servers.env
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert " accepted, durable in Kafka, " in verified.stdout


def test_from_a_machine_that_sees_kafka_alone_an_event_is_followed_to_the_worker(servers):
    # A laptop's processor names no database; it makes a store of its own for its page, which stays empty.
    server = when_direct(servers.begin("serve", servers.folder / "laptop", *servers.flags))
    assert list((servers.folder / "laptop/store").iterdir())

    def verify(timeout_s, *suites):
        flags = ["--endpoint", server.url, "--data-dir", servers.folder / "laptop", *servers.flags, "--timeout-s", timeout_s]
        shown = run("verify", *suites, "--json", *flags)
        return shown.returncode, {c["name"]: c for c in json.loads(shown.stdout)["checks"]}

    code, checks = verify(3, "workflow")
    assert code == 1
    assert "the worker (ca4-worker) is at offset" in checks["worker"]["detail"]
    assert "start the worker" in checks["worker"]["fix"]
    servers.worker("w1")
    code, checks = verify(PATIENCE_S, "preflight", "workflow")
    assert code == 0, checks
    assert "ca4-worker has stored it, " in checks["worker"]["detail"]
    assert {name for name, check in checks.items() if check["outcome"] == "skip"} == {"database", "archive"}
    marker = checks["send"]["detail"].split()[0]
    assert servers.database.ids() >= {marker}


def test_a_lost_database_is_filled_again_from_the_topic(servers):
    server = when_direct(servers.serve())
    servers.worker("w1")
    for number in range(60):
        server.accept(event(f"img-{number}", dim=8, camera={"iso": number}))
    # Updates: of the versions of an id in the topic the last one counts.
    for number in range(20):
        server.accept(event(f"img-{number}", dim=8, seed=1, extra={"pipeline": "again"}))
    eventually(lambda: server.metric("ca4_lag_records", group="ca4-worker") == 0, "the worker has all of it")

    def state():
        found = {d["_id"]: d for d in servers.database.collection.find({})}
        for document in found.values():
            # When it was written.
            del document["processed_at"], document["processed_at_us"]
        return found

    before = state()
    assert len(before) == 60
    servers.database.collection.drop()

    def replay():
        result = run("replay", "--from-log", *servers.flags, "--data-dir", servers.folder / "elsewhere", env=servers.env)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    assert re.search(r"80 documents read: 60 inserted, 20 updated, 0 unchanged, 0 older", replay())
    assert state() == before
    assert "80 documents read: 0 inserted, 0 updated" in replay()
    assert state() == before


def test_processors_and_workers_are_killed_at_random_moments(servers):
    rng = random.Random()
    seed = rng.randrange(1 << 32)
    print(f"random moments from seed {seed}")
    rng.seed(seed)
    acknowledged = set()
    workers = [servers.worker("w1"), servers.worker("w2")]
    for round_number in range(KILL_ROUNDS):
        server = servers.serve()
        load = Load(server.url, f"r{round_number}", dim=64)
        load.wait_for(rng.randrange(1, 150))
        # No synchronisation: the moment is to be anywhere within a batch to Kafka, to the database, to the archive.
        time.sleep(rng.uniform(0, 0.05))
        victim = rng.randrange(2)
        workers[victim].kill()
        time.sleep(rng.uniform(0, 0.05))
        server.kill()
        acknowledged |= load.finish()
        workers[victim] = servers.worker(f"w{victim + 1}")
    server = servers.serve()
    assert requests.get(server.url + "/readyz", timeout=60).status_code == 200
    server.accept(event("after"))
    servers.judge(acknowledged | {"after"})


def test_workers_are_paused_killed_and_added_under_load(servers):
    server = servers.serve()
    workers = [servers.worker(f"w{n}") for n in range(3)]
    load = Load(server.url, "load", dim=64)
    stored = servers.database.collection.estimated_document_count

    def goes_on(what):
        before = stored()
        eventually(lambda: stored() > before + 50, what)

    goes_on("three workers store")
    workers[0].signal(signal.SIGSTOP)
    goes_on("two go on while one is paused")
    workers[1].kill()
    # The paused one is silent for longer than its session: its partitions go to the last one.
    time.sleep(7)
    goes_on("one has all partitions")
    workers[0].signal(signal.SIGCONT)
    servers.worker("w3")
    goes_on("the paused one and a new one share them again")
    acknowledged = load.finish()
    assert load.other_statuses == {}
    servers.judge(acknowledged)
