"""`make incident-drill`: each incident of docs/runbook.md is played on the VPC of vpc-sim, and does what the runbook says."""

import os
import re
import subprocess
import sys

import pytest
import runbook
from incident_drill import DRILLS
from support import ROOT

PAGE = runbook.RUNBOOK.read_text()


@pytest.mark.parametrize("name", DRILLS)
def test_the_incident_goes_as_the_runbook_says(vpc, name):
    said = []
    DRILLS[name](vpc, said.append).run()
    told = "\n".join(said)
    print(told)
    for kind in ("load", "inject", "impact", "recover", "verify", "count"):
        assert re.search(rf"^  \d\d:\d\d  {kind} ", told, re.MULTILINE), told
    assert re.search(r"\d+ events taken, .*: each in the database exactly once", told)


def test_a_drill_in_which_nothing_breaks_fails(vpc):
    class Nothing(DRILLS["kafka"]):
        def inject(self):
            self.note("inject", "nothing")

    with pytest.raises(AssertionError, match="exit code 0, the runbook says 1"):
        Nothing(vpc, print).run()


def test_every_drill_has_an_entry_of_five_parts_and_the_other_way_round():
    entries = runbook.entries()
    assert list(entries) == list(DRILLS)
    for name, parts in entries.items():
        assert tuple(parts) == runbook.PARTS, name
        assert parts["Post-recovery verification"], name
        assert f"make incident-drill DRILL={name}" in PAGE or name == "kafka", name
        assert f"\n## {DRILLS[name].title}\n" in PAGE, name
    for suite in ("preflight", "kafka", "workflow"):
        failing = [c for c in entries["kafka"]["Detection"] if c.line == f"make verify-{suite}"]
        assert [c.exit_code for c in failing] == [1], suite
        assert any("FAIL" in line for line in failing[0].printed)


def quoted(*printed, exit_code=1):
    return runbook.Command("laptop", "make verify-kafka", exit_code, list(printed))


def test_a_quoted_line_stands_for_any_figure_time_and_marker_but_for_no_other_word():
    command = quoted("  FAIL send  12 ms  ca4-verify-… accepted, 3 of 7", "1 of 7 checks failed, 9.5 s")
    printed = "  FAIL send   1.2 s  ca4-verify-0a-f accepted, 5 of 7\n1 of 70 checks failed, 30 ms\n"
    assert runbook.difference(command, 1, printed) == ""
    assert "exit code 0, the runbook says 1" in runbook.difference(command, 0, printed)
    assert "printed  FAIL sent" in runbook.difference(command, 1, printed.replace("send", "sent"))
    assert "(nothing more)" in runbook.difference(command, 1, printed + "one more\n")
    assert "(nothing more)" in runbook.difference(command, 1, printed.splitlines()[0])


def test_a_command_without_quoted_lines_is_held_to_its_exit_code_alone():
    assert runbook.difference(quoted(exit_code=0), 0, "whatever\n") == ""
    assert runbook.difference(quoted(exit_code=0), 1, "whatever\n") != ""


def test_an_unknown_drill_is_refused_with_the_names_of_all():
    argv = [sys.executable, ROOT / "deploy/sim/incident_drill.py", "flood"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "no drill flood" in done.stderr
    assert all(name in done.stderr for name in [*DRILLS, "all", "cluster"])


class Cluster:
    """Stand-ins for kubectl and ca4 that write down how they are called: there is no cluster here."""

    def __init__(self, folder):
        self.calls = folder / "calls"
        self.calls.touch()
        for name, does in (("kubectl", ""), ("ca4", '[ -e "$0.fails" ] && exit 1\n')):
            file = folder / name
            file.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls}\n{does}exit 0\n')
            file.chmod(0o755)
        self.broken = folder / "ca4.fails"
        self.env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "CA4_BINARY": str(folder / "ca4")}

    def drill(self, **env):
        argv = [ROOT / "deploy/k8s/incident-drill.sh"]
        env = self.env | env
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=env, stdin=subprocess.DEVNULL)


def test_on_a_cluster_the_commands_are_those_of_the_requirements(tmp_path):
    cluster = Cluster(tmp_path)
    done = cluster.drill(CONFIRM="kafka-0")
    assert done.returncode == 0, done.stderr
    suites = [f"ca4 verify {suite}" for suite in ("kafka", "preflight", "workflow")]
    assert cluster.calls.read_text().splitlines() == [
        "kubectl -n platform get statefulset/kafka",
        *suites,
        "kubectl -n platform delete pod kafka-0",
        *suites,
        "kubectl -n platform rollout restart statefulset/kafka",
        "kubectl -n platform rollout status statefulset/kafka --timeout=300s",
        *suites,
    ]


def test_on_a_cluster_nothing_is_deleted_without_a_yes_or_when_it_is_broken_already(tmp_path):
    cluster = Cluster(tmp_path)
    refused = cluster.drill()
    assert refused.returncode == 1
    assert "CONFIRM=kafka-0" in refused.stderr
    cluster.broken.touch()
    assert cluster.drill(CONFIRM="kafka-0").returncode == 1
    assert "delete" not in cluster.calls.read_text()


def test_make_incident_drill_cluster_runs_it():
    planned = subprocess.run(
        ["make", "-n", "incident-drill", "DRILL=cluster"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "deploy/k8s/incident-drill.sh" in planned
    assert "incident_drill.py" not in planned
