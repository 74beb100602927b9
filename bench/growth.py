"""What an event costs when there are few and when there are many before it: in the log, the outbox and the store. Leaves build/bench/growth.json.

    .deps/venv/bin/python bench/growth.py [--full] [--events N]

The events are small (16 floats, in batches of 500), so that counts and not bytes grow. The cost at 10^n is that of the events from 10^n to
10^(n+1); those before the first 1000 warm the process up. --full: up to 10^7 events, else 10^6.
"""

import argparse
import http.client
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / folder) for folder in ("tests", "lab")]

from frame.load import payloads  # noqa: E402
from frame.process import Server, cpu_seconds, memory_mib  # noqa: E402
from frame.results import BUILD, OUT, Comparison  # noqa: E402
from peers.servers import said
from server_process import free_port  # noqa: E402
from support import metric  # noqa: E402

DIM, BATCH, FIRST = 16, 500, 1000
BYTES_MAX = 1 << 36  # no limit of a size is what is measured
SAMPLE_S = 0.05
DRAIN_S_MAX = 3600

SETUP = ["The same process takes event after event; the cost of an event at a count of 10ⁿ is the mean of the events from there to 10ⁿ⁺¹, CPU of the process alone. "
         "Events are small (16 floats, batches of 500). The outbox: a broker that is away. The store: `ca4 work` on what the log holds."]


class Samples:
    """(events done, CPU seconds) as they were seen."""

    def __init__(self):
        self.seen = []

    def add(self, done, pid):
        self.seen.append((done, cpu_seconds(pid)))

    def cost_us(self, first, last):
        """Of one event between two counts."""
        (events_a, cpu_a), (events_b, cpu_b) = (min(self.seen, key=lambda s: abs(s[0] - count)) for count in (first, last))
        return events_b - events_a, (cpu_b - cpu_a) * 1e6 / max(events_b - events_a, 1)


def body():
    events = payloads(DIM)["base64"].events
    return "\n".join(events[i % len(events)] for i in range(BATCH)).encode()


def post(server, events, place):
    """Posts so many events; every batch must be durable where it is meant to be."""
    samples, data = Samples(), body()
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    for done in range(BATCH, events + 1, BATCH):
        connection.request("POST", "/metadata/batch", data, {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse().read()
        assert answer.count(b'"durable_in":"%s"' % place.encode()) == BATCH, answer[:300]
        samples.add(done, server.pid)
    connection.close()
    return samples


def lag(server):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("GET", "/metrics")
    return metric(connection.getresponse().read().decode(), "ca4_lag_records", group="ca4-worker")


def drain(server, folder, events):
    """`ca4 work` beside the processor until it has all."""
    samples = Samples()
    worker = Server([BUILD / "ca4", "work", "--data-dir", folder, "--no-archive", "--log-level", "error", "--admin-listen", "127.0.0.1:0"],
                    port=server.port)
    try:
        deadline = time.monotonic() + DRAIN_S_MAX
        while (left := lag(server)) > 0:
            assert time.monotonic() < deadline, f"{left} events are still not in the store"
            samples.add(events - left, worker.pid)
            time.sleep(SAMPLE_S)
        samples.add(events, worker.pid)
        return samples, memory_mib(worker.pid)
    finally:
        worker.stop()


def serve(folder, *flags):
    return Server([BUILD / "ca4", "serve", "--listen", "127.0.0.1:0", "--data-dir", folder, "--log-level", "error", "--log-bytes-max", BYTES_MAX, *flags])


def measure(events):
    """(place, samples, peak MiB) of each place, as soon as it is known."""
    folder = Path(tempfile.mkdtemp(dir=OUT))
    try:
        server = serve(folder)
        try:
            yield "log", post(server, events, "log"), memory_mib(server.pid)
            yield "store", *drain(server, folder, events)
        finally:
            server.stop()
        shutil.rmtree(folder)
        server = serve(folder, "--kafka-bootstrap", f"127.0.0.1:{free_port()}", "--kafka-outbox-bytes-max", BYTES_MAX)
        try:
            yield "outbox", post(server, events, "outbox"), memory_mib(server.pid)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--events", type=int, help="default: 10^6, with --full 10^7")
    given = parser.parse_args()
    events = given.events or (10**7 if given.full else 10**6)
    OUT.mkdir(parents=True, exist_ok=True)
    comparison = Comparison("growth", "An event among many", SETUP, {"ca4": said(BUILD / "ca4", "--version").split()[-1]}, " ".join(["bench/growth.py", *sys.argv[1:]]))
    decades = [10**n for n in range(int(math.log10(FIRST)), int(math.log10(events)))]
    rows, lines = [], {}
    try:
        for place, samples, peak in measure(events):
            costs = [(first, samples.cost_us(first, first * 10)[1]) for first in decades]
            lines[place] = costs
            rows.append({"in the": place} | {f"µs from {first:,}": f"{cost:.1f}" for first, cost in costs}
                        | {"last ÷ first": f"{costs[-1][1] / costs[0][1]:.2f}", "peak MiB": f"{peak:.0f}"})
            print(rows[-1], flush=True)
            comparison.aim(f"cost of an event from {decades[0]:,} to {events:,}, last ÷ first, {place}", [costs[-1][1] / costs[0][1]], "×", at_most=1.1)
    finally:  # what was measured is kept, also when this is interrupted
        comparison.table("CPU an event by how many were before it", rows)
        comparison.curve("cost", "CPU µs an event by how many were before it", "events before", "CPU µs an event", lines)
        comparison.save()


if __name__ == "__main__":
    main()
