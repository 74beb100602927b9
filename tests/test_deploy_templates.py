"""deploy/aws as text: linted, scanned, and held to rules; each rule also sees a planted mistake.

The rules here are about what moto does not make (database, bucket policy, attached interfaces) and what no general tool can know.
"""

import base64
import gzip
import re
import types

import pytest
from cfn_text import cfn_lint, checkov, faults, load, planted, resources, texts, the
from support import ROOT

TEMPLATES = sorted((ROOT / "deploy/aws").glob("*.yaml"))


def test_the_linter_has_nothing_to_say():
    assert len(TEMPLATES) == 7
    result = cfn_lint(*TEMPLATES)
    assert result.returncode == 0, result.stdout


def test_the_linter_knows_documentdb(tmp_path):
    broken = tmp_path / "database.yaml"
    broken.write_text((ROOT / "deploy/aws/database.yaml").read_text().replace("StorageEncrypted:", "StorageEncripted:"))
    assert "StorageEncripted" in cfn_lint(broken).stdout


def test_the_policy_scan_passes():
    result = checkov(ROOT / "deploy/aws")
    assert result.returncode == 0, result.stdout
    passed = re.search(r"Passed checks: (\d+), Failed checks: 0", result.stdout)
    assert passed and int(passed[1]) > 50, result.stdout


def test_the_policy_scan_sees_what_is_not_encrypted(tmp_path):
    for path in TEMPLATES:
        (tmp_path / path.name).write_text(path.read_text().replace("Encrypted: true", "Encrypted: false"))
    result = checkov(tmp_path)
    assert result.returncode == 1
    assert "database.yaml" in result.stdout


# A rule takes the parsed templates by name and returns what is wrong.


def archive_answers_only_over_tls(t):
    statement = the(t["archive"], "AWS::S3::BucketPolicy")["Properties"]["PolicyDocument"]["Statement"][0]
    wanted = statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    return [] if wanted and statement["Principal"] == "*" and len(statement["Resource"]) == 2 else ["bucket policy"]


def archive_is_private_versioned_and_outlives_its_stack(t):
    bucket = the(t["archive"], "AWS::S3::Bucket")
    properties = bucket["Properties"]
    wrong = [k for k, v in properties["PublicAccessBlockConfiguration"].items() if v is not True]
    wrong += [] if len(properties["PublicAccessBlockConfiguration"]) == 4 else ["public access"]
    wrong += [] if properties["VersioningConfiguration"]["Status"] == "Enabled" else ["versions"]
    return wrong + [k for k in ("DeletionPolicy", "UpdateReplacePolicy") if bucket.get(k) != "Retain"]


def archive_goes_cold_but_stays_readable(t):
    rules = the(t["archive"], "AWS::S3::Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]
    classes = [x["StorageClass"] for r in rules for x in r.get("Transitions", [])]
    # GLACIER and DEEP_ARCHIVE must be restored before they can be read: a replay would fail.
    wrong = [] if classes == ["GLACIER_IR"] else [f"storage classes {classes}"]
    return wrong + ["objects expire" for r in rules if "ExpirationInDays" in r]


def database_is_encrypted_kept_and_speaks_tls(t):
    cluster = the(t["database"], "AWS::DocDB::DBCluster")
    parameters = the(t["database"], "AWS::DocDB::DBClusterParameterGroup")["Properties"]["Parameters"]
    properties = cluster["Properties"]
    wrong = [] if parameters["tls"] == "enabled" else ["tls"]
    wrong += [] if properties["StorageEncrypted"] is True else ["encryption"]
    wrong += [] if properties["BackupRetentionPeriod"] >= 7 else ["backups"]
    return wrong + [k for k in ("DeletionPolicy", "UpdateReplacePolicy") if cluster.get(k) != "Snapshot"]


def database_has_two_zones_and_its_own_group(t):
    template = t["database"]
    wrong = [] if len(resources(template, "AWS::DocDB::DBInstance")) == 2 else ["instances"]
    cluster = the(template, "AWS::DocDB::DBCluster")["Properties"]
    wrong += [] if cluster["VpcSecurityGroupIds"] == [{"Ref": "GroupId"}] else ["group"]
    subnets = the(template, "AWS::DocDB::DBSubnetGroup")["Properties"]["SubnetIds"]
    return wrong + ([] if subnets == {"Ref": "SubnetIds"} else ["subnets"])


def no_password_is_written_down(t):
    password = the(t["database"], "AWS::DocDB::DBCluster")["Properties"]["MasterUserPassword"]
    wrong = [] if str(password).startswith("{'Fn::Sub': '{{resolve:secretsmanager:") else ["database password"]
    # User data can be read by everything that runs on the machine.
    for name in ("node", "bastion"):
        if re.search(r"(?i)(secret|token|passw(?!d|ordAuth))", user_data(t[name])):
            wrong.append(f"user data of {name}")
    return wrong


def user_data(template):
    return the(template, "AWS::EC2::Instance")["Properties"]["UserData"]["Fn::Base64"]["Fn::Sub"]


def machines_have_one_interface_with_the_given_group(t):
    """moto attaches none, so the reachability test looks at the interface by itself: here is the link."""
    wrong = []
    for name in ("node", "bastion"):
        instance = the(t[name], "AWS::EC2::Instance")["Properties"]
        interface = the(t[name], "AWS::EC2::NetworkInterface")["Properties"]
        if instance["NetworkInterfaces"] != [{"DeviceIndex": "0", "NetworkInterfaceId": {"Ref": "Interface"}}]:
            wrong.append(f"{name}: interface")
        if interface["GroupSet"] != [{"Ref": "GroupId"}] or interface["SubnetId"] != {"Ref": "SubnetId"}:
            wrong.append(f"{name}: group or subnet")
    return wrong


def machines_guard_metadata_and_disks(t):
    wrong = []
    for name in ("node", "bastion"):
        instance = the(t[name], "AWS::EC2::Instance")["Properties"]
        if instance["MetadataOptions"]["HttpTokens"] != "required":
            wrong.append(f"{name}: metadata")
        if not all(d["Ebs"]["Encrypted"] is True for d in instance["BlockDeviceMappings"]):
            wrong.append(f"{name}: disk")
    return wrong


def only_the_bastion_and_nat_have_public_addresses(t):
    kinds = {(name, r["Type"]) for name, x in t.items() for r in x["Resources"].values()}
    return [name for name, kind in kinds if kind == "AWS::EC2::EIP" and name not in ("bastion", "network")]


def roles_name_what_they_may_do(t):
    wrong = []
    for statement in the(t["iam"], "AWS::IAM::Policy")["Properties"]["PolicyDocument"]["Statement"]:
        wrong += [a for a in statement["Action"] if "*" in a or not a.startswith("s3:")]
        # Of the marker of `ca4 verify archive`, and of nothing else.
        deletes = any("Delete" in a for a in statement["Action"])
        wrong += ["deletes"] if deletes and not str(statement["Resource"]["Fn::Sub"]).endswith("/ca4-verify/*") else []
        if "${ArchiveBucket}" not in str(statement["Resource"]):
            wrong.append(f"resource {statement['Resource']}")
    for role in resources(t["iam"], "AWS::IAM::Role").values():
        wrong += [str(a) for a in role["Properties"]["ManagedPolicyArns"] if "AmazonSSMManagedInstanceCore" not in str(a)]
    return wrong


def every_group_says_what_may_leave(t):
    groups = resources(t["security"], "AWS::EC2::SecurityGroup")
    return [n for n, g in groups.items() if not g["Properties"].get("SecurityGroupEgress")]


# rule: a change of one template that it must see
RULES = {
    archive_answers_only_over_tls: ("archive", "aws:SecureTransport", "aws:SourceVpc"),
    archive_is_private_versioned_and_outlives_its_stack: ("archive", "BlockPublicPolicy: true", "BlockPublicPolicy: false"),
    archive_goes_cold_but_stays_readable: ("archive", "GLACIER_IR", "DEEP_ARCHIVE"),
    database_is_encrypted_kept_and_speaks_tls: ("database", "tls: enabled", "tls: disabled"),
    database_has_two_zones_and_its_own_group: ("database", "[!Ref GroupId]", "[sg-0123456789abcdef0]"),
    no_password_is_written_down: ("node", "runcmd:\n", "runcmd:\n            - [k3s, agent, --token, abc]\n"),
    machines_have_one_interface_with_the_given_group: ("node", "GroupSet: [!Ref GroupId]", "GroupSet: []"),
    machines_guard_metadata_and_disks: ("node", "HttpTokens: required", "HttpTokens: optional"),
    only_the_bastion_and_nat_have_public_addresses: ("node", "Outputs:", "  Ip: {Type: AWS::EC2::EIP}\n\nOutputs:"),
    roles_name_what_they_may_do: ("iam", "s3:PutObject", "s3:*"),
    every_group_says_what_may_leave: ("security", "SecurityGroupEgress", "Unused"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rule(rule):
    assert faults(rule, texts(TEMPLATES)) == []


def test_nodes_that_may_delete_events_are_seen():
    changed = planted(texts(TEMPLATES), "iam", "/ca4-verify/*", "/*")
    assert faults(roles_name_what_they_may_do, changed) == ["deletes"]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rule_sees_a_mistake(rule):
    assert faults(rule, planted(texts(TEMPLATES), *RULES[rule]))


def test_a_database_that_is_about_to_be_deleted_keeps_its_instances(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "deploy/aws"))
    import stacks

    # As if CA4_DATABASE_CLASS and CA4_DATABASE_ZONES were no longer set as they were.
    stack = stacks.database(types.SimpleNamespace(database_class="db.t4g.medium", database_zones=2), protected=False)
    assert stack.given["DeletionProtection"] == "false"
    assert set(stack.kept) == load(texts(TEMPLATES)["database"])["Parameters"].keys() - {"DeletionProtection", *stack.taken}


def test_a_template_is_small_enough_to_be_sent(monkeypatch):
    # CloudFormation takes 51,200 bytes in a request, 4,096 in a parameter, and EC2 16,384 of user data.
    monkeypatch.syspath_prepend(str(ROOT / "deploy/aws"))
    import settings

    assert max(p.stat().st_size for p in TEMPLATES) < 51_200
    script = settings.node_script()
    assert len(script) < 4_096
    assert len(user_data(load(texts(TEMPLATES)["node"]))) + len(script) < 16_384
    assert gzip.decompress(base64.b64decode(script)) == (ROOT / "deploy/k3s/node.sh").read_bytes()
