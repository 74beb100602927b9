#!/usr/bin/env python3
"""The processor on this machine, with the tunnel that leads it to Kafka: start, stop, status. Run by `make run-local-processor` and
its neighbours; docs/deploy.md has the walk.

Exit codes: 0 it runs (start), it is ended (stop), all is well (status); 1 something is not; 2 wrong usage; 3 not running (status);
78 bad settings.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import plan as plan_module
import report
import supervisor
from layout import Layout

LOOK_S = 0.2
# The parts' own grace, one after the other, and some air.
STOP_S = sum(supervisor.GRACE_S.values()) + 10


def say(text):
    print(text, file=sys.stderr, flush=True)


def show(found, layout):
    print(report.text(found, layout.logs), end="", flush=True)


def begin(args):
    """Starts the supervisor in the background, unless one runs."""
    layout = Layout(os.environ)
    fresh = not layout.held()
    if fresh:
        plan_module.make(layout, os.environ, args.public)  # what is wrong is said here, by name
        layout.make()
        layout.forget()
        with (layout.logs / "supervisor.log").open("wb") as log:
            command = [sys.executable, __file__, "supervise", *(["--public", args.public] if args.public else [])]
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    elif args.public:
        say("it runs already, as it was started; end it first to change that: make stop-local-processor")
    return wait_until_up(layout, args.wait_s, fresh)


def wait_until_up(layout, patience_s, fresh):
    """Until the processor listens and the tunnel is connected. After a fresh start, one that ends by itself ends all."""
    binary = plan_module.binary(os.environ)
    deadline = time.monotonic() + patience_s
    while True:
        state = layout.read_state()
        failed = [part for part in (state or {"parts": []})["parts"] if part["last_error"]]
        if fresh and failed:
            end(layout)
            for part in failed:
                say(f"the {part['name']} could not start: {part['last_error']}")
            say(f"logs: {layout.logs}")
            return 1
        found = report.collect(binary, state)
        if found["running"] and all(part.get("ready") or part.get("connected") for part in found["parts"]):
            show(found, layout)
            return 0
        if time.monotonic() > deadline:
            return not_yet(found, layout, patience_s)
        time.sleep(LOOK_S)


def not_yet(found, layout, patience_s):
    if not found["running"]:
        say(f"the supervisor did not start: {(layout.logs / 'supervisor.log').read_text().strip() or 'it said nothing'}")
        return 1
    show(found, layout)
    say(
        f"not all of it is up after {patience_s} s; it goes on trying. Events are taken as soon as the processor is ready, and wait on "
        "this disk until Kafka can be reached. Look again: make status-local-processor; end it: make stop-local-processor"
    )
    return 1


def supervise(args):
    layout = Layout(os.environ)
    plan = plan_module.make(layout, os.environ, args.public)
    lock = layout.hold()
    if lock is None:
        return 0  # somebody was quicker
    with lock:
        supervisor.supervise(layout, plan, plan_module.binary(os.environ))
    return 0


def kill(pid, number, to=os.kill):
    try:
        to(pid, number)
    except ProcessLookupError:
        pass


def end(layout):
    """Ends the supervisor and what it runs; the last state, or None when none ran. Returns within STOP_S and a moment."""
    deadline = time.monotonic() + STOP_S
    # Between the lock and the first word there is a moment.
    while (state := layout.read_state()) is None and layout.held() and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    if state is None:
        return None
    kill(state["pid"], signal.SIGTERM)
    while layout.held() and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    if layout.held():
        state = layout.read_state() or state
        kill(state["pid"], signal.SIGKILL)
        for part in state["parts"]:
            if part["pid"]:
                kill(part["pid"], signal.SIGKILL, os.killpg)
        layout.forget()
    return state


def stop(_):
    layout = Layout(os.environ)
    state = end(layout)
    if state is None:
        print("not running")
        return 0
    box = report.outbox(plan_module.binary(os.environ), state)
    print("stopped" + (f"; {report.waiting_text(box)}: the next start sends them" if box["waiting"] else ""))
    return 0


def status(args):
    layout = Layout(os.environ)
    found = report.collect(plan_module.binary(os.environ), layout.read_state())
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        show(found, layout)
    return (0 if found["well"] else 1) if found["running"] else 3


def arguments():
    parser = argparse.ArgumentParser(description=Path(__file__).name + ": the processor on this machine, and its tunnel")
    commands = parser.add_subparsers(dest="command", required=True)
    starter = commands.add_parser("start", help="start both in the background; nothing happens when they run")
    starter.add_argument("--wait-s", type=int, default=30, metavar="N", help="how long to wait until they are up [%(default)s]")
    worker = commands.add_parser("supervise", help="what `start` runs in the background")
    for command in (starter, worker):
        command.add_argument("--public", default="", choices=["", "ngrok", "cloudflared"], help="agent that gives a public URL")
    commands.add_parser("stop", help="end both, in order; nothing happens when they do not run")
    teller = commands.add_parser("status", help="what each part is doing")
    teller.add_argument("--json", action="store_true", help="as JSON")
    return parser.parse_args()


def main():
    args = arguments()
    run = {"start": begin, "supervise": supervise, "stop": stop, "status": status}[args.command]
    try:
        return run(args)
    except plan_module.BadSettings as error:
        say(str(error))
        return 78


if __name__ == "__main__":
    sys.exit(main())
