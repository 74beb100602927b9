"""Measures parts of `ca4` that have no peer: handing over between threads, idle connections, draining, the stores. Writes build/bench/parts.md.

    .deps/venv/bin/python bench/parts.py [--seconds 2] [--repetitions 4]
"""

import argparse
import json
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import mongo
from frame.load import payloads, wrk
from frame.process import Server, cpu_seconds, memory_mib
from frame.results import BUILD, OUT, machine, table


def measure(argv, payload, connections, seconds, events_file):
    """CPU microseconds an event of a fresh server, in `seconds` of load after one of warm-up."""
    server = Server(argv)
    try:
        wrk(server, events_file, payload, connections, 1)
        server.when_idle()  # what was in flight when the warm-up ended
        result = wrk(server, events_file, payload, connections, seconds)
        return result["cpu_s"] / max(result["events"], 1) * 1e6
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
            runs.append((joined, http, write["cpu_us_per_event"]))
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
        return {"idle connections": connections, "resident MiB": f"{memory_mib(server.pid, 'VmRSS'):.1f}"}
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2, help="of load a measurement (default: 2)")
    parser.add_argument("--repetitions", type=int, default=4, help="of which the median is shown (default: 4)")
    parser.add_argument("--rate", type=int, default=4000, help="events/s that `ca4 up` must drain as fast as it accepts them (default: 4000)")
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(dir=OUT)
    try:
        results = {"machine": [machine()], "hand-over": bench_handover(args.seconds, args.repetitions, scratch),
                   "idle": [bench_idle(scratch)], "drain": [bench_drain(10, scratch, args.rate)],
                   "store": [store_bench(scratch, 100_000, 2048)], "mongo": mongo.rows(scratch)}
    finally:
        shutil.rmtree(scratch)
    text = "\n".join(f"## {section}\n\n{table(rows)}\n" for section, rows in results.items())
    (OUT / "parts.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
