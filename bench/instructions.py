"""Counts the instructions that an event costs in each component (bench/instructions.cc, under callgrind), and compares them with
bench/instructions.txt: seconds depend on what else a machine does, instructions don't.

    .deps/venv/bin/python bench/instructions.py            prints the counts beside the budgets; exit code 1 where one is over
    .deps/venv/bin/python bench/instructions.py --write    makes them the budgets

A count may be 5 % over its budget: another patch of the compiler, of a library or of callgrind moves counts by a few per cent,
and what is worth finding (a copy, a pass, an allocation a number) by more. Budgets are for the processor that callgrind shows to
programs: one with AVX2. On another one the libraries choose other code, and nothing is compared.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/bench/instructions"
BUDGETS = ROOT / "bench/instructions.txt"
TOLERANCE = 1.05
RUN_S = 300  # it takes 5 on an idle machine


def count():
    """{component: instructions an event}"""
    with tempfile.TemporaryDirectory(prefix="ca4-instructions-") as name:
        folder = Path(name)
        (folder / "log").mkdir()
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--dump-before=measured_*", PROGRAM, folder / "log"],
            # What stands in the environment moves the stack, and with it how memory is aligned.
            env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=RUN_S)
        assert run.returncode == 0, run.stderr
        # Each dump has what was done since the one before; the first is of the set-up.
        dumps = sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))[1:]
        totals = [int(re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)[1]) for dump in dumps]
        events = {name: int(number) for name, number in (line.split() for line in run.stdout.splitlines())}
        assert len(totals) == len(events), f"{len(totals)} dumps of {len(events)} components:\n{run.stderr}"
        return {name: round(total / number) for (name, number), total in zip(events.items(), totals)}


def budgets(path=BUDGETS):
    lines = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: int(number) for name, number in lines}


def over(counts, allowed):
    """The components that cost more than they may, or have no budget."""
    return [name for name, number in counts.items() if number > allowed.get(name, 0) * TOLERANCE]


def write(counts, path=BUDGETS):
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    path.write_text("\n".join([*head, *(f"{name:20} {number:>9}" for name, number in counts.items())]) + "\n")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--write", action="store_true", help="make the counts the budgets")
    given = arguments.parse_args()
    assert "avx2" in Path("/proc/cpuinfo").read_text(), "this processor has no AVX2: the budgets are not for it"
    counts, allowed = count(), budgets()
    for name, number in counts.items():
        budget = allowed.get(name, 0)
        print(f"{name:20} {number:>9}  budget {budget:>9}  {number / budget - 1 if budget else 0:+.1%}")
    if given.write:
        return write(counts)
    if over(counts, allowed):
        sys.exit(f"over budget by more than {TOLERANCE - 1:.0%}: {', '.join(over(counts, allowed))}. If it is worth it, "
                 "`make bench-instructions BENCH_FLAGS=--write` raises the budget; say why in the commit.")


if __name__ == "__main__":
    main()
