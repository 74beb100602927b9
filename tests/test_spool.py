"""`ca4 spool`: import of an older processor's CSV outbox, what waits, damage, export."""

import csv
import json
import os
import random
import re
import signal
import sqlite3
import struct
import subprocess
import time
from contextlib import closing, contextmanager

import pytest
from support import event, eventually, run

NOW = int(time.time())


def old_event(number, **fields):
    """As the Python processor passed events on."""
    made = event(f"img-{number}", dim=8, seed=number)
    made |= {"embedding_dim": 8, "gpu_hardware": {"name": "T4", "notes": 'a "quoted", name\nin two lines'}}
    return made | {"extra": {"pipeline": "old"}, "ingested_at": NOW - 1000.25} | fields


def write_outbox(path, rows):
    """With Python's own csv module, as the old processor did."""
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([at, json.dumps(body)] for at, body in rows)


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def spool(data):
    """spool("stats") runs `ca4 spool stats` on the outbox of the test."""
    return lambda *args, **keywords: run("spool", *args, "--data-dir", data, **keywords)


def exported(spool, *args):
    result = spool("export", *args)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_old_outbox_is_imported_and_exported_with_every_float_as_it_was(spool, data, tmp_path):
    rows = [(NOW - 500 + n + 0.125, old_event(n)) for n in range(700)]
    write_outbox(tmp_path / "outbox.csv", rows)
    result = spool("import", tmp_path / "outbox.csv")
    assert (result.returncode, result.stderr) == (0, "")
    assert "700 events imported" in result.stdout
    assert "KAFKA_BOOTSTRAP" in result.stdout
    assert not (tmp_path / "outbox.csv.rejected.csv").exists()

    events = exported(spool)
    assert [e["metadata_id"] for e in events] == [e["metadata_id"] for _, e in rows]
    for made, (at, sent) in zip(events, rows):
        as_float32 = struct.unpack("<8f", struct.pack("<8f", *sent["embedding"]))
        assert struct.unpack("<8f", struct.pack("<8f", *made["embedding"])) == as_float32
        assert made["ingested_at"] == at
        assert made["gpu_hardware"] == sent["gpu_hardware"]
        assert {"source_uri", "embedding_dim", "extra"} <= made.keys()

    stats = json.loads(spool("stats", "--format", "ndjson").stdout)
    assert stats["file"] == str(data / "outbox/gpu-metadata.db")
    assert (stats["waiting"], stats["delivered"], stats["refused"]) == (700, 0, 0)
    assert 0 <= stats["oldest_age_s"] < 600
    assert 0 < stats["used_bytes"] <= stats["file_bytes"]
    assert stats["bytes_max"] == 8 << 30
    assert re.search(r"^waiting +700$", spool("stats").stdout, re.MULTILINE)
    checked = spool("check")
    assert (checked.returncode, checked.stdout) == (0, "whole: 700 records read\n")


def test_importing_again_makes_the_same_events(spool, tmp_path):
    rows = [(NOW, old_event(1)), (NOW, old_event(1, source_uri="later")), (NOW, event(None, seed=3))]
    write_outbox(tmp_path / "outbox.csv", rows)
    for _ in range(2):
        assert spool("import", tmp_path / "outbox.csv").returncode == 0
    events = exported(spool)
    assert len(events) == 6
    assert events[:3] == events[3:]
    assert events[2]["metadata_id"].startswith("csv-")


def test_bad_rows_are_told_and_kept_and_the_others_are_imported(spool, tmp_path):
    file = tmp_path / "outbox.csv"
    good = old_event("good")
    write_outbox(file, [(NOW, old_event(1, embedding=[1, float("nan")])), (NOW, good), ("yesterday", old_event(2))])
    torn = f'{NOW},"{{""metadata_id"": ""tor'
    with open(file, "a", newline="") as appended:
        appended.write(torn + f'{NOW},"{{}}"\r\n')
    write_outbox(tmp_path / "more.csv", [(NOW, old_event("last"))])
    file.write_bytes(file.read_bytes() + (tmp_path / "more.csv").read_bytes())

    result = spool("import", file)
    assert result.returncode == 1
    told = result.stderr.splitlines()
    assert told[0].startswith(f"{file}:1: embedding[1]: ")
    assert told[1].startswith(f"{file}:3: the time is no number")
    assert told[2].startswith(f"{file}:4: text behind a closing quote")
    assert told[3] == f"ca4 spool import: 3 rows of {file} were rejected"
    assert "2 events imported" in result.stdout
    assert [e["metadata_id"] for e in exported(spool)] == ["img-good", "img-last"]

    rejected = tmp_path / "outbox.csv.rejected.csv"
    assert str(rejected) in result.stdout
    lines = rejected.read_text().splitlines()
    assert lines[0] + "\r\n" in file.read_bytes().decode()
    assert lines[2] == torn + f'{NOW},"{{}}"'
    # Put right, it is a file like any other.
    rejected.write_text(f'{NOW},"{{""metadata_id"": ""mended"", ""embedding"": [1]}}"\n')
    assert spool("import", rejected).returncode == 0
    assert exported(spool)[-1]["metadata_id"] == "mended"


def test_the_csv_file_itself_is_no_outbox_and_says_what_to_do(spool, tmp_path):
    file = tmp_path / "outbox.csv"
    write_outbox(file, [(NOW, old_event(1))])
    before = file.read_bytes()
    for command in (["stats"], ["import", file]):
        result = spool(*command, env={"KAFKA_OUTBOX_FILE": str(file)})
        assert result.returncode == 78
        assert f"ca4 spool import {file}" in result.stderr
        assert "Name another file" in result.stderr
    assert file.read_bytes() == before
    other = tmp_path / "elsewhere/outbox"
    assert spool("import", file, env={"KAFKA_OUTBOX_FILE": str(other)}).returncode == 0
    assert other.is_file()
    assert len(exported(spool, "--kafka-outbox-file", other)) == 1


def test_an_outbox_that_is_switched_off_takes_nothing(spool, data, tmp_path):
    write_outbox(tmp_path / "outbox.csv", [(NOW, old_event(1))])
    result = spool("import", tmp_path / "outbox.csv", env={"CA4_KAFKA_OUTBOX": "false"})
    assert result.returncode == 78
    assert "kafka.outbox" in result.stderr
    assert not data.exists()


def test_letters_of_an_outbox_that_never_had_one(data):
    result = run("dlq", "list", "--outbox", "--data-dir", data)
    assert result.returncode == 1
    assert str(data / "outbox/gpu-metadata.db-refused") in result.stderr
    assert not data.exists()


def test_without_an_outbox_it_says_where_it_looked(spool, data):
    for command in ("stats", "check", "export"):
        result = spool(command)
        assert result.returncode == 1
        assert f"there is no outbox {data / 'outbox/gpu-metadata.db'}, so nothing waits in it" in result.stderr
        assert "--data-dir" in result.stderr


def test_what_was_forwarded_is_not_exported(spool, data, tmp_path):
    write_outbox(tmp_path / "outbox.csv", [(NOW, old_event(n)) for n in range(5)])
    spool("import", tmp_path / "outbox.csv")
    with closing(sqlite3.connect(data / "outbox/gpu-metadata.db-offsets")) as offsets, offsets:
        with closing(sqlite3.connect(data / "outbox/gpu-metadata.db")) as log:
            (log_id,) = log.execute("SELECT id FROM log").fetchone()
        offsets.execute("UPDATE groups SET log_id = ?, next = 3 WHERE name = 'ca4-forwarder'", (log_id,))
    assert [e["metadata_id"] for e in exported(spool)] == ["img-3", "img-4"]
    stats = json.loads(spool("stats", "--format", "ndjson").stdout)
    assert (stats["waiting"], stats["delivered"]) == (2, 3)


def test_damage_is_found_and_the_rest_is_exported(spool, data, tmp_path):
    write_outbox(tmp_path / "outbox.csv", [(NOW, old_event(n)) for n in range(5)])
    spool("import", tmp_path / "outbox.csv")
    file = data / "outbox/gpu-metadata.db"
    content = bytearray(file.read_bytes())
    content[content.index(b'"metadata_id":"img-2"')] ^= 0xFF
    file.write_bytes(content)
    checked = spool("check")
    assert checked.returncode == 1
    assert "offset 2" in checked.stdout
    result = spool("export", "--output", tmp_path / "out.ndjson")
    assert result.returncode == 1
    assert "offset 2" in result.stderr
    saved = [json.loads(line)["metadata_id"] for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    assert saved == ["img-0", "img-1", "img-3", "img-4"]
    assert not (tmp_path / "out.ndjson.part").exists()


def test_an_import_that_is_killed_and_repeated_has_every_event(spool, data, start, tmp_path):
    write_outbox(tmp_path / "outbox.csv", [(NOW, old_event(n)) for n in range(20_000)])
    importing = start("spool", "import", tmp_path / "outbox.csv", "--data-dir", data)

    def waiting():
        result = spool("stats", "--format", "ndjson")
        return result.returncode == 0 and json.loads(result.stdout)["waiting"]

    eventually(waiting, "some are imported")
    importing.signal(signal.SIGKILL)
    importing.wait()
    assert spool("import", tmp_path / "outbox.csv").returncode == 0
    assert {e["metadata_id"] for e in exported(spool)} == {f"img-{n}" for n in range(20_000)}
    assert spool("check").returncode == 0


def test_a_second_writer_of_the_outbox_is_told_what_to_stop(spool, data, start, tmp_path):
    # A pipe as the file: the import has the outbox as long as nobody ends the pipe.
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    start("spool", "import", pipe, "--data-dir", data)
    write_outbox(tmp_path / "outbox.csv", [(NOW, old_event(1))])
    with open(pipe, "w"):
        eventually((data / "outbox/gpu-metadata.db").exists, "the outbox is open")
        result = spool("import", tmp_path / "outbox.csv")
    assert result.returncode == 1
    assert "gpu-metadata.db-lock" in result.stderr
    assert "Stop `ca4 serve`" in result.stderr


def test_a_full_outbox_stops_the_import_and_says_where(spool, tmp_path):
    rows = [(NOW + n, old_event(n, embedding=[1.5] * 2048, embedding_dim=2048)) for n in range(-1000, 0)]
    write_outbox(tmp_path / "outbox.csv", rows)
    limit = ["--kafka-outbox-bytes-max", str(4 << 20)]
    result = spool("import", tmp_path / "outbox.csv", *limit)
    assert result.returncode == 1
    assert "kafka.outbox_bytes_max" in result.stderr
    line = int(re.search(r"outbox\.csv:(\d+): stopped", result.stderr)[1])
    imported = int(re.search(r"^(\d+) events imported", result.stdout)[1])
    assert 0 < imported < 1000
    assert line == imported + 1
    assert len(exported(spool)) == imported


@contextmanager
def small_disk(folder, bytes_max):
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={bytes_max}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_under_the_outbox_loses_nothing_that_was_told_to_be_there(spool, tmp_path):
    rows = [(NOW + n, old_event(n, embedding=[1.5] * 2048, embedding_dim=2048)) for n in range(-2000, 0)]
    write_outbox(tmp_path / "outbox.csv", rows)
    with small_disk(tmp_path / "disk", 8 << 20) as disk:
        flags = ["--kafka-outbox-file", disk / "outbox.db"]
        result = spool("import", tmp_path / "outbox.csv", *flags)
        assert result.returncode == 1
        assert "disk is full" in result.stderr
        imported = int(re.search(r"^(\d+) events imported", result.stdout)[1])
        assert imported > 0
        assert spool("check", *flags).returncode == 0
        assert [e["metadata_id"] for e in exported(spool, *flags)] == [f"img-{n}" for n in range(-2000, imported - 2000)]


def test_a_full_disk_under_what_a_tool_writes_is_told_with_the_file_and_the_line(spool, data, tmp_path):
    rows = [(NOW + n, old_event(n)) for n in range(-300, 0)] + [(NOW + n, {"extra": "x" * 1000}) for n in range(100)]
    write_outbox(tmp_path / "outbox.csv", rows)
    with small_disk(tmp_path / "disk", 64 << 10) as disk:
        (tmp_path / "outbox.csv.rejected.csv").symlink_to(disk / "rejected.csv")
        result = spool("import", tmp_path / "outbox.csv")
        assert result.returncode == 1
        assert re.search(r"outbox\.csv:\d+: stopped: .*outbox\.csv\.rejected\.csv: No space left", result.stderr)
        assert "256 events imported" in result.stdout
        exported = spool("export", "--output", disk / "events.ndjson")
        assert exported.returncode == 1
        assert f"{disk}/events.ndjson.part: No space left" in exported.stderr
        assert [file.name for file in disk.iterdir()] == ["rejected.csv"]


def test_rows_of_many_megabytes_are_taken(spool, tmp_path):
    numbers = random.Random(7)
    large = old_event("large", embedding=[numbers.uniform(-1, 1) for _ in range(65_536)], embedding_dim=65_536)
    large["extra"]["blob"] = "x" * (20 << 20)
    write_outbox(tmp_path / "outbox.csv", [(NOW - 1, old_event(1)), (NOW, large), (NOW, old_event(2))])
    assert spool("import", tmp_path / "outbox.csv").returncode == 0
    events = exported(spool)
    assert [e["metadata_id"] for e in events] == ["img-1", "img-large", "img-2"]
    assert events[1]["extra"]["blob"] == large["extra"]["blob"]
