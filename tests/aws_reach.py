"""Who can reach whom in a VPC, worked out from what an EC2 API describes: security groups, routes, subnets, public addresses.

Nothing here looks at a template: what counts is what was created.
"""

import ipaddress
from dataclasses import dataclass, field

# One address of the admin's network, one of nobody's (documentation ranges: no real host has them).
ADMIN = "203.0.113.7"
INTERNET = "198.51.100.9"

# The ports that the system has, and some that it must not have open.
PORTS = [("tcp", p) for p in (22, 80, 443, 2379, 3000, 6443, 8000, 9090, 9092, 9093, 9094, 10250, 27017)] + [("udp", 8472)]


@dataclass(frozen=True)
class Host:
    name: str
    address: str
    groups: frozenset = field(default_factory=frozenset)
    subnet: str = ""  # '' is outside
    public: bool = False


class Vpc:
    """A snapshot of one VPC. `database` is (subnet, group): moto makes no DocumentDB cluster, so its place is given."""

    def __init__(self, ec2, vpc_id, database):
        mine = [{"Name": "vpc-id", "Values": [vpc_id]}]
        self.groups = {g["GroupId"]: g for g in ec2.describe_security_groups(Filters=mine)["SecurityGroups"]}
        self.subnets = {s["SubnetId"]: s for s in ec2.describe_subnets(Filters=mine)["Subnets"]}
        self.tables = ec2.describe_route_tables(Filters=mine)["RouteTables"]
        self.nats = {n["NatGatewayId"]: n["SubnetId"] for n in ec2.describe_nat_gateways(Filters=mine)["NatGateways"]}
        gateways = ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc_id]}])
        self.gateways = {g["InternetGatewayId"] for g in gateways["InternetGateways"]}
        self.hosts = self._machines(ec2, mine) + self._database(*database) + self._strangers()

    def _machines(self, ec2, mine):
        """The interfaces that the stacks made. An elastic address belongs to the stack whose instance it names."""
        stack_of = {}
        for reservation in ec2.describe_instances()["Reservations"]:
            for instance in reservation["Instances"]:
                stack_of[instance["InstanceId"]] = tag(instance.get("Tags", []), "aws:cloudformation:stack-name")
        with_address = {stack_of.get(a.get("InstanceId")) for a in ec2.describe_addresses()["Addresses"]}
        by_interface = {a.get("NetworkInterfaceId") for a in ec2.describe_addresses()["Addresses"]}
        hosts = []
        for interface in ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"]:
            name = tag(interface["TagSet"], "ca4:host")
            if not name:
                continue
            stack = tag(interface["TagSet"], "aws:cloudformation:stack-name")
            hosts.append(
                Host(
                    name,
                    interface["PrivateIpAddress"],
                    frozenset(g["GroupId"] for g in interface["Groups"]),
                    interface["SubnetId"],
                    stack in with_address
                    or interface["NetworkInterfaceId"] in by_interface
                    or self.subnets[interface["SubnetId"]]["MapPublicIpOnLaunch"],
                )
            )
        return hosts

    def _database(self, subnet, group):
        return [Host("database", self._address(subnet, 200), frozenset([group]), subnet)]

    def _strangers(self):
        """A machine that somebody else started in each subnet, with the VPC's default group."""
        default = next(i for i, g in self.groups.items() if g["GroupName"] == "default")
        return [Host("stranger", self._address(s, 201), frozenset([default]), s) for s in self.subnets]

    def _address(self, subnet, number):
        return str(ipaddress.ip_network(self.subnets[subnet]["CidrBlock"])[number])

    def named(self, name):
        return next(h for h in self.hosts if h.name == name)

    def admitted(self, source, target, port):
        """The target's groups let the source in. Two sides of one VPC always have a route; from outside it takes exposure."""
        if not source.subnet and not self.exposed(target):
            return False
        rules = [r for g in target.groups for r in self.groups[g]["IpPermissions"]]
        return any(matches(r, port, source) for r in rules)

    def may_leave(self, source, target, port):
        """The source's groups let it out towards the target."""
        if not source.subnet:
            return True
        rules = [r for g in source.groups for r in self.groups[g]["IpPermissionsEgress"]]
        return any(matches(r, port, target) for r in rules)

    def reaches(self, source, target, port):
        return self.admitted(source, target, port) and self.may_leave(source, target, port)

    def _default_route(self, subnet):
        explicit = [t for t in self.tables if any(a.get("SubnetId") == subnet for a in t["Associations"])]
        tables = explicit or [t for t in self.tables if any(a.get("Main") for a in t["Associations"])]
        return next((r for t in tables for r in t["Routes"] if r.get("DestinationCidrBlock") == "0.0.0.0/0"), {})

    def _at_gateway(self, subnet):
        return self._default_route(subnet).get("GatewayId") in self.gateways

    def exposed(self, host):
        """Packets from the Internet find it: a public address in a subnet whose way out is an Internet gateway."""
        return host.public and self._at_gateway(host.subnet)

    def gets_out(self, host):
        """It can open a connection to the Internet, as far as routes go: itself, or through a NAT gateway that can."""
        nat = self._default_route(host.subnet).get("NatGatewayId")
        return self.exposed(host) or (nat in self.nats and self._at_gateway(self.nats[nat]))

    def matrix(self, question):
        """Every (source, target, 'port/protocol') for which question(source, target, port) holds, by name."""
        outside = [Host("admin", ADMIN), Host("internet", INTERNET)]
        targets = [h for h in self.hosts if h.name != "stranger"]
        return {
            (source.name, target.name, f"{port}/{protocol}")
            for source in outside + self.hosts
            for target in targets
            if source != target
            for protocol, port in PORTS
            if question(source, target, (protocol, port))
        }


def tag(tags, key):
    return next((t["Value"] for t in tags if t["Key"] == key), "")


def matches(rule, port, other):
    protocol, number = port
    if rule["IpProtocol"] not in ("-1", protocol):
        return False
    if rule["IpProtocol"] != "-1" and not rule["FromPort"] <= number <= rule["ToPort"]:
        return False
    address = ipaddress.ip_address(other.address)
    if any(address in ipaddress.ip_network(r["CidrIp"]) for r in rule.get("IpRanges", [])):
        return True
    return any(p["GroupId"] in other.groups for p in rule.get("UserIdGroupPairs", []))
