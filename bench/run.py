"""Measures `ca4 serve` and `ca4 up` against the floor, in one run on one machine, and writes build/bench/.

The floor of an event is the sum of three costs that no server of this kind can avoid, each measured here alone, with the
same libraries: the HTTP layer reading and dropping the body, parsing the body's numbers, and writing 8 kB rows to SQLite in groups
with full sync. Costs are CPU seconds of the process under test (user + system), never of the load generator.
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
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

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

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


def payloads():
    rng = random.Random(20261123)
    floats = [struct.unpack("<f", struct.pack("<f", abs(rng.gauss(0, 0.5))))[0] for _ in range(2048)]
    common = {
        "source_uri": "file:///data/images/000001.jpg",
        "model_name": "resnet50",
        "gpu_hardware": {"available": True, "device": "cuda", "name": "Tesla T4", "total_memory_gb": 15.84,
                         "multi_processor_count": 40, "cuda_compute_capability": "7.5", "cuda_version": "12.4"},
        "extra": {"pipeline": "bench", "notes": "2048 floats as Python prints them"},
    }
    as_json = json.dumps(common | {"embedding": floats})
    packed = base64.b64encode(struct.pack("<2048f", *floats)).decode()
    as_base64 = json.dumps(common | {"embedding_b64": packed})
    return {
        "json": (as_json, "application/json", "/metadata", 1),
        "base64": (as_base64, "application/json", "/metadata", 1),
        "json x64": ("\n".join([as_json] * 64), "application/x-ndjson", "/metadata/batch", 64),
        "base64 x64": ("\n".join([as_base64] * 64), "application/x-ndjson", "/metadata/batch", 64),
    }


def wrk(server, work_dir, payload, connections, seconds):
    body, content_type, target, _ = payload
    body_file = work_dir / "body"
    body_file.write_text(body)
    env = os.environ | {"BODY_FILE": str(body_file), "CONTENT_TYPE": content_type, "TARGET": target}
    cpu_before = cpu_seconds(server.pid)
    run = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(ROOT / "bench/post.lua"),
         f"http://{server.host}:{server.port}{target}"],
        env=env, capture_output=True, text=True, check=True, timeout=seconds + 60)
    result = json.loads(re.search(r"RESULT (.*)", run.stdout).group(1))
    result["cpu_s"] = cpu_seconds(server.pid) - cpu_before
    return result


def measure(argv, payload, connections, seconds, work_dir):
    """One server, fresh; one second of warm-up, then `seconds` of load."""
    server = Server(argv)
    try:
        wrk(server, work_dir, payload, connections, 1)
        result = wrk(server, work_dir, payload, connections, seconds)
        events = (result["requests"] - result["failed"]) * payload[3]
        return {
            "events_per_s": events / result["seconds"],
            "cpu_us_per_event": result["cpu_s"] / max(events, 1) * 1e6,
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


def bench_serve(seconds, scratch):
    rows = []
    for name, payload in payloads().items():
        for connections in (1, 16, 64):
            data_dir = Path(tempfile.mkdtemp(dir=scratch))
            serve = [str(BUILD / "ca4"), "serve", "--data-dir", str(data_dir), "--listen", "127.0.0.1:0"]
            ours = measure(serve, payload, connections, seconds, data_dir)
            drop = measure([str(BUILD / "bench/floor"), "http"], payload, connections, seconds, data_dir)
            body_file = data_dir / "body"
            parse = floor_program("parse", body_file)
            # The group a real run forms: about as many rows as connections (times the batch), at most 256.
            group = min(max(connections * payload[3] // 2, 1), 256)
            write = floor_program("write", data_dir / "floor.db", group, 4000)
            floor = drop["cpu_us_per_event"] + parse["cpu_us_per_event"] + write["cpu_us_per_event"]
            rows.append({
                "payload": name, "conns": connections, "events/s": f"{ours['events_per_s']:.0f}",
                "CPU µs/event": f"{ours['cpu_us_per_event']:.1f}", "floor µs": f"{floor:.1f}",
                "http+parse+write": f"{drop['cpu_us_per_event']:.1f}+{parse['cpu_us_per_event']:.1f}+{write['cpu_us_per_event']:.1f}",
                "ratio": f"{ours['cpu_us_per_event'] / floor:.2f}",
                "p50 ms": f"{ours['p50_ms']:.2f}", "p99 ms": f"{ours['p99_ms']:.2f}",
                "peak MiB": f"{ours['peak_mib']:.0f}", "failed": ours["failed"],
            })
            print(rows[-1], flush=True)
            shutil.rmtree(data_dir)
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
    body, content_type, target, _ = payloads()["json"]
    body_file = data_dir / "body"
    body_file.write_text(body)
    clients = 16
    try:
        run = subprocess.run(
            ["h2load", "--h1", f"-c{clients}", "-t1", f"-D{seconds}", f"--rps={events_per_s / clients:.1f}",
             "-d", str(body_file), "-H", f"content-type: {content_type}", f"http://{server.host}:{server.port}{target}"],
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of load a measurement")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(dir=OUT)
    try:
        serve = bench_serve(args.seconds, scratch)
        best = max(float(r["events/s"]) for r in serve if r["payload"] == "json")
        results = {
            "machine": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, Linux {platform.release()}",
            "serve": serve,
            "idle": [bench_idle(scratch)],
            "drain": [bench_drain(args.seconds * 2, scratch, int(best / 2))],
            "store": [store_bench(scratch, 100_000, 2048)],
        }
    finally:
        shutil.rmtree(scratch)
    (OUT / "results.json").write_text(json.dumps(results, indent=2))
    text = [f"Machine: {results['machine']}\n"]
    for section in ("serve", "idle", "drain", "store"):
        text += [f"\n## {section}\n", table(results[section], list(results[section][0]))]
    (OUT / "results.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
