"""Which faults come when: drawn from a seed, the same on every machine."""

import random
from dataclasses import asdict, dataclass

BACKENDS = ("embedded", "servers")


@dataclass(frozen=True)
class Fault:
    kind: str  # a function of faults.py
    target: str  # a process or a connection of the world
    lasts_s: float  # at least: until it is seen to happen
    amount: int = 0  # bytes until it is cut, milliseconds of delay

    @property
    def hits(self):
        """What it makes unusable: two faults of a pair hit different things."""
        return "disk" if self.kind == "full" else f"{self.target} net" if self.kind in NET else self.target

    def __str__(self):
        amount = {"cut": f" after {self.amount} bytes", "delay": f" by {self.amount} ms"}.get(self.kind, "")
        return f"{self.kind} {self.target}{amount}, {self.lasts_s:g} s"


@dataclass(frozen=True)
class Step:
    """Faults that begin together, after `gap_s` without any."""

    gap_s: float
    faults: tuple


@dataclass(frozen=True)
class Plan:
    seed: int
    minutes: float
    backend: str
    layout: str  # a key of OWN: one process, `serve` and `work`, or `serve` and two of `work`
    medium: str  # of the log's files: "disk", or "tmpfs", which can be full
    steps: tuple

    @property
    def faults(self):
        return [fault for step in self.steps for fault in step.faults]

    def only(self, faults):
        """The same plan with these of its faults; steps that lose theirs are left out, with their pauses."""
        left, steps = list(faults), []
        for step in self.steps:
            kept = tuple(fault for fault in step.faults if any(fault is f for f in left))
            if kept:
                steps.append(Step(step.gap_s, kept))
        return Plan(self.seed, self.minutes, self.backend, self.layout, self.medium, tuple(steps))

    def as_json(self):
        return asdict(self)

    def __str__(self):
        head = f"seed {self.seed}, {self.minutes:g} min, {self.backend}, {self.layout}, files on {self.medium}"
        rows = [f"  +{step.gap_s:.1f} s  " + "  with  ".join(map(str, step.faults)) for step in self.steps]
        return "\n".join([head, *rows])


NET = ("refuse", "drop", "delay", "cut")
SERVERS = ("kafka", "mongo", "s3")
# Processes of ours; two workers share the partitions of Kafka.
OWN = {"up": ("up",), "apart": ("serve", "work"), "shared": ("serve", "work", "work2")}


def deck(backend, layout, medium):
    """Every (kind, target), those that find most several times."""
    own = OWN[layout]
    cards = [("kill", target) for target in own] * 3 + [(kind, target) for target in own for kind in ("stop", "restart")]
    if backend == "servers":
        cards += [(kind, target) for target in SERVERS for kind in ("kill", "stop", *NET)]
    if medium == "tmpfs":
        cards += [("full", "disk")]
    return cards


def fault(rng, kind, target):
    if kind == "kill" or kind == "restart":
        return Fault(kind, target, round(rng.uniform(0, 1.5), 2))
    if kind == "cut":
        return Fault(kind, target, 5, rng.randrange(2_000, 20_000))
    if kind == "delay":
        return Fault(kind, target, round(rng.uniform(2, 6), 1), rng.choice((100, 300)))
    return Fault(kind, target, round(rng.uniform(2, 10), 1))


def pair(one, other):
    """Whether these two may come together."""
    return one.hits != other.hits


# How long a fault takes beyond its own time, roughly: until what was killed is back.
BACK_S = {"kafka": 8, "mongo": 2}


def plan(seed, minutes, backend, without=()):
    """The plan of a seed. `without`: kinds that are left out, as "full" where nobody may mount a file system."""
    rng = random.Random(f"ca4 torture {seed} {backend}")
    layout = rng.choice(("up", "apart", "apart")) if backend == "embedded" else "shared"
    medium = rng.choice(("tmpfs", "disk"))
    steps, left_s, cards = [], minutes * 60, []
    while left_s > 0:
        faults = []
        for _ in range(2 if rng.random() < 0.35 else 1):
            if not cards:
                # A deck that is used up before it is shuffled again: all come before any comes often.
                cards = deck(backend, layout, medium)
                rng.shuffle(cards)
            drawn = fault(rng, *cards.pop())
            if all(pair(drawn, other) for other in faults):
                faults.append(drawn)
            else:
                cards.insert(0, (drawn.kind, drawn.target))
        if backend == "servers" and any(f.kind == "full" for f in faults):
            # Only what waits for Kafka is on that disk.
            faults = [f for f in faults if f.kind == "full"] + [Fault("refuse", "kafka", 12)]
        gap_s = round(rng.uniform(0.3, 2), 1)
        kept = tuple(f for f in faults if f.kind not in without)
        if kept:
            steps.append(Step(gap_s, kept))
        left_s -= gap_s + max(f.lasts_s + BACK_S.get(f.target, 1) for f in faults)
    return Plan(seed, minutes, backend, layout, medium, tuple(steps))
