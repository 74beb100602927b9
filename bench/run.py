"""Measures `ca4 serve` and `ca4 up` against the floor, in one run on one machine, and writes build/bench/.

The floor of an event is the sum of three costs that no server of this kind can avoid, each measured here alone, with the
same libraries: the HTTP layer reading and dropping the body, parsing the body's numbers, and writing 8 kB rows to SQLite in groups
with full sync, as many a group as `ca4 serve` just had. Costs are CPU seconds of the process under test (user + system), never of
the load generator. Ours and the floor are measured in turn, several times, so that what else this machine does falls on both;
the figures are medians, also that of the ratios.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import mongo
from frame.load import payloads, wrk
from frame.process import Server, cpu_seconds, memory_mib
from frame.results import BUILD, OUT, ROOT, table


def measure(argv, payload, connections, seconds, events_file):
    """One server, fresh; one second of warm-up, then `seconds` of load."""
    server = Server(argv)
    try:
        wrk(server, events_file, payload, connections, 1)
        server.when_idle()  # what was in flight when the warm-up ended
        result = wrk(server, events_file, payload, connections, seconds)
        return {
            "events_per_s": result["events"] / result["seconds"],
            "cpu_us": result["cpu_s"] / max(result["events"], 1) * 1e6,
            "p50_ms": result["p50_ms"],
            "p99_ms": result["p99_ms"],
            "peak_mib": memory_mib(server.pid),
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
    text = "\n".join(f"## {section}\n\n{table(rows)}\n" for section, rows in results.items())
    (OUT / "results.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
