"""A real server, as a process of its own: started, waited for, killed, started again."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

# A cold JVM on a busy machine of two cores; only a test that fails anyway waits this long.
READY_S = 120


# Of test processes that run side by side (pytest-xdist) each has a part of the ports of its own.
_part, _parts = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))


def take_part(part, parts):
    """From now on this process is the one with this number of so many that run side by side."""
    global _part, _parts
    _part, _parts = part, parts


def _ports():
    """Those that clients do not get by themselves."""
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return range(10_000 + _part, end, _parts)


def free_port(host="127.0.0.1"):
    """A port nobody listens on now, and which stays free until the caller's server takes it."""
    ports = _ports()
    start = os.getpid() * 7
    for step in range(len(ports)):
        port = ports[(start + step * 13) % len(ports)]
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port
    raise AssertionError("no free port")


_given = set()


class Here:
    """This machine's loopback address, in the place of a netns.Host."""

    address = "127.0.0.1"

    @staticmethod
    def inside(*argv):
        return [*map(str, argv)]

    @staticmethod
    def connects(address, port):
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((str(address), port)) == 0


HERE = Here()


class ServerProcess:
    """One server. `argv` and `env` stay the same over restarts, so that it comes back with its data on its port."""

    def __init__(self, name, argv, log_file, *, env=None, cwd=None, ready=None):
        self.name, self.argv, self.log_file = name, [str(a) for a in argv], Path(log_file)
        self.env, self.cwd = os.environ | (env or {}), cwd
        self._ready = ready  # () -> bool, asked until it is true
        self.process = None

    def launch(self):
        """Starts it without waiting; of use where several need each other."""
        with self.log_file.open("ab") as log:
            # A session of its own: Ctrl-C is for whoever started it, who ends it in the right order.
            self.process = subprocess.Popen(
                self.argv,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
            )

    def start(self, ready_s=READY_S):
        self.launch()
        self.wait_until_ready(ready_s)
        return self

    def wait_until_ready(self, ready_s=READY_S):
        deadline = time.monotonic() + ready_s
        while self._ready is not None and not self._ready():
            assert self.runs(), f"{self.name} ended with {self.process.returncode}:\n{self.said()}"
            assert time.monotonic() < deadline, f"{self.name} is not ready after {ready_s} s:\n{self.said()}"
            time.sleep(0.05)

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def said(self, bytes_max=20_000):
        return self.log_file.read_bytes()[-bytes_max:].decode(errors="replace") if self.log_file.exists() else ""

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9, and gone when it returns."""
        if self.runs():
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def stop(self, patience_s=60):
        """SIGTERM; killed when it does not follow."""
        if not self.runs():
            return
        self.process.terminate()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    @staticmethod
    def answers(port):
        """Whether somebody accepts connections there, on this machine."""
        return HERE.connects(HERE.address, port)
