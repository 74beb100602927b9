"""Runs the tunnel and the processor, starts what ends again, and ends them in order. One thread; all waits are bounded."""

import os
import re
import shutil
import signal
import subprocess
import time
from datetime import datetime, timezone

from layout import replace

TICK_S = 0.2
# Between two starts of a program that ends at once: soon back after a hiccup, and no thousand starts a night.
BACKOFF_S_FIRST = 1
BACKOFF_S_MAX = 30
# What ran for so long was well: the next start is the first again.
WELL_S = 60
# A log that is larger is kept once as NAME.log.1 and begun anew.
LOG_BYTES_MAX = 10 << 20
# How long a part may take to end by itself. The processor finishes requests and hands its queue to Kafka or the outbox; ssh has
# nothing to finish.
GRACE_S = {"processor": 40, "tunnel": 10}

CHECKED = "verify-preflight verify-kafka verify-workflow ca4-verify-preflight ca4-verify-kafka ca4-verify-e2e incident-drill"


def now_text():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def how_it_ended(code):
    return f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"


# A message that ca4 logs while it runs, as text or JSON; what it says when it gives up has no time before it.
LOGGED = re.compile(r"\d{4}-\d\d-\d\dT\S+ (trace|debug|info|warning) |\{|listening on |public at |kafka\.broker_map ")


def complaint(lines):
    """What a program said when it gave up, with the remedy below; or else its last line."""
    said = [line for line in lines if not LOGGED.match(line)]
    return "\n".join(said[-6:] or lines[-1:])


class Part:
    """One program, its log, and how often it had to be started again."""

    def __init__(self, name, argv, env, log):
        self.name, self.argv, self.env, self.log = name, argv, env, log
        self.process = None
        self.since = ""
        self.starts = 0
        self.last_error = ""
        self.last_error_at = ""
        self.url = self.public_url = ""
        self._due = self._launched = 0.0
        self._backoff_s = BACKOFF_S_FIRST
        self._read = 0
        self._lines = []  # the newest of this run

    def runs(self):
        return self.process is not None

    def tick(self):
        """Starts it if it is time to, notices its end, reads its log. True when there is news."""
        news = self._read_log()
        if self.runs() and self.process.poll() is not None:
            self._read_log()
            self._ended(self.process.returncode)
            return True
        if not self.runs() and time.monotonic() >= self._due:
            self._launch()
            return True
        return news

    def _launch(self):
        self._launched = time.monotonic()
        try:
            self._start()
        except OSError as error:  # no room for its log, or none for a process
            self._pause(f"it could not be started: {error}")
            return
        self.starts += 1
        self.since = now_text()

    def _start(self):
        self.log.touch(mode=0o600)
        self._read = self.log.stat().st_size
        self._lines = []
        with self.log.open("ab") as log:
            # A supervisor that is killed takes its programs along; a session of its own keeps a terminal's Ctrl-C away.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self.argv],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _ended(self, code):
        self.process = None
        self.url = self.public_url = ""
        self._pause(f"it ended with {how_it_ended(code)}" + (f": {complaint(self._lines)}" if self._lines else ""))

    def _pause(self, why):
        self.since = self.last_error_at = now_text()
        self.last_error = why
        if time.monotonic() - self._launched >= WELL_S:
            self._backoff_s = BACKOFF_S_FIRST
        self._due = time.monotonic() + self._backoff_s
        self._backoff_s = min(2 * self._backoff_s, BACKOFF_S_MAX)

    def _read_log(self):
        """Takes in what was written since; True when it said where it is."""
        before = (self.url, self.public_url)
        if not self.log.exists():
            return False
        with self.log.open("rb") as log:
            log.seek(self._read)
            text, newline, _ = log.read(LOG_BYTES_MAX).rpartition(b"\n")
        self._read += len(text) + len(newline)
        lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
        self._lines = (self._lines + lines)[-20:]
        for line in lines:
            if found := re.fullmatch(r"(listening on|public at) (https?://\S+)", line):
                if found[1] == "public at":
                    self.public_url = found[2]
                else:
                    self.url = re.sub(r"//(0\.0\.0\.0|\[::\]):", "//127.0.0.1:", found[2])
        if self._read > LOG_BYTES_MAX:
            try:
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            except OSError:  # a full disk: what is in the way goes
                self.log.with_suffix(".log.1").unlink(missing_ok=True)
            os.truncate(self.log, 0)  # it is appended to: the program goes on at the new end
            self._read = 0
        return before != (self.url, self.public_url)

    def stop(self):
        if not self.runs():
            return
        self.process.terminate()
        try:
            self.process.wait(GRACE_S[self.name])
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def state(self):
        return {
            "name": self.name,
            "state": "up" if self.runs() else "down",
            "since": self.since,
            "pid": self.process.pid if self.runs() else None,
            "restarts": max(self.starts - 1, 0),
            "url": self.url,
            "public_url": self.public_url,
            "last_error": self.last_error,
            "last_error_at": self.last_error_at,
        }


def make_word(text):
    return text.replace("$", "$$").replace("#", "\\#")


def checks(layout, plan, url):
    """Lines for make that lead the verify targets to this processor; a variable of the user's goes before."""
    variables = plan.shared() | {"CA4_PRODUCER_ENDPOINT": url, "CA4_PRODUCER_TOKEN_FILE": plan.token_file}
    # Not the processor's own folder: its page has an embedded store there, in which `ca4 verify` would wait for documents that the
    # workers put elsewhere.
    variables["CA4_DATA_DIR"] = str(layout.folder / "checks")
    head = "# Written while the processor of `make run-local-processor` runs.\n"
    return head + "".join(f"{CHECKED}: export {name} ?= {make_word(value)}\n" for name, value in variables.items() if value)


def tell(layout, plan, began, parts):
    """Leaves word of how it stands. False on a full disk: events must not wait for room for that."""
    state = {
        "pid": os.getpid(),
        "since": began,
        "env": plan.shared(),
        "kafka_ports": sorted(plan.kafka_ports),
        "parts": [part.state() for part in parts],
    }
    try:
        layout.write_state(state)
        if parts[-1].url:
            replace(layout.checks, checks(layout, plan, parts[-1].url))
    except OSError:
        return False
    return True


def supervise(layout, plan, binary):
    """Until SIGTERM or SIGINT. The caller holds the lock."""
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may close
    names = (["tunnel"] if plan.tunnel else []) + ["processor"]
    commands = {"tunnel": "tunnel", "processor": "serve"}
    parts = [Part(name, [binary, commands[name]], plan.env, layout.logs / f"{name}.log") for name in names]
    began = now_text()
    told = False
    while not stopping:
        # All of them: no short cut at the first with news.
        if any([part.tick() for part in parts]):
            told = False
        told = told or tell(layout, plan, began, parts)
        time.sleep(TICK_S)
    # First the door, then the way out: what was let in is sent while there is a way.
    for part in reversed(parts):
        part.stop()
    layout.forget()
