"""Where the local processor keeps what it writes, and whether it runs: the supervisor holds the lock for as long as it lives."""

import fcntl
import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class Layout:
    """One folder a processor. Not in .ca4/, which `make ca4-clean` removes: events may wait here."""

    def __init__(self, env):
        self.folder = Path(env.get("CA4_LOCAL_DIR") or ROOT / ".ca4-processor").absolute()
        self.state = self.folder / "state.json"
        self.checks = self.folder / "checks.mk"
        self.logs = self.folder / "logs"
        self.data = self.folder / "data"
        self._lock = self.folder / "lock"

    def make(self):
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)

    def hold(self):
        """The lock, open, or None when another supervisor has it. It is free again when the process ends, however it does."""
        file = self._lock.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def held(self):
        """Whether a supervisor runs."""
        try:
            with self._lock.open() as file:
                # Shared, so that two who look do not take each other for a supervisor.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def write_state(self, state):
        replace(self.state, json.dumps(state, indent=2) + "\n")

    def read_state(self):
        """What the supervisor that runs has last said; None when none runs, or it has only just begun."""
        if not self.held():
            return None
        try:
            return json.loads(self.state.read_text())
        except FileNotFoundError:
            return None

    def forget(self):
        """What must not be taken for news by those who come later."""
        for path in (self.state, self.checks):
            path.unlink(missing_ok=True)


def replace(path, text):
    """A reader sees the old file or the new one, never half of it."""
    fresh = path.with_suffix(path.suffix + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)
