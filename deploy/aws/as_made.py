"""What a system that is there was made with, beside what the variables say now.

A variable that somebody forgot to set again must not be taken for a wish: by its default a second database would be made, machines
get another type, doors of brokers close, and nodes be missing from the outputs.
"""

import settings as settings_module
import stacks as stacks_module


def parameter(cloud, stack_name, name):
    """What a stack was last given; None without the stack."""
    given = (cloud.describe(stack_name) or {}).get("Parameters", [])
    return next((p["ParameterValue"] for p in given if p["ParameterKey"] == name), None)


def unsaid(cloud):
    """{variable that is not set: what it was}, of those whose default would change what is there."""
    settings = cloud.settings
    zones = {"true": "2", "false": "1"}.get(parameter(cloud, "database", "TwoZones"))
    last_port = parameter(cloud, "security", "KafkaLastPort")
    was = {
        "CA4_NODES": str(max(node_numbers(cloud), default=0)),
        "CA4_NODE_TYPE": parameter(cloud, stacks_module.node_name(1), "InstanceType"),
        "CA4_KAFKA_BROKERS": last_port and str(int(last_port) - 9091),
        "CA4_DATABASE_CLASS": parameter(cloud, "database", "InstanceClass"),
        "CA4_DATABASE_ZONES": zones,
    }
    by_default = {
        "CA4_NODES": settings.nodes,
        "CA4_NODE_TYPE": settings.node_type,
        "CA4_KAFKA_BROKERS": settings.kafka_brokers,
        "CA4_DATABASE_CLASS": settings.database_class,
        "CA4_DATABASE_ZONES": settings.database_zones,
    }
    found = {name: value for name, value in was.items() if value and name not in settings.said and value != str(by_default[name])}
    # Fewer nodes than by default are the rest of a run that was cut off, or one that was destroyed to be made anew.
    if int(found.get("CA4_NODES", settings.nodes)) < settings.nodes:
        del found["CA4_NODES"]
    # The bastion is made last: where it is and no database, there is another one.
    if settings.has_database and "MONGO_URI" not in settings.said and cloud.describe("bastion") and not cloud.describe("database"):
        found["MONGO_URI"] = "…"
    return found


def node_numbers(cloud):
    return [n for n in range(1, settings_module.NODES_MAX + 1) if cloud.describe(stacks_module.node_name(n))]


def complaint(found):
    words = " ".join(f"{name}={value}" for name, value in found.items())
    text = f"this system was made with {words}, which is not set now: by its default it would become another one. Set it as before"
    others = [name for name in found if name != "MONGO_URI"]
    if others:
        text += f", or set {others[0]} to what you want"
    if "MONGO_URI" in found:
        text += "; with CA4_OVERLAY=dev the database is in the cluster, and MONGO_URI= (nothing) has a DocumentDB made"
    return text


def disks_that_stay(cloud):
    """(node, GiB) of each node whose disk is not as large as CA4_NODE_DISK_GIB says: another size would be another machine."""
    if "CA4_NODE_DISK_GIB" not in cloud.settings.said:
        return []
    has = {name: parameter(cloud, name, "DiskGib") for name in map(stacks_module.node_name, node_numbers(cloud))}
    return [(name, gib) for name, gib in has.items() if gib != str(cloud.settings.node_disk_gib)]
