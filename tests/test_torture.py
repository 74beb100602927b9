"""`make torture`: each bug that is planted is caught by its name, a schedule is its seed's, and a short run of each kind is clean."""

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import faults
import ledger
import numpy
import oracle
import pytest
import requests
import run as torture
import schedule
import shrink
import tunnel
import views
import world as worlds
import zstandard
from clients import Client
from oracle import Scrape
from server_process import ServerProcess, free_port
from support import ROOT, eventually
from views import Found, View

STORE, LOG = "store/ca4.gpu_metadata.db", "log/gpu-metadata"
NO_FAULTS = replace(schedule.plan(5, 0, "embedded"), layout="apart")


def names(violations):
    return {violation.name for violation in violations}


def sql(file, *statements):
    with closing(sqlite3.connect(file)) as database, database:
        for statement, *values in statements:
            changed = database.execute(statement, values).rowcount
            assert changed > 0, f"{statement} changed nothing"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The folder of a run without faults, which is clean."""
    folder = tmp_path_factory.mktemp("clean")
    outcome = torture.run(NO_FAULTS, folder, events_per_s=600)
    assert (outcome.violations, outcome.missing, outcome.code) == ([], [], 0)
    assert outcome.figures["acknowledged"] > 200
    return folder


@pytest.fixture
def judged(clean, tmp_path):
    """judged(plant) is what the oracle finds when plant(data directory) has changed what the run left."""

    def judge(plant, book=None):
        data = tmp_path / "data"
        shutil.copytree(clean / "data", data)
        plant(data)
        return names(oracle.judge(book or ledger.read(clean / "ledger.ndjson"), views.of_embedded(data)))

    return judge


def change_lines(data, change):
    """Rewrites an archive part with change(its lines); the first with which it makes a difference."""
    for part in sorted(data.glob("archive/**/*.ndjson.zst")):
        with zstandard.open(part, "rt") as lines:
            rows = [json.loads(line) for line in lines]
        before = [dict(row) for row in rows]
        rows = change(rows) or rows
        if rows != before:
            with zstandard.open(part, "wt") as lines:
                lines.writelines(json.dumps(row) + "\n" for row in rows)
            return
    raise AssertionError("no part was changed")


def swap_two_versions(rows):
    seen = {}
    for row in rows:
        other = seen.setdefault(row["metadata_id"], row)
        if row["extra"]["revision"] > other["extra"]["revision"]:
            row["version"], other["version"] = other["version"], row["version"]
            return


def bump_offset(rows):
    return [*rows, rows[0] | {"offset": 1 << 40, "version": 1}]


def flip_a_float(data):
    matrix = next(data.glob("archive/**/*.npy"))
    floats = numpy.load(matrix)
    floats[0][0] += 1
    numpy.save(matrix, floats)


def an_older_document(data):
    """Undoes the newest update of a document, as a worker would that does not compare versions."""
    with closing(sqlite3.connect(data / STORE)) as store:
        documents = dict(store.execute("SELECT id, doc FROM docs"))
    for part in sorted(data.glob("archive/**/*.ndjson.zst")):
        with zstandard.open(part, "rt") as lines:
            for row in map(json.loads, lines):
                now = json.loads(documents[row["metadata_id"]])
                if now["extra"]["revision"] > row["extra"]["revision"]:
                    matrix = numpy.load(part.parent / row.pop("embedding_file"))
                    floats = matrix[row.pop("embedding_row")]
                    where = "(SELECT rowid FROM docs WHERE id = ?)"
                    sql(
                        data / STORE,
                        (
                            f"UPDATE vectors SET embedding = ?, dim = ? WHERE rowid = {where}",
                            floats.tobytes(),
                            len(floats),
                            row["metadata_id"],
                        ),
                        (
                            "UPDATE docs SET doc = ?, dim = ? WHERE id = ?",
                            json.dumps(now | {k: row[k] for k in now.keys() & row.keys()}),
                            len(floats),
                            row["metadata_id"],
                        ),
                    )
                    return
    raise AssertionError("no document was ever updated")


ONE = "(SELECT rowid FROM docs LIMIT 1)"
PLANTS = {
    "a document is deleted": ("lost", lambda d: sql(d / STORE, (f"DELETE FROM docs WHERE rowid = {ONE}",))),
    "an archive part is deleted": ("lost", lambda d: next(d.glob("archive/**/*.zst")).unlink()),
    "a line is twice in a part": ("duplicate", lambda d: change_lines(d, lambda rows: [*rows, rows[0]])),
    "an event is archived at two offsets": ("duplicate", lambda d: change_lines(d, bump_offset)),
    "an embedding is altered in the database": (
        "corrupt",
        lambda d: sql(d / STORE, (f"UPDATE vectors SET embedding = zeroblob(length(embedding)) WHERE rowid = {ONE}",)),
    ),
    "a field is altered in the database": (
        "corrupt",
        lambda d: sql(d / STORE, (f"UPDATE docs SET doc = replace(doc, '.jpg', '.png') WHERE rowid = {ONE}",)),
    ),
    "an embedding is altered in the archive": ("corrupt", flip_a_float),
    "a document has an id that nobody sent": (
        "spurious",
        lambda d: sql(d / STORE, (f"UPDATE docs SET doc = replace(doc, 'img-', 'imp-'), id = 'imp-1' WHERE rowid = {ONE}",)),
    ),
    "two versions are swapped in the archive": ("order", lambda d: change_lines(d, swap_two_versions)),
    "an older version is in the database": ("order", an_older_document),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_planted_in_store_or_archive_is_caught_by_its_name(judged, plant):
    name, change = PLANTS[plant]
    assert name in judged(change)


def test_nothing_planted_is_nothing_found(judged):
    assert judged(lambda data: None) == set()


def test_an_event_that_was_refused_must_not_be_there(judged, clean):
    book = ledger.read(clean / "ledger.ndjson")
    only = next(sent for sent in book.by_id().values() if len(sent) == 1 and sent[0].outcome == "ok")
    only[0].outcome, only[0].status = "refused", 503
    assert judged(lambda data: None, book) == {"refused-kept"}


@pytest.fixture
def played(tmp_path):
    """played(tamper) is what is found when the log's files are changed between the acknowledgement and the worker."""

    def play(tamper):
        world = worlds.make(tmp_path, NO_FAULTS)
        outcome = torture.Outcome(NO_FAULTS)
        try:
            world.start()
            book = ledger.Writer(tmp_path / "ledger.ndjson", world.life)
            client = Client(0, 1, [world.front.listen], book, 300)
            client.start()
            time.sleep(0.5)
            world.processes["work"].stop()
            time.sleep(1)
            client.stop()
            client.join()
            world.front.stop()
            tamper(world.data)
            for process in world.processes.values():
                process.start()
            torture._settle(outcome, world, book)
            book.close()
            assert outcome.violations == []
            assert book.counts["ok"] > 50
            return names(oracle.judge(ledger.read(tmp_path / "ledger.ndjson"), world.view()))
        finally:
            world.close()

    return play


def test_between_log_and_worker_nothing_is_found_when_nothing_is_changed(played):
    assert played(lambda data: None) == set()


def test_an_acknowledgement_before_the_fsync_is_caught(played):
    # A power cut would take what was not on the disk: the last records.
    last = "DELETE FROM records WHERE offset > (SELECT max(offset) - 5 FROM records)"
    assert played(lambda data: sql(data / f"{LOG}.db", (last,))) >= {"lost"}


def test_a_commit_before_the_store_is_caught(played):
    ahead = "UPDATE groups SET next = next + 40 WHERE name = 'ca4-worker'"
    assert played(lambda data: sql(data / f"{LOG}.offsets.db", (ahead,))) >= {"lost"}


# The rules one by one, on a ledger and a view that are made up.


def attempt(number, outcome, hash_, metadata_id="a", **fields):
    made = ledger.Attempt(number, metadata_id, number, hash_, False, 1, 10.0 * number, outcome)
    return replace(made, **{"ended_life": 1, "ended": 10.0 * number + 1} | fields)


def judge(attempts, archived, document=None, **view):
    rows = [Found("a", n, h, ("t", 0, n)) for n, h in enumerate(archived)]
    documents = [Found("a", 0, document or archived[-1])] if archived else []
    return names(oracle.judge(ledger.Ledger(attempts), View(documents, rows, **view)))


def test_without_an_answer_an_event_may_be_there_once_or_not_at_all():
    sent = [attempt(0, "ok", "x"), attempt(1, "unknown", "y")]
    assert judge(sent, ["x"]) == set()
    assert judge(sent, ["x", "y"]) == set()
    assert judge(sent, ["x", "y"], "x") == set()  # accepted, and stored by nobody yet: not to be told from not accepted
    assert judge(sent, ["x", "y", "y"]) == {"duplicate"}
    assert judge(sent, ["y"]) == {"lost"}


def test_what_had_no_answer_before_the_last_accepted_one_must_not_win():
    sent = [attempt(0, "unknown", "x"), attempt(1, "ok", "y")]
    assert judge(sent, ["x", "y"]) == set()
    assert judge(sent, ["y", "x"]) == {"order"}
    assert judge([replace(sent[0], late=True), sent[1]], ["y", "x"]) == set()  # the client gave up, the server did not


def test_the_same_payload_acknowledged_twice_is_two_events_and_one_document():
    sent = [attempt(0, "ok", "x"), attempt(1, "ok", "x")]
    assert judge(sent, ["x", "x"]) == set()
    assert judge(sent, ["x"]) == {"lost"}
    assert judge(sent, ["x", "x", "x"]) == {"duplicate"}


def test_an_event_that_kafka_has_twice_has_one_version():
    sent = [attempt(0, "ok", "x")]
    rows = [Found("a", 5, "x", ("t", 0, n)) for n in range(2)]
    documents = [Found("a", 5, "x")]
    assert names(oracle.judge(ledger.Ledger(sent), View(documents, rows, resends=True))) == set()
    assert names(oracle.judge(ledger.Ledger(sent), View(documents, rows))) == {"duplicate"}


def test_dead_letters_and_what_still_waits_are_no_store():
    sent = [attempt(0, "ok", "x")]
    assert judge(sent, ["x"], letters=["a"]) == {"dead-letter"}
    assert judge(sent, ["x"], letters=["foreign"]) == set()
    assert judge(sent, ["x"], waiting=1) == {"outbox"}


def test_what_is_no_event_must_be_a_dead_letter():
    sent = [attempt(0, "ok", "", foreign=True, bad=True)]
    assert judge(sent, [], letters=["a"]) == set()
    assert judge(sent, []) == {"lost"}
    assert judge(sent, [""], letters=["a"]) == {"refused-kept"}
    assert judge([replace(sent[0], outcome="unknown")], []) == set()


def test_counters_are_held_against_the_attempts_of_their_life():
    sent = [attempt(0, "ok", "x"), attempt(1, "unknown", "y"), attempt(2, "refused", "z", status=503)]
    book = ledger.Ledger(sent)

    def found(accepted, failed, life=1, began=100.0):
        return bool(oracle._metrics(book, [Scrape(life, began, 101.0, accepted, 0, failed)]))

    assert not found(1, 1)
    assert not found(2, 1)
    assert found(0, 1)
    assert found(3, 1)
    assert found(1, 0)
    assert found(1, 1, life=2)
    assert not found(0, 0, life=2)
    assert not found(0, 0, began=0.5)  # before the first answer


# Schedules.


def test_a_schedule_is_its_seeds(ca4):
    for backend in schedule.BACKENDS:
        plan = schedule.plan(7, 2, backend)
        assert plan == schedule.plan(7, 2, backend)
        assert plan.steps != schedule.plan(8, 2, backend).steps
    argv = [sys.executable, ROOT / "torture", "--plan", "--seed", "7", "--minutes", "2"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout == f"{schedule.plan(7, 2, 'embedded')}\n"


def test_every_fault_comes_up_and_those_of_a_step_hit_different_things():
    plans = [schedule.plan(seed, 10, backend) for seed in range(4) for backend in schedule.BACKENDS]
    plans += [schedule.plan(seed, 20, "servers", broker_count=3, other_build=True) for seed in range(2)]
    plans += [schedule.plan(seed, 20, "servers", other_build=True, tunnel=True) for seed in range(2)]
    for plan in plans:
        drawn = {(fault.kind, fault.target) for fault in plan.faults}
        more = [kind for kind in ("clock", "build") if kind in {kind for kind, _ in drawn}]
        assert drawn == set(schedule.deck(plan.backend, plan.layout, plan.medium, plan.brokers, more, plan.tunnel))
        for step in plan.steps:
            assert len({fault.hits for fault in step.faults}) == len(step.faults)
    assert {len(step.faults) for plan in plans for step in plan.steps} == {1, 2, 3}
    assert not any(f.kind == "full" for f in schedule.plan(0, 10, "servers", without=["full"]).faults)


def test_shrinking_finds_the_two_faults_that_it_takes():
    plan = schedule.plan(3, 5, "servers")
    rng = random.Random(3)
    needed = rng.sample(plan.faults, 2)
    tried = []

    def fails(candidate):
        tried.append(candidate)
        return all(any(f is n for f in candidate) for n in needed)

    smallest = shrink.shrink(plan.faults, fails, 1e9)
    assert {id(f) for f in smallest} == {id(f) for f in needed}
    assert {id(f) for f in plan.only(smallest).faults} == {id(f) for f in needed}
    assert len(tried) < 10 * len(plan.faults)


def test_shrinking_ends_in_time():
    clock = iter(range(1000))
    fails = shrink.shrink(range(64), lambda candidate: 63 in candidate, 5, now=lambda: next(clock))
    assert 63 in fails
    assert next(clock) < 20


# What counts.


def test_a_fault_that_did_not_happen_makes_the_run_not_count():
    plan = schedule.plan(3, 0.2, "embedded")
    seen = [faults.Seen(fault, True, "", 0) for fault in plan.faults]
    outcome = torture.Outcome(plan, [], seen, {"acknowledged": 5})
    assert (outcome.missing, outcome.code) == ([], 0)
    seen[0].happened = False
    assert outcome.code == 3
    outcome.seen = seen[1:]
    assert outcome.code == 3
    outcome.violations = [oracle.Violation("lost", "a", "")]
    assert outcome.code == 1


class OneProcess:
    def __init__(self, process):
        self.processes, self.deaths = {"p": process}, []


@pytest.fixture
def sleeper(tmp_path):
    process = ServerProcess("sleeper", ["sleep", "1000"], tmp_path / "log").start()
    yield process
    process.kill()


def test_a_kill_counts_when_the_signal_ended_it(sleeper):
    fault, world = schedule.Fault("kill", "p", 0), OneProcess(sleeper)
    assert faults.kill(world, fault)[0]
    sleeper.stop()
    assert not faults.kill(world, fault)[0]


def test_a_pause_counts_when_it_was_stopped(sleeper):
    fault, world = schedule.Fault("stop", "p", 0.1), OneProcess(sleeper)
    assert faults.stop(world, fault)[0]
    assert faults._state(sleeper) != "T"


@pytest.fixture
def dug(tmp_path):
    """A world with nothing but a tunnel, and the URL of a server at its other end."""
    port = free_port()
    argv = ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", tmp_path, port]
    server = ServerProcess("http", argv, tmp_path / "http.log", ready=lambda: ServerProcess.answers(port)).start()
    world = worlds.World(tmp_path, NO_FAULTS)
    try:
        (address,) = tunnel.dig(world, [f"127.0.0.1:{port}"]).values()
        yield world, f"http://{address}/"
    finally:
        world.close()
        server.kill()


def test_faults_of_the_tunnel_count_when_its_ends_have_noticed_them(dug, monkeypatch):
    world, url = dug
    for kind, target in (("lose", "tunnel"), ("refuse", "bastion"), ("kill", "tunnel"), ("kill", "bastion")):
        assert faults.KINDS[kind](world, schedule.Fault(kind, target, 0.1))[0], kind
    eventually(lambda: tunnel_answers(url), "the tunnel is back")
    monkeypatch.setattr(faults, "UNSEEN_S", 1)
    corrupt = schedule.Fault("corrupt", "bastion", 0)
    assert not faults.KINDS["corrupt"](world, corrupt)[0], "nothing large went through it"
    world.proxies["bastion"].corrupt()
    with pytest.raises(requests.ConnectionError):  # a head: the server would answer without the whole of a body
        requests.get(url, headers={"X-Large": "x" * 60_000}, timeout=30)
    eventually(lambda: world.processes["bastion"].altered() == 1, "sshd has ended the connection")


def tunnel_answers(url):
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


# Short runs of the whole.


def tortured(tmp_path, *flags):
    argv = [sys.executable, ROOT / "torture", "--folder", tmp_path / "run", "--shrink-s", "0", *flags]
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((tmp_path / "run/report.json").read_text())


# A schedule in seconds: on a busy machine a fault can be over before anything has met it, and such a run does not count.
@pytest.mark.alone
@pytest.mark.parametrize("flags", [("--seed", "11", "--minutes", "0.5"), ("--seed", "2", "--minutes", "0.4", "--backend", "servers")])
def test_a_short_run_with_a_fixed_seed_is_clean(tmp_path, flags):
    report = tortured(tmp_path, *flags)
    assert report["figures"]["kills"] >= 1
    assert report["figures"]["acknowledged"] > 500
    assert report["violations"] == []
