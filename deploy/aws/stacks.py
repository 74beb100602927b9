"""The stacks of CA4 in the order they are made, and what each one's template is given."""

from dataclasses import dataclass, field
from pathlib import Path

import settings as settings_module

HERE = Path(__file__).resolve().parent
VPC_PREFIX = "10.40"


@dataclass(frozen=True)
class Stack:
    name: str
    template: str
    # Parameters whose values are known from the settings.
    given: dict = field(default_factory=dict)
    # Parameters taken from outputs of earlier stacks: {parameter: (stack, output, how to read it)}.
    taken: dict = field(default_factory=dict)
    # Parameters that keep the value they have once the stack exists.
    kept: tuple = ()

    @property
    def body(self):
        return (HERE / f"{self.template}.yaml").read_text()


def whole(text):
    return text


def item(number):
    return lambda text: text.split(",")[number % len(text.split(","))]


def archive_bucket(settings, account):
    # A bucket's name is unique in the world: account and region make it so, and it is known before the bucket is.
    return f"{settings.prefix}-archive-{account}-{settings.region}"


def node_name(number):
    return f"node-{number}"


def node(settings, number, image):
    """The first node is the server; the others get its address."""
    taken = {
        "SubnetId": ("network", "PrivateSubnetIds", item(number - 1)),
        "GroupId": ("security", "NodesGroupId", whole),
        "Profile": ("iam", "NodeProfile", whole),
    }
    given = {
        "Role": "server" if number == 1 else "agent",
        "ImageId": image,
        "InstanceType": settings.node_type,
        "DiskGib": str(settings.node_disk_gib),
        "AdminPublicKey": settings.public_key,
        "NodeScript": settings_module.node_script(),
        "K3sVersion": settings.k3s_version,
        "K3sSha256": settings.k3s_sha256,
    }
    if number == 1:
        given["ServerAddress"] = ""
    else:
        taken["ServerAddress"] = (node_name(1), "PrivateIp", whole)
    return Stack(
        node_name(number),
        "node",
        given=given,
        taken=taken,
        # A newer image or another size of the disk would replace the machine, and its disk with it, in the middle of an unrelated change.
        # What user data is made of only matters at a first boot; on a running node `make ca4-bootstrap-k3s` brings script and release up
        # to date.
        kept=("ImageId", "DiskGib", "AdminPublicKey", "NodeScript", "K3sVersion", "K3sSha256"),
    )


def bastion(settings, image):
    return Stack(
        "bastion",
        "bastion",
        # Forwarding needs little: sshd and the network.
        given={"ImageId": image, "InstanceType": "t3.micro", "AdminPublicKey": settings.public_key},
        taken={
            "SubnetId": ("network", "PublicSubnetId", whole),
            "GroupId": ("security", "BastionGroupId", whole),
            "Profile": ("iam", "BastionProfile", whole),
            "ServerAddress": (node_name(1), "PrivateIp", whole),
        },
        kept=("ImageId", "AdminPublicKey"),
    )


def database(settings, protected=True):
    """Without its protection it is about to be deleted: nothing else about it changes then, whatever the settings say by now."""
    return Stack(
        "database",
        "database",
        given={
            "InstanceClass": settings.database_class,
            "TwoZones": "true" if settings.database_zones == 2 else "false",
            "DeletionProtection": "true" if protected else "false",
        },
        taken={
            "SubnetIds": ("network", "DataSubnetIds", whole),
            "GroupId": ("security", "DatabaseGroupId", whole),
        },
        kept=() if protected else ("InstanceClass", "TwoZones"),
    )


def all_stacks(settings, account, image):
    bucket = archive_bucket(settings, account)
    security = Stack(
        "security",
        "security",
        given={
            "VpcCidr": f"{VPC_PREFIX}.0.0/16",
            "AdminCidr": settings.admin_cidr,
            "KafkaLastPort": str(9091 + settings.kafka_brokers),
        },
        taken={"VpcId": ("network", "Ca4VpcId", whole)},
    )
    return [
        Stack("network", "network", given={"VpcPrefix": VPC_PREFIX}),
        security,
        Stack("iam", "iam", given={"ArchiveBucket": bucket}),
        Stack("archive", "archive", given={"BucketName": bucket}),
        *([database(settings)] if settings.has_database else []),
        *(node(settings, number, image) for number in range(1, settings.nodes + 1)),
        bastion(settings, image),
    ]
