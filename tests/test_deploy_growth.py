"""deploy/aws/growth: what grows beside the system, as text and, as far as moto makes it, as stacks beside a system that is there.

moto makes of these: subnets, security groups and their rules for coming in, load balancers, roles, log groups. It makes no MSK
cluster, no Client VPN and no rule for leaving by itself: those are checked as templates. Nothing here was made in AWS.
"""

import re
import shutil

import pytest
from aws_account import Account
from aws_reach import PORTS, Host
from cfn_text import cfn_lint, load, resources, the
from support import ROOT
from test_deploy_aws import NODES, Verdict

GROWTH = ROOT / "deploy/aws/growth"
TEMPLATES = sorted(GROWTH.glob("*.yaml"))
NAMES = [p.stem for p in TEMPLATES]


def texts():
    return {p.stem: p.read_text() for p in TEMPLATES}


def test_the_linter_has_nothing_to_say():
    result = cfn_lint(*TEMPLATES)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("name", "old"),
    [("msk", "NumberOfBrokerNodes:"), ("client-vpn", "SplitTunnel:")],
)
def test_the_linter_knows_what_moto_does_not_make(tmp_path, name, old):
    broken = tmp_path / "broken.yaml"
    broken.write_text(texts()[name].replace(old, "X" + old))
    assert "X" + old[:-1] in cfn_lint(broken).stdout


def test_every_file_is_named_where_growing_up_is_told():
    page = (ROOT / "docs/scaling.md").read_text()
    for path in GROWTH.iterdir():
        assert f"](../deploy/aws/growth/{path.name})" in page, path.name
        assert path.suffix != ".yaml" or f"NAME={path.stem}" in page, path.name


def sources(template, ports=None):
    """Who the groups that a template makes let in: Refs and CIDRs."""
    groups = resources(template, "AWS::EC2::SecurityGroup").values()
    rules = [r for g in groups for r in g["Properties"].get("SecurityGroupIngress", [])]
    return {str(r.get("SourceSecurityGroupId", r.get("CidrIp"))) for r in rules if not ports or r["FromPort"] in ports}


def msk_has_three_brokers_in_three_zones(t):
    cluster = the(t["msk"], "AWS::MSK::Cluster")["Properties"]
    subnets = [str(s) for s in cluster["BrokerNodeGroupInfo"]["ClientSubnets"]]
    zone = the(t["msk"], "AWS::EC2::Subnet")["Properties"]["AvailabilityZone"]
    wrong = [] if cluster["NumberOfBrokerNodes"] == len(set(subnets)) == 3 else ["brokers"]
    # The network has the first two.
    return wrong + ([] if zone["Fn::Select"][0] == 2 else ["zone"])


def msk_lets_in_nodes_and_bastion_by_iam_and_tls(t):
    cluster = the(t["msk"], "AWS::MSK::Cluster")["Properties"]
    log_in = {"Sasl": {"Iam": {"Enabled": True}}, "Unauthenticated": {"Enabled": False}}
    wrong = [] if cluster["ClientAuthentication"] == log_in else ["log-in"]
    wrong += [] if cluster["EncryptionInfo"]["EncryptionInTransit"] == {"ClientBroker": "TLS", "InCluster": True} else ["TLS"]
    wrong += ["public"] if "ConnectivityInfo" in cluster["BrokerNodeGroupInfo"] else []
    wrong += [] if cluster["BrokerNodeGroupInfo"]["SecurityGroups"] == [{"Ref": "Group"}] else ["group"]
    return wrong + sorted(sources(t["msk"]) ^ {"{'Ref': 'NodesGroupId'}", "{'Ref': 'BastionGroupId'}"})


def msk_keeps_what_our_three_brokers_keep(t):
    own = (ROOT / "deploy/k8s/components/kafka-3/kustomization.yaml").read_text()
    properties = the(t["msk"], "AWS::MSK::Configuration")["Properties"]["ServerProperties"]
    wrong = [] if "min.insync.replicas=2\n" in properties and "default.replication.factor=3\n" in properties else ["copies"]
    return wrong + ([] if re.search(r"KAFKA_BROKERS.*3", own) else ["three brokers of our own"])


def msk_policy_is_for_our_topics_and_groups(t):
    wrong = []
    for statement in the(t["msk"], "AWS::IAM::ManagedPolicy")["Properties"]["PolicyDocument"]["Statement"]:
        wrong += [a for a in statement["Action"] if "*" in a or "Delete" in a or "AlterCluster" in a]
        resource = statement["Resource"]
        ours = (":cluster/${AWS::StackName}/*", ":topic/${AWS::StackName}/*/gpu-metadata*", ":group/${AWS::StackName}/*/ca4-*")
        if not str(resource["Fn::Sub"]).endswith(ours):
            wrong.append(str(resource))
    return wrong


def client_vpn_goes_where_the_bastion_goes(t):
    security = load((ROOT / "deploy/aws/security.yaml").read_text())["Resources"]
    bastion = {r["FromPort"] for r in security["Bastion"]["Properties"]["SecurityGroupEgress"]} - {443}
    leaving = the(t["client-vpn"], "AWS::EC2::SecurityGroup")["Properties"]["SecurityGroupEgress"]
    wrong = [f"leaves {p}" for p in {r["FromPort"] for r in leaving} ^ bastion]
    wrong += ["leaves to others"] if any(r["DestinationSecurityGroupId"] != {"Ref": "NodesGroupId"} for r in leaving) else []
    admitted = {r["Properties"]["FromPort"] for r in resources(t["client-vpn"], "AWS::EC2::SecurityGroupIngress").values()}
    return wrong + [f"admitted {p}" for p in admitted ^ bastion]


def client_vpn_tells_people_apart_and_writes_down_who_came(t):
    endpoint = the(t["client-vpn"], "AWS::EC2::ClientVpnEndpoint")["Properties"]
    wrong = [] if endpoint["ConnectionLogOptions"]["Enabled"] is True else ["log"]
    wrong += [] if endpoint["SplitTunnel"] is True else ["split tunnel"]
    wrong += [] if endpoint["SecurityGroupIds"] == [{"Ref": "Group"}] else ["group"]
    kinds = [o["Type"] for o in endpoint["AuthenticationOptions"][0]["Fn::If"][1:]]
    return wrong + ([] if kinds == ["federated-authentication", "certificate-authentication"] else kinds)


def the_balancer_passes_tls_through(t):
    """What ends TLS is the Ingress, with its certificate; a balancer of the other kind would want one of its own."""
    kinds = {the(t["balancer"], f"AWS::ElasticLoadBalancingV2::{k}")["Properties"].get(p) for k, p in (("LoadBalancer", "Type"), ("Listener", "Protocol"))}
    return sorted(kinds ^ {"network", "TCP"})


def the_balancer_leads_to_three_nodes(t):
    """moto registers no targets."""
    targets = the(t["balancer"], "AWS::ElasticLoadBalancingV2::TargetGroup")["Properties"]["Targets"]
    wanted = [{"Id": {"Ref": f"Node{n}Address"}, "Port": 443} for n in (1, 2, 3)]
    return [] if targets == wanted else [str(targets)]


def the_balancer_is_opened_by_a_decision(t):
    allowed = t["balancer"]["Parameters"]["AllowedCidr"]
    return (["a default"] if "Default" in allowed else []) + sorted(sources(t["balancer"]) ^ {"{'Ref': 'AllowedCidr'}"})


def wireguards_port_is_for_administrators(t):
    rule = the(t["wireguard"], "AWS::EC2::SecurityGroupIngress")["Properties"]
    wanted = {"IpProtocol": "udp", "FromPort": 51820, "ToPort": 51820, "CidrIp": {"Ref": "AdminCidr"}}
    return [k for k in wanted if rule[k] != wanted[k]]


# rule: a change of one template that it must see
RULES = {
    msk_has_three_brokers_in_three_zones: ("msk", "!Select [2, !GetAZs", "!Select [1, !GetAZs"),
    msk_lets_in_nodes_and_bastion_by_iam_and_tls: ("msk", "Unauthenticated: {Enabled: false}", "Unauthenticated: {Enabled: true}"),
    msk_keeps_what_our_three_brokers_keep: ("msk", "min.insync.replicas=2", "min.insync.replicas=1"),
    msk_policy_is_for_our_topics_and_groups: ("msk", "/*/gpu-metadata*", "/*/*"),
    client_vpn_goes_where_the_bastion_goes: ("client-vpn", "FromPort: 9092, ToPort: 9094, DestinationSecurityGroupId", "FromPort: 1, ToPort: 65535, DestinationSecurityGroupId"),
    client_vpn_tells_people_apart_and_writes_down_who_came: ("client-vpn", "{Enabled: true, CloudwatchLogGroup: !Ref Logs}", "{Enabled: false}"),
    the_balancer_passes_tls_through: ("balancer", "Type: network", "Type: application"),
    the_balancer_leads_to_three_nodes: ("balancer", "!Ref Node3Address, Port: 443", "!Ref Node2Address, Port: 443"),
    the_balancer_is_opened_by_a_decision: ("balancer", "    AllowedPattern:", "    Default: 0.0.0.0/0\n    AllowedPattern:"),
    wireguards_port_is_for_administrators: ("wireguard", "CidrIp: !Ref AdminCidr", "CidrIp: 0.0.0.0/0"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rule(rule):
    assert rule({name: load(text) for name, text in texts().items()}) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rule_sees_a_mistake(rule):
    name, old, new = RULES[rule]
    changed = texts()
    assert old in changed[name]
    changed[name] = changed[name].replace(old, new)
    assert rule({n: load(text) for n, text in changed.items()})


# Beside a system that is there (moto). What a test grows it takes away again.


@pytest.fixture
def account(tmp_path):
    account = Account(tmp_path)
    yield account
    account.moto.stop()


@pytest.fixture
def grow(applied):
    made = []

    def grow(name, *words, **env):
        made.append(name)
        return applied.ok("grow", name, *(["--set", *words] if words else []), **env)

    yield grow
    for name in made:
        applied.ok("destroy", "--only", f"grow-{name}", CONFIRM="ca4")


def rules_of(applied, group, side="IpPermissions"):
    found = applied.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0][side]
    return {(p["IpProtocol"], p["FromPort"], r["CidrIp"]) for p in found for r in p["IpRanges"]} | {
        (p["IpProtocol"], p["FromPort"], g["GroupId"]) for p in found for g in p["UserIdGroupPairs"]
    }


def group_of(applied, stack):
    found = applied.client("cloudformation").describe_stack_resources(StackName=f"ca4-{stack}")["StackResources"]
    return next(r["PhysicalResourceId"] for r in found if r["ResourceType"] == "AWS::EC2::SecurityGroup")


def test_brokers_of_msk_are_reached_by_nodes_and_bastion_only(applied, grow):
    grow("msk")
    verdict = Verdict(applied)
    assert verdict.faults() == []
    outputs = applied.outputs()
    subnet = applied.stack_outputs("network")["PrivateSubnetIds"].split(",")[0]
    broker = Host("broker", "10.40.32.99", frozenset([group_of(applied, "grow-msk")]), subnet)
    vpc = verdict.vpc
    everyone = [Host("internet", "198.51.100.9"), *vpc.hosts]
    ports = [("tcp", p) for p in (22, 2181, 9092, 9094, 9096, 9098)]
    admitted = {(h.name, p[1]) for h in everyone for p in ports if vpc.admitted(h, broker, p)}
    assert admitted == {(name, 9098) for name in ("bastion", *NODES)}
    third = applied.client("ec2").describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.40.96.0/20"]}])["Subnets"][0]
    assert third["VpcId"] == outputs["ca4_vpc_id"]
    zones = {s["AvailabilityZone"] for s in applied.client("ec2").describe_subnets(SubnetIds=outputs["ca4_subnet_ids"].split(","))["Subnets"]}
    assert third["AvailabilityZone"] not in zones


def test_the_balancer_leads_to_every_nodes_ingress_and_opens_nothing_else(account, tmp_path):
    account.apply(CA4_NODES="3")
    refused = account.run("grow", "balancer")
    assert refused.returncode == 78
    assert 'SET="AllowedCidr=..."' in refused.stderr
    # moto's CloudFormation makes application balancers only, and those take no TCP.
    shutil.copytree(ROOT / "deploy", tmp_path / "moto/deploy")
    template = tmp_path / "moto/deploy/aws/growth/balancer.yaml"
    template.write_text(template.read_text().replace("      Port: 443\n      Protocol: TCP\n", "      Port: 443\n      Protocol: HTTP\n"))
    account.tool = tmp_path / "moto/deploy/aws/cloud.py"
    assert "Name = " in account.ok("grow", "balancer", "--set", "AllowedCidr=198.51.100.0/24")

    verdict = Verdict(account)
    group, subnet = group_of(account, "grow-balancer"), account.stack_outputs("network")["PublicSubnetId"]
    assert rules_of(account, group) == {("tcp", 443, "198.51.100.0/24")}
    balancer = Host("balancer", "10.40.0.99", frozenset([group]), subnet)
    vpc = verdict.vpc
    nodes = [h for h in vpc.hosts if h.name in NODES]
    assert len(nodes) == 3
    doors = {(h.name, p) for h in nodes for p in PORTS if vpc.admitted(balancer, h, p)}
    assert doors == {(name, ("tcp", 443)) for name in NODES}
    # The table of who may reach what is as before, but for the third node's neighbour, which the table of two nodes lacks.
    vpc.hosts.remove(nodes[-1])
    assert verdict.faults() == []
    assert account.client("elbv2").describe_load_balancers()["LoadBalancers"][0]["Scheme"] == "internet-facing"
    stack = account.client("cloudformation").describe_stacks(StackName="ca4-grow-balancer")["Stacks"][0]
    told = {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}
    assert [told[f"Node{n}Address"] for n in (1, 2, 3)] == account.outputs()["edge_node_private_ips"].split(",")
    # Said once, it stays.
    account.ok("grow", "balancer")
    assert rules_of(account, group) == {("tcp", 443, "198.51.100.0/24")}
    assert "ca4-grow-balancer: stays" in account.ok("plan", CA4_NODES="3")


def test_client_vpn_enters_at_the_nodes_ports_and_wireguard_at_the_bastions(applied, grow):
    nodes = applied.stack_outputs("security")["NodesGroupId"]
    bastion = applied.stack_outputs("security")["BastionGroupId"]
    before = rules_of(applied, nodes), rules_of(applied, bastion)
    grow("client-vpn", "ServerCertificate=arn:aws:acm:eu-central-1:123456789012:certificate/a", "ClientCa=arn:aws:acm:eu-central-1:123456789012:certificate/b")
    group = group_of(applied, "grow-client-vpn")
    assert rules_of(applied, nodes) - before[0] == {("tcp", port, group) for port in (22, 3000, 6443, 9092)}
    grow("wireguard")
    assert "as it should be" in applied.ok("grow", "wireguard")
    assert rules_of(applied, bastion) - before[1] == {("udp", 51820, "203.0.113.0/24")}


def test_what_is_grown_is_planned_kept_by_apply_and_deleted_with_the_rest(account):
    account.ok("apply", CA4_NODES="1")
    assert "add     Port (AWS::EC2::SecurityGroupIngress)" in account.ok("grow", "wireguard", "--plan")
    assert "ca4-grow-wireguard" not in account.ok("plan", CA4_NODES="1")
    account.ok("grow", "wireguard")
    account.ok("apply", CA4_NODES="1")
    assert account.stack_outputs("grow-wireguard") == {}
    said = account.run("destroy", CONFIRM="ca4").stdout
    # Before what it stands on. (moto then refuses the VPC, whose route tables it leaves.)
    assert said.index("ca4-grow-wireguard: deleted") < said.index("ca4-bastion: deleted")


@pytest.mark.parametrize(
    ("args", "blamed"),
    [
        (["nothing"], "there is no 'nothing' to grow; there are: balancer, client-vpn"),
        ([""], "there are: balancer, client-vpn"),
        (["msk", "--set", "Disk=5"], "msk takes no Disk; it takes: "),
        (["msk", "--set", "DiskGib"], "words like DiskGib=300"),
        (["client-vpn"], "ServerCertificate (the ARN of the endpoint's own certificate in ACM)"),
    ],
)
def test_what_can_not_be_grown_is_told_and_nothing_is_made(applied, args, blamed):
    result = applied.run("grow", *args)
    assert result.returncode == 78
    assert blamed in result.stderr
    assert "grow-" not in str([s["StackName"] for s in applied.client("cloudformation").describe_stacks()["Stacks"]])
