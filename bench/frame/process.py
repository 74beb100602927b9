"""A process under test with its children: CPU seconds, memory, start and end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "lab"))
import proc  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
READY_S = 300  # a JVM on a machine that is busy enough for figures to be doubtful
IDLE_CPU_S = 0.005  # in 0.1 s: timers and a virtual machine of Java never rest


def tree(pid):
    """The process and all below it."""
    return [pid, *proc.below(pid)]


def cpu_seconds(pid):
    """User and system time of the process, of its children, and of those of its children that have ended (these to 10 ms)."""
    total = 0
    for one in tree(pid):
        total += time.clock_gettime(~one << 3 | 2)  # the CPU clock of another process: clock_getcpuclockid(3)
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(int(ticks) for ticks in fields[13:15]) / TICKS
    return total


def memory_mib(pid, key="VmHWM"):
    """The peak (VmHWM) or what is resident now (VmRSS), of the process and its children together."""
    return sum(proc.status(one, key) or 0 for one in tree(pid)) / 1024


class Server:
    """A server under test. Either it says on its first line with a URL where it listens, or `port` is given and it is waited for."""

    def __init__(self, argv, port=None, env=None, cwd=None, log=None):
        begun = time.monotonic()
        self.process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE if port is None else log or subprocess.DEVNULL,
                                        stderr=log or sys.stderr, text=True, env=os.environ | (env or {}), cwd=cwd)
        self.host, self.port = "127.0.0.1", port
        if port is None:
            line = self.process.stdout.readline()
            match = re.search(r"http://([\d.]+):(\d+)", line)
            if not match:
                raise SystemExit(f"{argv[0]} did not say where it listens: {line!r}")
            self.host, self.port = match.group(1), int(match.group(2))
        self._wait(begun)
        self.started_s = time.monotonic() - begun

    def _wait(self, begun):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((self.host, self.port)) == 0:
                    return
            if self.process.poll() is not None or time.monotonic() - begun > READY_S:
                self.process.kill()
                raise SystemExit(f"{self.process.args} does not listen on port {self.port}")
            time.sleep(0.002)

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def when_idle(self, patience_s=30):
        """Returns when it uses no CPU any more: what was in flight when a load ended is done."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            before = cpu_seconds(self.pid)
            time.sleep(0.1)
            if cpu_seconds(self.pid) - before < IDLE_CPU_S:
                return

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
