"""`make vpc-sim`: brings the VPC up on this machine, shows that it works, and keeps it until Ctrl-C (`--check`: ends by itself)."""

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "lab"))
import rules  # noqa: E402
from basics import BINARY, ENVIRONMENT, ROOT  # noqa: E402
from netlab import DIES_WITH_US  # noqa: E402
from server_process import HERE, ServerProcess, free_port  # noqa: E402
from vpc import PROCESSOR, Vpc  # noqa: E402

FOLDER = ROOT / "build/vpc-sim"
PROGRAMS = ("curl", "ip", "java", "nft", "nsenter", "openssl", "setpriv", "ssh", "/usr/sbin/sshd", "unshare", "zstdcat")
SUITES = ("preflight", "kafka", "workflow")

MAP = """
  the Internet          :  the VPC
                        :
  laptop                :  bastion              node                      database
  ca4 serve, :8000      :  sshd                 Kafka, :9092              MongoDB wire, :27017
  ca4 tunnel, :9092 --- 22 ----> . --- 9092 --> ca4 work --- 27017 -----> .
                        :                           |
  internet              :                           |                     s3
  somebody else         :                           +------- 7070 ------> the archive's bucket

"""

NEXT = """
  It is up. From another terminal, in this folder:

  the processor's page   {page}          (in a browser on this machine)
  a shell on a machine   {on} laptop          (internet, bastion, node, database, s3)
  send an event          {on} laptop curl -s {url}/metadata -H 'content-type: application/json' \\
                             -d '{{"metadata_id": "img-cat-1700000000", "embedding": [0.1, 0.2, 0.3]}}'
  find its document      {on} node ca4 query --id img-cat-1700000000
  see the archive        {on} s3 find build/vpc-sim/machines/s3/data -name '*.zst'
  is everything well?    {on} laptop ca4 verify preflight kafka workflow
  is the tunnel?         {on} laptop ca4 tunnel --status
  try what is forbidden  {on} laptop curl -m 3 node:27017; {on} internet curl -m 3 bastion:22
  break something        {kill} {kafka}            (the broker: POSTs go on, into the outbox; docs/runbook.md has more,
                         and `make incident-drill` plays it, once this one has ended)

  Logs: build/vpc-sim/logs/. Settings and data of each machine: build/vpc-sim/machines/. Ctrl-C ends it all.
"""


def bold(text):
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def say(name, seconds, text):
    print(f"  {name:<20} {seconds:5.1f} s  {text}", flush=True)


@contextmanager
def alone():
    """One VPC at a time in this folder: the second is told, and touches nothing of the first."""
    FOLDER.parent.mkdir(exist_ok=True)
    with open(FOLDER.parent / "vpc-sim.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("vpc-sim: one is up already in this folder. End it with Ctrl-C in its terminal first.")
        yield


def prepare():
    """What must be there before anything is started; ends the program with what to do otherwise."""
    if os.geteuid() != 0:
        sys.exit("vpc-sim: network namespaces need root. Run it as root: sudo make vpc-sim")
    if not BINARY.is_file():
        sys.exit(f"vpc-sim: {BINARY} is not there. Run: make build")
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        sys.exit(f"vpc-sim: not installed: {', '.join(missing)}. Run: make setup-sim")
    # The settings of whoever starts it are not those of the machines.
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    # What a script starts in the background is born deaf to it, and may be told to end like this all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def give_back():
    """After sudo, whoever ran it may look at the logs, and remove them."""
    if user := os.environ.get("SUDO_UID"):
        group = os.environ.get("SUDO_GID", user)
        subprocess.run(["chown", "-R", f"{user}:{group}", FOLDER, FOLDER.parent / "vpc-sim.lock"], check=True, timeout=60)


@contextmanager
def ending(vpc, interrupted=0):
    """Whatever happens, the VPC ends. What did not start is said; after Ctrl-C the exit code is `interrupted`."""
    try:
        yield vpc
    except AssertionError as problem:
        sys.exit(f"\nvpc-sim: {problem}\n\nLogs: build/vpc-sim/logs/")
    except KeyboardInterrupt:
        print("\n  Ending it.", flush=True)
        sys.exit(interrupted)
    finally:
        # A second Ctrl-C would leave half of it to the kernel.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        vpc.stop()
        give_back()


def show_reach(found):
    """A table of what was tried: rows connect, columns are connected to."""
    allowed = [(target, port) for _, target, ports in rules.ALLOWED for port in ports]
    print("  {:<12}".format("from \\ to") + "".join(f"{target + ':' + str(port):>15}" for target, port in allowed))
    words = {"open": "yes", "ECONNREFUSED": "let through", "dropped": "-"}
    for source in rules.MACHINES:
        cells = ["" if source == target else words[found[source, target, port]] for target, port in allowed]
        print(f"  {source:<12}" + "".join(f"{cell:>15}" for cell in cells))


def verify(vpc):
    """The three verify commands on the laptop, as a user there sees them; false when one failed."""
    for suite in SUITES:
        print(bold(f"\n  laptop$ make verify-{suite}"))
        done = vpc.ca4("laptop", "verify", suite)
        print("".join(f"  {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="", flush=True)
        if done.returncode != 0:
            return False
    return True


def bring_up(vpc):
    """True when it stands and everything that is tried works."""
    print(MAP)
    print(bold("  Starting it"))
    vpc.start()
    print(bold("\n  Who reaches what"))
    began = time.monotonic()
    found = rules.check(vpc.network)
    show_reach(found)
    print(f"  {len(found)} connections tried in {time.monotonic() - began:.1f} s; all but these were dropped, as they must be.")
    print("  Neither K3s (6443) nor Grafana (3000) is here: nobody answers where packets are let through.")
    if verify(vpc):
        return True
    print("\nvpc-sim: a check failed, see above. Logs: build/vpc-sim/logs/", file=sys.stderr)
    return False


def open_window(vpc):
    """The processor's page, for a browser on this machine; returns its address."""
    port = rules.PROCESSOR if not HERE.connects(HERE.address, rules.PROCESSOR) else free_port()
    argv = [*DIES_WITH_US, sys.executable, Path(__file__).with_name("window.py")]
    vpc.servers["window"] = ServerProcess(
        "the page's window",
        [*argv, vpc["laptop"].holder.pid, port, rules.PROCESSOR],
        vpc.logs / "window.log",
        ready=lambda: HERE.connects(HERE.address, port),
    ).start()
    return f"http://{HERE.address}:{port}/"


def stay(vpc):
    page = open_window(vpc)
    sudo = "sudo " if "SUDO_UID" in os.environ else ""
    kafka = vpc.servers["kafka"].process.pid
    print(NEXT.format(on=f"{sudo}deploy/sim/on", kill=f"{sudo}kill -9", kafka=kafka, page=page, url=PROCESSOR), flush=True)
    ended = set()
    while True:
        time.sleep(1)
        now = {name for name, server in vpc.servers.items() if not server.runs()}
        for name in sorted(now - ended):
            print(f"  {time.strftime('%H:%M:%S')}  {name} has ended; its log is build/vpc-sim/logs/{name}.log", flush=True)
        ended = now


def main():
    parser = argparse.ArgumentParser(prog="make vpc-sim", description=__doc__)
    parser.add_argument("--check", action="store_true", help="end after the checks; the exit code says whether they passed")
    arguments = parser.parse_args()
    prepare()
    began = time.monotonic()
    with alone(), ending(Vpc(FOLDER, say)) as vpc:
        if not bring_up(vpc):
            return 1
        print(bold(f"\n  All well after {time.monotonic() - began:.0f} s."))
        if not arguments.check:
            stay(vpc)
    return 0


if __name__ == "__main__":
    sys.exit(main())
