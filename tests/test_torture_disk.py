"""What a disk does to us, a few cases of each kind of `make torture-disk`; and that its cases find what is planted."""

import random
import tempfile
from pathlib import Path
from types import SimpleNamespace

import calls
import cases
import cuts
import damage
import disk
import outbox
import powercut
import pytest
from disk import Operation


def clean(case):
    assert (case.violations, case.missing) == ([], "")
    return case


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return cuts.record(tmp_path_factory.mktemp("recorded"), 3, "apart", 3)


@pytest.mark.parametrize("number", range(4))
def test_what_a_power_cut_leaves_holds_all_that_was_acknowledged(recorded, tmp_path, number):
    book, recording, *_ = recorded
    assert book.count("ok") > 50
    assert {"sync", "rename", "make-folder"} <= {operation.op for operation in recording.operations}
    clean(cuts.cut(recorded, "apart", tmp_path / "cut", 3, number))


def test_an_acknowledgement_before_the_sync_is_caught(tmp_path):
    # The disk says "done" and does nothing: what a program does that acknowledges before its sync looks the same after a cut.
    lied = cuts.record(cases.empty(tmp_path / "recorded"), 1, "up", 1, lie=True)
    # A cut before the first acknowledgement loses nothing, and about every third is one: the first that comes later ends this.
    assert "lost" in (v.name for number in range(0, 40, 4) for v in cuts.cut(lied, "up", tmp_path / "cut", 1, number).violations)


IN_CI = [case for case in calls.CASES if case.name in ("a write fails", "a read fails", "no room from then on", "read-only from then on", "killed")]


@pytest.mark.parametrize("case", IN_CI, ids=lambda case: case.name)
def test_a_call_that_fails_costs_no_acknowledged_event_and_keeps_no_refused_one(tmp_path, case):
    # In the middle of a start for some, under load for others; `make torture-disk WHAT=calls` plays every one.
    clean(calls.spoil(tmp_path / "case", 1, case, {"open": 12, "read": 60, "name": 4, "sync": 22}.get(case.kinds[0], 70)))


@pytest.mark.parametrize("name", calls.UNDER_LOAD)
def test_what_was_refused_because_it_could_not_be_synced_does_not_come_back(tmp_path, name):
    clean(calls.under_load(tmp_path / "case", 1, name))


@pytest.mark.parametrize("skip", (5, 8, 10))
def test_what_a_killed_process_left_to_the_kernel_is_synced_before_anyone_builds_on_it(tmp_path, skip):
    clean(cuts.cut_after_a_death(tmp_path / "case", 1, "up", skip))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, damage.prepare(folder, 1)


@pytest.mark.parametrize("number", range(4))
def test_damage_is_told_and_the_rest_survives(whole, tmp_path, number):
    source, prepared = whole
    clean(damage.harm(prepared, source, tmp_path / "harmed", 1, number))


# The outbox, with one broker for all.


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with outbox.broker(tmp_path_factory.mktemp("kafka")) as address:
        yield address


def test_an_outbox_whose_disk_fails_keeps_what_it_acknowledged_and_nothing_else(broker, tmp_path):
    (case,) = [case for case in calls.CASES if case.name == "syncs fail from then on"]
    clean(calls.spoil(tmp_path / "case", 1, case, 20, "outbox", broker))


def test_what_waits_in_the_outbox_survives_a_power_cut(broker, tmp_path):
    # The 30 syncs before the first event are those of the start.
    assert clean(cuts.cut_outbox(broker, tmp_path / "case", 3, 34)).acknowledged > 0


def test_an_outbox_that_acknowledges_before_the_sync_is_caught(broker, tmp_path):
    assert "lost" in {violation.name for violation in cuts.cut_outbox(broker, tmp_path / "case", 4, 36, lie=True).violations}


def test_damage_of_an_outbox_is_told_and_the_rest_gets_to_kafka(broker, tmp_path):
    prepared = damage.prepare(cases.empty(tmp_path / "whole"), 1, "outbox", broker)
    clean(damage.harm(prepared, tmp_path / "whole", tmp_path / "harmed", 1, 0, "outbox", broker))


# The rules of a power cut, on records that are made up.


def made(*rows):
    """Operations that follow each other: (op, path, inode, at, data)."""
    return [Operation(2 * n + 1, 2 * n + 2, inode, at, op, path, data) for n, (op, path, inode, at, data) in enumerate(rows)]


def left(tmp_path, operations, way, seed=0):
    """{path: content} after a cut behind all of them."""
    target = Path(tempfile.mkdtemp(dir=tmp_path)) / "left"
    powercut.Recording("/d", operations).rebuild(target, operations[-1].ended, way, random.Random(seed))
    return {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}


def test_what_was_not_synced_may_be_gone_and_what_was_is_not(tmp_path):
    rows = made(
        ("open", "/d/a", 1, 0, b""),
        ("write", "", 1, 0, b"synced"),
        ("sync", "/d/a", 1, 0, b""),
        ("sync", "/d", 9, 0, b""),
        ("write", "", 1, 6, b" loose"),
        ("open", "/d/b", 2, 0, b""),
        ("write", "", 2, 0, b"content without a name"),
        ("sync", "/d/b", 2, 0, b""),
    )
    assert left(tmp_path, rows, "dropped") == {"a": b"synced"}
    assert left(tmp_path, rows, "kept") == {"a": b"synced loose", "b": b"content without a name"}
    torn = [left(tmp_path, rows, "torn", seed) for seed in range(40)]
    assert all(found["a"] in (b"synced", b"synced loose") for found in torn)
    assert {len(found) for found in torn} == {1, 2}


def test_a_name_in_a_folder_that_was_never_synced_is_gone_with_it(tmp_path):
    rows = made(
        ("make-folder", "/d/log", 0, 0, b""),
        ("open", "/d/log/a", 1, 0, b""),
        ("write", "", 1, 0, b"x"),
        ("sync", "/d/log/a", 1, 0, b""),
        ("sync", "/d/log", 8, 0, b""),
    )
    assert left(tmp_path, rows, "dropped") == {}
    rows += made(*[("sync", "/d", 9, 0, b"")] * 6)[-1:]
    assert left(tmp_path, rows, "dropped") == {"log/a": b"x"}


def test_a_rename_moves_what_is_written_and_an_inode_may_come_again(tmp_path):
    rows = made(
        ("open", "/d/new", 1, 0, b""),
        ("write", "", 1, 0, b"first"),
        ("rename", "/d/new", 0, 0, b"/d/a"),
        ("unlink", "/d/a", 0, 0, b""),
        ("open", "/d/b", 1, 0, b""),
        ("write", "", 1, 0, b"second"),
        ("truncate", "", 1, 3, b""),
    )
    assert left(tmp_path, rows, "kept") == {"b": b"sec"}


def test_a_loose_write_is_torn_at_a_sector(tmp_path):
    rows = made(("open", "/d/a", 1, 0, b""), ("sync", "/d", 9, 0, b""), ("write", "", 1, 0, b"x" * 4096))
    sizes = {len(left(tmp_path, rows, "torn", seed)["a"]) for seed in range(60)}
    assert sizes >= {0, 4096}
    assert len(sizes) > 4
    assert not any(size % powercut.SECTOR for size in sizes)


def test_the_layout_of_the_control_file_is_that_of_the_library():
    text = (disk.ROOT / "torture/preload/control.h").read_text()
    struct = text[text.index("struct Control") : text.index("};", text.index("struct Control"))]
    names = [line.split(">")[1].split("[")[0].split(";")[0].strip() for line in struct.splitlines() if "std::atomic" in line]
    assert names == [name for name, _ in disk._Control._fields_]


def test_every_n_is_played_until_there_are_no_more_calls(tmp_path):
    options = SimpleNamespace(folder=tmp_path, seed=0, stride=1000, repeats=10_000, jobs=3)
    played = calls.every_n(options, [calls.Spoilt("a name fails", ("name",), error=5)])
    assert [case.name for case in played] == ["up: a name fails after 0"]
    assert [folder.name for folder in tmp_path.iterdir()] == ["calls-up-a-name-fails-0"]
