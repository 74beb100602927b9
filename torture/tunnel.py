"""`ca4 tunnel` between the processor and Kafka, a bastion at its other end, and what is done to the ssh that it looks after."""

import contextlib
import os
import re
import signal
import time

import proc
from basics import BINARY, ENVIRONMENT
from server_process import ServerProcess, free_port
from sshd_server import Sshd
from tcp_fault_proxy import TcpFaultProxy

# As in production, but sooner: outages of seconds are to be noticed, and what comes back found soon.
QUICK = ["--check-interval-ms", "500", "--check-timeout-ms", "1500", "--keepalive-interval-s", "2"]
QUICK += ["--tunnel-backoff-ms-max", "1000", "--connect-timeout-s", "5"]
# How long it may take until another ssh has taken the place of one: three looks without an answer, and whatever is wrong beside it.
REPLACED_S = 60
# sshd's words for a packet that is not what ssh sent.
ALTERED = re.compile(r"message authentication code incorrect|Corrupted MAC|Connection corrupted")


class Bastion(Sshd):
    """An sshd that is looked at like the other processes. What is done to it is done to its connections too."""

    name = "bastion"

    @property
    def process(self):
        return self.server.process

    def runs(self):
        return self.server.runs()

    def said(self, bytes_max):
        return self.server.said(bytes_max)

    def altered(self):
        """How many connections it has ended because bytes of theirs were altered on the way."""
        return len(ALTERED.findall(self.server.log_file.read_text(errors="replace")))


class Tunnel(ServerProcess):
    """`ca4 tunnel`. It is ready when its ssh has logged in: then that listens here."""

    def __init__(self, folder, bastion, way, forwards):
        known_hosts = folder / "known_hosts"
        known_hosts.write_text(bastion.known_hosts_line(way.host, way.port))
        argv = [BINARY, "tunnel", "--data-dir", folder / "tunnel", *QUICK]
        argv += ["--bastion", way.host, "--bastion-port", way.port, "--bastion-user", bastion.user]
        argv += ["--bastion-key-file", bastion.key, "--known-hosts-file", known_hosts]
        argv += ["--forwards", ",".join(f"{port}:{target}=kafka" for target, port in forwards.items())]
        here = [*forwards.values()]
        super().__init__("tunnel", argv, folder / "tunnel.log", cwd=folder, ready=lambda: all(map(self.answers, here)))
        self.env = ENVIRONMENT

    def ssh(self):
        """The pid of its ssh, or None between two of them."""
        return next((pid for pid in proc.children(self.process.pid) if proc.name(pid) == "ssh"), None)

    def turned_away(self):
        """How often it has said that nobody listens where the bastion was."""
        return self.log_file.read_text(errors="replace").count("nobody answers ssh")


def dig(world, targets):
    """Adds a bastion, the way to it and `ca4 tunnel` to a world. Returns {target: where it is reached on this side}."""
    bastion = Bastion(world.folder / "bastion", free_port(), permit_open=targets).start()
    world.processes["bastion"] = bastion
    way = world.proxies["bastion"] = TcpFaultProxy((bastion.address, bastion.port))
    forwards = {target: free_port() for target in targets}
    tunnel = world.processes["tunnel"] = Tunnel(world.folder, bastion, way, forwards)
    tunnel.start()
    world.evidence[("refuse", "bastion")] = "turned away", tunnel.turned_away
    world.evidence[("corrupt", "bastion")] = "connections ended by sshd", bastion.altered
    return {target: f"127.0.0.1:{port}" for target, port in forwards.items()}


def _another(tunnel, than=None):
    """The pid of an ssh that is not this one; None when there is none in time."""
    until = time.monotonic() + REPLACED_S
    while (ssh := tunnel.ssh()) in (None, than):
        if time.monotonic() > until:
            return None
        time.sleep(0.05)
    return ssh


def _replaced(world, number, lasts_s):
    """Sends the signal to ssh. Whether another one has taken its place, and in words."""
    tunnel = world.processes["tunnel"]
    ssh, other = _another(tunnel), None
    assert ssh, "ca4 tunnel has no ssh"
    try:
        os.kill(ssh, number)
    except ProcessLookupError:  # another fault was faster
        return False, f"ssh {ssh} had ended already"
    try:
        time.sleep(lasts_s)
        other = _another(tunnel, ssh)
    finally:
        if other is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(ssh, signal.SIGCONT)
    return other is not None, f"{number.name} for ssh {ssh}, {other or 'nobody'} took its place"


def lose(world, fault):
    """kill -9 of ssh."""
    return _replaced(world, signal.SIGKILL, fault.lasts_s)


def hang(world, fault):
    """ssh is stopped, and stays so until it has been found out and replaced, which ends it."""
    return _replaced(world, signal.SIGSTOP, fault.lasts_s)
