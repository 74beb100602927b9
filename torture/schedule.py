"""Which faults come when: drawn from a seed, the same on every machine."""

import random
from dataclasses import asdict, dataclass, replace

BACKENDS = ("embedded", "servers")


@dataclass(frozen=True)
class Fault:
    kind: str  # a function of faults.py
    target: str  # a process or a connection of the world
    lasts_s: float  # at least: until it is seen to happen
    amount: int = 0  # bytes until it is cut, milliseconds of delay, bytes a second, seconds that the clock jumps

    @property
    def hits(self):
        """What it makes unusable: faults that come together hit different things."""
        return "disk" if self.kind == "full" else f"{self.target} {'net' if self.kind in NET else 'clock' if self.kind == 'clock' else ''}"

    def __str__(self):
        amounts = {"cut": f" after {self.amount} bytes", "delay": f" by {self.amount} ms"}
        amounts |= {"narrow": f" to {self.amount} bytes/s", "clock": f" by {self.amount:+d} s"}
        amount = amounts.get(self.kind, "")
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
    layout: str  # a key of OWN: one process, `serve` and `work`, one or two of `serve` and two of `work`; "outbox": of outbox.py
    medium: str  # of the log's files: "disk", or "tmpfs", which can be full
    steps: tuple
    brokers: int = 1
    tunnel: bool = False  # `serve` reaches them through `ca4 tunnel`

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
        return replace(self, steps=tuple(steps))

    def as_json(self):
        return asdict(self)

    def __str__(self):
        head = f"seed {self.seed}, {self.minutes:g} min, {self.backend}, {self.layout}, files on {self.medium}"
        head += f", {self.brokers} brokers" if self.brokers > 1 else ""
        head += ", through a tunnel" if self.tunnel else ""
        rows = [f"  +{step.gap_s:.1f} s  " + "  with  ".join(map(str, step.faults)) for step in self.steps]
        return "\n".join([head, *rows])


NET = ("refuse", "drop", "delay", "narrow", "cut", "corrupt")
# What has checksums of its own for what it carries; MongoDB's protocol leaves that to TLS.
CHECKED = ("kafka", "s3", "bastion")
# Processes of ours; two workers share the partitions of Kafka, and clients go to any of two processors.
OWN = {"up": ("up",), "apart": ("serve", "work"), "shared": ("serve", "work", "work2"), "outbox": ("serve", "work")}
OWN["doors"] = ("serve", "serve2", "work", "work2")


def brokers(count):
    return ("kafka",) if count == 1 else tuple(f"kafka{number}" for number in range(1, count + 1))


# A kill of ours is quick and finds most, so it comes often: on the embedded backend every three seconds or so. Beside a tunnel less often:
# its own faults are to come up within five minutes, too.
KILLS = {"embedded": 24, "servers": 6, "tunnel": 2}


def deck(backend, layout, medium, broker_count=1, kinds=(), tunnel=False):
    """Every (kind, target), kills of ours several times. `kinds`: those of processes that take something more, "clock" and "build"."""
    own = OWN[layout]
    cards = [("kill", target) for target in own] * KILLS["tunnel" if tunnel else backend]
    cards += [(kind, target) for target in own for kind in ("stop", "restart", *kinds)]
    if layout == "doors":
        # Of two processors the clocks say which event is the later one: that they are right is asked of whoever runs two.
        cards = [(kind, target) for kind, target in cards if kind != "clock" or not target.startswith("serve")]
    if tunnel:
        cards += [(kind, "tunnel") for kind in ("kill", "stop", "restart", "lose", "hang", *(kind for kind in kinds if kind == "build"))]
    if backend == "servers":
        for target in (*brokers(broker_count), *(("bastion",) if tunnel else ()), "mongo", "s3"):
            checked = target.startswith(CHECKED)
            cards += [(kind, target) for kind in ("kill", "stop", *NET) if checked or kind != "corrupt"]
    if broker_count > 1:
        cards += [("leaders", target) for target in brokers(broker_count)]
    # Only what waits for Kafka is on that disk: all of it has to be away then.
    elif medium == "tmpfs":
        cards += [("full", "disk")]
    return cards


def fault(rng, kind, target):
    if kind == "lose":
        return Fault(kind, target, 0.0)
    if kind in ("kill", "restart", "build"):
        # Most init systems start it again at once.
        return Fault(kind, target, 0.0 if rng.random() < 0.7 else round(rng.uniform(0, 1.5), 2))
    if kind == "cut":
        return Fault(kind, target, 5, rng.randrange(2_000, 20_000))
    if kind == "delay":
        return Fault(kind, target, round(rng.uniform(2, 6), 1), rng.choice((100, 300)))
    if kind == "narrow":
        return Fault(kind, target, round(rng.uniform(3, 8), 1), 375_000)  # 3 Mbit/s
    if kind == "clock":
        return Fault(kind, target, round(rng.uniform(3, 8), 1), rng.choice((-3600, 3600)))
    return Fault(kind, target, round(rng.uniform(5, 20) if kind == "stop" else rng.uniform(2, 10), 1))


def pair(one, other):
    """Whether these two may come together."""
    return one.hits != other.hits


# How long a fault takes beyond its own time, roughly: until what was killed is back.
BACK_S = {"kafka": 8, "mongo": 2, "tunnel": 2}


def plan(seed, minutes, backend, without=(), broker_count=1, other_build=False, tunnel=False, processors=1):
    """The plan of a seed. `without`: kinds that are left out, as "full" where nobody may mount a file system."""
    rng = random.Random(f"ca4 torture {seed} {backend}")
    layout = rng.choice(("up", "apart", "apart")) if backend == "embedded" else "doors" if processors > 1 else "shared"
    medium = rng.choice(("tmpfs", "disk"))
    # Whoever asks a clock that can be moved asks another library: half of the plans do without.
    kinds = (*(("clock",) if rng.random() < 0.5 else ()), *(("build",) if other_build else ()))
    steps, left_s, cards = [], minutes * 60, []
    while left_s > 0:
        faults = []
        for _ in range(rng.choices((1, 2, 3), (60, 28, 12))[0]):
            if not cards:
                # A deck that is used up before it is shuffled again: all come before any comes often.
                cards = deck(backend, layout, medium, broker_count, kinds, tunnel)
                rng.shuffle(cards)
            drawn = fault(rng, *cards.pop())
            if all(pair(drawn, other) for other in faults):
                faults.append(drawn)
            else:
                cards.insert(0, (drawn.kind, drawn.target))
        if backend == "servers" and any(f.kind == "full" for f in faults):
            faults = [f for f in faults if f.kind == "full"] + [Fault("refuse", "kafka", 12)]
        gap_s = round(rng.uniform(0.3, 1.5), 1)
        kept = tuple(f for f in faults if f.kind not in without)
        if kept:
            steps.append(Step(gap_s, kept))
        left_s -= gap_s + max(f.lasts_s + BACK_S.get(f.target.rstrip("123"), 1) for f in faults)
    return Plan(seed, minutes, backend, layout, medium, tuple(steps), broker_count, tunnel)
