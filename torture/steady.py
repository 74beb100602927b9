"""Honest clients at a steady rate, in a process of their own, so that whatever else a test does takes no time of theirs.

    python torture/steady.py --address HOST:PORT --events-per-s N

Prints a JSON line a second: what was answered, and how long after it was due. Ends when its standard input does.
"""

import argparse
import base64
import functools
import json
import random
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

# What a server that is up answers in, whatever it is busy with; after it a client gives up and connects again.
TIMEOUT_S = 30
# One thread of Python each; enough that a stall of one does not hold the others up.
CONNECTIONS = 8
# How many ids there are, so that the store stops growing once all of them were sent.
IDS = 10_000
DIM = 512
# Who could not send for longer does not make up for it: then it is the machine that has too much to do, and fewer answers tell so.
LATE_S_MAX = 5


@functools.cache
def embedding(number):
    """Base64 of an id's own float32s: the upper half of each, its exponent kept finite and small."""
    upper = random.Random(number).randbytes(2 * DIM)
    return base64.b64encode(b"".join(bytes((0, 0, upper[i], 0x3C | upper[i + 1] & 3)) for i in range(0, 2 * DIM, 2))).decode()


def event(number, revision):
    """The event of an id, as JSON."""
    fields = {"metadata_id": f"steady-{number}", "embedding_b64": embedding(number)}
    return json.dumps(fields | {"source_uri": f"file:///steady/{number}.jpg", "extra": {"pipeline": "steady", "revision": revision}})


def request(events):
    """The bytes of a POST of one event or, of several, of a batch."""
    path, kind = ("/metadata", "application/json") if len(events) == 1 else ("/metadata/batch", "application/x-ndjson")
    body = "\n".join(events).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def answer(connection):
    """The status of the next answer, which must be whole; of a batch that was not taken line for line: 0."""
    text = b""
    while b"\r\n\r\n" not in text:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("ended before an answer")
        text += more
    head, body = text.split(b"\r\n\r\n", 1)
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("ended in the middle of an answer")
        body += more
    return 0 if b'"status":"error"' in body else int(head.split(b" ", 2)[1])


class Client(threading.Thread):
    """One connection. A request that could not be sent in time is sent late, and its answer counts from when it was due."""

    def __init__(self, number, options, began, note):
        super().__init__(daemon=True)
        self.number, self.options, self.began, self.note = number, options, began, note

    def run(self):
        options, connection = self.options, None
        every_s = options.events_a_request * CONNECTIONS / options.events_per_s
        due = self.began + every_s * self.number / CONNECTIONS
        sent = self.number
        while True:
            first = sent * options.events_a_request
            numbers = range(first, first + options.events_a_request)
            body = request([event(n % IDS, n // IDS) for n in numbers])
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if connection is None:
                    connection = socket.create_connection(options.address, timeout=TIMEOUT_S)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(body)
                status = answer(connection)
            except OSError:
                status, connection = -1, None
            self.note(status, time.monotonic() - due)
            due = max(due + every_s, time.monotonic() - LATE_S_MAX)
            sent += CONNECTIONS


class Window:
    """What came back in the last second."""

    def __init__(self):
        self._lock, self._status, self._ms = threading.Lock(), {}, []

    def note(self, status, took_s):
        with self._lock:
            self._status[status] = self._status.get(status, 0) + 1
            self._ms.append(round(took_s * 1e3, 3))

    def take(self):
        with self._lock:
            taken, self._status, self._ms = {"at": time.time(), "status": self._status, "ms": self._ms}, {}, []
        return taken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", type=lambda text: (text.rsplit(":", 1)[0], int(text.rsplit(":", 1)[1])), required=True)
    parser.add_argument("--events-per-s", type=float, required=True)
    parser.add_argument("--events-a-request", type=int, default=1)
    options = parser.parse_args()
    window, began = Window(), time.monotonic()
    for number in range(CONNECTIONS):
        Client(number, options, began, window.note).start()
    while not select.select([sys.stdin], [], [], 1)[0]:
        print(json.dumps(window.take()), flush=True)
    print(json.dumps(window.take()), flush=True)


class Steady:
    """That process, and what it has said."""

    def __init__(self, address, events_per_s, events_a_request=1):
        host, port = address
        argv = [sys.executable, Path(__file__), "--address", f"{host}:{port}", "--events-per-s", str(events_per_s)]
        argv += ["--events-a-request", str(events_a_request)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._windows, self._lock = [], threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._lock:
                self._windows.append(json.loads(line))

    def take(self):
        """The windows since the last call: [{"at": …, "status": {"200": …}, "ms": […]}, …]."""
        with self._lock:
            taken, self._windows = self._windows, []
        return taken

    def stop(self):
        """Ends it; what take() gives then is the last."""
        self.process.stdin.close()
        self.process.wait(TIMEOUT_S)
        self._reader.join()


def answers(windows):
    """{status: how many} of some windows, and all their latencies in ms, sorted."""
    statuses, ms = {}, []
    for window in windows:
        ms += window["ms"]
        for status, count in window["status"].items():
            statuses[int(status)] = statuses.get(int(status), 0) + count
    return statuses, sorted(ms)


if __name__ == "__main__":
    main()
