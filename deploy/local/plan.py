"""What the local processor is run with: ca4's own settings, what `make ca4-apply` wrote, and the rest by default.

A setting comes from the environment, else from one file: that of CA4_CONFIG, else ca4.toml in the current directory, else
.ca4/ca4.toml, which `make ca4-apply` writes.
"""

import errno
import json
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from layout import ROOT

# Where the tunnel's end for Kafka is unless somebody says otherwise (tunnel.forwards).
TUNNELLED_KAFKA = "localhost:9092"


class BadSettings(Exception):
    """A setting that is missing or wrong; the text says which and what to do."""


@dataclass(frozen=True)
class Plan:
    env: dict  # of the programs
    settings: dict  # {"kafka.bootstrap": value}, as the programs will see them
    tunnel: bool  # whether there is a bastion to go through
    token_file: str  # the token that the checks send, in its first line; empty: none

    @property
    def data_dir(self):
        return self.settings["data_dir"]

    @property
    def kafka_ports(self):
        """The ports of kafka.bootstrap on this machine."""
        brokers = (broker.rpartition(":") for broker in self.settings["kafka.bootstrap"].split(","))
        return {int(port) for host, _, port in brokers if host in ("localhost", "127.0.0.1")}

    def shared(self):
        """The variables that lead other commands to this processor. No secrets: these come from where they are."""
        names = ("CA4_CONFIG", "CA4_DATA_DIR", "KAFKA_BOOTSTRAP", "KAFKA_TOPIC", "KAFKA_OUTBOX_FILE", "CA4_KAFKA_BROKER_MAP")
        return {name: self.env[name] for name in names if self.env.get(name)}


def binary(env):
    path = Path(env.get("CA4_BINARY") or ROOT / "build/release/ca4")
    if not os.access(path, os.X_OK):
        raise BadSettings(f"{path} is not there: run `make build`")
    return str(path)


def find_file(env):
    """The settings' file, or '' for none."""
    if env.get("CA4_CONFIG"):
        return os.path.abspath(env["CA4_CONFIG"])
    applied = Path(env.get("CA4_STATE_DIR") or ROOT / ".ca4") / "ca4.toml"
    return next((str(path.absolute()) for path in (Path("ca4.toml"), applied) if path.is_file()), "")


def effective(env):
    """({setting: value}, {settings that nobody has set}), as ca4 itself reads them."""
    asked = subprocess.run([binary(env), "config", "--format", "json"], env=env, capture_output=True, text=True, timeout=60)
    if asked.returncode != 0:
        raise BadSettings(asked.stderr.strip())
    rows = json.loads(asked.stdout)["settings"]
    return {row["name"]: row["value"] for row in rows}, {row["name"] for row in rows if row["origin"] == "default"}


def make(layout, env, public=""):
    """The plan, checked as far as that goes without starting anything."""
    env = dict(env) | {"CA4_CONFIG": find_file(env)}
    if public:
        env["CA4_PROCESSOR_TUNNEL"] = public
    settings, unset = effective(env)
    tunnel = bool(settings["tunnel.ssm_target" if settings["tunnel.via"] == "ssm" else "tunnel.bastion"])
    if "data_dir" in unset:
        env["CA4_DATA_DIR"] = str(layout.data)
    if not settings["kafka.bootstrap"]:
        if not tunnel:
            raise BadSettings(
                "there is no Kafka to send to: `make ca4-apply` makes one and writes .ca4/ca4.toml; or name a bastion in front of one "
                "(CA4_TUNNEL_BASTION=HOST), or a broker that this machine reaches (KAFKA_BOOTSTRAP=HOST:9092)"
            )
        env["KAFKA_BOOTSTRAP"] = TUNNELLED_KAFKA
    settings, _ = effective(env)
    if not settings["kafka.outbox_file"]:
        env["KAFKA_OUTBOX_FILE"] = f"{os.path.abspath(settings['data_dir'])}/outbox/{settings['log.topic']}.db"
        settings["kafka.outbox_file"] = env["KAFKA_OUTBOX_FILE"]
    check_address(settings["processor.listen"])
    if tunnel:
        check_tunnel(settings)
    # The processor's own file may hold hashes only.
    token_file = settings["producer.token_file"] or settings["processor.token_file"]
    if not token_file and settings["processor.tunnel"] != "none":
        token_file = f"{settings['data_dir']}/tunnel-token"  # made by `ca4 serve`
    return Plan(env, settings, tunnel, os.path.abspath(token_file) if token_file else "")


def check_address(listen):
    """Whether the processor's port is free, said before anything is started."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as probe:
        # As the processor does: connections of one that ended a moment ago are no reason.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise BadSettings(f"processor.listen is {listen}: {error.strerror}") from None
            raise BadSettings(
                f"{listen} is taken by another program (`ss -ltnp 'sport = :{port}'` says which): end it, or listen elsewhere, "
                f"as with CA4_PROCESSOR_LISTEN={host}:{int(port) + 1}"
            ) from None


def check_tunnel(settings):
    """What `ca4 tunnel` would say too, but only after a try."""
    if settings["tunnel.via"] == "ssh" and not shutil.which("ssh"):
        raise BadSettings("there is no ssh for the tunnel: install OpenSSH's client (Debian: openssh-client)")
    key = settings["tunnel.key_file"]
    if key and not os.path.isfile(key):
        raise BadSettings(
            f"there is no SSH key {key}: it is the private half of the key that `make ca4-apply` was given "
            "(CA4_SSH_PUBLIC_KEY_FILE); CA4_TUNNEL_KEY_FILE names another place"
        )
