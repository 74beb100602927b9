"""`make vpc-sim`: the whole system in a VPC of network namespaces, reached from a laptop that reaches the bastion alone."""

import os
import re
import signal
import subprocess
import sys

import pytest
import requests
import rules
from support import BINARY, ROOT, eventually
from vpc_sim import FOLDER

ON = ROOT / "deploy/sim/on"


def command(*args, **keywords):
    argv = [sys.executable, ROOT / "deploy/sim/vpc_sim.py", *args]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **keywords)


@pytest.fixture(scope="module")
def up():
    """The command as a user runs it, up and staying; yields (what it printed, the process)."""
    process = command()
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "Ctrl-C ends it all" in line:
                break
        assert process.poll() is None, "".join(said)
        yield "".join(said), process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def on(*args):
    return subprocess.run([ON, *args], capture_output=True, text=True, timeout=60, cwd=ROOT)


def left():
    """The processes of a VPC in build/vpc-sim, by what their command lines name."""
    found = subprocess.run(["pgrep", "-f", f"{FOLDER}/machines"], capture_output=True, text=True)
    return found.stdout.split()


def test_it_comes_up_and_the_three_checks_pass_from_the_laptop(up):
    said, _ = up
    for suite in ("preflight", "kafka", "workflow"):
        assert re.search(rf"laptop\$ make verify-{suite}\n(.*\n)+?  0 of \d+ checks failed", said), said
    assert re.search(r"ok   tunnel kafka:9092 ", said)
    assert re.search(r"ok   worker .*ca4-worker has stored it, \d+ ms after it was sent", said)
    assert re.search(r"ca4 serve +[\d.]+ s  on the laptop: the processor", said)
    assert "FAIL" not in said


def test_what_it_says_to_try_works(up):
    said, _ = up
    post = re.search(r"send an event +(.*) \\\n +(.*)\n", said)
    sent = subprocess.run(["bash", "-c", f"{post[1]} {post[2]}"], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert '"durable_in":"kafka"' in sent.stdout.replace(" ", ""), sent.stdout + sent.stderr
    eventually(lambda: "img-cat-1700000000" in on("node", "ca4", "query", "--id", "img-cat-1700000000").stdout, "the document")
    archived = lambda: on("s3", "find", "build/vpc-sim/machines/s3/data", "-name", "*.zst").stdout  # noqa: E731
    eventually(archived, "the archive object")
    assert on("laptop", "ca4", "tunnel", "--status").returncode == 0
    page = re.search(r"the processor's page +(http://127.0.0.1:\d+/) ", said)[1]
    assert "<html" in requests.get(page, timeout=60).text
    assert requests.get(page + "api/stats", timeout=60).status_code == 200
    assert on("laptop", "curl", "-sm", "2", "node:27017").returncode != 0
    assert on("bastion", "bash", "-c", "echo here").stdout == "here\n"
    assert on("nowhere").returncode == 2
    assert "usage" in on().stderr


def test_a_second_one_is_told_and_touches_nothing(up):
    second = command("--check")
    said, _ = second.communicate(timeout=60)
    assert second.returncode != 0
    assert "one is up already" in said
    assert on("laptop", "ca4", "tunnel", "--status").returncode == 0


def test_ctrl_c_ends_it_and_nothing_is_left(up):
    _, process = up
    assert left()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert "Ending it" in rest
    assert not left()
    assert on("laptop", "true").returncode == 2


def test_after_kill_9_nothing_is_left(tmp_path):
    process = command()
    # Its machines are there, and some servers.
    eventually(lambda: (FOLDER / "logs/kafka.log").exists(), "it has begun")
    process.kill()
    process.communicate(timeout=60)
    eventually(lambda: not left(), lambda: f"gone: {left()}")


def test_the_firewall_is_as_the_table_says(vpc):
    found = rules.check(vpc.network)
    assert len(found) == len(rules.MACHINES) * (len(rules.MACHINES) - 1) * len(rules.PORTS)
    # The contract, said once more: only the bastion is public, the database is the node's alone.
    reached = {key for key, state in found.items() if state != "dropped"}
    assert {key for key in reached if key[0] in ("laptop", rules.INTERNET)} == {("laptop", "bastion", 22)}
    assert {source for source, target, _ in reached if target == "database"} == {"node"}
    assert {source for source, _, port in reached if port == rules.KAFKA} == {"bastion"}


@pytest.mark.parametrize(
    ("source", "target", "port"), [("laptop", "node", 9092), ("bastion", "database", 27017), ("internet", "bastion", 22)]
)
def test_a_rule_too_many_is_caught(vpc, source, target, port):
    vpc.network.allow(source, target, port)
    try:
        with pytest.raises(AssertionError, match=f"{source} -> {target}:{port} is open, and must be dropped"):
            rules.check(vpc.network)
    finally:
        vpc.set_firewall()
    rules.check(vpc.network)


def test_a_rule_that_is_missing_is_caught(vpc):
    vpc.network.forbid_all()
    try:
        with pytest.raises(AssertionError, match="node -> database:27017 is dropped, and must be open"):
            rules.check(vpc.network)
    finally:
        vpc.set_firewall()


def test_a_server_that_does_not_start_is_named_with_its_last_words(tmp_path):
    broken = tmp_path / "ca4"
    broken.write_text(f'#!/bin/sh\n[ "$1" = work ] && {{ echo "out of luck" >&2; exit 3; }}\nexec {BINARY} "$@"\n')
    broken.chmod(0o755)
    process = command("--check", env={**os.environ, "CA4_BINARY": str(broken)})
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "vpc-sim: ca4 work ended with 3:\nout of luck\n" in said
    assert "Traceback" not in said
    assert not left()


def test_what_is_not_installed_is_named(tmp_path):
    process = command("--check", env={**os.environ, "PATH": str(tmp_path)})
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "java, nft" in said
    assert "Run: make setup-sim" in said


def test_without_root_it_says_so_before_it_does_anything():
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", "make", "vpc-sim"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "vpc-sim: network namespaces need root. Run: sudo make vpc-sim" in done.stderr
    assert done.stdout == ""
