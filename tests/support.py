"""What the end-to-end tests share: running the binary, posting events, reading documents."""

import json
import os
import random
import re
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
from basics import BINARY, ENVIRONMENT, PATIENCE_S, ROOT, eventually

PHOTOS = ROOT / ".deps/images/photos"
BROKEN = ROOT / ".deps/images/broken"
MODEL = ROOT / ".deps/model/efficientnet_lite0.onnx"


def command_line(args, host=None, prefix=()):
    """The command of the binary, here or on a netns.Host; `prefix` is a command that runs it, as `unshare --net`."""
    argv = [*prefix, str(BINARY), *map(str, args)]
    return host.inside(*argv) if host else argv


def run(*args, timeout=120, env=None, cwd=None, host=None, prefix=()):
    """Runs ca4 to its end."""
    return subprocess.run(
        command_line(args, host, prefix),
        capture_output=True,
        text=True,
        timeout=timeout,
        env=ENVIRONMENT | (env or {}),
        cwd=cwd or tempfile.gettempdir(),  # not where a ca4.toml may lie
        stdin=subprocess.DEVNULL,
    )


def with_clock(file):
    """The environment of a program whose time of day is ahead of ours by the seconds that are in `file`, as of a second ago. Its steady clock is
    ours."""
    return {
        "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_clock(file, ahead_s):
    file.write_text(f"{ahead_s:+d}\n")


def clock_ahead_s(url, patience_s=PATIENCE_S):
    """By how much the clock of who answers at this address is ahead of ours."""
    date = requests.get(f"{url}/livez", timeout=patience_s).headers["Date"]
    return parsedate_to_datetime(date).timestamp() - time.time()


class Program:
    """A command of ca4 that runs. Its output goes to files: a full pipe must not stop it."""

    def __init__(self, *args, env=None, cwd=None, host=None, prefix=()):
        self.title = "ca4 " + " ".join(map(str, args))
        self.output = tempfile.TemporaryFile("w+")
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command_line(args, host, prefix),
            stdout=self.output,
            stderr=self.errors,
            stdin=subprocess.DEVNULL,
            env=ENVIRONMENT | (env or {}),
            cwd=cwd or tempfile.gettempdir(),
        )

    @staticmethod
    def _text(file):
        # Not by moving the file's position: the program writes at the same one.
        size = os.fstat(file.fileno()).st_size
        return os.pread(file.fileno(), size, 0).decode(errors="replace")

    def printed(self):
        return self._text(self.output)

    def said(self):
        return self._text(self.errors)

    @property
    def pid(self):
        return self.process.pid

    def runs(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience_s=PATIENCE_S):
        """Until it ends by itself; returns the exit code."""
        return self.process.wait(patience_s)

    def stop(self):
        """SIGTERM, which everything that runs must follow and take for a success."""
        self.signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0, f"{self.title} ended with {code} after SIGTERM:\n{self.said()}"

    def kill(self):
        if self.runs():
            self.process.kill()
        self.process.wait()


class Server(Program):
    """`ca4 up` or `ca4 serve` on a port of its own choice."""

    def __init__(self, command, data_dir, *flags, listen="127.0.0.1:0", **keywords):
        super().__init__(command, "--data-dir", data_dir, "--listen", listen, *flags, **keywords)
        self.data_dir = Path(data_dir)
        self.url = None

    def wait_until_listening(self):
        def listening():
            assert self.runs(), f"{self.title} ended with {self.process.returncode}:\n{self.said()}"
            return re.search(r"^listening on (https?://\S+)$", self.printed(), re.MULTILINE)

        self.url = eventually(listening, f"{self.title} says where it listens")[1]

    @property
    def address(self):
        host, port = self.url.split("://")[1].rsplit(":", 1)
        return host, int(port)

    def post(self, event, **keywords):
        return requests.post(self.url + "/metadata", json=event, timeout=PATIENCE_S, **keywords)

    def accept(self, event):
        """Posts an event that must be taken; returns the answer's body."""
        answer = self.post(event)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path, **keywords):
        return requests.get(self.url + path, timeout=PATIENCE_S, **keywords)

    def metric(self, name, **labels):
        """The sum of the series of /metrics with that name and these labels; None when there is none."""
        return metric(self.get("/metrics").text, name, **labels)

    def when_stored(self, ids):
        """Waits until the documents of these ids are in the store; returns {id: document}."""
        return when_stored(self.data_dir, ids)


@contextmanager
def running(command, data_dir, *flags):
    """A Server that listens, for the tests of a whole file. It must end with exit code 0 when they are over."""
    server = Server(command, data_dir, *flags)
    try:
        server.wait_until_listening()
        yield server
        server.stop()
    finally:
        server.kill()


def metric(text, name, **labels):
    """The sum of the series of a scrape with that name and these labels; None when there is none."""
    found = []
    for series, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE):
        has = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', series))
        if labels.items() <= has.items():
            found.append(float(value))
    return sum(found) if found else None


def documents(data_dir, *flags):
    """Every document, as `ca4 query` prints it."""
    result = run("query", "--data-dir", data_dir, "--format", "ndjson", "--limit", "0", *flags)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def when_stored(data_dir, ids, patience_s=PATIENCE_S):
    ids = set(ids)
    found = {}

    def all_there():
        # The store is made by the worker: until then there is nothing to open.
        result = run("query", "--data-dir", data_dir, "--format", "ndjson", "--limit", "0", "--with-embedding")
        found.clear()
        found.update((d["metadata_id"], d) for d in map(json.loads, result.stdout.splitlines()))
        return result.returncode == 0 and ids <= found.keys()

    eventually(all_there, f"{len(ids)} documents in the store", patience_s)
    return {i: found[i] for i in ids}


def event(metadata_id=None, dim=4, seed=0, **fields):
    """A small valid event."""
    numbers = random.Random(f"{metadata_id}{seed}")
    made = {"embedding": [numbers.uniform(-1, 1) for _ in range(dim)], "source_uri": "file:///a.jpg"}
    if metadata_id is not None:
        made["metadata_id"] = metadata_id
    return made | fields


def assert_problem(answer, status, field=None):
    """RFC 9457: the status, the media type, the members, and the field to blame."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["Content-Type"].split(";")[0] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    if field is not None:
        assert problem["field"] == field, problem
    return problem


def nvidia_driver(folder, mode=""):
    """Variables with which a program finds two GPUs, or what `mode` says: src/producer/fake_nvidia.cc plays NVIDIA's libraries."""
    folder.mkdir()
    for name in ("libnvidia-ml.so.1", "libcuda.so.1", "libcudnn.so.9"):
        (folder / name).symlink_to(BINARY.parent / "src/producer/libca4_fake_nvidia.so")
    return {"LD_LIBRARY_PATH": str(folder), "CA4_FAKE_NVIDIA": mode}
