"""`ca4 top`: one screen as text, and as people see it in a terminal of 80 columns."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from fcntl import ioctl

import pytest
from support import BINARY, ENVIRONMENT, PATIENCE_S, event, eventually


class Terminal:
    """`ca4 top` in a terminal of its own, of 24 lines."""

    def __init__(self, *args, columns=80):
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [BINARY, "top", *map(str, args)], stdin=slave, stdout=slave, stderr=slave, env=ENVIRONMENT, start_new_session=True
        )
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.written = ""

    def read(self, seconds=0.1):
        until = time.monotonic() + seconds
        while select.select([self.master], [], [], max(until - time.monotonic(), 0))[0]:
            self.written += os.read(self.master, 65536).decode()

    def screen(self):
        """The lines of the newest frame."""
        self.read()
        return re.sub(r"\x1b\[[?0-9]*[A-Za-z]", "", self.written.rpartition("\x1b[H")[2]).split("\r\n")

    def line(self, name):
        return next((line for line in self.screen() if line.startswith(name + " ")), "")

    def press(self, key):
        os.write(self.master, key)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    opened = []

    def begin(*args, **options):
        opened.append(Terminal(*args, **options))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def test_once_prints_what_the_processes_say(up, ca4):
    server = up()
    for i in range(20):
        server.accept(event(f"e{i}"))
    server.when_stored(["e19"])
    result = ca4("top", "--once", "--data-dir", server.data_dir)
    assert result.returncode == 0, result.stderr
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert re.search(r"http://127\.0\.0\.1:\d+ .* ready$", lines["up"])
    assert "(20 since the start)" in lines["events"]
    assert "0 failed" in re.sub(r"/s", "", lines["events"])
    assert "ca4-worker 0" in lines["lag"]
    assert "0 dead letters" in lines["errors"]
    assert "\x1b" not in result.stdout


def test_addresses_can_be_given_and_one_that_is_silent_is_said(up, ca4):
    server = up()
    address = (server.data_dir / "admin/up").read_text().strip()
    for given in (address, address.removeprefix("http://"), server.url):
        result = ca4("top", "--once", given)
        assert result.returncode == 0, result.stderr + result.stdout
        assert "events" in result.stdout
    result = ca4("top", "--once", address, "127.0.0.1:1")
    assert result.returncode == 1
    assert re.search(r"127\.0\.0\.1:1 .*no answer for .*: nobody listens there", result.stdout)
    assert "events" in result.stdout


def test_nobody_to_watch_is_said_with_what_to_do(ca4, tmp_path):
    result = ca4("top", "--once", "--data-dir", tmp_path)
    assert result.returncode == 1
    assert str(tmp_path / "admin") in result.stderr
    assert "give --data-dir or an address" in result.stderr


def test_a_terminal_shows_it_until_q_and_is_as_before(up, terminal):
    server = up()
    top = terminal("--data-dir", server.data_dir)
    eventually(lambda: "ready" in top.line("up"), lambda: top.screen())
    for i in range(50):
        server.accept(event(f"e{i}"))
    eventually(lambda: "(50 since" in top.line("events") and not top.line("events").startswith("events    0/s"), top.screen)
    eventually(lambda: re.search(r"p50 [\d.]+ (us|ms|s)", top.line("stored")), top.screen)
    assert all(len(line) <= 80 for line in top.screen()), top.screen()
    assert len(top.screen()) <= 24
    top.press(b"q")
    assert top.process.wait(PATIENCE_S) == 0
    top.read()
    assert top.written.startswith("\x1b[?1049h\x1b[?25l") and top.written.endswith("\x1b[?25h\x1b[?1049l")
    assert termios.tcgetattr(top.slave) == top.before


def test_a_narrow_terminal_cuts_lines_and_keeps_them_apart(up, terminal):
    server = up()
    top = terminal("--data-dir", server.data_dir, columns=30)
    eventually(lambda: top.line("events"), top.screen)
    lines = [line.rstrip("\r") for line in top.screen()]
    assert all(len(line) <= 30 for line in lines), lines
    assert [line[:9] for line in lines[:4]] == ["ca4 top  ", "", "up       ", ""]


def test_it_outlives_what_it_watches_and_sees_the_next_one(up, terminal):
    server = up()
    top = terminal("--data-dir", server.data_dir)
    eventually(lambda: "ready" in top.line("up"), top.screen)
    server.signal(signal.SIGKILL)
    server.wait()
    eventually(lambda: "no answer for" in top.line("up"), top.screen)
    assert top.line("events") == ""
    up()
    eventually(lambda: "ready" in top.line("up"), top.screen)


@pytest.mark.parametrize("end", ["key", signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_as_people_end_things(tmp_path, terminal, end):
    top = terminal("--data-dir", tmp_path)
    eventually(lambda: "no process that runs" in " ".join(top.screen()), top.screen)
    if end == "key":
        os.write(top.master, b"\x1b[Aq")  # behind an arrow key
    else:
        top.process.send_signal(end)
    assert top.process.wait(PATIENCE_S) == 0
    top.read()
    assert top.written.endswith("\x1b[?25h\x1b[?1049l")
