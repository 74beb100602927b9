"""deploy/aws/growth: what grows beside the system, as text and, as far as moto makes it, as stacks beside a system that is there.

moto makes of these: subnets, security groups and their rules for coming in, load balancers, roles, log groups, launch templates, Auto
Scaling groups, volumes, ECS clusters and tasks, file systems, and a SageMaker job. It makes no MSK or EKS cluster, no Client VPN, no
capacity provider in CloudFormation and no rule for leaving by itself: those are checked as templates. Nothing here was made in AWS.
"""

import base64
import json
import re
import shutil
import subprocess

import botocore.exceptions
import pytest
import yaml
from aws_account import Account
from aws_reach import PORTS, Host
from cfn_text import cfn_lint, faults, load, planted, resources, texts, the
from support import ROOT
from test_deploy_aws import NODES, Verdict

GROWTH = ROOT / "deploy/aws/growth"
TEMPLATES = sorted(GROWTH.glob("*.yaml"))
NAMES = [p.stem for p in TEMPLATES]


def test_the_linter_has_nothing_to_say():
    result = cfn_lint(*TEMPLATES)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("name", "old"),
    [
        *(("msk", "NumberOfBrokerNodes:"), ("client-vpn", "SplitTunnel:"), ("eks", "EndpointPublicAccess:")),
        *(("gpu-ecs", "ManagedTerminationProtection:"), ("eks", "ConfigurationValues:")),
    ],
)
def test_the_linter_knows_what_moto_does_not_make(tmp_path, name, old):
    broken = tmp_path / "broken.yaml"
    broken.write_text(texts(TEMPLATES)[name].replace(old, "X" + old))
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


GPU = ("gpu-ec2", "gpu-ecs", "gpu-sagemaker")


def nobody_comes_in_at_the_gpus(t):
    """They call; the one group that is called is EFS'."""
    wrong = [f"{n}: {x}" for n in GPU for x in sources(t[n]) - {"{'Ref': 'Group'}"}]
    wrong += [f"{n}: leaves" for n in GPU if "'FromPort': 443" not in str(t[n]["Resources"]["Group"]["Properties"]["SecurityGroupEgress"])]
    return wrong + [n for n in GPU if "AssociatePublicIpAddress" in str(t[n])]


def gpu_machines_guard_metadata_and_disks(t):
    wrong = []
    for name in ("gpu-ec2", "gpu-ecs", "eks"):
        data = the(t[name], "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
        wrong += [] if data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1} else [f"{name}: metadata"]
        wrong += [] if all(d["Ebs"]["Encrypted"] is True for d in data["BlockDeviceMappings"]) else [f"{name}: disk"]
    wrong += [] if the(t["gpu-ec2"], "AWS::EC2::Volume")["Properties"]["Encrypted"] is True else ["volume"]
    return wrong + ([] if the(t["gpu-ecs"], "AWS::EFS::FileSystem")["Properties"]["Encrypted"] is True else ["files"])


def the_volume_is_in_the_zone_of_its_machines(t):
    network = load((ROOT / "deploy/aws/network.yaml").read_text())["Resources"]["PrivateSubnetA"]["Properties"]["AvailabilityZone"]
    volume = the(t["gpu-ec2"], "AWS::EC2::Volume")["Properties"]["AvailabilityZone"]
    machines = the(t["gpu-ec2"], "AWS::AutoScaling::AutoScalingGroup")["Properties"]["VPCZoneIdentifier"]
    return [] if volume == network and machines == [{"Ref": "PrivateSubnetId"}] else [f"{volume} {machines}"]


def journals_outlive_their_machines(t):
    wrong = [] if the(t["gpu-ec2"], "AWS::EC2::Volume")["DeletionPolicy"] == "Snapshot" else ["volume"]
    wrong += [] if the(t["gpu-ecs"], "AWS::EFS::FileSystem")["DeletionPolicy"] == "Retain" else ["files"]
    volume = the(t["gpu-ecs"], "AWS::ECS::TaskDefinition")["Properties"]["Volumes"][0]
    return wrong + ([] if volume["EFSVolumeConfiguration"]["TransitEncryption"] == "ENABLED" else ["files in the clear"])


def the_task_has_a_gpu_and_no_privileges(t):
    fetch, producer = the(t["gpu-ecs"], "AWS::ECS::TaskDefinition")["Properties"]["ContainerDefinitions"]
    wrong = [] if producer["ResourceRequirements"] == [{"Type": "GPU", "Value": "1"}] else ["GPU"]
    wrong += [] if producer["User"] == "65532:65532" and "Secrets" not in producer else ["user or secrets"]
    return wrong + [c["Name"] for c in (fetch, producer) if c["ReadonlyRootFilesystem"] is not True or "Privileged" in c]


def eks_is_private_and_its_policies_are_enforced(t):
    vpc = the(t["eks"], "AWS::EKS::Cluster")["Properties"]["ResourcesVpcConfig"]
    wrong = [] if (vpc["EndpointPublicAccess"], vpc["EndpointPrivateAccess"]) == (False, True) else ["API"]
    addons = {a["Properties"]["AddonName"]: a["Properties"] for a in resources(t["eks"], "AWS::EKS::Addon").values()}
    wrong += [] if json.loads(addons["vpc-cni"].get("ConfigurationValues", "{}")).get("enableNetworkPolicy") == "true" else ["policies"]
    needed = {"vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent", "aws-ebs-csi-driver"}
    return wrong + sorted(needed - addons.keys())


def pods_in_eks_may_what_the_nodes_may_and_are_the_overlays(t):
    iam = load((ROOT / "deploy/aws/iam.yaml").read_text())
    nodes = the(iam, "AWS::IAM::Policy")["Properties"]["PolicyDocument"]["Statement"]
    nodes = nodes + the(t["msk"], "AWS::IAM::ManagedPolicy")["Properties"]["PolicyDocument"]["Statement"]
    # The same but for whose MSK it is.
    own = t["eks"]["Resources"]["PodRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    wrong = [] if json.dumps(own).replace("${MskName}", "${AWS::StackName}") == json.dumps(nodes) else ["rights"]
    account = yaml.safe_load((ROOT / "deploy/k8s/overlays/eks-msk-atlas/serviceaccount.yaml").read_text())["metadata"]
    pods = the(t["eks"], "AWS::EKS::PodIdentityAssociation")["Properties"]
    return wrong + ([] if (pods["Namespace"], pods["ServiceAccount"]) == (account["namespace"], account["name"]) else ["account"])


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
    nobody_comes_in_at_the_gpus: ("gpu-ecs", "SourceSecurityGroupId: !Ref Group, Description: NFS in TLS", "CidrIp: 10.40.0.0/16"),
    gpu_machines_guard_metadata_and_disks: ("gpu-ec2", "HttpTokens: required", "HttpTokens: optional"),
    the_volume_is_in_the_zone_of_its_machines: ("gpu-ec2", "!Select [0, !GetAZs", "!Select [1, !GetAZs"),
    journals_outlive_their_machines: ("gpu-ec2", "DeletionPolicy: Snapshot", "DeletionPolicy: Delete"),
    the_task_has_a_gpu_and_no_privileges: ("gpu-ecs", "ResourceRequirements: [{Type: GPU", "ResourceRequirements: [{Type: CPU"),
    eks_is_private_and_its_policies_are_enforced: ("eks", '{"enableNetworkPolicy": "true"}', "{}"),
    pods_in_eks_may_what_the_nodes_may_and_are_the_overlays: ("eks", "[s3:DeleteObject]", "[s3:DeleteObject, s3:DeleteBucket]"),
    wireguards_port_is_for_administrators: ("wireguard", "CidrIp: !Ref AdminCidr", "CidrIp: 0.0.0.0/0"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rule(rule):
    assert faults(rule, texts(TEMPLATES)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rule_sees_a_mistake(rule):
    assert faults(rule, planted(texts(TEMPLATES), *RULES[rule]))


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

    grow.is_gone = made.remove
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


TOKEN = "TokenSecret=arn:aws:secretsmanager:eu-central-1:123456789012:secret:token-abc"
JOB = ("Image=123456789012.dkr.ecr.eu-central-1.amazonaws.com/ca4-cuda:0.1.0", "Endpoint=https://p.example", "PicturesBucket=pictures")
KNOWN_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


def user_data(applied, group):
    """What machines of an Auto Scaling group would run."""
    used = group["LaunchTemplate"]
    found = applied.client("ec2").describe_launch_template_versions(LaunchTemplateId=used["LaunchTemplateId"], Versions=[used["Version"]])
    data = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["InstanceType"] == "g5.xlarge"
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    return data, base64.b64decode(data["UserData"]).decode()


def shellcheck(script):
    return subprocess.run(["shellcheck", "--shell=bash", "-"], input=script, capture_output=True, text=True, timeout=60).stdout


def test_a_gpu_machine_is_one_on_spot_with_its_journal_on_a_volume(account, tmp_path):
    account.ok("apply", CA4_NODES="1")
    # moto knows no images of the Deep Learning AMI.
    shutil.copytree(ROOT / "deploy", tmp_path / "moto/deploy")
    template = tmp_path / "moto/deploy/aws/growth/gpu-ec2.yaml"
    template.write_text(re.sub(r"Default: /aws/service/deeplearning/\S+", f"Default: {KNOWN_IMAGE}", template.read_text()))
    account.tool = tmp_path / "moto/deploy/aws/cloud.py"
    account.ok("grow", "gpu-ec2", "--set", *JOB, TOKEN)
    (group,) = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert (group["AutoScalingGroupName"], group["MinSize"], group["MaxSize"]) == ("ca4-grow-gpu-ec2", 0, 1)
    assert group["VPCZoneIdentifier"] == account.stack_outputs("network")["PrivateSubnetIds"].split(",")[0]
    volume = account.client("ec2").describe_volumes(VolumeIds=[account.stack_outputs("grow-gpu-ec2")["DataVolume"]])["Volumes"][0]
    assert volume["Size"] == 100
    data, script = user_data(account, group)
    assert data["InstanceMarketOptions"]["MarketType"] == "spot"
    assert shellcheck(script) == ""
    assert f"--volume-id {volume['VolumeId']}" in script
    assert "produce /data/images --journal /data/journal" in script
    assert "${" not in script


def test_a_gpu_task_has_its_machine_its_files_and_its_secret(applied, grow):
    grow("gpu-ecs", *JOB, TOKEN)
    ecs = applied.client("ecs")
    task = ecs.describe_task_definition(taskDefinition="ca4-grow-gpu-ecs")["taskDefinition"]
    fetch, producer = task["containerDefinitions"]
    assert producer["resourceRequirements"] == [{"type": "GPU", "value": "1"}]
    assert fetch["secrets"] == [{"name": "TOKEN", "valueFrom": TOKEN.partition("=")[2]}]
    efs = applied.client("efs")
    (files,) = efs.describe_file_systems()["FileSystems"]
    targets = efs.describe_mount_targets(FileSystemId=files["FileSystemId"])
    assert {m["SubnetId"] for m in targets["MountTargets"]} == set(applied.stack_outputs("network")["PrivateSubnetIds"].split(","))
    (group,) = applied.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert (group["DesiredCapacity"], group["MaxSize"]) == (0, 1)
    _, script = user_data(applied, group)
    assert shellcheck(script) == ""
    assert f"ECS_CLUSTER={applied.stack_outputs('grow-gpu-ecs')['ClusterName']} " in script
    # The journal outlives it, and costs.
    said = applied.ok("destroy", "--only", "grow-gpu-ecs", CONFIRM="ca4")
    grow.is_gone("gpu-ecs")
    assert f"AWS::EFS::FileSystem {files['FileSystemId']}: kept, and charged for" in said


def test_what_templates_keep_is_told(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "deploy/aws")
    import growth

    kept = {name: [policy for _, policy in re.findall(r"^    (DeletionPolicy): (\w+)$", text, re.MULTILINE)] for name, text in texts(TEMPLATES).items()}
    assert sum(map(len, kept.values())) == 2
    assert {name: [*growth.outliving(f"grow-{name}").values()] for name in kept} == kept


def test_the_sagemaker_request_is_one_that_sagemaker_takes(applied, grow):
    grow("gpu-sagemaker", *JOB)
    name = applied.stack_outputs("grow-gpu-sagemaker")["RequestParameter"]
    request = json.loads(applied.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    # boto3 checks it against SageMaker's own description of a request.
    applied.client("sagemaker").create_processing_job(ProcessingJobName="pictures", **request)
    job = applied.client("sagemaker").describe_processing_job(ProcessingJobName="pictures")
    assert job["RoleArn"] == applied.stack_outputs("grow-gpu-sagemaker")["RoleArn"]
    assert job["NetworkConfig"]["VpcConfig"]["SecurityGroupIds"] == [group_of(applied, "grow-gpu-sagemaker")]
    with pytest.raises(botocore.exceptions.ParamValidationError):
        applied.client("sagemaker").create_processing_job(ProcessingJobName="x", **(request | {"Pictures": "s3://pictures"}))


def test_what_producers_are_told_are_settings_that_there_are():
    settings = (ROOT / "docs/configuration.md").read_text()
    told = {name for n in GPU for name in re.findall(r"CA4_[A-Z_]+", texts(TEMPLATES)[n])}
    assert len(told) >= 6
    assert {name for name in told if f"`{name}`" not in settings} == set()


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


def test_what_it_stands_on_is_named_when_it_is_missing(applied):
    result = applied.run("grow", "balancer", "--set", "AllowedCidr=198.51.100.0/24")
    assert result.returncode == 1
    assert "needs outputs of node-3 that are not there: run make ca4-apply with CA4_NODES=3 or more" in result.stderr


@pytest.mark.parametrize(
    ("args", "blamed"),
    [
        (["nothing"], "NAME is 'nothing'; it may be one of: balancer, client-vpn"),
        ([""], "NAME is ''; it may be one of: balancer, client-vpn"),
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
