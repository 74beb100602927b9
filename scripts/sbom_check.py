#!/usr/bin/env python3
"""Tells which Debian packages of an SBOM are older than what the archives have, security updates first. Run by `make sbom-check`.

    scripts/sbom_check.py [SBOM]

What apt knows is what counts: run `apt-get update` before. Exit code 1: something is older. 2: it can't be said, as apt knows no archive of
security updates.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def policy(*packages):
    env = os.environ | {"LC_ALL": "C"}
    return subprocess.run(["apt-cache", "policy", *packages], env=env, check=True, capture_output=True, text=True).stdout


def candidates(names):
    """{package: (version that apt would install, whether it is a security update)}."""
    found = {}
    for name, block in re.findall(r"^(\S+):\n((?:  .*\n?)+)", policy(*names), re.MULTILINE):
        version = re.search(r"Candidate: (\S+)", block)[1]
        sources = re.search(rf"^ (?:\*\*\*|   ) {re.escape(version)} .*\n((?:        .*\n?)*)", block, re.MULTILINE)
        found[name.split(":")[0]] = version, bool(sources) and "-security" in sources[1]
    return found


def older(version, than):
    return subprocess.run(["dpkg", "--compare-versions", version, "lt", than]).returncode == 0


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/sbom/ca4.cdx.json"
    if "-security" not in policy():
        print("sbom-check: apt knows no archive of security updates: add bookworm-security to its sources, and run apt-get update", file=sys.stderr)
        return 2
    purl = re.compile(r"pkg:deb/debian/([^@]+)@([^?]+)\?arch=(?!source)")
    listed = [(c["name"], c["version"]) for c in json.loads(path.read_text())["components"] if purl.match(c["purl"])]
    now = candidates([name for name, _ in listed])
    behind = [(name, version, *now[name]) for name, version in listed if name in now and older(version, now[name][0])]
    for name, version, newer, security in sorted(behind, key=lambda row: not row[3]):
        print(f"{name} {version}: Debian has {newer}{', a security update' if security else ''}")
    print(f"sbom-check: {len(behind)} of {len(listed)} packages are older than what Debian has")
    return 1 if behind else 0


if __name__ == "__main__":
    sys.exit(main())
