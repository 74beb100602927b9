"""`make incident-drill`: each incident of docs/runbook.md is played on the VPC of vpc-sim, and does what the runbook says."""

import os
import re
import subprocess
import sys
import time

import pytest
import runbook
from basics import BINARY, ENVIRONMENT
from incident_drill import DRILLS
from server_process import HERE, free_port
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


def test_on_a_cluster_the_checks_fail_that_the_runbook_names_whatever_else_they_print():
    command = quoted("  FAIL tunnel kafka:9092  12 ms  …", "  ok   clock  1 ms  …", "  FAIL event-log  3.0 s  …")
    printed = "preflight\n  FAIL tunnel 10.0.0.1:30092  1 ms  closed\n  ok   tunnel k3s:6443  1 ms\n  FAIL event-log  3.1 s  away\n"
    wrong = lambda code, text: runbook.difference_of_outcome(command, code, text)  # noqa: E731
    assert wrong(1, printed) == ""
    # One that is not made there, as without a tunnel.
    assert wrong(1, printed.replace("tunnel", "other").replace("FAIL other", "ok   other")) == ""
    assert "exit code 0, the runbook says 1" in wrong(0, printed)
    assert "fails at ['event-log']" in wrong(1, printed.replace("FAIL tunnel", "ok   tunnel"))
    assert "fails at ['event-log', 'token', 'tunnel']" in wrong(1, printed + "  FAIL token  1 ms  refused\n")
    assert "fails at []" in wrong(1, "ca4 verify: bad settings\n")


KUBECTL = """#!/bin/sh
# A cluster of one pod, which is the broker of vpc-sim: {here}/pod has its process. The worker's pod is the node.
echo "$*" >>{here}/calls
inside() {{ nsenter --target "$(cat {node}/pid)" --net --mount -- "$@"; }}
ready() {{ inside bash -c '</dev/tcp/kafka/9092' 2>/dev/null; }}
gone() {{
  pid=$(cat {here}/pod 2>/dev/null) || return 0
  kill -9 "$pid"
  while [ "$(cat {here}/pod 2>/dev/null)" = "$pid" ]; do sleep 0.1; done
  echo 'pod "kafka-0" deleted'
}}
case "$*" in
  *"get statefulset/kafka "*) echo {brokers} ;;
  "-n platform get pod kafka-0 "*) if ready; then echo True; else echo False; fi ;;
  "-n platform delete pod kafka-0"*) [ -e {here}/deaf ] || gone ;;
  *"rollout restart statefulset/kafka") gone ;;
  *"rollout status statefulset/kafka "*) until ready; do sleep 0.2; done ;;
  "-n app exec deployment/worker -- "*) shift 5; set -a; . {node}/env; inside "$@" ;;
  "config current-context") echo a-cluster ;;
  *) echo "no such command: $*" >&2; exit 1 ;;
esac
"""


class StatefulSet:
    """What K3s does for the broker's pod: makes it anew a moment after it is gone. Asked by the thread that started the broker, without
    which it ends."""

    def __init__(self, server, pod):
        self.server, self.pod, self.starts = server, pod, 0
        self.pod.write_text(str(server.process.pid))

    def look(self):
        if not self.server.runs():
            self.pod.unlink()
            time.sleep(0.3)
            self.server.launch()
            self.starts += 1
            self.pod.write_text(str(self.server.process.pid))


def stand_in(folder, node="/none", brokers=1):
    """The environment in which kubectl is that of above."""
    kubectl = folder / "kubectl"
    kubectl.write_text(KUBECTL.format(here=folder, node=node, brokers=brokers))
    kubectl.chmod(0o755)
    (folder / "calls").touch()
    return {"PATH": f"{folder}:{os.environ['PATH']}", "CA4_BINARY": str(BINARY)}


def drill_on_cluster(env, host=HERE, meanwhile=lambda: None, **more):
    """(exit code, what it printed, what it said on standard error)"""
    process = subprocess.Popen(
        host.inside(sys.executable, ROOT / "deploy/k8s/cluster_drill.py"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | env | more,
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 400
    try:
        while True:
            try:
                printed, said = process.communicate(timeout=0.1)
                return process.returncode, printed, said
            except subprocess.TimeoutExpired:
                assert time.monotonic() < deadline, "the drill does not end"
                meanwhile()
    finally:
        process.kill()


def calls(folder):
    return (folder / "calls").read_text().splitlines()


def test_on_a_cluster_it_goes_as_the_runbook_says(vpc, tmp_path):
    """All but the cluster is real: broker, tunnel, processor, worker, database."""
    env = vpc.env("laptop") | stand_in(tmp_path, vpc.home("node"))
    platform = StatefulSet(vpc.servers["kafka"], tmp_path / "pod")
    code, printed, said = drill_on_cluster(env, vpc["laptop"], platform.look, CONFIRM="kafka-0")
    print(printed)
    assert code == 0, printed + said
    for suite in ("kafka", "preflight", "workflow"):
        codes = re.findall(rf"^  \d\d:\d\d  (\w+) +laptop\$ make verify-{suite}: exit code (\d)", printed, re.MULTILINE)
        assert codes == [("before", "0"), ("detect", "1"), ("verify", "0")]
    taken, waited = map(int, re.search(r"(\d+) events taken, (\d+) of them by the outbox: each in the database", printed).groups())
    assert taken > waited > 20
    assert platform.starts > 2
    made = calls(tmp_path)
    wanted = ["-n platform delete pod kafka-0", "-n platform rollout restart statefulset/kafka"]
    wanted.append("-n platform rollout status statefulset/kafka --timeout=300s")
    assert [call for call in made if call in wanted] == wanted
    assert any(re.fullmatch(r"-n app exec deployment/worker -- ca4 query --pipeline drill-kafka-\d+ .*", call) for call in made)


def test_on_a_cluster_whose_pod_stays_the_drill_fails(vpc, tmp_path):
    env = vpc.env("laptop") | stand_in(tmp_path, vpc.home("node"))
    (tmp_path / "deaf").touch()
    code, _, said = drill_on_cluster(env, vpc["laptop"], CONFIRM="kafka-0")
    assert code == 1
    assert "pod kafka-0 is ready all the same" in said


def test_on_a_cluster_nothing_is_deleted_without_a_yes_or_when_it_is_broken_already(tmp_path):
    env = stand_in(tmp_path)
    code, _, said = drill_on_cluster(env)
    assert code == 1
    assert "this deletes pod kafka-0 of a-cluster" in said
    nobody = f"127.0.0.1:{free_port()}"
    code, _, said = drill_on_cluster(env, CONFIRM="kafka-0", KAFKA_BOOTSTRAP=nobody, CA4_DATA_DIR=str(tmp_path / "data"))
    assert code == 1
    assert "make verify-kafka\n    exit code 1, the runbook says 0" in said
    assert not [call for call in calls(tmp_path) if "delete" in call]


def test_on_a_cluster_of_three_brokers_there_is_no_outage_to_play(tmp_path):
    code, _, said = drill_on_cluster(stand_in(tmp_path, brokers=3), CONFIRM="kafka-0")
    assert code == 1
    assert "Kafka has 3 brokers" in said
    assert len(calls(tmp_path)) == 1


def test_the_load_has_the_token_of_a_processor_that_asks_for_one(serve, tmp_path):
    token = tmp_path / "token"
    token.write_text("sixteen-or-more-letters\n")
    server = serve("up", tmp_path / "data", "--token-file", token)
    for more, answered in (([], "401"), ([token], "log")):
        argv = [sys.executable, ROOT / "deploy/sim/load.py", server.url, "drill-", *more]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdout.readline() == f"drill-0 {answered}\n"
            load.kill()


def test_make_incident_drill_cluster_runs_it():
    planned = subprocess.run(
        ["make", "-n", "incident-drill", "DRILL=cluster"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "deploy/k8s/cluster_drill.py" in planned
    assert "incident_drill.py" not in planned
