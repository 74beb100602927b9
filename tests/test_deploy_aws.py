"""deploy/aws against a real CloudFormation interface (moto_server): made, made again, changed, deleted; and who can reach whom.

What moto leaves out is not claimed: it makes no DocumentDB cluster and no bucket policy, and attaches no network interface to an
instance; those are checked as templates (test_deploy_templates.py). What it leaves out that reachability depends on is added by
moto_gaps.py.
"""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest
from aws_account import Account
from aws_reach import INTERNET, Host, Vpc
from support import ROOT, run

STACKS = ["network", "security", "iam", "archive", "node-1", "node-2", "bastion"]


@pytest.fixture
def account(tmp_path):
    account = Account(tmp_path)
    yield account
    account.moto.stop()


def test_plan_lists_every_stack_and_makes_none(account):
    said = account.ok("plan")
    for name in STACKS:
        assert f"ca4-{name}:" in said
    assert re.search(r"add +Vpc \(AWS::EC2::VPC\)", said)
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []


def test_outputs_have_the_contracts_names_and_what_was_made(applied):
    outputs = applied.outputs()
    ec2 = applied.client("ec2")
    assert {
        "ca4_vpc_id",
        "ca4_subnet_ids",
        "bastion_public_ip",
        "edge_node_private_ips",
        "ca4_db_endpoint",
        "ca4_s3_bucket",
    } <= outputs.keys()
    subnets = ec2.describe_subnets(SubnetIds=outputs["ca4_subnet_ids"].split(","))["Subnets"]
    assert len(subnets) == 6
    assert {s["VpcId"] for s in subnets} == {outputs["ca4_vpc_id"]}
    assert len({s["AvailabilityZone"] for s in subnets}) == 2
    address = ec2.describe_addresses(PublicIps=[outputs["bastion_public_ip"]])["Addresses"][0]
    assert address["InstanceId"] == outputs["bastion_instance_id"]
    nodes = outputs["edge_node_private_ips"].split(",")
    found = ec2.describe_network_interfaces(Filters=[{"Name": "private-ip-address", "Values": nodes}])
    assert {i["PrivateIpAddress"] for i in found["NetworkInterfaces"]} == set(nodes)
    assert applied.client("s3").head_bucket(Bucket=outputs["ca4_s3_bucket"])
    assert outputs["ca4_db_endpoint"] == "cluster0.example.net"


def test_outputs_are_also_for_shells_and_hold_no_secret(applied):
    shown = subprocess.run(
        ["bash", "-c", '. "$1" && echo "$ca4_vpc_id $edge_node_private_ips"', "_", applied.state / "outputs.env"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    outputs = applied.outputs()
    assert shown == f"{outputs['ca4_vpc_id']} {outputs['edge_node_private_ips']}\n"
    for path in applied.state.iterdir():
        assert "secret-word" not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0, path
    assert "secret-word" not in applied.said + applied.planned


def test_the_settings_for_this_machine_lead_through_the_bastion(applied):
    shown = run("config", "--format", "json", "--config", applied.state / "ca4.toml")
    assert shown.returncode == 0, shown.stderr
    found = {row["name"]: row["value"] for row in json.loads(shown.stdout)["settings"]}
    assert found["tunnel.bastion"] == applied.outputs()["bastion_public_ip"]
    assert found["tunnel.key_file"] + ".pub" == applied.env["CA4_SSH_PUBLIC_KEY_FILE"]
    assert found["tunnel.forwards"] == "9092:kafka:9092=kafka,16443:k3s-api:6443,3000:grafana:3000"
    assert found["kafka.bootstrap"] == "localhost:9092"


def test_applying_again_changes_nothing(applied):
    before = applied.outputs()
    said = applied.ok("apply")
    for name in STACKS:
        assert f"ca4-{name}: as it should be" in said
    assert applied.outputs() == before
    assert said.count("as it should be") == len(STACKS) == applied.ok("plan").count("as it should be")


def test_a_newer_image_or_key_does_not_replace_running_machines(applied, tmp_path):
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    said = applied.ok("plan", CA4_SSH_PUBLIC_KEY_FILE=f"{other}.pub")
    assert "ca4-node-1: as it should be" in said
    assert "ca4-bastion: as it should be" in said


def test_what_was_cut_off_is_finished(account):
    formation = account.client("cloudformation")
    # As if the first run had ended after two stacks, one of them only planned.
    formation.create_stack(
        StackName="ca4-network",
        TemplateBody=(ROOT / "deploy/aws/network.yaml").read_text(),
        Parameters=[{"ParameterKey": "VpcPrefix", "ParameterValue": "10.40"}],
        Tags=[{"Key": "ca4:system", "Value": "ca4"}],
    )
    vpc = account.stack_outputs("network")["Ca4VpcId"]
    formation.create_change_set(
        StackName="ca4-iam",
        ChangeSetName="begun",
        ChangeSetType="CREATE",
        TemplateBody=(ROOT / "deploy/aws/iam.yaml").read_text(),
        Parameters=[{"ParameterKey": "ArchiveBucket", "ParameterValue": "some-bucket"}],
        Capabilities=["CAPABILITY_IAM"],
    )
    said = account.ok("apply", CA4_NODES="1")
    assert "ca4-network: as it should be" in said
    assert "ca4-iam: applied" in said
    assert account.outputs()["ca4_vpc_id"] == vpc


def test_a_change_is_planned_and_then_made_where_it_belongs(account, tmp_path):
    account.ok("apply")
    role = account.stack_outputs("iam")["NodeProfile"]
    # The next version of CA4 has one right more.
    changed = tmp_path / "next"
    shutil.copytree(ROOT / "deploy", changed / "deploy")
    template = changed / "deploy/aws/iam.yaml"
    template.write_text(template.read_text().replace("s3:GetObject,", "s3:GetObject, s3:GetObjectVersion,"))
    account.tool = changed / "deploy/aws/cloud.py"

    said = account.ok("plan")
    assert re.search(r"ca4-iam:\n +modify +NodeArchive \(AWS::IAM::Policy\)\n  ca4-archive: as it should be", said)
    assert "s3:GetObjectVersion" not in node_rights(account)
    said = account.ok("apply")
    assert "ca4-iam: applied" in said
    assert said.count("as it should be") == len(STACKS) - 1
    assert "s3:GetObjectVersion" in node_rights(account)
    assert account.stack_outputs("iam")["NodeProfile"] == role


def node_rights(account):
    """The actions that the nodes' own policy allows, in all."""
    iam = account.client("iam")
    name = next(r["RoleName"] for r in iam.list_roles()["Roles"] if "NodeRole" in r["RoleName"])
    document = iam.get_role_policy(RoleName=name, PolicyName="archive")["PolicyDocument"]
    return [action for statement in document["Statement"] for action in statement["Action"]]


def test_a_node_more_and_a_node_less(account):
    account.ok("apply", CA4_NODES="1")
    first = account.outputs()["edge_node_private_ips"]
    assert "," not in first
    account.ok("apply", CA4_NODES="3")
    assert account.outputs()["edge_node_private_ips"].split(",")[0] == first
    # Another day, another shell: a variable that is not set again is no wish.
    refused = account.run("apply")
    assert refused.returncode == 1
    assert "this system was made with CA4_NODES=3, " in refused.stderr
    # A stack is as it was left: nothing looks whether its machine still runs, and only destroying it makes way for another.
    account.client("ec2").terminate_instances(InstanceIds=[account.stack_outputs("node-3")["InstanceId"]])
    assert "ca4-node-3: as it should be" in account.ok("apply", CA4_NODES="3")
    assert "ca4-node-3: stays" in account.ok("plan", CA4_NODES="2")
    refused = account.run("destroy", "--only", "node-3", CA4_NODES="2")
    assert refused.returncode == 1
    assert "CONFIRM=ca4" in refused.stderr
    assert "node-3: deleted" in account.ok("destroy", "--only", "node-3", CA4_NODES="2", CONFIRM="ca4")
    assert "node-3" not in account.ok("plan", CA4_NODES="2")


def test_no_database_is_made_because_mongo_uri_is_not_set_again(applied, tmp_path):
    refused = applied.run("apply", MONGO_URI=None)
    assert refused.returncode == 1
    assert "MONGO_URI= (nothing) has a DocumentDB made" in refused.stderr
    # Said, it is a wish; and the overlay dev brings a database of its own.
    assert re.search(r"ca4-database:\n +add +Password ", applied.ok("plan", MONGO_URI=""))
    said = applied.ok("apply", MONGO_URI=None, CA4_OVERLAY="dev", CA4_STATE_DIR=str(tmp_path))
    assert "ca4-database" not in said
    outputs = json.loads((tmp_path / "outputs.json").read_text())
    assert outputs["ca4_db_endpoint"] == "mongo.platform.svc.cluster.local:27017"


def test_another_size_of_the_disk_does_not_replace_a_machine(applied):
    said = applied.ok("apply", CA4_NODE_DISK_GIB="100")
    assert "ca4-node-1: as it should be" in said
    assert "ca4-node-1: its disk stays as it is, 50 GiB" in said


def test_an_address_with_a_netmask_is_the_same_network(applied):
    assert "ca4-security: as it should be" in applied.ok("plan", CA4_ADMIN_CIDR="203.0.113.0/255.255.255.0")


def test_a_node_behind_a_gap_is_not_forgotten(account):
    account.ok("apply", CA4_NODES="4")
    account.ok("destroy", "--only", "node-3", CONFIRM="ca4")
    assert "ca4-node-4: stays" in account.ok("plan")
    delete_route_tables(account)
    assert "ca4-node-4: deleted" in account.ok("destroy", CONFIRM="ca4")
    assert running(account) == []


def delete_route_tables(account):
    """moto's CloudFormation does not delete the route tables of a stack, and then refuses to delete their VPC."""
    ec2 = account.client("ec2")
    for table in ec2.describe_route_tables(Filters=[{"Name": "tag-key", "Values": ["ca4:system"]}])["RouteTables"]:
        for association in table["Associations"]:
            ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
        ec2.delete_route_table(RouteTableId=table["RouteTableId"])


def running(account):
    found = account.client("ec2").describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    return [i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]]


def test_destroy_leaves_the_archive_and_nuke_leaves_nothing(account):
    account.ok("apply")
    outputs = account.outputs()
    s3 = account.client("s3")
    s3.put_bucket_versioning(Bucket=outputs["ca4_s3_bucket"], VersioningConfiguration={"Status": "Enabled"})
    for content in (b"one", b"two"):
        s3.put_object(Bucket=outputs["ca4_s3_bucket"], Key="a", Body=content)
    assert len(running(account)) == 3

    for command in ("destroy", "nuke"):
        for confirmed in ("", "yes", "ca5"):
            refused = account.run(command, CONFIRM=confirmed)
            assert refused.returncode == 1
            assert "nothing was deleted" in refused.stderr
    assert len(running(account)) == 3

    delete_route_tables(account)
    said = account.ok("destroy", CONFIRM="ca4")
    assert outputs["ca4_s3_bucket"] in said
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []
    assert running(account) == []
    assert outputs["ca4_vpc_id"] not in [v["VpcId"] for v in account.client("ec2").describe_vpcs()["Vpcs"]]
    assert s3.get_object(Bucket=outputs["ca4_s3_bucket"], Key="a")["Body"].read() == b"two"
    assert not account.state.exists()

    account.ok("nuke", CONFIRM="ca4")
    assert s3.list_buckets()["Buckets"] == []
    account.ok("nuke", CONFIRM="ca4")  # a second time finds nothing to do


@pytest.mark.parametrize(
    ("env", "blamed"),
    [
        ({"CA4_ADMIN_CIDR": ""}, "CA4_ADMIN_CIDR=203.0.113.7/32"),
        ({"CA4_ADMIN_CIDR": "0.0.0.0/0"}, "much of the Internet"),
        ({"CA4_ADMIN_CIDR": "203.0.113.7/24"}, "has host bits set"),
        ({"CA4_NODES": "0"}, "CA4_NODES is '0'"),
        ({"CA4_KAFKA_BROKERS": "2"}, "CA4_KAFKA_BROKERS is '2'"),
        ({"CA4_SSH_PUBLIC_KEY_FILE": "/nowhere/key.pub"}, "ssh-keygen -t ed25519"),
        ({"CA4_SSH_PUBLIC_KEY_FILE": str(ROOT / "README.md")}, "not hold one OpenSSH public key"),
        ({"CA4_STACK": "Ca4!"}, "CA4_STACK is 'Ca4!'"),
        ({"AWS_REGION": ""}, "AWS_REGION is not set"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_done(applied, env, blamed):
    result = applied.run("apply", **env)
    assert result.returncode == 78
    assert blamed in result.stderr


def test_a_cloud_that_does_not_answer_is_told(applied):
    result = applied.run("plan", AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_MAX_ATTEMPTS="1")
    assert result.returncode == 1
    assert "http://127.0.0.1:1" in result.stderr


def test_a_page_in_the_clouds_place_is_told(tmp_path):
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA\n")
    class_of_pages = http.server.BaseHTTPRequestHandler  # answers a POST with 501 and a page of HTML
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), class_of_pages) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{pages.server_port}", "AWS_MAX_ATTEMPTS": "1", "AWS_REGION": "eu-central-1"}
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        ours = {"CA4_ADMIN_CIDR": "203.0.113.7", "CA4_SSH_PUBLIC_KEY_FILE": str(tmp_path / "key.pub"), "PATH": os.environ["PATH"]}
        command = [sys.executable, ROOT / "deploy/aws/cloud.py", "plan"]
        result = subprocess.run(command, env=env | keys | ours, capture_output=True, text=True, timeout=60)
        pages.shutdown()
    assert result.returncode == 1
    assert "plan: what answers is not AWS" in result.stderr
    assert "Traceback" not in result.stderr


# Who may reach what: the wire contract's table in full, and nothing besides.
NODES = ("server", "agent")
ADMITTED = (
    {("admin", "bastion", "22/tcp")}
    | {("bastion", node, f"{port}/tcp") for node in NODES for port in (22, 6443, 9092, 3000)}
    | {(a, b, port) for a in NODES for b in NODES if a != b for port in ("6443/tcp", "9092/tcp", "10250/tcp", "8472/udp")}
    | {(node, "database", "27017/tcp") for node in NODES}
)


class Verdict:
    """What the created VPC says, against what it must say."""

    def __init__(self, account):
        security = account.stack_outputs("security")
        subnet = account.stack_outputs("network")["DataSubnetIds"].split(",")[0]
        self.vpc = Vpc(account.client("ec2"), account.outputs()["ca4_vpc_id"], (subnet, security["DatabaseGroupId"]))

    def faults(self):
        vpc = self.vpc
        faults = [f"admitted: {x}" for x in sorted(vpc.matrix(vpc.admitted) ^ ADMITTED)]
        # Both sides have to agree: what is admitted must also be allowed to leave.
        faults += [f"can't leave: {x}" for x in sorted(ADMITTED - vpc.matrix(vpc.reaches))]
        exposed = {h.name for h in vpc.hosts if vpc.exposed(h)}
        faults += [f"exposed: {x}" for x in sorted(exposed ^ {"bastion"})]
        out = {h.name for h in vpc.hosts if h.name != "stranger" and vpc.gets_out(h)}
        faults += [f"way out: {x}" for x in sorted(out ^ {"bastion", "server", "agent"})]
        return faults


def test_only_who_may_reach_something_can(applied):
    verdict = Verdict(applied)
    assert sorted({h.name for h in verdict.vpc.hosts}) == ["agent", "bastion", "database", "server", "stranger"]
    assert verdict.faults() == []


def test_the_bastion_can_go_nowhere_but_to_the_nodes_and_https(applied):
    vpc = Verdict(applied).vpc
    bastion = vpc.named("bastion")
    outside = [p for p in range(1, 65536) if vpc.may_leave(bastion, OUTSIDE, ("tcp", p))]
    assert outside == [443]


def test_three_brokers_have_three_doors(account):
    account.apply(CA4_KAFKA_BROKERS="3")
    vpc = Verdict(account).vpc
    more = vpc.matrix(vpc.reaches) - ADMITTED
    doors = {(a, b, f"{p}/tcp") for a in ("bastion", *NODES) for b in NODES if a != b for p in (9093, 9094)}
    assert more == doors
    assert "CA4_KAFKA_BROKERS=3" in account.run("apply").stderr


def ingress(port, protocol="tcp", **source):
    return [{"IpProtocol": protocol, "FromPort": port, "ToPort": port} | source]


OUTSIDE = Host("internet", INTERNET)
WORLD = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


class Planter:
    """Breaks what was created, one mistake at a time, and mends it again."""

    def __init__(self, account):
        self.ec2 = account.client("ec2")
        self.account = account
        self.network = account.stack_outputs("network")
        self.security = account.stack_outputs("security")
        self.private = self.network["PrivateSubnetIds"].split(",")
        self.data = self.network["DataSubnetIds"].split(",")

    def open(self, group, permissions):
        self.ec2.authorize_security_group_ingress(GroupId=self.security[group], IpPermissions=permissions)
        return lambda: self.ec2.revoke_security_group_ingress(GroupId=self.security[group], IpPermissions=permissions)

    def close(self, group, direction="IpPermissions"):
        """Takes away a group's rules of one direction."""
        rules = self.ec2.describe_security_groups(GroupIds=[self.security[group]])["SecurityGroups"][0][direction]
        side = "ingress" if direction == "IpPermissions" else "egress"
        getattr(self.ec2, f"revoke_security_group_{side}")(GroupId=self.security[group], IpPermissions=rules)
        return lambda: getattr(self.ec2, f"authorize_security_group_{side}")(GroupId=self.security[group], IpPermissions=rules)

    def from_group(self, name):
        return {"UserIdGroupPairs": [{"GroupId": self.security[name]}]}

    def tables(self):
        found = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [self.network["Ca4VpcId"]]}])
        return found["RouteTables"]

    def association(self, subnet):
        return next(
            (t["RouteTableId"], a["RouteTableAssociationId"])
            for t in self.tables()
            for a in t["Associations"]
            if a.get("SubnetId") == subnet
        )

    def move(self, subnet, neighbour):
        """Gives a subnet the route table of another."""
        own, association = self.association(subnet)
        other, _ = self.association(neighbour)
        moved = self.ec2.replace_route_table_association(AssociationId=association, RouteTableId=other)["NewAssociationId"]
        return lambda: self.ec2.replace_route_table_association(AssociationId=moved, RouteTableId=own)

    def public_addresses(self, subnet, on=True):
        self.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": on})
        return lambda: self.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": not on})

    def without_default_route(self, subnet):
        table, _ = self.association(subnet)
        route = next(
            r
            for t in self.tables()
            if t["RouteTableId"] == table
            for r in t["Routes"]
            if r.get("DestinationCidrBlock") == "0.0.0.0/0"
        )
        target = {k: route[k] for k in ("GatewayId", "NatGatewayId") if route.get(k)}
        self.ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
        return lambda: self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)

    def nodes_public(self):
        undo = [self.move(s, self.network["PublicSubnetId"]) for s in self.private]
        undo += [self.public_addresses(s) for s in self.private]
        return lambda: [u() for u in undo]


MISTAKES = {
    "SSH open to the Internet": lambda p: p.open("BastionGroupId", ingress(22, **WORLD)),
    "the bastion answers HTTPS": lambda p: p.open("BastionGroupId", ingress(443, **WORLD)),
    "Kafka open to the VPC": lambda p: p.open("NodesGroupId", ingress(9092, IpRanges=[{"CidrIp": "10.40.0.0/16"}])),
    "Kafka open to the world": lambda p: p.open("NodesGroupId", ingress(9092, **WORLD)),
    "the K3s API open to the VPC": lambda p: p.open("NodesGroupId", ingress(6443, IpRanges=[{"CidrIp": "10.0.0.0/8"}])),
    "Grafana open to the world": lambda p: p.open("NodesGroupId", ingress(3000, **WORLD)),
    "SSH between nodes": lambda p: p.open("NodesGroupId", ingress(22, **p.from_group("NodesGroupId"))),
    "the database open to the bastion": lambda p: p.open("DatabaseGroupId", ingress(27017, **p.from_group("BastionGroupId"))),
    "the database open to the VPC": lambda p: p.open("DatabaseGroupId", ingress(27017, IpRanges=[{"CidrIp": "10.40.0.0/16"}])),
    "SSH to the database": lambda p: p.open("DatabaseGroupId", ingress(22, **p.from_group("NodesGroupId"))),
    "every protocol from the bastion": lambda p: p.open(
        "NodesGroupId", [{"IpProtocol": "-1"} | p.from_group("BastionGroupId")]
    ),
    "nobody gets into the bastion": lambda p: p.close("BastionGroupId"),
    "the workers can't reach the database": lambda p: p.close("DatabaseGroupId"),
    "the bastion can't reach the nodes": lambda p: p.close("BastionGroupId", "IpPermissionsEgress"),
    "the nodes can't leave": lambda p: p.close("NodesGroupId", "IpPermissionsEgress"),
    "the nodes have public addresses and routes": lambda p: p.nodes_public(),
    "the data subnets go out through NAT": lambda p: p.move(p.data[0], p.private[0]),
    "the nodes have no way out": lambda p: p.without_default_route(p.private[0]),
    "the bastion's subnet has no way in": lambda p: p.without_default_route(p.network["PublicSubnetId"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_rule_is_seen(applied, mistake):
    mend = MISTAKES[mistake](Planter(applied))
    broken = Verdict(applied).faults()
    mend()
    assert broken
    assert Verdict(applied).faults() == []


def test_the_databases_connection_string_comes_from_its_secret(account):
    account.ok("apply", CA4_NODES="1")
    refused = account.run("mongo-uri")
    assert refused.returncode == 1
    assert "set MONGO_URI" in refused.stderr
    # As database.yaml makes it; moto's CloudFormation does not.
    secret = account.client("secretsmanager").create_secret(
        Name="database", SecretString=json.dumps({"username": "ca4", "password": "pAssw0rd"})
    )
    path = account.state / "outputs.json"
    path.write_text(json.dumps(account.outputs() | {"ca4_db_secret": secret["ARN"], "ca4_db_endpoint": "db.example"}))
    uri = account.ok("mongo-uri")
    assert uri.startswith("mongodb://ca4:pAssw0rd@db.example:27017/?tls=true&tlsCAFile=/etc/ca4/database-ca/")
    assert uri.endswith("&replicaSet=rs0&retryWrites=false")


def test_planning_removes_nothing_that_is_half_made(account):
    formation = account.client("cloudformation")
    formation.create_change_set(
        StackName="ca4-iam",
        ChangeSetName="begun",
        ChangeSetType="CREATE",
        TemplateBody=(ROOT / "deploy/aws/iam.yaml").read_text(),
        Parameters=[{"ParameterKey": "ArchiveBucket", "ParameterValue": "some-bucket"}],
        Capabilities=["CAPABILITY_IAM"],
    )
    assert "ca4-iam: half made" in account.ok("plan")
    (stack,) = formation.describe_stacks()["Stacks"]
    assert stack["StackStatus"] == "REVIEW_IN_PROGRESS"
