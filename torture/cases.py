"""What cases of a disk have in common (disks.py): a load, and the judgement of `make torture` on what is there in the end."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import ledger
import oracle
import outbox
import run as torture
import schedule
from clients import Client
from oracle import Violation
from world import Embedded

CLIENTS = 3


@dataclass
class Case:
    name: str
    folder: Path  # what it left
    acknowledged: int = 0
    violations: list = field(default_factory=list)
    missing: str = ""  # why it does not count


def plan(seed, layout):
    return schedule.Plan(seed, 0, "embedded", layout, "disk", ())


def world(folder, seed, layout, env=None, broker=None):
    """`broker`: the address of a Kafka, for the layout "outbox"."""
    if broker:
        return outbox.Outbox(folder, plan(seed, layout), env, broker)
    return Embedded(folder, plan(seed, layout), env)


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def of_layouts(options, what, embedded, all_of_one):
    """The cases of those layouts that are asked for: of `embedded` ones, and of outboxes, which share a Kafka. The third argument of
    `all_of_one` is its address, or None."""
    for layout in embedded:
        if layout in options.layout:
            yield from all_of_one(options, layout, None)
    if "outbox" in options.layout:
        with outbox.broker(empty(options.folder / f"{what}-kafka")) as broker:
            yield from all_of_one(options, "outbox", broker)


class Load:
    """Clients of a world, until the end of the block."""

    def __init__(self, world, seed, book, events_per_s):
        self._clients = [Client(n, seed, [world.front.listen], book, events_per_s / CLIENTS) for n in range(CLIENTS)]

    def __enter__(self):
        for client in self._clients:
            client.start()

    def __exit__(self, *_):
        for client in self._clients:
            client.stop()
        for client in self._clients:
            client.join()


def judge(world, attempts):
    """Drains a world whose disk is well, sends it a fresh event, and compares what is there with these attempts and that. Returns the violations."""
    world.come_back()
    outcome = torture.Outcome(world.plan)
    file = world.folder / "fresh.ndjson"
    book = ledger.Writer(file, world.life)
    torture._settle(outcome, world, book)
    book.close()
    found = outcome.violations + oracle.judge(ledger.Ledger(attempts + ledger.read(file).attempts), world.view())
    return found + [Violation("death", name, f"ended with {code}, and nobody ended it so:\n{said}") for name, code, said in world.deaths]
