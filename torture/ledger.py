"""What clients sent and what they were told, written down by them: before each request, and after it.

A line of the file is an attempt that begins, `{"a": 7, "id": …, "revision": …, "hash": …, "bad": …, "foreign": …, "life": …,
"t": …, "c": …}`, or what became of it, `{"a": 7, "o": "ok" | "refused" | "unknown", "status": …, "in": …, "late": …, "life": …, "t": …,
"c": …}`. `c` is how many operations the disk under test had seen by then, where somebody counts them (disk.py), else 0.
"""

import json
import threading
import time
from dataclasses import dataclass, field, replace


@dataclass(slots=True)
class Attempt:
    number: int
    id: str
    revision: int
    hash: str
    bad: bool  # it must be refused
    life: int  # the processor's, when it began: counted up with each of its starts
    began: float
    outcome: str = "unknown"
    status: int = 0  # of the answer; 0: there was none
    durable_in: str = ""
    late: bool = False  # given up by the client, not by the server: it may be accepted at any later time
    ended_life: int = 0
    ended: float = 0.0
    foreign: bool = False  # not sent to a processor, but written into the log by somebody else
    began_at: int = 0  # operations of the disk, like ended_at
    ended_at: int = 0


@dataclass
class Ledger:
    attempts: list = field(default_factory=list)

    def of(self, metadata_id):
        return [a for a in self.attempts if a.id == metadata_id]

    def by_id(self):
        """{id: its attempts in the order of the one client that owns the id}."""
        found = {}
        for attempt in self.attempts:
            found.setdefault(attempt.id, []).append(attempt)
        return found

    def until(self, moment):
        """What clients sent and knew when the disk's clock stood at `moment`. What was under way then ended without an answer."""
        sent = [a for a in self.attempts if a.began_at <= moment]
        return Ledger([a if 0 < a.ended_at <= moment else replace(a, outcome="unknown", status=0, late=False) for a in sent])

    def count(self, outcome):
        return sum(a.outcome == outcome for a in self.attempts)


class Writer:
    """The file, for many clients. life(front), that of the processor that is asked, is looked up with every line, and so is the disk's clock."""

    def __init__(self, path, life, disk_clock=lambda: 0):
        self._file, self._life, self._disk_clock = path.open("w"), life, disk_clock
        self._lock, self._next = threading.Lock(), 0
        self.counts, self.answered_503 = {"ok": 0, "refused": 0, "unknown": 0}, 0

    def begin(self, events, front=0, foreign=False):
        """`events`: (id, revision, hash, bad) of one request to the front of this number. Returns their numbers."""
        with self._lock:
            first, self._next = self._next, self._next + len(events)
            for number, (metadata_id, revision, hash_, bad) in enumerate(events, first):
                line = {"a": number, "id": metadata_id, "revision": revision, "hash": hash_, "bad": bad, "foreign": foreign}
                self._write(line, front)
            self._file.flush()
        return range(first, first + len(events))

    def end(self, number, outcome, status=0, durable_in="", late=False, front=0):
        with self._lock:
            self.counts[outcome] += 1
            self.answered_503 += status == 503
            self._write({"a": number, "o": outcome, "status": status, "in": durable_in, "late": late}, front)

    def _write(self, line, front):
        self._file.write(json.dumps(line | {"life": self._life(front), "t": time.time(), "c": self._disk_clock()}) + "\n")

    def close(self):
        self._file.close()


def read(path):
    """The ledger of a file. An attempt without an end is unknown, and late: nobody knows when it was given up."""
    attempts = {}
    for line in map(json.loads, path.open()):
        if "o" not in line:
            named = {name: line[name] for name in ("id", "revision", "hash", "bad", "life", "foreign")}
            attempts[line["a"]] = Attempt(line["a"], began=line["t"], began_at=line["c"], late=True, **named)
            continue
        attempt = attempts[line["a"]]
        attempt.outcome, attempt.status, attempt.durable_in = line["o"], line["status"], line["in"]
        attempt.late, attempt.ended_life, attempt.ended, attempt.ended_at = line["late"], line["life"], line["t"], line["c"]
    return Ledger([attempts[number] for number in sorted(attempts)])
