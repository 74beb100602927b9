"""Damage of the event log, and of an outbox: bits flipped, sectors gone, an end that is missing or torn. `ca4 log check` or `ca4 spool check`
must tell of it, all that can still be read must be stored, and nothing that was never sent."""

import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import cases
import ledger
import outbox
from cases import Case
from oracle import Violation
from support import run

FILES = {"apart": Path("log/gpu-metadata.db"), "outbox": Path(outbox.FILE)}
LOAD_S = 2
LISTED = 1_000_000  # more than there are


def _flip(content, rng):
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _sector(content, rng):
    at = rng.randrange(len(content) // 512) * 512
    content[at : at + 512] = bytes(512)


def _truncate(content, rng):
    del content[rng.randrange(1, len(content)) :]


def _torn(content, rng):
    at = rng.randrange(len(content) // 2, len(content))
    content[at:] = rng.randbytes(len(content) - at)


WAYS = {"a bit flipped": _flip, "a sector of zeros": _sector, "cut off": _truncate, "its end overwritten": _torn}


def _ask(data, layout, *words):
    outbox_file = ["--kafka-outbox-file", data / FILES[layout]] if layout == "outbox" else []
    return run("spool" if layout == "outbox" else "log", *words, "--data-dir", data, *outbox_file, "--format", "ndjson")


def _readable(data, layout):
    """{id: how many of its records can be read}, and whether that is all that there is."""
    shown = _ask(data, layout, "export") if layout == "outbox" else _ask(data, layout, "head", "--limit", LISTED)
    rows = map(json.loads, shown.stdout.splitlines())
    return Counter(row.get("metadata_id") or row.get("key") for row in rows if "damage" not in row), shown.returncode == 0


def prepare(folder, seed, layout="apart", broker=None):
    """A data directory whose log or outbox holds acknowledged events that nobody has read. Returns (ledger, {id: how many records})."""
    world = cases.world(folder, seed, layout, None, broker)
    book = ledger.Writer(folder / "ledger.ndjson", world.life)
    try:
        world.start()
        # Started and stopped: all files are there, and no event is read.
        world.processes["work"].stop()
        with cases.Load(world, seed, book, 150):
            time.sleep(LOAD_S)
        world.front.stop()
    finally:
        world.close()
        book.close()
    records, all_of_them = _readable(folder / "data", layout)
    assert all_of_them
    return ledger.read(folder / "ledger.ndjson"), records


def _reported(data, layout, records):
    """The ids of which some record can't be read, when the check tells of damage. None: it says that all is well."""
    checked = _ask(data, layout, "check")
    if checked.returncode == 0:
        return None
    assert FILES[layout].name in checked.stderr or not json.loads(checked.stdout)["whole"], checked
    return set(records - _readable(data, layout)[0])


def harm(prepared, source, folder, seed, number, layout="apart", broker=None):
    """One damage, and what is found of it."""
    book, records = prepared
    rng = random.Random(f"{seed} damage {number}")
    name, damage = list(WAYS.items())[number % len(WAYS)]
    shutil.copytree(source / "data", cases.empty(folder) / "data")
    file = folder / "data" / FILES[layout]
    content = bytearray(file.read_bytes())
    damage(content, rng)
    file.write_bytes(content)
    found = _judge(cases.world(folder, seed, layout, None, broker), book, _reported(folder / "data", layout, records))
    return Case(f"damage of {file.name} {number}: {name}", folder, book.count("ok"), found)


def _judge(world, book, reported):
    try:
        world.come_back()
        world.start_on(world.folder / "data", 5)
    except AssertionError as error:
        told = reported is not None and FILES[world.plan.layout].name in str(error)
        return [] if told else [Violation("start", "-", f"check said {reported}, and it did not start:\n{error}")]
    else:
        found = cases.judge(world, book.attempts)
    finally:
        world.close()
    # Of an id that came several times the newest may be what can't be read: an older one is stored then.
    return [v for v in found if not (v.name in ("lost", "dead-letter", "order") and reported and v.id in reported)]


def _all_of_one(options, layout, broker):
    source = cases.empty(options.folder / f"damage-{layout}-{options.seed}")
    prepared = prepare(source, options.seed, layout, broker)
    print(f"{layout}: {prepared[1].total()} events", flush=True)
    for number in range(options.repeats):
        yield harm(prepared, source, options.folder / f"{source.name}-{number}", options.seed, number, layout, broker)
    shutil.rmtree(source)


def all_of(options):
    return cases.of_layouts(options, "damage", ["apart"], _all_of_one)
