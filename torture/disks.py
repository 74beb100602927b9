"""`make torture-disk WHAT=cuts|calls|damage SEED=s REPEATS=n`: what the disk does to us, one case after the other, each judged by the
oracle of `make torture`.

Exit code 0: nothing is wrong; 1: a violation, whose folder stays. docs/reliability.md says what is done.
"""

import argparse
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / folder) for folder in ("tests", "lab")]
import calls  # noqa: E402
import cuts  # noqa: E402
import damage  # noqa: E402

WHATS = {"cuts": cuts.all_of, "calls": calls.all_of, "damage": damage.all_of}
LAYOUTS = ("up", "apart", "outbox")
SHOWN = 5  # violations of a case


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=WHATS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=100, help="power cuts of a scenario, damages of a file, or how many N of each kind of call at most")
    parser.add_argument("--stride", type=int, default=1, help="calls: every so many-th N")
    parser.add_argument("--jobs", type=int, default=1, help="calls: so many cases at a time")
    parser.add_argument("--record-s", type=float, default=15, help="cuts: how long the run that is cut is")
    parser.add_argument("--layout", nargs="+", choices=LAYOUTS, default=LAYOUTS, help="only what is done to these")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/torture", help="where each case has a folder; a clean one is removed")
    return parser.parse_args()


def main():
    # By an exception, so that every process goes with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = arguments()
    options.folder = options.folder.absolute()
    total = Counter()
    for case in WHATS[options.what](options):
        total += Counter(cases=1, wrong=bool(case.violations), acknowledged=case.acknowledged)
        if not case.violations:
            shutil.rmtree(case.folder)
            continue
        print(f"\n{case.name}: {len(case.violations)} violations; it is in {case.folder}")
        print(*(f"  {violation}" for violation in case.violations[:SHOWN]), sep="\n", flush=True)
    print(f"{options.what}, seed {options.seed}: {total['cases']} cases, {total['acknowledged']} acknowledged, {total['wrong']} wrong")
    return 1 if total["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
