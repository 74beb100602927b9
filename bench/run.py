"""Measures `ca4 serve` and `ca4 up` against the floor, in one run on one machine, and writes build/bench/.

The floor of an event is the sum of three costs that no server of this kind can avoid, each measured here alone, with the
same libraries: the HTTP layer reading and dropping the body, parsing the body's numbers, and writing 8 kB rows to SQLite in groups
with full sync, as many a group as `ca4 serve` just had. Costs are CPU seconds of the process under test (user + system), never of
the load generator. Ours and the floor are measured in turn, several times, so that what else this machine does falls on both;
the figures are medians, also that of the ratios.
"""

import argparse
import base64
import json
import os
import platform
import random
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import mongo

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
OUT = ROOT / "build/bench"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_kib(pid, key):
    return int(re.search(rf"{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


class Server:
    """A server under test; its first line with a URL tells where it listens."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
        line = self.process.stdout.readline()
        match = re.search(r"http://([\d.]+):(\d+)", line)
        if not match:
            raise SystemExit(f"{argv[0]} did not say where it listens: {line!r}")
        self.host, self.port = match.group(1), int(match.group(2))

    @property
    def pid(self):
        return self.process.pid

    def when_idle(self):
        before = -1
        while before != cpu_seconds(self.pid):
            before = cpu_seconds(self.pid)
            time.sleep(0.1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


@dataclass
class Payload:
    """What one request carries. No two events are alike: of one that comes again and again the processor's branch
    predictor would learn the numbers by heart, which it can do for nobody's real embeddings."""

    events: list
    events_a_request: int = 1
    content_type: str = "application/json"
    target: str = "/metadata"

    def file(self, folder):
        path = folder / "events"
        path.write_text("\n".join(self.events) + "\n")
        return path


def payloads():
    rng = random.Random(20261123)
    common = {
        "source_uri": "file:///data/images/000001.jpg",
        "model_name": "resnet50",
        "gpu_hardware": {"available": True, "device": "cuda", "name": "Tesla T4", "total_memory_gb": 15.84,
                         "multi_processor_count": 40, "cuda_compute_capability": "7.5", "cuda_version": "12.4"},
        "extra": {"pipeline": "bench", "notes": "2048 floats as Python prints them"},
    }
    as_json, as_base64 = [], []
    for _ in range(128):
        packed = struct.pack("<2048f", *(abs(rng.gauss(0, 0.5)) for _ in range(2048)))
        as_json.append(json.dumps(common | {"embedding": struct.unpack("<2048f", packed)}))
        as_base64.append(json.dumps(common | {"embedding_b64": base64.b64encode(packed).decode()}))
    batch = {"events_a_request": 64, "content_type": "application/x-ndjson", "target": "/metadata/batch"}
    return {
        "json": Payload(as_json),
        "base64": Payload(as_base64),
        "json x64": Payload(as_json, **batch),
        "base64 x64": Payload(as_base64, **batch),
    }


def wrk(server, events_file, payload, connections, seconds):
    env = os.environ | {"EVENTS_FILE": str(events_file), "EVENTS_A_REQUEST": str(payload.events_a_request),
                        "CONTENT_TYPE": payload.content_type, "TARGET": payload.target}
    cpu_before = cpu_seconds(server.pid)
    run = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(ROOT / "bench/post.lua"),
         f"http://{server.host}:{server.port}{payload.target}"],
        env=env, capture_output=True, text=True, check=True, timeout=seconds + 60)
    result = json.loads(re.search(r"RESULT (.*)", run.stdout).group(1))
    result["cpu_s"] = cpu_seconds(server.pid) - cpu_before
    return result


def measure(argv, payload, connections, seconds, events_file):
    """One server, fresh; one second of warm-up, then `seconds` of load."""
    server = Server(argv)
    try:
        wrk(server, events_file, payload, connections, 1)
        server.when_idle()  # what was in flight when the warm-up ended
        result = wrk(server, events_file, payload, connections, seconds)
        events = (result["requests"] - result["failed"]) * payload.events_a_request
        return {
            "events_per_s": events / result["seconds"],
            "cpu_us": result["cpu_s"] / max(events, 1) * 1e6,
            "p50_ms": result["p50_ms"],
            "p99_ms": result["p99_ms"],
            "peak_mib": memory_kib(server.pid, "VmHWM") / 1024,
            "failed": result["failed"],
        }
    finally:
        server.stop()


def floor_program(*args):
    run = subprocess.run([str(BUILD / "bench/floor"), *map(str, args)], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def store_bench(scratch, documents, dim):
    run = subprocess.run([str(BUILD / "bench/store_bench"), scratch, str(documents), str(dim)],
                         capture_output=True, text=True, check=True)
    result = json.loads(run.stdout)
    similar = result["similar"]
    return {"documents": result["documents"], "dim": dim, "insert/s": result["insert"]["per_s"],
            "insert CPU µs": result["insert"]["cpu_us_each"], "redelivered CPU µs": result["redelivered"]["cpu_us_each"],
            "similar, warm median ms": similar["warm_median_ms"], "warm max ms": similar["warm_max_ms"],
            "first in a new process ms": result["similar_in_a_new_process"]["first_ms"]}


def table(rows, columns):
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[c]) for c in columns) + " |" for row in rows]
    return "\n".join(lines)


def events_a_commit(data_dir):
    """How large the groups were: the records of one transaction have one time."""
    log = sqlite3.connect(data_dir / "log/gpu-metadata.db")
    events, commits = log.execute("SELECT count(*), count(DISTINCT appended_at_us) FROM records").fetchone()
    log.close()
    return events / commits


def measure_once(payload, connections, seconds, scratch):
    """Ours, then the three parts of its floor, the writing in groups as large as ours just were."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        events_file = payload.file(folder)
        serve = [str(BUILD / "ca4"), "serve", "--data-dir", str(folder / "data"), "--listen", "127.0.0.1:0"]
        once = measure(serve, payload, connections, seconds, events_file)
        once["group"] = events_a_commit(folder / "data")
        once["http_us"] = measure([str(BUILD / "bench/floor"), "http"], payload, connections, seconds, events_file)["cpu_us"]
        once["parse_us"] = floor_program("parse", events_file)["cpu_us_per_event"]
        once["write_us"] = floor_program("write", folder / "floor.db", round(once["group"]))["cpu_us_per_event"]
        once["floor_us"] = once["http_us"] + once["parse_us"] + once["write_us"]
        once["ratio"] = once["cpu_us"] / once["floor_us"]
        return once
    finally:
        shutil.rmtree(folder)


def bench_serve(seconds, repetitions, scratch, only, connection_counts):
    rows = []
    for name, payload in payloads().items():
        for connections in connection_counts if name in only else ():
            runs = [measure_once(payload, connections, seconds, scratch) for _ in range(repetitions)]
            middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            ratios = [run["ratio"] for run in runs]
            rows.append({
                "payload": name, "conns": connections, "events/s": f"{middle['events_per_s']:.0f}",
                "CPU µs/event": f"{middle['cpu_us']:.1f}", "floor µs": f"{middle['floor_us']:.1f}",
                "http+parse+write": f"{middle['http_us']:.1f}+{middle['parse_us']:.1f}+{middle['write_us']:.1f}",
                "ratio": f"{middle['ratio']:.2f}", "lowest to highest": f"{min(ratios):.2f} to {max(ratios):.2f}",
                "events/commit": f"{middle['group']:.1f}",
                "p50 ms": f"{middle['p50_ms']:.2f}", "p99 ms": f"{middle['p99_ms']:.2f}",
                "peak MiB": f"{middle['peak_mib']:.0f}", "failed": sum(run["failed"] for run in runs),
            })
            print(rows[-1], flush=True)
    return rows


def bench_handover(seconds, repetitions, scratch):
    """The HTTP layer and the writing in one program, and their sum: what it costs to hand an event from one thread to
    another and back, which the floor counts as nothing."""
    payload = payloads()["base64"]
    rows = []
    for connections in (1, 16):
        runs = []
        for _ in range(repetitions):
            folder = Path(tempfile.mkdtemp(dir=scratch))
            events_file = payload.file(folder)
            floor = str(BUILD / "bench/floor")
            joined = measure([floor, "joined", str(folder / "joined.db")], payload, connections, seconds, events_file)
            http = measure([floor, "http"], payload, connections, seconds, events_file)
            write = floor_program("write", folder / "floor.db", connections)
            runs.append((joined["cpu_us"], http["cpu_us"], write["cpu_us_per_event"]))
            shutil.rmtree(folder)
        joined, http, write = (statistics.median(column) for column in zip(*runs))
        rows.append({"conns": connections, "http µs": f"{http:.1f}", "write µs": f"{write:.1f}",
                     "joined µs": f"{joined:.1f}", "handing over µs": f"{joined - http - write:.1f}"})
    return rows


def bench_idle(scratch, connections=1000):
    data_dir = Path(tempfile.mkdtemp(dir=scratch))
    server = Server([str(BUILD / "ca4"), "serve", "--data-dir", str(data_dir), "--listen", "127.0.0.1:0"])
    sockets = []
    try:
        for _ in range(connections):
            s = socket.create_connection((server.host, server.port))
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            sockets.append(s)
        for s in sockets:
            s.recv(4096)
        time.sleep(1)
        return {"idle connections": connections, "resident MiB": f"{memory_kib(server.pid, 'VmRSS') / 1024:.1f}"}
    finally:
        for s in sockets:
            s.close()
        server.stop()
        shutil.rmtree(data_dir)


def lag_of(server):
    with urllib.request.urlopen(f"http://{server.host}:{server.port}/api/stats", timeout=30) as answer:
        return json.load(answer)["lag"]["ca4-worker"]


def bench_drain(seconds, scratch, events_per_s):
    """`up` under a steady rate: the lag right after the load ends says whether it drains as fast as it accepts."""
    data_dir = Path(tempfile.mkdtemp(dir=scratch))
    server = Server([str(BUILD / "ca4"), "up", "--data-dir", str(data_dir), "--listen", "127.0.0.1:0"])
    payload = payloads()["json"]
    body_file = data_dir / "body"
    body_file.write_text(payload.events[0])
    clients = 16
    try:
        run = subprocess.run(
            ["h2load", "--h1", f"-c{clients}", "-t1", f"-D{seconds}", f"--rps={events_per_s / clients:.1f}",
             "-d", str(body_file), "-H", f"content-type: {payload.content_type}",
             f"http://{server.host}:{server.port}{payload.target}"],
            capture_output=True, text=True, check=True, timeout=seconds + 60)
        accepted = int(re.search(r"status codes: (\d+) 2xx", run.stdout).group(1))
        lag = lag_of(server)
        began = time.monotonic()
        while lag_of(server) > 0 and time.monotonic() - began < 120:
            time.sleep(0.02)
        return {"wanted events/s": events_per_s, "accepted events/s": f"{accepted / seconds:.0f}", "lag at the end": lag,
                "drained after s": f"{time.monotonic() - began:.2f}",
                "CPU µs/event": f"{cpu_seconds(server.pid) / accepted * 1e6:.1f}"}
    finally:
        server.stop()
        shutil.rmtree(data_dir)


def bench_all(args, scratch):
    results = {"machine": [{
        "cores": os.cpu_count(), "processor": platform.processor() or platform.machine(),
        "system": f"Linux {platform.release()}", "load at the start": f"{os.getloadavg()[0]:.1f}"}]}
    serve = bench_serve(args.seconds, args.repetitions, scratch, args.payloads.split(","),
                        [int(n) for n in args.connections.split(",")])
    results["serve"] = serve
    if args.serve_only:
        return results
    results["hand-over"] = bench_handover(args.seconds, args.repetitions, scratch)
    results["idle"] = [bench_idle(scratch)]
    best = max((float(row["events/s"]) for row in serve if row["payload"] == "json"), default=8000)
    results["drain"] = [bench_drain(10, scratch, int(best / 2))]
    results["store"] = [store_bench(scratch, 100_000, 2048)]
    results["mongo"] = mongo.rows(scratch)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2, help="of load a measurement (default: 2)")
    parser.add_argument("--repetitions", type=int, default=4, help="of which the median is shown (default: 4)")
    parser.add_argument("--payloads", default=",".join(payloads()), help="default: %(default)s")
    parser.add_argument("--connections", default="1,16,64", help="default: %(default)s")
    parser.add_argument("--serve-only", action="store_true", help="leave out idle connections, draining and the store")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(dir=OUT)
    try:
        results = bench_all(args, scratch)
    finally:
        shutil.rmtree(scratch)
    (OUT / "results.json").write_text(json.dumps(results, indent=2))
    text = "\n".join(f"## {section}\n\n{table(rows, list(rows[0]))}\n" for section, rows in results.items())
    (OUT / "results.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
