"""What the cloud targets are told by environment variables, checked before anything is asked of the cloud."""

import base64
import gzip
import ipaddress
import os
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# More than the events of docs/scaling.md's largest size ask for.
NODES_MAX = 9
# Whose default would change a system that was made with something else.
SHAPING = ("CA4_NODES", "CA4_NODE_TYPE", "CA4_NODE_DISK_GIB", "CA4_KAFKA_BROKERS", "CA4_DATABASE_CLASS", "CA4_DATABASE_ZONES", "MONGO_URI")


class BadSettings(Exception):
    """A variable that is missing or wrong; the text says which and what to do."""


@dataclass(frozen=True)
class Settings:
    prefix: str  # of every stack's name, so that several systems fit into one account
    region: str
    admin_cidr: str
    public_key: str
    nodes: int  # the first is the K3s server, the others are agents
    node_type: str
    node_disk_gib: int
    kafka_brokers: int
    mongo_uri: str  # not empty: this database is used, and no DocumentDB made
    mongo_in_cluster: bool  # the overlay brings a MongoDB: no DocumentDB is made either
    database_class: str
    database_zones: int
    k3s_version: str
    k3s_sha256: str
    state_dir: Path  # outputs and SSH configuration; not in git
    said: frozenset  # which of SHAPING are set; MONGO_URI also when it is set to nothing

    @property
    def has_database(self):
        """Whether a DocumentDB is part of the system."""
        return not self.mongo_uri and not self.mongo_in_cluster


def whole_number(env, name, default, allowed):
    text = env.get(name) or str(default)
    if not text.isdigit() or int(text) not in allowed:
        choice = f"from {allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else f"of {allowed}"
        raise BadSettings(f"{name} is '{text}'; it may be a whole number {choice}")
    return int(text)


def admin_cidr(env):
    text = env.get("CA4_ADMIN_CIDR", "")
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise BadSettings(
            f"CA4_ADMIN_CIDR is '{text}' ({error}); give the network you come from, e.g. CA4_ADMIN_CIDR=203.0.113.7/32"
        ) from None
    if network.prefixlen < 8:
        raise BadSettings(f"CA4_ADMIN_CIDR is {text}: SSH would be open to much of the Internet; /8 is the widest, /32 is best")
    return str(network)  # as the template takes it: an address alone becomes a /32, a netmask a length


def public_key(env):
    path = Path(env.get("CA4_SSH_PUBLIC_KEY_FILE") or Path.home() / ".ssh/id_ed25519.pub")
    if not path.is_file():
        raise BadSettings(f"no public key at {path}: make one (ssh-keygen -t ed25519), or set CA4_SSH_PUBLIC_KEY_FILE")
    text = path.read_text().strip()
    if not re.fullmatch(r"(ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa) [A-Za-z0-9+/=]+( .*)?", text):
        raise BadSettings(f"{path} does not hold one OpenSSH public key; is it the private one?")
    # Without its comment, which is anybody's words: with a ": " in them the machines' first boot would not see a key, and let nobody in.
    return " ".join(text.split(" ")[:2])


def k3s_release(env):
    pinned = dict(re.findall(r"^(K3S_\w+)=(.*)$", (ROOT / "deploy/k3s/version.env").read_text(), re.MULTILINE))
    return pinned["K3S_VERSION"], pinned["K3S_SHA256"]


def state_dir(env=os.environ):
    return Path(env.get("CA4_STATE_DIR") or ROOT / ".ca4")


def kube_dir(env=os.environ):
    return Path(env.get("CA4_KUBE_DIR") or ROOT / ".kube")


def load(env=os.environ, needs_access=True):
    """Reads the variables. Without `needs_access` those about coming in (CIDR, key) may be absent, as for destroying."""
    version, checksum = k3s_release(env)
    prefix = env.get("CA4_STACK") or "ca4"
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", prefix):
        raise BadSettings(f"CA4_STACK is '{prefix}'; it may be 1 to 20 of a-z, 0-9 and -, a letter first")
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    if not region:
        raise BadSettings("AWS_REGION is not set: say where the system should live, e.g. AWS_REGION=eu-central-1")
    return Settings(
        prefix=prefix,
        region=region,
        admin_cidr=admin_cidr(env) if needs_access else "",
        public_key=public_key(env) if needs_access else "",
        nodes=whole_number(env, "CA4_NODES", 2, range(1, NODES_MAX + 1)),
        node_type=env.get("CA4_NODE_TYPE") or "t3.medium",
        node_disk_gib=whole_number(env, "CA4_NODE_DISK_GIB", 50, range(20, 16001)),
        kafka_brokers=whole_number(env, "CA4_KAFKA_BROKERS", 1, (1, 3)),
        mongo_uri=env.get("MONGO_URI", ""),
        mongo_in_cluster=env.get("CA4_OVERLAY") == "dev",
        database_class=env.get("CA4_DATABASE_CLASS") or "db.t4g.medium",
        database_zones=whole_number(env, "CA4_DATABASE_ZONES", 2, (1, 2)),
        k3s_version=version,
        k3s_sha256=checksum,
        state_dir=state_dir(env),
        said=frozenset(name for name in SHAPING if env.get(name) or (name == "MONGO_URI" and name in env)),
    )


def mongo_host(uri):
    """The host part of a connection string: the endpoint without user and password."""
    return urllib.parse.urlsplit(uri).netloc.rsplit("@", 1)[-1]


def node_script():
    """deploy/k3s/node.sh as cloud-init takes it. Without a time stamp: the same script is the same text."""
    script = (ROOT / "deploy/k3s/node.sh").read_bytes()
    return base64.b64encode(gzip.compress(script, mtime=0)).decode()
