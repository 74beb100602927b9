"""Dead letters and the archive."""

import hashlib
import io
import json
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy
import pytest
import zstandard
from support import documents, event, eventually, run, when_stored

TOPIC = "gpu-metadata"


def append(data_dir, *records):
    """Puts (key, value) straight into the log, as docs/formats.md describes it. Nothing may run on it."""
    with closing(sqlite3.connect(data_dir / f"log/{TOPIC}.db")) as log, log:
        for key, value in records:
            log.execute(
                "INSERT INTO records VALUES((SELECT ifnull(max(offset) + 1, 0) FROM records), ?, ?, NULL, ?)",
                (time.time_ns() // 1000, key, value),
            )


def record_of(data_dir, key):
    with closing(sqlite3.connect(data_dir / f"log/{TOPIC}.db")) as log:
        (value,) = log.execute("SELECT value FROM records WHERE key = ?", (key,)).fetchone()
        return value


def keys_in_log(data_dir):
    """That of each record, in the order of acceptance. Of an id that is unique in the store this tells how often it was accepted."""
    with closing(sqlite3.connect(data_dir / f"log/{TOPIC}.db")) as log:
        return [key.decode() for (key,) in log.execute("SELECT key FROM records ORDER BY offset")]


def rewind(data_dir, group):
    """The group has read nothing yet: what a crash before the commit leaves, at its worst."""
    with closing(sqlite3.connect(data_dir / f"log/{TOPIC}.offsets.db")) as offsets, offsets:
        changed = offsets.execute("DELETE FROM groups WHERE name = ?", (group,)).rowcount
        assert changed == 1


def committed(data_dir, group):
    """The next offset the group will read; none before its first commit."""
    with closing(sqlite3.connect(data_dir / f"log/{TOPIC}.offsets.db")) as offsets:
        row = offsets.execute("SELECT next FROM groups WHERE name = ?", (group,)).fetchone()
        return row and row[0]


def letters(data_dir):
    result = run("dlq", "list", "--data-dir", data_dir, "--format", "ndjson", "--limit", "0")
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def poisoned(up):
    """A pipeline that met three records that are no events, between good ones. It runs."""
    server = up()
    server.accept(event("before"))
    server.when_stored(["before"])
    server.stop()
    good = record_of(server.data_dir, b"before")
    flipped = bytearray(good)
    flipped[-1] ^= 1
    append(server.data_dir, (b"nonsense", b"no event at all"), (b"empty", b""), (b"flipped", bytes(flipped)))
    server = up()
    server.accept(event("after"))
    server.when_stored(["before", "after"])
    eventually(lambda: len(letters(server.data_dir)) == 3, "three dead letters")
    return server


def test_a_bad_record_becomes_a_dead_letter_and_never_stops_the_rest(poisoned):
    found = letters(poisoned.data_dir)
    assert [letter["key"] for letter in found] == ["nonsense", "empty", "flipped"]
    assert {letter["stage"] for letter in found} == {"decode"}
    assert {letter["source_topic"] for letter in found} == {TOPIC}
    assert [letter["source_offset"] for letter in found] == [1, 2, 3]
    assert all(letter["reason"] for letter in found)


def test_dlq_list_is_a_table_for_people(poisoned, ca4):
    result = ca4("dlq", "list", "--data-dir", poisoned.data_dir)
    assert result.returncode == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["WHEN", "SOURCE", "KEY", "STAGE", "REASON"]
    assert ["nonsense" in rows[0], "empty" in rows[1], "flipped" in rows[2]] == [True] * 3


def test_dlq_show_has_the_original_value(poisoned, ca4):
    result = ca4("dlq", "show", "nonsense", "--data-dir", poisoned.data_dir)
    assert result.returncode == 0
    assert b"no event".hex(" ") in result.stdout
    by_place = ca4("dlq", "show", "0:1", "--data-dir", poisoned.data_dir)
    assert by_place.stdout == result.stdout


def test_dlq_show_of_no_such_letter_fails(poisoned, ca4):
    result = ca4("dlq", "show", "nobody", "--data-dir", poisoned.data_dir)
    assert result.returncode == 1
    assert "nobody" in result.stderr


def test_what_is_no_event_is_not_replayed_and_stays(poisoned, ca4):
    poisoned.stop()
    result = ca4("dlq", "replay", "--data-dir", poisoned.data_dir)
    assert result.returncode == 1
    assert "3 refused" in result.stdout
    assert len(letters(poisoned.data_dir)) == 3


def test_replay_into_the_log_of_a_running_pipeline_tells_what_to_do(poisoned, ca4):
    result = ca4("dlq", "replay", "--data-dir", poisoned.data_dir)
    assert result.returncode == 1
    assert "--endpoint" in result.stderr


@pytest.fixture
def mended(up, tmp_path):
    """A data directory with a letter that holds a good event: one that was refused by a store that has been mended since."""
    source = up(data_dir=tmp_path / "source")
    source.accept(event("mended", dim=7))
    source.stop()
    value = record_of(tmp_path / "source", b"mended")
    data = tmp_path / "data"
    up(data_dir=data).stop()
    with closing(sqlite3.connect(data / f"log/{TOPIC}.dlq.db")) as log, log:
        log.execute("INSERT INTO records VALUES(0, ?, ?, NULL, ?)", (time.time_ns() // 1000, b"mended", value))
    return data


def test_a_letter_is_not_replayed_by_what_is_no_processor(mended):
    class Page(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html><title>Log in</title></html>")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        result = run("dlq", "replay", "--data-dir", mended, "--endpoint", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert result.returncode == 1
    assert "no processor's answer: Log in" in result.stderr
    assert "1 not replayed" in run("dlq", "count", "--data-dir", mended).stdout


@pytest.mark.parametrize("way", ["into the log", "through the processor"])
def test_a_letter_that_is_an_event_is_replayed_into_the_store(up, mended, way):
    data = mended
    if way == "into the log":
        result = run("dlq", "replay", "--data-dir", data)
        up(data_dir=data)
    else:
        server = up(data_dir=data)
        result = run("dlq", "replay", "--data-dir", data, "--endpoint", server.url)
    assert result.returncode == 0, result.stderr
    assert "1 replayed" in result.stdout
    assert when_stored(data, ["mended"])["mended"]["embedding_dim"] == 7


def archived(data_dir):
    """Every archived row with its embedding, read as the formats page says: {id: (row, floats)}."""
    found = {}
    for part in sorted((data_dir / "archive").rglob("*.ndjson.zst")):
        with zstandard.open(io.BytesIO(part.read_bytes()), "rt") as lines:
            for row in map(json.loads, lines):
                matrix = numpy.load(part.parent / row["embedding_file"], mmap_mode="r")
                assert matrix.dtype == numpy.dtype("<f4")
                assert matrix.shape[1] == row["embedding_dim"]
                assert row["metadata_id"] not in found, "twice in the archive"
                found[row["metadata_id"]] = row, numpy.array(matrix[row["embedding_row"]])
    return found


def part_name(documents):
    """What the objects of a part begin with, as the formats page says it of its documents, in offset order."""
    first, last = documents[0], documents[-1]
    folder = time.strftime("dt=%Y-%m-%d/hour=%H", time.gmtime(first["ingested_at"]))
    events = "".join(f"{d['metadata_id']} {d['version']} {d['payload_hash']}\n" for d in documents)
    digest = hashlib.sha256(events.encode()).hexdigest()[:8]
    return f"{TOPIC}/{folder}/p0-{first['offset']:020}-{last['offset']:020}-{digest}"


def files_of(data_dir):
    root = data_dir / "archive"
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_archive_holds_every_event_and_its_embedding(up):
    server = up("--archive-records-max", "16", "--archive-linger-ms", "200")
    sent = {f"a{i}": event(f"a{i}", dim=64 if i % 3 else 32, extra={"pipeline": "p", "n": i}) for i in range(50)}
    for one in sent.values():
        server.accept(one)
    # The archive goes at its own pace, and what it has not read when it ends it reads when it starts again.
    eventually(lambda: archived(server.data_dir).keys() == sent.keys(), "all are in the archive")
    server.stop()
    found = archived(server.data_dir)
    assert found.keys() == sent.keys()
    for i, (row, floats) in found.items():
        assert row["extra"] == sent[i]["extra"]
        assert numpy.array_equal(floats, numpy.float32(sent[i]["embedding"]))


def test_archive_objects_lie_by_date_and_hour(up):
    server = up("--archive-linger-ms", "1")
    server.accept(event("a"))
    document = server.when_stored(["a"])["a"]
    eventually(lambda: committed(server.data_dir, "ca4-archiver") == 1, "it is archived")
    server.stop()
    stem = part_name([document])
    assert {str(p) for p in files_of(server.data_dir)} == {f"{stem}.ndjson.zst", f"{stem}.d4.npy"}


def test_a_log_that_is_begun_anew_replaces_nothing_in_the_archive(up):
    server = up("--archive-linger-ms", "1")
    server.accept(event("old"))
    eventually(lambda: archived(server.data_dir).keys() == {"old"}, "it is archived")
    server.stop()
    shutil.rmtree(server.data_dir / "log")
    server = up("--archive-linger-ms", "1")
    server.accept(event("new"))
    eventually(lambda: archived(server.data_dir).keys() == {"old", "new"}, "both are in the archive")
    offsets = {row["offset"] for row, _ in archived(server.data_dir).values()}
    assert offsets == {0}


def test_the_archive_is_written_while_the_pipeline_runs(up):
    server = up("--archive-linger-ms", "200")
    server.accept(event("a"))
    eventually(lambda: list((server.data_dir / "archive").rglob("*.ndjson.zst")), "an object in the archive")
    assert archived(server.data_dir).keys() == {"a"}


def test_a_redelivered_batch_overwrites_its_objects(up):
    server = up("--archive-linger-ms", "600000", "--archive-records-max", "20")  # all in one batch
    ids = [f"a{i}" for i in range(20)]
    for i in ids:
        server.accept(event(i))
    eventually(lambda: committed(server.data_dir, "ca4-archiver") == 20, "the batch is archived")
    server.stop()
    before = files_of(server.data_dir)
    rewind(server.data_dir, "ca4-archiver")
    server = up("--archive-linger-ms", "1", data_dir=server.data_dir)
    eventually(lambda: committed(server.data_dir, "ca4-archiver") == 20, "the batch is archived again")
    server.stop()
    after = files_of(server.data_dir)
    assert after.keys() == before.keys()
    assert archived(server.data_dir).keys() == set(ids)


def test_redelivered_events_change_no_document(up):
    server = up("--no-archive")
    ids = [f"a{i}" for i in range(20)]
    for i in ids:
        server.accept(event(i))
    server.accept(event("a3", extra={"notes": "last"}))
    server.accept(event("end"))
    server.when_stored([*ids, "end"])
    server.stop()
    before = {d["metadata_id"]: d for d in documents(server.data_dir)}
    rewind(server.data_dir, "ca4-worker")
    server = up("--no-archive", data_dir=server.data_dir)
    server.accept(event("new"))
    server.when_stored(["new"])
    after = {d["metadata_id"]: d for d in documents(server.data_dir)}
    after.pop("new")
    assert after == before
    assert after["a3"]["extra"]["notes"] == "last"


def test_archive_switched_off_for_a_while_holds_nothing_twice(up):
    server = up("--archive-linger-ms", "1")
    for i in range(10):
        server.accept(event(f"a{i}"))
        if i % 4 == 0:  # several objects
            eventually(lambda i=i: committed(server.data_dir, "ca4-archiver") == i + 1, "archived so far")
    server.stop()
    server = up("--no-archive", data_dir=server.data_dir)
    server.accept(event("b"))
    server.when_stored(["b"])
    server.stop()
    server = up("--archive-linger-ms", "1", data_dir=server.data_dir)
    server.accept(event("c"))
    eventually(lambda: committed(server.data_dir, "ca4-archiver") == 12, "archived to the end")
    server.stop()
    assert archived(server.data_dir).keys() == {*(f"a{i}" for i in range(10)), "b", "c"}


def test_without_archive_none_is_made(up):
    server = up("--no-archive")
    server.accept(event("a"))
    server.when_stored(["a"])
    server.stop()
    assert not list(server.data_dir.rglob("*.npy"))
