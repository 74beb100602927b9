"""`make incident-drill DRILL=NAME`: plays incidents of docs/runbook.md on the VPC of `make vpc-sim`, and holds the system to what it says there."""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "lab"))
from drill import play  # noqa: E402
from drills import Database, Disk, Kafka, Tunnel  # noqa: E402
from more_drills import Archive, Certificate, Colab, Poison  # noqa: E402
from vpc import Vpc  # noqa: E402
from vpc_sim import FOLDER, alone, bold, ending, prepare, say  # noqa: E402

DRILLS = {drill.name: drill for drill in (Kafka, Database, Tunnel, Disk, Poison, Certificate, Colab, Archive)}


def main():
    parser = argparse.ArgumentParser(prog="make incident-drill", description=__doc__)
    parser.add_argument("names", nargs="*", default=["kafka"], metavar="NAME", help=f"{', '.join(DRILLS)}, or all [kafka]")
    names = parser.parse_args().names
    names = list(DRILLS) if names == ["all"] else names
    if unknown := [name for name in names if name not in DRILLS]:
        sys.exit(f"incident-drill: no drill {unknown[0]}. There are: {', '.join(DRILLS)}, all, and cluster for one with kubectl")
    prepare()
    with alone(), ending(Vpc(FOLDER, say), interrupted=130) as vpc:
        print(bold("\n  The VPC of `make vpc-sim`"))
        vpc.start()
        failed = []
        for drill in map(DRILLS.get, names):
            print(bold(f"\n  {drill.title}   docs/runbook.md#{drill.name}"), flush=True)
            failed += [] if play(vpc, drill) else [drill.name]
    if failed:
        print(f"incident-drill: failed: {', '.join(failed)}. Logs: build/vpc-sim/logs/", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
