"""The N-th call that fails, for every N: a program starts, takes events and stores them, or keeps them in its outbox until Kafka is there,
while one of its calls on the data directory fails, or all from one on. Then the disk is well again, and all that was acknowledged must be
there, and nothing that was refused."""

import errno
import itertools
import multiprocessing
import shutil
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import cases
import ledger
from cases import Case
from disk import EVER, Disk
from oracle import Violation
from server_process import take_part

LOAD_S = 0.6
SEEDS = 5  # of what happens in the middle of a load
# A program that can't start on a disk like this says so long before. With Kafka away it takes five seconds to start on a good one.
READY_S = {"up": 6, "outbox": 15}


@dataclass(frozen=True)
class Spoilt:
    """What happens to calls of some kinds, from one on."""

    name: str
    kinds: tuple
    way: str = "fails"
    error: int = 0
    count: int = 1
    unsure: bool = False  # 503 may be kept: a commit was written, could not be synced, and could not be overwritten either


CASES = (
    Spoilt("a write fails", ("write",), error=errno.EIO),
    Spoilt("a sync fails", ("sync",), error=errno.EIO),
    Spoilt("a read fails", ("read",), error=errno.EIO),
    Spoilt("a name fails", ("name",), error=errno.EIO),
    Spoilt("opening fails", ("open",), error=errno.EIO),
    Spoilt("a write finds no room", ("write", "truncate"), error=errno.ENOSPC),
    Spoilt("a write is short", ("write",), way="short"),
    Spoilt("syncs fail from then on", ("sync",), error=errno.EIO, count=EVER),
    Spoilt("all fails from then on", ("write", "sync", "truncate", "name"), error=errno.EIO, count=EVER, unsure=True),
    Spoilt("no room from then on", ("write", "truncate", "name"), error=errno.ENOSPC, count=EVER),
    Spoilt("read-only from then on", ("open", "write", "truncate", "name"), error=errno.EROFS, count=EVER),
    Spoilt("killed", ("write", "sync", "truncate", "name"), way="dies"),
)


def spoil(folder, seed, case, skip, layout="up", broker=None):
    """One case: the call after `skip` others. `broker`: see cases.world()."""
    disk = Disk(cases.empty(folder) / "data", folder)
    world = cases.world(folder, seed, layout, disk.env, broker)
    book = ledger.Writer(folder / "ledger.ndjson", world.life)
    found = []
    try:
        disk.spoil(case.kinds, skip=skip, count=case.count, way=case.way, error=case.error)
        found += live(world, disk, seed, book)
        disk.heal()
        book.close()
        # Half of them without a chance to tidy up.
        world.front.kill() if skip % 2 else world.front.stop()
        world.front.start()
        attempts = ledger.read(folder / "ledger.ndjson").attempts
        if case.unsure:
            # Only what was on its way to the first commit that failed: afterwards nothing could be written.
            first = min((a.ended for a in attempts if a.status == 503), default=0)
            attempts = [replace(a, outcome="unknown") if a.status == 503 and a.began <= first else a for a in attempts]
        found += cases.judge(world, attempts)
        acknowledged = sum(a.outcome == "ok" for a in attempts)
    except AssertionError as error:
        found, acknowledged = [*found, Violation("start", "-", str(error))], 0
    finally:
        world.close()
        book.close()
    missing = "" if disk.hits else f"there were only {disk.calls}"
    return Case(f"{layout}: {case.name} after {skip}", folder, acknowledged, found, missing)


# In the middle of a load, until the process is killed. Where no sync works all is refused: what was written is in the kernel, and must
# not count.
UNDER_LOAD = {
    "no sync works": lambda disk: disk.spoil(["sync"], count=EVER, error=errno.EIO),
    "each sync takes 200 ms longer": lambda disk: disk.slow(0.2),
}


def under_load(folder, seed, name, layout="up", broker=None):
    """One of UNDER_LOAD, and a kill."""
    disk = Disk(cases.empty(folder) / "data", folder)
    world = cases.world(folder, seed, layout, disk.env, broker)
    book = ledger.Writer(folder / "ledger.ndjson", world.life)
    try:
        world.start()
        for part in range(2):
            with cases.Load(world, seed + part, book, 200):
                time.sleep(LOAD_S)
            UNDER_LOAD[name](disk)
        world.front.kill()
        disk.heal()
        book.close()
        world.front.start()
        attempts = ledger.read(folder / "ledger.ndjson").attempts
        found = cases.judge(world, attempts)
    finally:
        world.close()
        book.close()
    missing = "" if disk.delayed or disk.hits and book.answered_503 else "nothing was spoilt"
    return Case(f"{layout}: {name}, then killed", folder, sum(a.outcome == "ok" for a in attempts), found, missing)


def live(world, disk, seed, book):
    """Starts and takes events, as far as the disk lets it, and more of them when what was away is back. Returns what went wrong beyond that."""
    ready_s = READY_S[world.plan.layout]
    try:
        world.start(ready_s)
    except AssertionError:
        # One that ended and was started again may be on its way to the same end.
        if world.front.runs() and not world.front.false_starts:
            return [_wrong("start", world.front, f"neither ready nor ended within {ready_s} s")]
        return _ended(world, 1)
    with cases.Load(world, seed, book, 200):
        time.sleep(LOAD_S)
        if world.come_back():
            time.sleep(LOAD_S)
    return [] if disk.kills else _ended(world, 256)


def _ended(world, code_min):
    """Processes that ended, by a signal that nobody sent or with a code below this."""
    ended = [p for p in world.processes.values() if p.process and not p.runs() and p.process.returncode < code_min]
    return [_wrong("death", process, f"ended with {process.process.returncode}") for process in ended]


def _wrong(name, process, what):
    return Violation(name, process.name, f"{what}:\n{process.said(2000)}")


def side_by_side(do, values, jobs, ends):
    """do() of each value, so many at a time in processes of their own, in the order of the values. After a result that ends() it no further one begins."""
    values, context = iter(values), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _begin, (context.Value("i", 0), jobs)) as pool:
        running = deque(pool.submit(do, value) for value in itertools.islice(values, jobs))
        while running:
            done = running.popleft().result()
            if ends(done):
                values = iter(())
            running.extend(pool.submit(do, value) for value in itertools.islice(values, 1))
            yield done


def _begin(begun, jobs):
    with begun.get_lock():
        take_part(begun.value % jobs, jobs)
        begun.value += 1


def every_n(options, wanted, layout="up", broker=None):
    """Every N until there are no more calls, `repeats` of them at most; with a stride, every so many-th."""
    for case in wanted:
        skips = range(options.seed % options.stride, options.repeats * options.stride, options.stride)
        for done in side_by_side(partial(_one, options, case, layout, broker), skips, options.jobs, _is_beyond):
            if _is_beyond(done):
                shutil.rmtree(done.folder)
            else:
                yield done


def _is_beyond(done):
    """Whether there was no such call any more."""
    return done.missing and not done.violations


def _one(options, case, layout, broker, skip):
    return spoil(options.folder / f"calls-{layout}-{case.name.replace(' ', '-')}-{skip}", options.seed, case, skip, layout, broker)


def _all_of_one(options, layout, broker):
    yield from every_n(options, CASES, layout, broker)
    for seed in range(options.seed, options.seed + SEEDS):
        for name in UNDER_LOAD:
            yield under_load(options.folder / f"calls-{layout}-{name.replace(' ', '-')}-{seed}", seed, name, layout, broker)


def all_of(options):
    return cases.of_layouts(options, "calls", ["up"], _all_of_one)
