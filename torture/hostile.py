"""`make hostile SECONDS=n`: honest clients of `ca4 up` before and during each attack of attacks.py, and what the attack takes of the process.

Prints a table: answers and latency of the honest ones, memory, descriptors. Attacker, honest clients and server share the machine, so that the
figures also have what the attacker's own program takes of it. Exit code 1: an honest client was not answered 200, an attack got what it must
not, the process ended, or honest clients waited longer than LATENCY_MAX says. build/hostile/ keeps the table.
"""

import argparse
import os
import shutil
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / folder) for folder in ("tests", "lab")]
import attacks  # noqa: E402
import proc  # noqa: E402
import steady  # noqa: E402
from basics import allow_descriptors, percentile  # noqa: E402
from support import Server  # noqa: E402

# How many times as long as without an attack honest clients may wait, by their 99th percentile.
LATENCY_MAX = 2.0
# Below it a ratio says more about the machine's scheduler than about the server.
LATENCY_FLOOR_MS = 5.0
CONNECTIONS_MAX = 2000
SETTLE_S = 1


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="of each attack, and of the time before it (default: 15)")
    parser.add_argument("--events-per-s", type=float, default=100, help="of all honest clients together (default: 100)")
    parser.add_argument("--only", help="the attacks with these names, by commas")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/hostile", help="data and table; emptied before")
    return parser.parse_args()


def peak_mib(pid):
    """The most memory since the last call."""
    peak = proc.status(pid, "VmHWM")
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak / 1024


class Attack:
    """One attack beside honest clients: what came of both."""

    def __init__(self, server, attack, seconds, honest):
        self.attack, self.server, self.honest = attack, server, honest
        self.before = self._listen(seconds)
        peak_mib(server.pid)
        over, self.found = threading.Event(), {}
        attacker = threading.Thread(target=lambda: self.found.update(attack(server.address, over)), daemon=True)
        attacker.start()
        self.during = self._listen(seconds)
        self.fds = proc.descriptors(server.pid)
        over.set()
        attacker.join(attacks.TIMEOUT_S * 2)
        assert not attacker.is_alive(), f"{attack.__name__} does not end"
        self.mib = peak_mib(server.pid)
        time.sleep(SETTLE_S)

    def _listen(self, seconds):
        self.honest.take()
        time.sleep(seconds)
        return steady.answers(self.honest.take())

    def wrong(self):
        """What must not be, in words."""
        found = []
        if not self.server.runs():
            found.append(f"the process has ended:\n{self.server.said()}")
        for statuses, _ in (self.before, self.during):
            if set(statuses) != {200}:
                found.append(f"honest clients were answered {statuses}")
        bad = self.found.keys() - attacks.ATTACKS[self.attack]
        if bad or not self.found:
            found.append(f"the attack was answered {dict(self.found)}")
        return found

    def ratio(self):
        before, during = (percentile(ms, 0.99) for _, ms in (self.before, self.during))
        return during / before, during


def row(attack):
    (_, before), (_, during) = attack.before, attack.during
    figures = [f"{percentile(ms, share):.1f}" for ms in (before, during) for share in (0.5, 0.99)]
    ratio, _ = attack.ratio()
    came = ", ".join(f"{count} {name}" for name, count in sorted(attack.found.items()))
    return f"| {attack.attack.__name__} | {came} | {len(during)} | {' | '.join(figures)} | {ratio:.1f} | {attack.mib:.0f} | {attack.fds} |"


def main():
    given = options()
    allow_descriptors()
    folder = given.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chosen = [attack for attack in attacks.ATTACKS if not given.only or attack.__name__ in given.only.split(",")]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; honest clients send {given.events_per_s:g} events/s", flush=True)
    server = Server("up", folder / "data", "--connections-max", CONNECTIONS_MAX, "--log-level", "error")
    lines, wrong = [], []
    try:
        server.wait_until_listening()
        honest = steady.Steady(server.address, given.events_per_s)
        time.sleep(SETTLE_S)
        lines.append("| attack | came of it | honest answers | p50 ms before | p99 | p50 during | p99 | p99 ratio | peak MiB | descriptors |")
        lines.append("|---" * 10 + "|")
        print("\n".join(lines), flush=True)
        for function in chosen:
            attack = Attack(server, function, given.seconds, honest)
            lines.append(row(attack))
            print(lines[-1], flush=True)
            wrong += [f"{function.__name__}: {what}" for what in attack.wrong()]
            ratio, during_ms = attack.ratio()
            if ratio > LATENCY_MAX and during_ms > LATENCY_FLOOR_MS:
                wrong.append(f"{function.__name__}: honest clients waited {ratio:.1f} times as long, {during_ms:.1f} ms")
        honest.stop()
        server.stop()
    finally:
        server.kill()
        shutil.rmtree(folder / "data", ignore_errors=True)
    (folder / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(wrong) or "every honest client was answered, within the time allowed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
