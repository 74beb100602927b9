"""Writes docs/benchmarks.md and its plots from what the comparisons left in build/bench/ (bench/frame/results.py says what that is).

    .deps/venv/bin/python bench/frame/report.py
"""

import json
import re
import shutil
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

from frame import plot  # noqa: E402
from frame.results import OUT, ROOT, events_per_cpu_s, spread, table  # noqa: E402

PAGE = ROOT / "docs/benchmarks.md"
PLOTS = ROOT / "docs/benchmarks"
NOTES = ROOT / "bench/notes.md"
ORDER = ["api", "growth", "worker", "producer"]

HEAD = """# Side by side

What CA4 costs beside its peers and beside floors, measured by `make bench` on one machine in one run: the subjects of a work take turns, round by round, so that
what else the machine does falls on all of them. CPU is that of the process under test and its children, user and system, never of the load generator, the broker or the database. Tables show
medians and, in brackets, the lowest and the highest of the rounds. Rates (events/s) are what the load generator, the broker and the subject reached together on these cores; CPU an event is what to go by.
This page is written by `make bench`: change bench/, not the page.
"""


def slug(words):
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def number(value):
    if value is None:
        return "–"
    return plot.number(value) if value else "0"


def ranged(values):
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    middle, lowest, highest = spread(values)
    return number(middle) if len(values) == 1 else f"{number(middle)} ({number(lowest)}–{number(highest)})"


def grouped(runs, key):
    groups = {}
    for run in runs:
        groups.setdefault(run[key], []).append(run)
    return groups


def ratios(ours, runs):
    """Events a CPU second of ours over those of another subject, round by round."""
    other = {run["round"]: events_per_cpu_s(run) for run in runs}
    return [events_per_cpu_s(run) / other[run["round"]] for run in ours if other.get(run["round"])]


def work_table(subjects):
    ours = {name: runs for name, runs in subjects.items() if runs[0]["kind"] == "ours"}
    rows = []
    for name, runs in subjects.items():
        row = {
            "subject": name, "": runs[0]["kind"],
            "events/CPU s": ranged(map(events_per_cpu_s, runs)),
            "CPU µs an event": ranged(run["cpu_seconds"] / run["events"] * 1e6 for run in runs if run["events"]),
            "events/s": ranged(run["events"] / run["seconds"] for run in runs),
            "p50 ms": ranged(run.get("p50_ms") for run in runs), "p99 ms": ranged(run.get("p99_ms") for run in runs),
            "p99.9 ms": ranged(run.get("p999_ms") for run in runs), "peak MiB": ranged(run.get("memory_peak_mib") for run in runs),
        }
        for us, our_runs in ours.items():
            row[f"{us} ÷ it"] = "" if us == name else ranged(ratios(our_runs, runs))
        rows.append(row)
    return table(rows)


def work_plot(section, work, subjects):
    rows = [(name, runs[0]["kind"], *spread(run["cpu_seconds"] / run["events"] * 1e6 for run in runs if run["events"]))
            for name, runs in subjects.items() if all(run["events"] and run["cpu_seconds"] for run in runs)]
    if not rows:
        return []
    file = PLOTS / f"{section}-{slug(work)}.svg"
    file.write_text(plot.bars(work, "CPU µs an event, logarithmic: less is better", rows))
    return ["", f"![CPU an event: {work}]({file.relative_to(PAGE.parent)})"]


def aim_rows(found):
    rows = []
    for aim in found["aims"]:
        least = "at_least" in aim
        limit = aim["at_least"] if least else aim["at_most"]
        reached, unit = aim["reached"], aim["unit"]
        if reached is None:
            outcome, shown = "not measured in this run", "–"
        else:
            outcome = "met" if (reached >= limit if least else reached <= limit) else "**not met**"
            shown = f"{number(reached)} {unit} ({number(aim['lowest'])}–{number(aim['highest'])})"
        rows.append({"aim": aim["aim"], "limit": f"{'≥' if least else '≤'} {number(limit)} {unit}", "reached": shown, "": outcome})
    return rows


def section(found):
    machine = found["machine"]
    lines = ["", f"## {found['title']}", "", *found["setup"], "",
             f"`{found['command']}`, {machine['when']}: {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
             f"a load of {machine['load_at_the_start']} at the start.", "",
             "Versions: " + ", ".join(f"{name} {version}" for name, version in found["versions"].items()) + "."]
    for work, runs in grouped(found["runs"], "work").items():
        subjects = grouped(runs, "subject")
        lines += ["", f"### {work}", "", work_table(subjects), *work_plot(found["section"], work, subjects)]
    for one in found["tables"]:
        lines += ["", f"### {one['title']}", "", table(one["rows"])]
    for one in found["curves"]:
        file = PLOTS / f"{found['section']}-{one['name']}.svg"
        file.write_text(plot.curves(one["title"], one["x"], one["y"], one["lines"]))
        lines += ["", f"![{one['title']}]({file.relative_to(PAGE.parent)})"]
    return lines


def measured():
    found = [json.loads(path.read_text()) for path in sorted(OUT.glob("*.json"))]
    found = [one for one in found if "section" in one]
    return sorted(found, key=lambda one: (ORDER.index(one["section"]) if one["section"] in ORDER else len(ORDER), one["section"]))


def main():
    found = measured()
    if not found:
        raise SystemExit(f"nothing was measured yet: {OUT} has no results; run make bench")
    shutil.rmtree(PLOTS, ignore_errors=True)
    PLOTS.mkdir()
    lines = HEAD.splitlines()
    aims = [row for one in found for row in aim_rows(one)]
    if aims:
        lines += ["", "## The aims", "", table(aims)]
    for one in found:
        lines += section(one)
    if NOTES.exists():
        lines += ["", *NOTES.read_text().splitlines()]
    PAGE.write_text("\n".join(lines) + "\n")
    print(f"{PAGE.relative_to(ROOT)} and {len(list(PLOTS.iterdir()))} plots in {PLOTS.relative_to(ROOT)}/")


if __name__ == "__main__":
    main()
