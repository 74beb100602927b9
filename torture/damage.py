"""Damage of the event log: bits flipped, sectors gone, an end that is missing or torn. `ca4 log check` must tell each offset that can't be
read, a worker must store all the others, and nothing may be stored that was never sent."""

import json
import random
import shutil
import time
from pathlib import Path

import cases
import ledger
from cases import Case
from oracle import Violation
from support import run
from world import Embedded

FILE = Path("log/gpu-metadata.db")
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


def prepare(folder, seed):
    """A data directory whose log holds acknowledged events that nobody has read. Returns (ledger, {offset: id})."""
    world = Embedded(folder, cases.plan(seed, "apart"))
    book = ledger.Writer(folder / "ledger.ndjson", lambda: world.life)
    try:
        world.start()
        # Started and stopped: both files of the log are there, and no event is read.
        world.processes["work"].stop()
        with cases.Load(world, seed, book, 150):
            time.sleep(LOAD_S)
        world.front.stop()
    finally:
        world.close()
        book.close()
    shown = run("log", "head", "--limit", LISTED, "--data-dir", folder / "data", "--format", "ndjson")
    assert shown.returncode == 0, shown.stderr
    rows = map(json.loads, shown.stdout.splitlines())
    return ledger.read(folder / "ledger.ndjson"), {row["offset"]: row["key"] for row in rows}


def _reported(data, offsets):
    """The ids whose records can't be read by `ca4 log head`, when `ca4 log check` tells of damage. None: it says that all is well."""
    checked = run("log", "check", "--data-dir", data, "--format", "ndjson")
    if checked.returncode == 0:
        return None
    assert FILE.name in checked.stderr or not json.loads(checked.stdout)["whole"], checked
    shown = run("log", "head", "--limit", LISTED, "--data-dir", data, "--format", "ndjson")
    read = {row["offset"] for row in map(json.loads, shown.stdout.splitlines()) if "damage" not in row}
    return {metadata_id for offset, metadata_id in offsets.items() if offset not in read}


def harm(prepared, source, folder, seed, number):
    """One damage, and what is found of it."""
    book, offsets = prepared
    rng = random.Random(f"{seed} damage {number}")
    name, damage = list(WAYS.items())[number % len(WAYS)]
    shutil.copytree(source / "data", cases.empty(folder) / "data")
    content = bytearray((folder / "data" / FILE).read_bytes())
    damage(content, rng)
    (folder / "data" / FILE).write_bytes(content)
    return Case(f"damage {number}: {name}", folder, book.count("ok"), _judge(folder, seed, book, offsets))


def _judge(folder, seed, book, offsets):
    reported = _reported(folder / "data", offsets)
    world = Embedded(folder, cases.plan(seed, "apart"))
    try:
        world.start_on(folder / "data", 5)
    except AssertionError as error:
        told = reported is not None and FILE.name in str(error)
        return [] if told else [Violation("start", "-", f"check said {reported}, and it did not start:\n{error}")]
    else:
        found = cases.judge(world, book.attempts)
    finally:
        world.close()
    # Of an id that came several times the newest may be what can't be read: an older one is stored then.
    return [v for v in found if not (v.name in ("lost", "dead-letter", "order") and reported and v.id in reported)]


def all_of(options):
    source = cases.empty(options.folder / f"damage-{options.seed}")
    prepared = prepare(source, options.seed)
    print(f"{len(prepared[1])} events in the log", flush=True)
    for number in range(options.repeats):
        yield harm(prepared, source, options.folder / f"damage-{options.seed}-{number}", options.seed, number)
    shutil.rmtree(source)
