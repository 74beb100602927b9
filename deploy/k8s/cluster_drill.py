"""`make incident-drill DRILL=cluster`: the Kafka broker outage of docs/runbook.md on the cluster that KUBECONFIG names.

The processor is the one that `ca4 verify` looks at (`make run-local-processor`), behind a running tunnel. Asks first, or CONFIRM=kafka-0.
"""

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "lab"), str(ROOT / "deploy/sim")]
import runbook  # noqa: E402
from basics import BINARY  # noqa: E402
from drill import play  # noqa: E402
from drills import Kafka  # noqa: E402
from load import authorization  # noqa: E402

POD = "kafka-0"
# As long as the StatefulSet's pods may take to start on a small node.
READY_S = 300
# For anything else: a pod that ends gets two minutes (terminationGracePeriodSeconds).
ANSWER_S = 180
# Between two looks whether the pod is back: far below the seconds that a JVM takes to start.
LOOK_S = 0.5


def kubectl(*args, patience_s=ANSWER_S):
    """What it printed, without the end of line. Raises AssertionError with what it said when it fails."""
    try:
        done = subprocess.run(["kubectl", *args], capture_output=True, text=True, timeout=patience_s, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise AssertionError("kubectl is not installed (https://kubernetes.io/docs/tasks/tools/)") from None
    except subprocess.TimeoutExpired:
        raise AssertionError(f"kubectl {' '.join(args)}: no end after {patience_s} s") from None
    assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr.strip()}"
    return done.stdout.strip()


class Cluster:
    """For a drill what vpc.Vpc is: the laptop is this machine, the node a worker's pod."""

    def __init__(self):
        self.logs = ROOT / "build/incident-drill"
        self.logs.mkdir(parents=True, exist_ok=True)
        asked = self.ca4("laptop", "config", "--format", "json")
        assert asked.returncode == 0, asked.stderr
        settings = {row["name"]: row["value"] for row in json.loads(asked.stdout)["settings"]}
        self.url, self.token_file = settings["producer.endpoint"].rstrip("/"), settings["producer.token_file"]

    def ca4(self, machine, *args):
        argv = [BINARY] if machine == "laptop" else ["kubectl", "-n", "app", "exec", "deployment/worker", "--", "ca4"]
        return subprocess.run([*argv, *args], capture_output=True, text=True, timeout=ANSWER_S, stdin=subprocess.DEVNULL)

    def load_command(self, prefix):
        token = [self.token_file] if self.token_file else []
        return [sys.executable, ROOT / "deploy/sim/load.py", self.url, prefix, *token]

    def metrics(self):
        headers = authorization(self.token_file) if self.token_file else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + "/metrics", headers=headers), timeout=ANSWER_S) as answer:
                return answer.read().decode()
        except OSError as problem:
            raise AssertionError(f"{self.url}/metrics: {problem}") from None

    def documents(self, prefix):
        """{metadata_id: how often}, as a worker finds them in the database."""
        found = self.ca4("node", "query", "--pipeline", prefix.rstrip("-"), "--format", "ndjson", "--limit", "0")
        assert found.returncode == 0, f"ca4 query in a worker's pod: {found.stderr.strip()}"
        return Counter(json.loads(line)["metadata_id"] for line in found.stdout.splitlines())

    def restore(self):
        """Nothing: what is deleted comes back by itself."""


class Absence(threading.Thread):
    """Deletes the broker's pod whenever the StatefulSet has made it anew, until `end`.

    Without that the broker may be back before each check of Detection, the longest of which takes 10 s, has seen that it is away.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self._over = threading.Event()
        self.problem, self.times = "", 0
        self.start()

    def run(self):
        try:
            while not self._over.wait(LOOK_S):
                # A broker that only begins to start has nothing to hand over.
                said = kubectl("-n", "platform", "delete", "pod", POD, "--grace-period=1", "--ignore-not-found")
                self.times += "deleted" in said
        except AssertionError as problem:
            self.problem = str(problem)

    def end(self):
        """No more of it, when it returns."""
        self._over.set()
        self.join()


class KafkaPod(Kafka):
    difference = staticmethod(runbook.difference_of_outcome)
    absence = None

    def prepare(self):
        # What fails already would prove nothing.
        for command in self.parts["Post-recovery verification"]:
            self.play("before", command)

    def inject(self):
        kubectl("-n", "platform", "delete", "pod", POD)
        self.absence = Absence()
        self.note("inject", f"pod {POD} is deleted, and again as often as it comes back")
        self.assert_pod_away()

    def detect(self):
        # All at once: an outage that is no longer than it must be.
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda command: self.play("detect", command), self.parts["Detection"]))

    def assert_pod_away(self):
        ready = '{.status.conditions[?(@.type=="Ready")].status}'
        state = kubectl("-n", "platform", "get", "pod", POD, "--ignore-not-found", "--output", f"jsonpath={ready}")
        assert state != "True", f"pod {POD} is ready all the same"

    def observe(self):
        super().observe()
        self.assert_pod_away()
        self.note("impact", f"pod {POD} is missing or not ready; it came back {self.absence.times} times")

    def recover(self):
        self.absence.end()
        kubectl("-n", "platform", "rollout", "restart", "statefulset/kafka")
        kubectl("-n", "platform", "rollout", "status", "statefulset/kafka", f"--timeout={READY_S}s", patience_s=READY_S + 60)
        self.note("recover", "the StatefulSet is rolled out again")
        self.await_healed()

    def clean_up(self):
        if self.absence is not None:
            self.absence.end()
            if self.absence.problem:
                self.note("inject", f"the pod could not be deleted again: {self.absence.problem}")


def agreed():
    """Whether it is said that the pod may be deleted."""
    if (answer := os.environ.get("CONFIRM", "")) != POD:
        where = kubectl("config", "current-context")
        assert sys.stdin.isatty(), f"this deletes pod {POD} of {where}, and sends some thousand events. CONFIRM={POD} says yes."
        answer = input(f"This deletes pod {POD} of {where}, and sends some thousand events. Type {POD} to go on: ")
    return answer == POD


def main():
    try:
        brokers = kubectl("-n", "platform", "get", "statefulset/kafka", "--output", "jsonpath={.spec.replicas}")
    except AssertionError as problem:
        sys.exit(f"incident-drill: {problem}\nIs KUBECONFIG ({os.environ.get('KUBECONFIG', 'not set')}) right, the tunnel up?")
    if brokers != "1":
        sys.exit(f"incident-drill: Kafka has {brokers} brokers: without one of them it goes on, and there is no outage to see.")
    try:
        if not agreed():
            return 1
        cluster = Cluster()
    except AssertionError as problem:
        sys.exit(f"incident-drill: {problem}")
    print(f"\n  {KafkaPod.title}   docs/runbook.md#{KafkaPod.name}", flush=True)
    return 0 if play(cluster, KafkaPod) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(f"\nincident-drill: interrupted. Pod {POD}, if it is away, comes back by itself.")
