"""One run of a plan: start, load, faults, heal, drain, judge."""

import json
import random
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

import faults
import ledger
import oracle
import payload
import requests
import world as worlds
from clients import Client
from oracle import Violation
from watch import Watch

CLIENTS = 6
DRAIN_S = 180  # a backlog of the longest outage, on a busy machine; an end that never comes is a violation
FRESH_S = 10


@dataclass
class Outcome:
    plan: object
    violations: list = field(default_factory=list)
    seen: list = field(default_factory=list)  # faults.Seen
    figures: dict = field(default_factory=dict)

    @property
    def missing(self):
        """Why the run does not count, line by line."""
        missing = [f"{entry.fault}: {entry.what}" for entry in self.seen if not entry.happened]
        if len(self.seen) < len(self.plan.faults):
            missing.append(f"{len(self.plan.faults) - len(self.seen)} planned faults had no turn")
        away = [f for f in self.plan.faults if f.kind == "refuse" and f.target in ("mongo", "s3") and f.lasts_s > 3]
        if away and not self.figures.get("retries"):
            missing.append("database or S3 refused, and nobody tried again")
        cut_off = [f for f in self.plan.faults if f.target == "bastion" and f.kind in ("refuse", "stop") and f.lasts_s > 8]
        if cut_off and not self.figures.get("outboxed"):
            missing.append("the bastion was away, and no event went into the outbox")
        if not self.figures.get("acknowledged"):
            missing.append("no event was acknowledged")
        return missing

    @property
    def code(self):
        return 1 if self.violations else 3 if self.missing else 0


def run(plan, folder, events_per_s, other_build=None):
    """Runs the plan in `folder`, which is empty. Its ledger, timeline, logs and report stay there."""
    outcome, world = Outcome(plan), worlds.make(folder, plan)
    world.other_build = other_build
    book = None
    try:
        world.start()
        book = ledger.Writer(folder / "ledger.ndjson", world.life)
        world.refused_503 = lambda: book.answered_503
        scrapes = _load_and_faults(outcome, world, book, events_per_s)
        began = time.monotonic()
        _settle(outcome, world, book)
        book.close()
        _judge(outcome, world, ledger.read(folder / "ledger.ndjson"), scrapes)
        outcome.figures |= {"drained_and_judged_s": round(time.monotonic() - began, 1)}
    finally:
        world.close()
    _report(outcome, folder)
    return outcome


def _load_and_faults(outcome, world, book, events_per_s):
    addresses = [front.listen for front in world.fronts]
    clients = [Client(n, outcome.plan.seed, addresses, book, events_per_s / CLIENTS) for n in range(CLIENTS)]
    clients += world.strangers(book)
    watch = Watch(world)
    for thread in (*clients, watch):
        thread.start()
    try:
        for step in outcome.plan.steps:
            time.sleep(step.gap_s)
            outcome.seen += faults.run_step(world, step)
            world.look_for_deaths()
        time.sleep(1)
    finally:
        for client in clients:
            client.stop()
        for client in clients:
            client.join()
        watch.stop()
    outcome.figures["retries"] = int(watch.retries)
    return watch.scrapes


def _settle(outcome, world, book):
    """Until everything is stored and archived, then a fresh event, and that too."""
    _drain(outcome, world)
    rng = random.Random(outcome.plan.seed)
    fields, embedding = payload.make(rng, "fresh", 0)
    (number,) = book.begin([("fresh", 0, payload.fingerprint(fields, embedding), False)])
    began, stored = time.monotonic(), False
    try:
        answer = requests.post(
            f"http://{world.front.listen}/metadata",
            payload.body(fields, embedding, compact=True),
            headers={"Content-Type": "application/json"},
            timeout=FRESH_S,
        )
        book.end(number, "ok" if answer.status_code == 200 else "refused", answer.status_code)
        while not stored and answer.status_code == 200 and time.monotonic() < began + FRESH_S:
            stored = world.holds("fresh")
    except requests.RequestException:
        book.end(number, "unknown", late=True)
    outcome.figures["fresh_event_stored_s"] = round(time.monotonic() - began, 2)
    if not stored:
        outcome.violations.append(Violation("fresh-late", "fresh", f"not stored within {FRESH_S} s of a healed pipeline"))
    _drain(outcome, world)


def _drain(outcome, world):
    deadline = time.monotonic() + DRAIN_S
    while not (answer := world.drained())[0]:
        if time.monotonic() > deadline:
            outcome.violations.append(Violation("stuck", "-", f"not drained after {DRAIN_S} s: {answer[1]}"))
            return
        time.sleep(0.2)


def _judge(outcome, world, book, scrapes):
    world.look_for_deaths()
    view = world.view()
    for name, code, said in world.deaths:
        outcome.violations.append(Violation("death", name, f"ended with {code}, and nobody ended it so:\n{said}"))
    outcome.violations += oracle.judge(book, view, scrapes)
    places = Counter((row.id, row.version) for row in {row.place: row for row in view.archive}.values())
    outcome.figures |= {
        "acknowledged": sum(a.outcome == "ok" and not a.foreign for a in book.attempts),
        "outboxed": sum(a.durable_in == "outbox" for a in book.attempts),
        "refused": book.count("refused"),
        "unknown": book.count("unknown"),
        "documents": len(view.documents),
        "dead_letters": len(set(view.letters)),
        "archived": len({row.place for row in view.archive}),
        "archived_again": len(view.archive) - len({row.place for row in view.archive}),
        "sent_again_to_the_log": sum(places.values()) - len(places),
        "kills": sum(e.happened for e in outcome.seen if e.fault.kind == "kill"),
        "faults": sum(e.happened for e in outcome.seen),
        "false_starts": sum(getattr(p, "false_starts", 0) for p in world.processes.values()),
    }


def _report(outcome, folder):
    report = {
        "plan": outcome.plan.as_json(),
        "figures": outcome.figures,
        "faults": [{"fault": str(e.fault), "happened": e.happened, "what": e.what, "began": e.began} for e in outcome.seen],
        "violations": [asdict(v) for v in outcome.violations],
        "missing": outcome.missing,
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")


def history(folder, violation, around_s=5):
    """What clients and faults did around a violation: all of its id, and the timeline near it."""
    lines = []
    for attempt in ledger.read(folder / "ledger.ndjson").of(violation.id):
        told = f"{attempt.outcome} {attempt.status or ''} {attempt.durable_in}".rstrip()
        lines.append((attempt.began, f"sent revision {attempt.revision} ({attempt.hash[:8]}) in life {attempt.life}: {told}"))
    moments = [began for began, _ in lines] or [violation.at]
    for line in (folder / "timeline.txt").read_text().splitlines():
        at, text = line.split(" ", 1)
        if any(abs(float(at) - moment) <= around_s for moment in moments):
            lines.append((float(at), text))
    return [f"{at:.3f} {text}" for at, text in sorted(lines)]
