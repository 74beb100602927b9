"""`ca4 replay`: a store that was lost is filled again to the same state, from the archive or from the log."""

import json
import shutil
import threading
import time

import pytest
from confluent_kafka import Producer
from s3_server import S3Server
from support import PATIENCE_S, documents, event, eventually, run
from test_worker import append, committed

TOPIC = "gpu-metadata"


def state(data_dir):
    """Every document with its embedding, without when it was written."""
    found = {d["metadata_id"]: d for d in documents(data_dir, "--with-embedding")}
    for document in found.values():
        document.pop("processed_at")
    return found


def fill(server):
    """Events of every kind: updates, several dimensions, GPUs, tags, unknown fields, ours under other names, nulls."""
    gpu = {"available": True, "device": "cuda", "name": "NVIDIA A100", "total_memory_gb": 42.4, "memory_allocated_mb": 3.5}
    for i in range(30):
        server.accept(event(f"a{i}", dim=8 if i % 3 else 4, gpu_hardware=gpu if i % 2 else None, timestamp=1700000000.25 + i))
    server.accept(event("a3", seed=1, dim=16, extra={"pipeline": "again", "tags": ["x", "y"], "notes": "ü\n\"q\""}))
    server.accept(event("odd", source_uri=None, camera={"iso": 100, "f": 1.8}, offset="mine", version=None, model_name="m"))
    server.accept(event("a4", seed=2))
    server.when_stored([*(f"a{i}" for i in range(30)), "odd"])
    # The last update may be a moment later.
    eventually(lambda: committed(server.data_dir, "ca4-worker") == 33, "the worker has all of it")
    # Four full parts; the stop writes the last.
    eventually(lambda: committed(server.data_dir, "ca4-archiver") == 28, "the archiver has what fills its parts")


@pytest.fixture
def full(up):
    """A data directory that a pipeline has filled and left; its archive in several parts."""
    server = up("--archive-records-max", "7")
    fill(server)
    server.stop()
    # Something that is no event, as the dead letters have it too.
    append(server.data_dir, (b"nonsense", b"no event at all"))
    return server.data_dir


def lose_store(data_dir):
    shutil.rmtree(data_dir / "store")


@pytest.mark.parametrize("source", ["--from-archive", "--from-log"])
def test_a_lost_store_is_filled_again_to_the_same_state(full, source):
    before = state(full)
    assert len(before) == 31
    lose_store(full)
    result = run("replay", source, "--data-dir", full)
    assert result.returncode == 0, result.stderr
    assert "33 documents read: 31 inserted" in result.stdout
    assert state(full) == before
    again = run("replay", source, "--data-dir", full)
    assert again.returncode == 0, again.stderr
    assert "33 documents read: 0 inserted, 0 updated" in again.stdout
    assert state(full) == before


def test_a_topic_that_ends_with_the_mark_of_a_transaction_is_read_to_its_end(tmp_path, kafka, topic, on_kafka):
    writer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    writer.init_transactions(PATIENCE_S)
    for commits in (True, False):
        writer.begin_transaction()
        for i in range(3):
            writer.produce(topic, key=f"{commits}-{i}", value=json.dumps({"metadata_id": f"{commits}-{i}", "embedding": [i]}))
        writer.commit_transaction(PATIENCE_S) if commits else writer.abort_transaction(PATIENCE_S)
    began = time.monotonic()
    result = run("replay", "--from-log", "--data-dir", tmp_path, *on_kafka)
    assert result.returncode == 0, result.stderr
    assert "3 documents read: 3 inserted" in result.stdout
    assert time.monotonic() - began < 50  # a reader that waits for what never comes gives up after a minute
    assert {d["metadata_id"] for d in documents(tmp_path)} == {"True-0", "True-1", "True-2"}


def test_records_that_are_no_documents_are_counted(full):
    result = run("replay", "--from-log", "--data-dir", full)
    assert result.returncode == 0
    assert "1 records are no documents" in result.stdout


def test_from_a_bucket(up, tmp_path):
    (tmp_path / "s3").mkdir()
    s3 = S3Server(tmp_path / "s3").start()
    try:
        s3.make_bucket("archive")
        env = s3.keys_env | {"CA4_ARCHIVE_S3_BUCKET": "archive", "CA4_ARCHIVE_S3_ENDPOINT": s3.endpoint, "CA4_ARCHIVE_S3_PREFIX": "p"}
        server = up("--archive-records-max", "7", env=env)
        fill(server)
        server.stop()
        before = state(server.data_dir)
        assert not (server.data_dir / "archive").exists()
        # On another machine: nothing but the bucket is left.
        result = run("replay", "--from-archive", "--data-dir", tmp_path / "new", env=env)
        assert result.returncode == 0, result.stderr
        assert state(tmp_path / "new") == before
        wrong = run("replay", "--from-archive", "--data-dir", tmp_path / "none", env=env | {"AWS_SECRET_ACCESS_KEY": "x"})
        assert wrong.returncode == 78
        assert "SignatureDoesNotMatch" in wrong.stderr
        elsewhere = run("replay", "--from-archive", "--data-dir", tmp_path / "none", env=env | {"CA4_ARCHIVE_S3_PREFIX": "q"})
        assert elsewhere.returncode == 1
        assert "holds nothing of topic 'gpu-metadata'" in elsewhere.stderr
    finally:
        s3.stop()


def test_from_another_folder(full, tmp_path):
    shutil.move(full / "archive", tmp_path / "backup")
    result = run("replay", "--from-archive", tmp_path / "backup", "--data-dir", tmp_path / "new")
    assert result.returncode == 0, result.stderr
    assert state(tmp_path / "new") == state(full)
    assert not (tmp_path / "backup/.incoming").exists() or not list((tmp_path / "backup/.incoming").iterdir())


def test_beside_a_live_pipeline_the_last_accepted_wins(up):
    server = up("--archive-linger-ms", "20", "--archive-records-max", "5")
    ids = [f"a{i}" for i in range(40)]
    for i in ids:
        server.accept(event(i, seed=1))
    eventually(lambda: committed(server.data_dir, "ca4-archiver") == 40, "all of it is archived")
    codes = []

    def replay():
        for source in ("--from-archive", "--from-log", "--from-archive"):
            codes.append(run("replay", source, "--data-dir", server.data_dir).returncode)

    beside = threading.Thread(target=replay)
    beside.start()
    seed = 1
    while beside.is_alive():
        seed += 1
        for i in ids:
            server.accept(event(i, seed=seed, extra={"pipeline": f"round {seed}"}))
    beside.join()
    assert codes == [0, 0, 0]
    server.accept(event("end"))
    server.when_stored(["end"])
    found = state(server.data_dir)
    assert {found[i]["pipeline"] for i in ids} == {f"round {seed}"}


def test_a_replay_that_was_killed_is_run_again(full, start):
    before = state(full)
    for source in ("--from-archive", "--from-log"):
        lose_store(full)
        killed = start("replay", source, "--data-dir", full)
        eventually(lambda killed=killed: (full / "store").exists() or not killed.runs(), "it has begun")
        killed.kill()
    assert run("replay", "--from-archive", "--data-dir", full).returncode == 0
    assert state(full) == before


def test_a_dry_run_writes_nothing(full):
    lose_store(full)
    result = run("replay", "--from-archive", "--dry-run", "--data-dir", full)
    assert result.returncode == 0
    assert "33 documents read; " in result.stdout
    assert not documents(full)


def test_only_what_was_accepted_in_the_time_asked_for(full):
    times = sorted(d["ingested_at_date"] for d in documents(full))
    lose_store(full)
    result = run("replay", "--from-archive", "--from", times[10], "--until", times[20], "--data-dir", full)
    assert result.returncode == 0, result.stderr
    assert sorted(d["ingested_at_date"] for d in documents(full)) == times[10:20]
    nothing = run("replay", "--from-log", "--from", "2100-01-01T00:00:00Z", "--data-dir", full)
    assert nothing.returncode == 0
    assert "0 documents read" in nothing.stdout


def test_a_damaged_part_is_named_and_the_rest_is_there(full):
    before = state(full)
    lose_store(full)
    part = sorted((full / "archive").rglob("*.ndjson.zst"))[1]
    part.write_bytes(part.read_bytes()[:-3])
    matrix = sorted((full / "archive").rglob("*.d4.npy"))[-1]
    matrix.unlink()
    result = run("replay", "--from-archive", "--data-dir", full)
    assert result.returncode == 1
    assert part.name in result.stderr
    assert matrix.name in result.stderr
    assert "2 damaged" in result.stdout
    found = state(full)
    assert 10 < len(found) < len(before)
    # The log still has what the archive lost.
    assert run("replay", "--from-log", "--data-dir", full).returncode == 0
    assert state(full) == before


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        ((), 2, "--from-archive or --from-log"),
        (("--from-archive", "--from-log"), 2, "--from-log"),
        (("--from-log", "--from", "yesterday"), 2, "yesterday"),
        (("--from-archive",), 1, "no such folder"),
        (("--from-log",), 1, "log"),
    ],
)
def test_what_can_not_be_replayed_is_told_and_makes_no_store(tmp_path, flags, code, said):
    result = run("replay", *flags, "--data-dir", tmp_path / "data")
    assert result.returncode == code, result.stderr
    assert said in result.stderr
    assert not (tmp_path / "data/store").exists()
