"""`make soak MINUTES=n`: `ca4 serve` and `ca4 work` at half of their peak load, and whether anything grows.

It finds the peak first: as fast as events go in for some seconds, over the time until the last one is stored. Then clients at a steady
rate, while memory, descriptors, threads, latency and files are sampled. The beginning, in which caches fill, is left out; through the rest
goes a straight line (slope.py). Exit code 0: all is flat. 1: something grows. 3: the run was too short to say, or
the clients could not keep up. build/soak/ keeps the samples.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / folder) for folder in ("tests", "lab")]
import proc  # noqa: E402
import slope  # noqa: E402
import steady  # noqa: E402
from basics import percentile  # noqa: E402
from support import Program, Server, eventually  # noqa: E402

SAMPLE_S = 2
BLOCKS = 60  # points of the line
WARM_UP = 0.15  # of the time, at most WARM_UP_S_MAX
WARM_UP_S_MAX = 300
# The log may keep so much of what was read, so that it comes to its full size within the warm-up.
LOG_BYTES = 64 << 20
# Nothing reads the archive here, and a lifecycle rule would remove it some day.
ARCHIVE_KEPT_S = 120
# What clients must have been able to send of what they should.
SENT_SHARE_MIN = 0.95
# Above it a client of Python is what is measured: more events go into each request.
REQUESTS_PER_S_MAX = 300

MIB = 1 << 20
# What may come on top each hour: a share of the mean, and at least so much. Below it nobody runs out of anything within a month.
ALLOWED = {
    "rss": (0.05, 1 * MIB), "fds": (0.0, 1), "threads": (0.0, 1), "log": (0.05, 1 * MIB), "store": (0.05, 1 * MIB),
    "p50 ms": (0.10, 0.2), "p99 ms": (0.25, 2),
}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="of steady load (default: 60)")
    parser.add_argument("--peak-s", type=float, default=10, help="how long events go in as fast as they can, to find the peak")
    parser.add_argument("--events-per-s", type=float, help="this rate in place of half of the peak")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/soak", help="data, samples and report; emptied before")
    return parser.parse_args()


def process_sample(pid):
    return {"rss": proc.status(pid, "VmRSS") * 1024, "threads": proc.status(pid, "Threads"), "fds": proc.descriptors(pid)}


def bytes_below(folder):
    """A file that goes while it is looked at counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            pass
    return total


def forget_archive(folder):
    """Removes the archive's objects of some minutes ago, as a lifecycle rule of a bucket does."""
    before = time.time() - ARCHIVE_KEPT_S
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mtime < before and not path.name.startswith("."):
            path.unlink(missing_ok=True)


class Pipeline:
    def __init__(self, data):
        self.data = data
        self.serve = Server("serve", data, "--log-retention-bytes", LOG_BYTES)
        self.serve.wait_until_listening()
        self.work = Program("work", "--data-dir", data, "--archive-linger-ms", 10_000)

    def lag(self):
        return self.serve.metric("ca4_lag_records", group="ca4-worker")

    def drain(self):
        eventually(lambda: self.lag() == 0, "the worker has stored all", 600)

    def sample(self):
        found = {"at": time.time(), "lag": self.lag()}
        for name, program in (("serve", self.serve), ("work", self.work)):
            assert program.runs(), f"ca4 {name} has ended:\n{program.said()}"
            found |= {f"{name} {key}": value for key, value in process_sample(program.pid).items()}
        return found | {f"{name} bytes": bytes_below(self.data / name) for name in ("log", "store")}

    def stop(self):
        self.work.stop()
        self.serve.stop()

    def kill(self):
        self.work.kill()
        self.serve.kill()


def find_peak(pipeline, seconds, folder):
    """Events a second that go in and are stored, by wrk, which takes less of the machine than clients of Python."""
    events = folder / "events"
    events.write_text("".join(steady.event(n, 0) + "\n" for n in range(1000)))
    env = os.environ | {"EVENTS_FILE": str(events), "EVENTS_A_REQUEST": "1", "CONTENT_TYPE": "application/json", "TARGET": "/metadata"}
    argv = ["wrk", "-t1", "-c16", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", str(ROOT / "bench/post.lua"), pipeline.serve.url]
    began = time.monotonic()
    run = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=seconds + 60)
    result = json.loads(re.search(r"RESULT (.*)", run.stdout)[1])
    accepted_s = result["seconds"]
    pipeline.drain()
    took = time.monotonic() - began
    print(f"peak: {result['requests'] / accepted_s:.0f} events/s accepted, {result['requests'] / took:.0f} events/s stored", flush=True)
    return result["requests"] / took


def soak(pipeline, seconds, events_per_s):
    """Samples and windows of latency, and how many were answered with what."""
    events_a_request = max(1, round(events_per_s / REQUESTS_PER_S_MAX))
    clients = steady.Steady(pipeline.serve.address, events_per_s, events_a_request)
    samples, windows = [], []
    began = time.monotonic()
    try:
        while time.monotonic() - began < seconds:
            time.sleep(SAMPLE_S)
            samples.append(pipeline.sample())
            windows += clients.take()
            forget_archive(pipeline.data / "archive")
    finally:
        clients.stop()
    windows += clients.take()
    pipeline.drain()
    statuses, _ = steady.answers(windows)
    return samples, windows, {status: count * events_a_request for status, count in statuses.items()}


def series(samples, windows, seconds):
    """{name: [(s, value)]} without the warm-up."""
    since = samples[0]["at"] + min(WARM_UP_S_MAX, WARM_UP * seconds)
    found = {name: [(s["at"], s[name]) for s in samples if s["at"] >= since] for name in samples[0] if name not in ("at", "lag")}
    for name, share in (("p50 ms", 0.5), ("p99 ms", 0.99)):
        found[name] = [(w["at"], percentile(sorted(w["ms"]), share)) for w in windows if w["ms"] and w["at"] >= since]
    return found


def judge(found):
    """Rows of the table, and every verdict."""
    rows, verdicts = [], []
    for name, samples in found.items():
        line = slope.fit(slope.blocks(samples, min(BLOCKS, max(slope.POINTS_MIN, len(samples) // 3))))
        key = next(key for key in ALLOWED if key in name)
        share, least = ALLOWED[key]
        allowed = max(share * line.mean, least)
        unit = MIB if key in ("rss", "log", "store") else 1
        verdicts.append(line.verdict(allowed))
        figures = " | ".join(f"{value / unit:.2f}" for value in (line.mean, line.per_hour, line.half_width, allowed))
        rows.append(f"| {name.replace(' bytes', '')}{' MiB' if unit == MIB else ''} | {figures} | {verdicts[-1]} |")
    return rows, verdicts


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = options()
    folder = given.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start", flush=True)
    pipeline = Pipeline(folder / "data")
    try:
        peak = find_peak(pipeline, given.peak_s, folder)
        events_per_s = given.events_per_s or peak / 2
        print(f"{given.minutes:g} minutes at {events_per_s:.0f} events/s, {events_per_s / peak:.0%} of the peak", flush=True)
        samples, windows, statuses = soak(pipeline, given.minutes * 60, events_per_s)
        pipeline.stop()
    finally:
        pipeline.kill()
    (folder / "samples.json").write_text(json.dumps({"samples": samples, "windows": windows}))
    shutil.rmtree(folder / "data")
    rows, verdicts = judge(series(samples, windows, given.minutes * 60))
    print(f"answered: {statuses}; load {os.getloadavg()[0]:.1f} at the end; most that waited for the worker: {max(s['lag'] for s in samples):.0f}")
    print("\n| | mean | an hour more | ± (95 %) | allowed | |\n|---|---|---|---|---|---|\n" + "\n".join(rows))
    if set(statuses) != {200}:
        print("not every event was accepted")
        return 1
    sent_share = sum(statuses.values()) / (events_per_s * given.minutes * 60)
    if sent_share < SENT_SHARE_MIN:
        print(f"{sent_share:.0%} of the events could be sent: the machine had too much to do, and latency says nothing of the server")
        return 3
    return 1 if "grows" in verdicts else 3 if "undecided" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
