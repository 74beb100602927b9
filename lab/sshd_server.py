"""A real OpenSSH server with its own configuration, host key and authorised keys: a bastion."""

import os
import signal
import subprocess
from pathlib import Path

import proc
from server_process import HERE, ServerProcess

SSHD = "/usr/sbin/sshd"


def make_key(path, *, passphrase="", comment="test"):
    """A new Ed25519 key pair in `path` and `path`.pub; replaces what is there."""
    path = Path(path)
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", comment, "-f", path], check=True, timeout=60
    )
    return path


class Sshd:
    """One sshd below `folder`. `permit_open` is what forwards may reach, as HOST:PORT; nothing else is allowed.

    `host` is the netns.Host to run on; without one it runs on this machine's loopback address.
    """

    def __init__(self, folder, port, *, permit_open, host=HERE, user="root"):
        self.folder, self.port, self.host, self.user = Path(folder), port, host, user
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = host.address
        self.host_key = make_key(self.folder / "host_key")
        self.key = make_key(self.folder / "user_key")
        self.authorized_keys = self.folder / "authorized_keys"
        self.authorized_keys.write_text(self.key.with_suffix(".pub").read_text())
        # sshd refuses to start without it (privilege separation).
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {port}\nListenAddress {self.address}\nHostKey {self.host_key}\nPidFile none\n"
            f"AuthorizedKeysFile {self.authorized_keys}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\n"
            "AllowTcpForwarding local\nX11Forwarding no\nAllowAgentForwarding no\nPermitTTY no\nLogLevel VERBOSE\n"
            f"PermitOpen {' '.join(permit_open) or 'none'}\n"
        )
        argv = [SSHD, "-D", "-e", "-f", config]
        self.server = ServerProcess(
            "sshd",
            host.inside(*argv),
            self.folder / "sshd.log",
            ready=lambda: host.connects(self.address, self.port),
        )

    def start(self):
        self.server.start()
        return self

    def known_hosts_line(self, name, port=None):
        """The line of a known_hosts file that trusts this server under `name`, on its port or where else it is reached."""
        kind, key = self.host_key.with_suffix(".pub").read_text().split()[:2]
        port = port or self.port
        return f"{name if port == 22 else f'[{name}]:{port}'} {kind} {key}\n"

    def change_host_key(self):
        """As if the machine had been made anew; takes effect with the next start."""
        make_key(self.host_key)

    def sessions(self):
        """The pids of the processes that carry connections: all of sshd's children and theirs."""
        return proc.below(self.server.process.pid) if self.server.runs() else []

    def kill_sessions(self):
        """Every open connection dies; the server goes on."""
        for pid in self.sessions():
            _send(pid, signal.SIGKILL)

    def pause(self):
        """The server and its connections stop answering, without closing anything."""
        for pid in [self.server.process.pid, *self.sessions()]:
            _send(pid, signal.SIGSTOP)

    def resume(self):
        for pid in [self.server.process.pid, *self.sessions()]:
            _send(pid, signal.SIGCONT)

    def kill(self):
        """kill -9 of the server and of its connections."""
        sessions = self.sessions()
        self.server.kill()
        for pid in sessions:
            _send(pid, signal.SIGKILL)

    def stop(self):
        self.kill()


def _send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
