"""What a comparison measured, in build/bench/NAME.json, from which bench/frame/report.py makes docs/benchmarks.md.

    {"section": "api", "title": ..., "setup": [Markdown lines], "versions": {name: version}, "command": ..., "machine": {...},
     "runs": [{"subject": "ca4 serve", "kind": "ours"|"peer"|"floor", "work": "2048 floats, JSON, 16 connections", "round": 1,
               "events": n, "seconds": s, "cpu_seconds": c, "p50_ms", "p99_ms", "p999_ms", "memory_peak_mib", and further numbers}],
     "aims": [{"aim": text, "unit": "×", "at_least" or "at_most": limit, "reached", "lowest", "highest"}],
     "tables": [{"title": ..., "rows": [{column: text}]}],
     "curves": [{"name": file name, "title", "x", "y": labels, "lines": {name: [[x, y], ...]}}]}

Numbers that a subject does not have are left out or None. The subjects of one work take turns: all in round 1, then all in round 2.
"""

import json
import os
import platform
import re
import statistics
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "build/bench"
BUILD = ROOT / "build/release"


def machine():
    """What the figures were measured on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    total = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": cpu[1].strip() if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(total[1]) / 2**20),
        "system": f"Linux {platform.release()}",
        "load_at_the_start": round(os.getloadavg()[0], 1),
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def events_per_cpu_s(run):
    return run["events"] / run["cpu_seconds"] if run["events"] and run["cpu_seconds"] else 0.0


def spread(values):
    """(median, lowest, highest)"""
    values = list(values)
    return statistics.median(values), min(values), max(values)


def table(rows):
    """Rows that are dictionaries as a Markdown table, a column for each key that any has."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row.get(column, "")) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


class Comparison:
    """Collects what one comparison measures; `save` leaves it in build/bench/SECTION.json."""

    def __init__(self, section, title, setup, versions, command):
        self.found = {"section": section, "title": title, "setup": setup, "versions": versions, "command": command,
                      "machine": machine(), "runs": [], "aims": [], "tables": [], "curves": []}

    def add(self, subject, kind, work, round, events, seconds, cpu_seconds, **more):
        """One run of one subject. `cpu_seconds` is that of the process under test and its children, never of the load generator."""
        assert kind in ("ours", "peer", "floor"), kind
        run = {"subject": subject, "kind": kind, "work": work, "round": round, "events": events, "seconds": seconds,
               "cpu_seconds": cpu_seconds} | more
        self.found["runs"].append(run)
        print(f"{work}: {subject}, round {round}: {events} events in {seconds:.1f} s, {cpu_seconds / max(events, 1) * 1e6:.1f} us of CPU each",
              flush=True)

    def runs(self, subject, work):
        return sorted((r for r in self.found["runs"] if (r["subject"], r["work"]) == (subject, work)), key=lambda r: r["round"])

    def aim(self, text, values, unit, **limit):
        """An aim and what was reached in each round; limit: at_least=x or at_most=x. Without values it was not measured in this run."""
        assert set(limit) in ({"at_least"}, {"at_most"}), limit
        values = list(values)
        middle, lowest, highest = spread(values) if values else (None, None, None)
        self.found["aims"].append({"aim": text, "unit": unit, "reached": middle, "lowest": lowest, "highest": highest} | limit)

    def aim_ratio(self, text, ours, other, **limit):
        """How many times the events a CPU second of `other` ours has; both are (subject, work). Runs of one round are compared with each other."""
        pairs = zip(self.runs(*ours), self.runs(*other))
        self.aim(text, [events_per_cpu_s(a) / events_per_cpu_s(b) for a, b in pairs if events_per_cpu_s(b)], "×", **limit)

    def table(self, title, rows):
        self.found["tables"].append({"title": title, "rows": rows})

    def curve(self, name, title, x, y, lines):
        self.found["curves"].append({"name": name, "title": title, "x": x, "y": y, "lines": lines})

    def save(self):
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / f"{self.found['section']}.json").write_text(json.dumps(self.found, indent=1) + "\n")
