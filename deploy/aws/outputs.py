"""The outputs under the names of the wire contract, in .ca4/: outputs.json, outputs.env for shells, an SSH configuration, and ca4's
settings for this machine."""

import json
import os
import shutil

import settings as settings_module
import stacks as stacks_module

# The Service of deploy/k8s/components/mongo-dev.
MONGO_IN_CLUSTER = "mongo.platform.svc.cluster.local:27017"

SSH = """\
# Written by `make ca4-apply`. ssh -F {state}/ssh_config ca4-node-1
Host ca4-bastion
  HostName {bastion}
  User ca4
{nodes}
Host ca4-*
  {identity}
  UserKnownHostsFile {state}/known_hosts
  # A machine's key is taken the first time and must stay the same from then on.
  StrictHostKeyChecking accept-new
  ConnectTimeout 10
  ServerAliveInterval 15
  ServerAliveCountMax 3
"""

NODE = """\
Host ca4-node-{number}
  HostName {address}
  User ec2-user
  ProxyJump ca4-bastion
"""

CA4 = """\
# Written by `make ca4-apply`: the way from this machine to Kafka. Used by `make run-local-processor`, and by hand:
# ca4 tunnel --config {state}/ca4.toml
[tunnel]
bastion = {bastion}
user = "ca4"
{key}known_hosts_file = {known_hosts}
# As in ssh_config beside this.
host_key_checking = "accept-new"
forwards = {forwards}

[kafka]
bootstrap = "localhost:9092"
# Brokers may call themselves what the bastion calls them.
broker_map = {broker_map}
"""


def collect(cloud):
    """What the stacks say, in the contract's words."""
    settings = cloud.settings
    network = cloud.outputs("network")
    bastion = cloud.outputs("bastion")
    database = cloud.outputs("database")
    return {
        "ca4_region": settings.region,
        "ca4_vpc_id": network["Ca4VpcId"],
        "ca4_subnet_ids": network["Ca4SubnetIds"],
        "bastion_public_ip": bastion["BastionPublicIp"],
        # What Session Manager calls it.
        "bastion_instance_id": bastion["BastionInstanceId"],
        "edge_node_private_ips": ",".join(
            cloud.outputs(stacks_module.node_name(number))["PrivateIp"] for number in range(1, settings.nodes + 1)
        ),
        "ca4_db_endpoint": database_endpoint(settings, database),
        "ca4_db_secret": database.get("PasswordSecret", ""),
        "ca4_s3_bucket": cloud.outputs("archive")["Ca4S3Bucket"],
    }


def database_endpoint(settings, database):
    if settings.mongo_in_cluster and not settings.mongo_uri:
        return MONGO_IN_CLUSTER
    return database.get("Ca4DbEndpoint") or settings_module.mongo_host(settings.mongo_uri)


def replace(path, text):
    """A reader sees the old file or the new one, never half of it."""
    fresh = path.with_suffix(path.suffix + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)


def ssh_config(settings, found, env=os.environ):
    state = settings.state_dir.absolute()
    key = private_key(env)
    nodes = (
        NODE.format(number=number, address=address)
        for number, address in enumerate(found["edge_node_private_ips"].split(","), start=1)
    )
    identity = f"IdentityFile {key}\n  IdentitiesOnly yes" if key else "IdentitiesOnly no"
    return SSH.format(state=state, bastion=found["bastion_public_ip"], nodes="".join(nodes), identity=identity)


def private_key(env):
    """The private key beside a named public one; '' for what ssh itself would take."""
    key = env.get("CA4_SSH_PUBLIC_KEY_FILE", "").removesuffix(".pub")
    return os.path.abspath(key) if key else ""


def ca4_config(settings, found, env=os.environ):
    ports = range(9092, 9092 + settings.kafka_brokers)
    kafka = [f"{port}:kafka:{port}" for port in ports]
    key = private_key(env)
    # JSON's texts are TOML's.
    return CA4.format(
        state=settings.state_dir.absolute(),
        bastion=json.dumps(found["bastion_public_ip"]),
        key=f"key_file = {json.dumps(key)}\n" if key else "",
        known_hosts=json.dumps(str(settings.state_dir.absolute() / "known_hosts")),
        forwards=json.dumps(",".join([*(f"{forward}=kafka" for forward in kafka), "16443:k3s-api:6443", "3000:grafana:3000"])),
        broker_map=json.dumps(",".join(f"kafka:{port}=127.0.0.1:{port}" for port in ports)),
    )


def write(settings, found):
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(settings.state_dir / "outputs.json", json.dumps(found, indent=2) + "\n")
    replace(settings.state_dir / "outputs.env", "".join(f"{name}={value}\n" for name, value in found.items()))
    replace(settings.state_dir / "ssh_config", ssh_config(settings, found))
    replace(settings.state_dir / "ca4.toml", ca4_config(settings, found))


def read(settings):
    path = settings.state_dir / "outputs.json"
    if not path.is_file():
        raise settings_module.BadSettings(f"{path} is not there: run `make ca4-apply` first")
    return json.loads(path.read_text())


def forget(settings):
    """Outputs of what is no longer there must mislead nobody."""
    shutil.rmtree(settings.state_dir, ignore_errors=True)
