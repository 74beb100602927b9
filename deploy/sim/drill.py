"""What every drill of `make incident-drill` has in common: load all the time, the runbook's commands, a timeline, the count at the end.

`vpc` is that of vpc-sim (vpc.Vpc), or the one behind a cluster (deploy/k8s/cluster_drill.py). Both have `logs`, `load_command`, `ca4`,
`metrics`, `documents` and `restore`.
"""

import shlex
import subprocess
import sys
import time

import runbook
from basics import eventually

# Until a service that was away is used again everything together may take this long; only a drill that fails waits for it.
HEALED_S = 90


class Load:
    """Events from the laptop, one every 50 ms, as long as it runs."""

    def __init__(self, vpc, prefix):
        self.file = vpc.logs / f"{prefix}load.log"
        with self.file.open("w") as output:
            self.process = subprocess.Popen(
                vpc.load_command(prefix), stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )

    def answers(self, *places):
        """The ids that were answered so, in order."""
        lines = [line.split() for line in self.file.read_text().splitlines()]
        return [line[0] for line in lines if len(line) == 2 and line[1] in places]

    def taken(self):
        return self.answers("kafka", "outbox")

    def await_more(self, place, count=20, patience_s=HEALED_S):
        """Until `count` further events got this answer."""
        before = len(self.answers(place))

        def there():
            assert self.process.poll() is None, f"the load has ended: {self.file.read_text()[-500:]}"
            return len(self.answers(place)) >= before + count

        eventually(there, f"{count} more events answered with {place}", patience_s)

    def finish(self):
        """No new events; the ids of all that were taken."""
        self.process.stdin.close()
        assert self.process.wait(HEALED_S) == 0, f"an event was never taken: {self.file.read_text()[-500:]}"
        return self.taken()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Drill:
    """One entry of the runbook, played. A drill says what happens in `inject`, `observe` and `recover`."""

    name = None
    # The words of the runbook's title, for the screen.
    title = None
    # How what a command did is compared with what the runbook quotes.
    difference = staticmethod(runbook.difference)

    def __init__(self, vpc, say=print):
        self.vpc, self._say = vpc, say
        self.parts = runbook.entries()[self.name]
        # Unlike every id that an earlier drill on the same database had.
        self.prefix = f"drill-{self.name}-{time.time_ns() // 1_000_000}-"
        self.load = None
        self.began = time.monotonic()

    def prepare(self):
        """Before the load begins."""

    def inject(self):
        raise NotImplementedError

    def observe(self):
        """What is not seen by the commands of Detection: asserts the runbook's Impact observed."""

    def recover(self):
        raise NotImplementedError

    def clean_up(self):
        """Whatever happened: what must not stay for the next drill. Servers that were killed are started again anyway."""

    def note(self, kind, text):
        took = int(time.monotonic() - self.began)
        self._say(f"  {took // 60:02}:{took % 60:02}  {kind:<9} {text}")

    def run(self):
        """Raises AssertionError where the system does not do what the runbook says."""
        try:
            self.prepare()
            self.load = Load(self.vpc, self.prefix)
            self.load.await_more("kafka", 10)
            self.note("load", "an event every 50 ms from the laptop; Kafka takes them")
            self.inject()
            self.detect()
            self.observe()
            self.recover()
            self.verify()
            self.count()
        finally:
            if self.load is not None:
                self.load.kill()
            self.clean_up()
            self.vpc.restore()

    def detect(self):
        for command in self.parts["Detection"]:
            self.play("detect", command)

    def verify(self):
        for command in self.parts["Post-recovery verification"]:
            self.play("verify", command)

    def play(self, kind, command):
        """Runs a command of the runbook where it says, and compares all that it prints with what the runbook quotes."""
        began = time.monotonic()
        code, printed = self.shell(command.machine, command.line)
        wrong = self.difference(command, code, printed)
        assert not wrong, f"{command.machine}$ {command.line}\n    {wrong}\n  it printed:\n{printed}"
        result = ", as quoted" if command.printed else ""
        self.note(kind, f"{command.machine}$ {command.line}: exit code {code}{result} ({time.monotonic() - began:.1f} s)")

    def shell(self, machine, line):
        """(exit code, what it printed). `make verify-X` is `ca4 verify X` there, without the build."""
        words = shlex.split(line.replace("make verify-", "ca4 verify "))
        assert words[0] == "ca4", f"a drill runs ca4 only: {line}"
        done = self.vpc.ca4(machine, *words[1:])
        return done.returncode, done.stdout + done.stderr

    def metric(self, name):
        """One of the processor's figures."""
        return next((float(line.split()[1]) for line in self.vpc.metrics().splitlines() if line.split()[0] == name), None)

    def await_empty_outbox(self):
        eventually(lambda: self.metric("ca4_outbox_records") == 0, "the outbox is empty", HEALED_S)
        self.note("heal", "the outbox has sent on what waited")

    def await_stored(self, what):
        """Until the worker has all but the newest events."""
        stored = lambda: self.vpc.documents(self.prefix).keys() >= set(self.load.taken()[:-20])  # noqa: E731
        eventually(stored, what, HEALED_S)

    def count(self):
        """No new events; every one that was taken is in the database exactly once, and nothing else is."""
        taken = self.load.finish()
        stored = {}

        def all_stored():
            stored.update(self.vpc.documents(self.prefix))
            return stored.keys() >= set(taken)

        eventually(all_stored, lambda: f"{len(set(taken) - stored.keys())} of {len(taken)} events in the database", HEALED_S)
        assert stored == dict.fromkeys(taken, 1), "not every event is there exactly once"
        waited, refused = len(self.load.answers("outbox")), len(self.load.answers("503", "refused"))
        again = f", {refused} refused and sent again" if refused else ""
        self.note("count", f"{len(taken)} events taken, {waited} of them by the outbox{again}: each in the database exactly once")


def play(vpc, drill):
    """Says what happens, on the screen; True when everything happened as the runbook says."""
    began = time.monotonic()
    try:
        drill(vpc, lambda line: print(line, flush=True)).run()
    except AssertionError as problem:
        print(f"\nincident-drill: {drill.name}: not as the runbook says: {problem}\n", file=sys.stderr)
        return False
    print(f"  As the runbook says, {time.monotonic() - began:.0f} s.")
    return True
