"""Power cuts: a run is recorded once, and cut off at many moments; what may be left of its folder by then must start and hold all that was
acknowledged."""

import random
import time

import calls
import cases
import ledger
import powercut
import run as torture
import schedule
from cases import Case
from disk import EVER, Disk, read_record
from oracle import Violation

LOAD_S = 0.3
DIES_S = 20  # how long a death that was ordered may take: a sync comes several times a second
# So that events are deleted from the log, which is done without syncs.
RETENTION = {"CA4_LOG_RETENTION_BYTES": "65536"}


def record(folder, seed, layout, seconds, events_per_s=150, lie=False):
    """A recorded run, in which processes are killed right before a sync or end, and come back.

    Returns (ledger, Recording, the clock in the end, the clock whenever something was back).
    """
    rng = random.Random(f"{seed} {layout} record")
    disk = Disk(folder / "data", folder, record=True)
    world = cases.world(folder, seed, layout, disk.env | RETENTION)
    book, back = ledger.Writer(folder / "ledger.ndjson", world.life, disk.clock), []
    try:
        world.start()
        if lie:
            disk.lie()
        with cases.Load(world, seed, book, events_per_s):
            over = time.monotonic() + seconds
            while time.monotonic() < over:
                time.sleep(rng.uniform(0.2, 1))
                _end_one(world, disk, rng)
                for process in world.processes.values():
                    if not process.runs():
                        process.launch()
                        back.append(disk.clock())
                        process.wait_until_ready()
            time.sleep(0.5)
        for process in world.processes.values():
            process.stop()
    finally:
        world.close()
        book.close()
    recording = powercut.Recording(folder / "data", read_record(disk.record_file))
    return ledger.read(folder / "ledger.ndjson"), recording, disk.clock(), back


def _end_one(world, disk, rng):
    """A process dies before a sync, when what it wrote is in the kernel only; or it ends as it should."""
    if rng.random() < 0.3:
        world.processes[rng.choice(schedule.OWN[world.plan.layout])].stop()
        return
    disk.spoil(["sync"], skip=rng.randrange(20), way="dies")
    deadline = time.monotonic() + DIES_S
    while all(process.runs() for process in world.processes.values()):
        assert time.monotonic() < deadline, f"nothing was synced within {DIES_S} s"
        time.sleep(0.01)
    disk.heal()


def _moment(recorded, rng):
    """When to cut: right behind an acknowledgement, soon after something was started again, while files are made, or at any time."""
    book, _, end, back = recorded
    told = [a.ended_at for a in book.attempts if a.outcome == "ok"]
    drawn = rng.choice(
        (
            rng.choice(told) + rng.randrange(3),
            rng.choice(back) + rng.randrange(200),
            rng.randrange(1, min(told) + 50),
            rng.randrange(1, end),
        )
    )
    return min(end, drawn)


def cut(recorded, layout, folder, seed, number):
    """One power cut of a recorded run, and what comes of it."""
    book, recording, end, _ = recorded
    rng = random.Random(f"{seed} {layout} cut {number}")
    moment, way = _moment(recorded, rng), powercut.WAYS[number % len(powercut.WAYS)]
    recording.rebuild(cases.empty(folder) / "data", moment, way, rng)
    known = book.until(moment)
    found = _judge(folder, seed, layout, known)
    return Case(f"cut {layout} number {number}: {way} at {moment} of {end}", folder, known.count("ok"), found)


def _judge(folder, seed, layout, known):
    """Starts on what is left, and compares that with what is known to be acknowledged."""
    world = cases.world(folder, seed, layout)
    try:
        world.start_on(folder / "data")
        return cases.judge(world, known.attempts)
    except AssertionError as error:
        return [Violation("start", "-", str(error))]
    finally:
        world.close()


def cut_after_a_death(folder, seed, layout, skip):
    """All rests; a few events come, and a process dies before a sync. Started again, it finds all done and rests; then comes the cut,
    which drops what was never synced."""
    before = cases.empty(cases.empty(folder) / "before")
    disk = Disk(before / "data", before, record=True)
    world = cases.world(before, seed, layout, disk.env)
    book = ledger.Writer(folder / "ledger.ndjson", world.life, disk.clock)
    try:
        world.start()
        for part, skipped in enumerate((EVER, skip)):
            disk.spoil(["sync"], skip=skipped, way="dies")
            with cases.Load(world, seed + part, book, 150):
                time.sleep(LOAD_S)
            for process in world.processes.values():
                if not process.runs():
                    process.start()
            deadline = time.monotonic() + torture.DRAIN_S
            while not world.drained()[0] and time.monotonic() < deadline:
                time.sleep(0.05)
        died = disk.hits
    finally:
        world.close()
        book.close()
    moment, known = disk.clock(), ledger.read(folder / "ledger.ndjson")
    powercut.Recording(disk.folder, read_record(disk.record_file)).rebuild(folder / "data", moment, "dropped", random.Random(0))
    missing = "" if died else f"there were only {disk.calls['sync']} syncs"
    return Case(f"cut {layout} after a death at sync {skip}", folder, known.count("ok"), _judge(folder, seed, layout, known), missing)


def cut_outbox(broker, folder, seed, skip, lie=False):
    """Events wait in the outbox, Kafka comes back, and before a sync the machine of the processor loses its power. Kafka keeps what it has."""
    disk = Disk(cases.empty(folder) / "data", folder, record=True)
    world = cases.world(folder, seed, "outbox", disk.env, broker)
    book = ledger.Writer(folder / "ledger.ndjson", world.life, disk.clock)
    found, known, died, moment = [], ledger.Ledger(), 0, 0
    way = powercut.WAYS[(seed + skip) % len(powercut.WAYS)]
    try:
        if lie:
            disk.lie()
        disk.spoil(["sync"], skip=skip, way="dies")
        found += calls.live(world, disk, seed, book)
        world.front.kill()
        book.close()
        died, moment = disk.hits, disk.clock()
        disk.heal()
        recording = powercut.Recording(disk.folder, read_record(disk.record_file))
        disk.folder.rename(folder / "before")
        recording.rebuild(disk.folder, moment, way, random.Random(f"{seed} outbox cut {skip}"))
        known = ledger.read(folder / "ledger.ndjson")
        world.front.start()
        found += cases.judge(world, known.attempts)
    except AssertionError as error:
        found.append(Violation("start", "-", str(error)))
    finally:
        world.close()
        book.close()
    missing = "" if died else f"there were only {disk.calls['sync']} syncs"
    return Case(f"cut outbox at sync {skip}: {way} at {moment}", folder, known.count("ok"), found, missing)


def _until_missing(done):
    """Cases until the first that did not come to it."""
    for case in done:
        if case.missing and not case.violations:
            return
        yield case


def _all_of_embedded(options, layout):
    folder = cases.empty(options.folder / f"cut-{layout}-{options.seed}")
    recorded = record(folder, options.seed, layout, options.record_s)
    book, recording, *_ = recorded
    print(f"{layout}: {len(recording.operations)} operations recorded, {book.count('ok')} events acknowledged", flush=True)
    for number in range(options.repeats):
        yield cut(recorded, layout, folder / str(number), options.seed, number)
    yield from _until_missing(cut_after_a_death(folder / f"death-{n}", options.seed, layout, n) for n in range(options.repeats))


def _all_of_one(options, layout, broker):
    if not broker:
        yield from _all_of_embedded(options, layout)
        return
    folder = cases.empty(options.folder / f"cut-{layout}-{options.seed}")
    yield from _until_missing(cut_outbox(broker, folder / str(n), options.seed, n) for n in range(options.repeats))


def all_of(options):
    return cases.of_layouts(options, "cut", ["up", "apart"], _all_of_one)
