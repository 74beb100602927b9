"""`make torture MINUTES=n SEED=s [BACKEND=embedded|servers]`: real processes under faults drawn from a seed, and a judgement.

Exit code 0: nothing is wrong. 1: a violation; it prints the history around it and the smallest schedule that still fails.
3: the run does not count, because a planned fault did not happen. docs/reliability.md says what is promised and how it is judged.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / folder) for folder in ("tests", "lab")]
import run  # noqa: E402
import schedule  # noqa: E402
import shrink  # noqa: E402

SHOWN = 10  # violations with their history


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="which faults and which events; without one it draws one and says it")
    parser.add_argument("--minutes", type=float, default=1, help="how long faults go on; starting and judging come on top")
    parser.add_argument("--backend", choices=schedule.BACKENDS, default="embedded")
    parser.add_argument("--events-per-s", type=float, default=300, help="what all clients together send at most")
    parser.add_argument("--without", action="append", default=[], help="a kind of fault to leave out, as `full`, which needs root")
    parser.add_argument("--plan", action="store_true", help="print the schedule and end")
    parser.add_argument("--folder", type=Path, help="where data, logs, ledger and report go; emptied before")
    parser.add_argument("--shrink-s", type=float, default=600, help="how long to look for a smaller schedule that fails too")
    return parser.parse_args()


def once(plan, folder, events_per_s):
    """A run in an emptied folder; a disk that a killed run has left mounted in it is taken away first."""
    for disk in (folder / "data", folder / "outbox"):
        if disk.is_mount():
            subprocess.run(["umount", disk], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return run.run(plan, folder, events_per_s)


def explain(outcome, folder, options):
    """A violation: which, its history, and with how few faults it still comes."""
    print(f"\n{len(outcome.violations)} violations of seed {outcome.plan.seed}; everything is in {folder}")
    for violation in outcome.violations[:SHOWN]:
        print(f"\n{violation}")
        print("\n".join(f"  {line}" for line in run.history(folder, violation)))
    names = {violation.name for violation in outcome.violations}

    def fails(faults):
        again = once(outcome.plan.only(faults), folder.with_name(folder.name + "-shrink"), options.events_per_s)
        found = names & {violation.name for violation in again.violations}
        print(f"with {len(faults)} of the faults: {', '.join(sorted(found)) or 'nothing'}", flush=True)
        return bool(found)

    smallest = shrink.shrink(outcome.plan.faults, fails, options.shrink_s)
    print(f"\nthe smallest schedule that was seen to fail:\n{outcome.plan.only(smallest)}")


def main():
    # By an exception, so that every process and mount goes with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = arguments()
    seed = random.randrange(1 << 31) if options.seed is None else options.seed
    plan = schedule.plan(seed, options.minutes, options.backend, options.without)
    print(plan, flush=True)
    if options.plan:
        return 0
    folder = (options.folder or ROOT / f"build/torture/{options.backend}-{seed}").absolute()
    outcome = once(plan, folder, options.events_per_s)
    print(json.dumps(outcome.figures))
    if outcome.violations:
        explain(outcome, folder, options)
    elif outcome.missing:
        print("does not count:\n  " + "\n  ".join(outcome.missing))
    else:
        print(f"seed {seed}: nothing lost, nothing twice, nothing wrong; all {len(plan.faults)} faults happened")
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
