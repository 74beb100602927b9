"""A progress bar: tqdm's where it is installed (also in notebooks), a plain line otherwise."""

import logging
import sys
import time


class _Plain:
    def __init__(self, total, unit):
        self.total, self.unit, self.n = total, unit, 0
        self._start, self._drawn = time.monotonic(), 0.0

    def update(self, more):
        self.n += more
        now = time.monotonic()
        if now - self._drawn < 1 and self.n != self.total:
            return
        self._drawn = now
        of = f"/{self.total}" if self.total is not None else ""
        rate = self.n / max(now - self._start, 1e-9)
        print(f"\r{self.n}{of} {self.unit}s, {rate:.1f}/s", end="", file=sys.stderr, flush=True)

    def write(self, line, file):
        print(f"\r{line}", file=file, flush=True)

    def close(self):
        print(file=sys.stderr)


class _Silent:
    n = 0

    def update(self, more):
        self.n += more

    def write(self, line, file):
        # Who wants no bar still has to know why nothing moves; a program can send this elsewhere.
        logging.getLogger("ca4").warning(line)

    def close(self):
        pass


def advance(bar, done):
    """To `done` in all; draws nothing when that is where it stands."""
    if done != bar.n:
        bar.update(done - bar.n)


def say(bar, line):
    """A line of its own beside the bar."""
    bar.write(line, file=sys.stderr)


def bar(wanted, total, unit="image"):
    if not wanted:
        return _Silent()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Plain(total, unit)
    return tqdm(total=total, unit=unit)
