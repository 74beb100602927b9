"""`make torture MINUTES=n SEED=s [BACKEND=embedded|servers]`: real processes under faults drawn from a seed, and a judgement.

Exit code 0: nothing is wrong. 1: a violation; it prints the history around it and the smallest schedule that still fails.
3: the run does not count, because a planned fault did not happen. docs/reliability.md says what is promised and how it is judged.
"""

import argparse
import json
import math
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / folder) for folder in ("tests", "lab")]
import run  # noqa: E402
import schedule  # noqa: E402
import shrink  # noqa: E402

TOTALS = ("acknowledged", "refused", "unknown", "documents", "archived", "kills", "faults")
SHOWN = 10  # violations with their history


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="which faults and which events; without one it draws one and says it")
    parser.add_argument("--minutes", type=float, default=1, help="how long faults go on; starting and judging come on top")
    parser.add_argument("--round-minutes", type=float, default=5, help="longer runs are rounds of this, judged each, with the seeds that follow")
    parser.add_argument("--backend", choices=schedule.BACKENDS, default="embedded")
    parser.add_argument("--events-per-s", type=float, help="what all clients together send at most [600, with servers 250]")
    parser.add_argument("--without", action="append", default=[], help="a kind of fault to leave out, as `full`, which needs root")
    parser.add_argument("--brokers", type=int, default=1, choices=(1, 3), help="with servers: with three, leaders move")
    parser.add_argument("--other-build", type=Path, help="another binary of ca4, which processes become and cease to be")
    parser.add_argument("--tunnel", action="store_true", help="with servers: `serve` reaches Kafka through `ca4 tunnel` and a bastion, which fail too")
    parser.add_argument("--processors", type=int, default=1, choices=(1, 2), help="with servers: clients go to any of two of `serve`")
    parser.add_argument("--plan", action="store_true", help="print the schedule and end")
    parser.add_argument("--folder", type=Path, help="where data, logs, ledger and report go; emptied before")
    parser.add_argument("--shrink-s", type=float, default=600, help="how long to look for a smaller schedule that fails too")
    options = parser.parse_args()
    if options.tunnel and options.backend != "servers":
        parser.error("--tunnel leads to Kafka: it needs --backend servers")
    if options.processors > 1 and (options.backend != "servers" or options.tunnel):
        parser.error("--processors 2 share a Kafka that both reach: they need --backend servers, and no --tunnel")
    # The database of the tests is written in Python.
    options.events_per_s = options.events_per_s or (600 if options.backend == "embedded" else 250)
    return options


def once(plan, folder, options):
    """A run in an emptied folder; a disk that a killed run has left mounted in it is taken away first."""
    for disk in (folder / "data", folder / "outbox"):
        if disk.is_mount():
            subprocess.run(["umount", disk], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return run.run(plan, folder, options.events_per_s, options.other_build)


def explain(outcome, folder, options):
    """A violation: which, its history, and with how few faults it still comes."""
    print(f"\n{len(outcome.violations)} violations of seed {outcome.plan.seed}; everything is in {folder}")
    for violation in outcome.violations[:SHOWN]:
        print(f"\n{violation}")
        print("\n".join(f"  {line}" for line in run.history(folder, violation)))
    names = {violation.name for violation in outcome.violations}

    def fails(faults):
        again = once(outcome.plan.only(faults), folder.with_name(folder.name + "-shrink"), options)
        found = names & {violation.name for violation in again.violations}
        print(f"with {len(faults)} of the faults: {', '.join(sorted(found)) or 'nothing'}", flush=True)
        return bool(found)

    smallest = shrink.shrink(outcome.plan.faults, fails, options.shrink_s)
    print(f"\nthe smallest schedule that was seen to fail:\n{outcome.plan.only(smallest)}")


def plan_of(seed, minutes, options):
    others = bool(options.other_build)
    return schedule.plan(seed, minutes, options.backend, options.without, options.brokers, others, options.tunnel, options.processors)


def play(seed, minutes, options):
    """One round; of several, a clean one leaves no folder. Returns its outcome."""
    plan = plan_of(seed, minutes, options)
    print(plan, flush=True)
    folder = (options.folder or ROOT / f"build/torture/{options.backend}-{seed}").absolute()
    outcome = once(plan, folder, options)
    print(json.dumps(outcome.figures), flush=True)
    if outcome.violations:
        explain(outcome, folder, options)
    elif outcome.missing:
        print("does not count:\n  " + "\n  ".join(outcome.missing), flush=True)
    else:
        print(f"seed {seed}: nothing lost, nothing twice, nothing wrong; all {len(plan.faults)} faults happened", flush=True)
        if minutes < options.minutes:
            shutil.rmtree(folder)
    return outcome


def rounds(minutes, most):
    """As many equal rounds of at most `most` minutes as it takes."""
    count = max(1, math.ceil(minutes / most - 1e-9))
    return [minutes / count] * count


def main():
    # By an exception, so that every process and mount goes with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = arguments()
    first = random.randrange(1 << 31) if options.seed is None else options.seed
    lengths = rounds(options.minutes, options.round_minutes)
    if options.plan:
        print(*(plan_of(s, m, options) for s, m in enumerate(lengths, first)), sep="\n")
        return 0
    total, codes = Counter(), []
    for seed, minutes in enumerate(lengths, first):
        outcome = play(seed, minutes, options)
        codes.append(outcome.code)
        if outcome.code == 0:
            total += Counter({name: outcome.figures[name] for name in TOTALS})
        if outcome.code == 1:
            break
    if len(lengths) > 1:
        print(f"{codes.count(0)} of {len(codes)} rounds count, none wrong: " if 1 not in codes else "WRONG: ", json.dumps(total))
    return 1 if 1 in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
