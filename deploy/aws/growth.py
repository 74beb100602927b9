"""What grows beside the system: the stacks of growth/, each made, changed and deleted by itself (docs/scaling.md says when)."""

import re

import stacks as stacks_module
from settings import BadSettings
from stacks import Stack, item, whole

# Of the stacks' names, so that ca4-destroy tells them from the system's own.
PREFIX = "grow-"


def first_two(text):
    return ",".join(text.split(",")[:2])


# Parameters that mean the same in every template, and where they come from: {parameter: (stack, output, how to read it)}.
TAKEN = {
    "VpcId": ("network", "Ca4VpcId", whole),
    "PublicSubnetIds": ("network", "Ca4SubnetIds", first_two),
    "PrivateSubnetIds": ("network", "PrivateSubnetIds", whole),
    # Where a disk that is tied to a zone is used: always the same one.
    "PrivateSubnetId": ("network", "PrivateSubnetIds", item(0)),
    "NodesGroupId": ("security", "NodesGroupId", whole),
    "BastionGroupId": ("security", "BastionGroupId", whole),
    "AdminCidr": ("security", "AdminCidr", whole),
    "NodeRole": ("iam", "NodeRole", whole),
    "ArchiveBucket": ("archive", "Ca4S3Bucket", whole),
    **{f"Node{n}Address": (stacks_module.node_name(n), "PrivateIp", whole) for n in (1, 2, 3)},
}
GIVEN = {"VpcCidr": f"{stacks_module.VPC_PREFIX}.0.0/16"}


def names():
    return sorted(path.stem for path in (stacks_module.HERE / "growth").glob("*.yaml"))


# A resource that its template keeps, or of which it keeps a copy, when the stack is deleted.
OUTLIVING = re.compile(r"^  (\w+):\n(?:    .*\n)*?    DeletionPolicy: (Retain|Snapshot)$", re.MULTILINE)


def outliving(stack_name):
    """{logical name: Retain or Snapshot} of a grown stack; {} of the system's own, whose archive and snapshot ca4-nuke deletes."""
    if stack_name not in stack_names():
        return {}
    return dict(OUTLIVING.findall(Stack(stack_name, f"growth/{stack_name.removeprefix(PREFIX)}").body))


def stack_names():
    return [PREFIX + name for name in names()]


def said_values(words):
    """KEY=VALUE words as a mapping."""
    pairs = [word.partition("=") for word in words]
    wrong = [key for key, equals, _ in pairs if not equals]
    if wrong:
        raise BadSettings(f"SET has '{wrong[0]}'; it may be words like DiskGib=300")
    return {key: value for key, _, value in pairs}


def stack(formation, name, said, exists):
    """The stack of that name. What is said of its parameters is new, the others stay as they are, or begin with the template's default."""
    if name not in names():
        raise BadSettings(f"NAME is '{name}'; it may be one of: {', '.join(names())}")
    empty = Stack(PREFIX + name, f"growth/{name}")
    parameters = formation.get_template_summary(TemplateBody=empty.body)["Parameters"]
    own = {p["ParameterKey"]: p for p in parameters if p["ParameterKey"] not in TAKEN.keys() | GIVEN.keys()}
    if strange := said.keys() - own.keys():
        raise BadSettings(f"{name} takes no {', '.join(sorted(strange))}; it takes: {', '.join(own) or 'nothing'}")
    kept = tuple(own.keys() - said.keys())
    missing = [key for key in own if key in kept and own[key].get("DefaultValue") is None]
    if missing and not exists:
        told = "; ".join(f"{key} ({own[key].get('Description') or 'see its template'})" for key in missing)
        raise BadSettings(f"{name} needs to be told, as in SET=\"{missing[0]}=...\": {told}")
    keys = {p["ParameterKey"] for p in parameters}
    return Stack(
        empty.name,
        empty.template,
        given={k: v for k, v in GIVEN.items() if k in keys} | {k: said.get(k, own[k].get("DefaultValue") or "") for k in own},
        taken={k: v for k, v in TAKEN.items() if k in keys},
        kept=kept,
    )
