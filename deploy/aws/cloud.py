#!/usr/bin/env python3
"""CA4's infrastructure in AWS: plan, apply, grow, destroy, nuke. Run by the Make targets ca4-*; docs/deploy.md has the walk.

Every command can be cut off and started again: a stack that is half made is finished or made anew, one that is as it should be
is left alone. AWS_ENDPOINT_URL sends everything to another implementation of the same interface. Exit codes: 0 done, 1 failed,
2 wrong usage, 78 bad settings.
"""

import argparse
import json
import os
import shutil
import sys
import time

import boto3
import botocore.exceptions
import botocore.parsers

import as_made
import growth
import outputs
import settings as settings_module
import stacks as stacks_module

IMAGE_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
# The slowest thing is a DocumentDB cluster with two instances, about a quarter of an hour.
PATIENCE_S = 3600


# How a stack stands whose first creation failed or was only planned, or whose deletion did not get to its end.
HALF_MADE = ("REVIEW_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")


class Failed(Exception):
    """Something did not work out in the cloud; the text says what and where to look."""


def nothing_to_do(reason):
    """CloudFormation calls it an error when a stack is as it should be already; it has two ways to put it."""
    return "No updates are to be performed" in reason or "didn't contain changes" in reason


class Cloud:
    """The account's stacks that begin with the prefix of the settings."""

    def __init__(self, settings):
        self.settings = settings
        session = boto3.session.Session(region_name=settings.region)
        self.formation = session.client("cloudformation")
        self.s3 = session.client("s3")
        self.ssm = session.client("ssm")
        self.secrets = session.client("secretsmanager")
        self.docdb = session.client("docdb")
        # Between looks: gentle to AWS's rate limits, quick for a simulator on this machine.
        self.pause_s = 0.1 if os.environ.get("AWS_ENDPOINT_URL") else 5
        self.account = session.client("sts").get_caller_identity()["Account"]

    def stack_id(self, stack_name):
        return f"{self.settings.prefix}-{stack_name}"

    def describe(self, stack_name):
        """The stack, or None."""
        try:
            return self.formation.describe_stacks(StackName=self.stack_id(stack_name))["Stacks"][0]
        except botocore.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def outputs(self, stack_name):
        stack = self.describe(stack_name) or {}
        return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}

    def newest_image(self):
        return self.ssm.get_parameter(Name=IMAGE_PARAMETER)["Parameter"]["Value"]

    def extra_nodes(self):
        """Nodes that exist beyond the wanted number; there may be gaps, of single ones that were destroyed."""
        beyond = range(self.settings.nodes + 1, settings_module.NODES_MAX + 1)
        return [name for name in map(stacks_module.node_name, beyond) if self.describe(name)]

    def parameters(self, stack):
        """The stack's parameters as CloudFormation takes them, or None while an earlier stack they are taken from is missing."""
        existing = self.describe(stack.name)
        has = {p["ParameterKey"] for p in (existing or {}).get("Parameters", [])}
        values = dict(stack.given)
        for name, (source, output, read) in stack.taken.items():
            found = self.outputs(source).get(output)
            if found is None:
                return None
            values[name] = read(found)
        return [
            {"ParameterKey": name, "UsePreviousValue": True}
            if name in stack.kept and name in has
            else {"ParameterKey": name, "ParameterValue": value}
            for name, value in values.items()
        ]

    def missing(self, stack):
        """The stacks that lack an output which this one takes."""
        return sorted({source for source, output, _ in stack.taken.values() if output not in self.outputs(source)})

    def wait(self, stack_name):
        """Until nothing is under way with the stack; returns its status, '' when it is gone."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            stack = self.describe(stack_name)
            status = stack["StackStatus"] if stack else ""
            if not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
                return status
            if time.monotonic() > deadline:
                raise Failed(f"{self.stack_id(stack_name)} is still {status} after {PATIENCE_S} s; run this again later")
            time.sleep(self.pause_s)

    def clear_the_way(self, stack_name):
        """A stack that can't be updated is removed, to be made anew."""
        if self.wait(stack_name) in HALF_MADE:
            self.delete(stack_name)

    def request(self, stack, parameters):
        """What creating, updating and planning a stack have in common."""
        return {
            "StackName": self.stack_id(stack.name),
            "TemplateBody": stack.body,
            "Parameters": parameters,
            "Capabilities": ["CAPABILITY_IAM"],
            "Tags": [{"Key": "ca4:system", "Value": self.settings.prefix}],
        }

    def preview(self, stack, parameters):
        """The changes that applying would make; [] for none. The change set they are read from is taken back."""
        exists = self.describe(stack.name) is not None
        kind = "UPDATE" if exists else "CREATE"
        try:
            made = self.formation.create_change_set(
                ChangeSetName=f"ca4-{int(time.time() * 1000)}", ChangeSetType=kind, **self.request(stack, parameters)
            )
        except botocore.exceptions.ClientError as error:
            if nothing_to_do(str(error)):
                return []
            raise
        this = {"ChangeSetName": made["Id"], "StackName": self.stack_id(stack.name)}
        deadline = time.monotonic() + PATIENCE_S
        while (change := self.formation.describe_change_set(**this))["Status"] not in ("CREATE_COMPLETE", "FAILED"):
            if time.monotonic() > deadline:
                raise Failed(f"the change set of {self.stack_id(stack.name)} is not ready after {PATIENCE_S} s")
            time.sleep(self.pause_s)
        self.formation.delete_change_set(**this)
        if not exists:
            self.delete(stack.name)  # the empty stack that a first change set leaves
        reason = change.get("StatusReason", "")
        if change["Status"] == "FAILED" and not nothing_to_do(reason):
            raise Failed(f"{self.stack_id(stack.name)} can't be changed: {reason}")
        return change.get("Changes", []) if change["Status"] == "CREATE_COMPLETE" else []

    def apply(self, stack):
        """Brings one stack to what its template and parameters say. Returns whether anything changed."""
        self.clear_the_way(stack.name)
        parameters = self.parameters(stack)
        if parameters is None:
            missing = self.missing(stack)
            nodes = max((name for name in missing if name.startswith("node-")), default="")
            how = f" with CA4_NODES={nodes.removeprefix('node-')} or more" if nodes else ""
            raise Failed(f"{self.stack_id(stack.name)} needs outputs of {', '.join(missing)} that are not there: run make ca4-apply{how}")
        do = self.formation.update_stack if self.describe(stack.name) else self.formation.create_stack
        try:
            do(**self.request(stack, parameters))
        except botocore.exceptions.ClientError as error:
            if nothing_to_do(str(error)):
                return False
            raise
        status = self.wait(stack.name)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise Failed(f"{self.stack_id(stack.name)} ended as {status}: {self.why(stack.name)}")
        return True

    def why(self, stack_name):
        """The first failure among the stack's newest events; what follows it is only its consequence."""
        events = self.formation.describe_stack_events(StackName=self.stack_id(stack_name))["StackEvents"]
        failures = [e for e in events if e["ResourceStatus"].endswith("_FAILED")]
        if not failures:
            return "see its events in the console"
        first = failures[-1]
        return f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason', first['ResourceStatus'])}"

    def left_by(self, stack_name):
        """What of a stack stays when it is deleted, by the names that AWS has for it."""
        outliving = growth.outliving(stack_name)
        there = self.formation.describe_stack_resources(StackName=self.stack_id(stack_name))["StackResources"] if outliving else []
        return [
            ("a snapshot of " if outliving[r["LogicalResourceId"]] == "Snapshot" else "") + f"{r['ResourceType']} {r['PhysicalResourceId']}"
            for r in there
            if r.get("LogicalResourceId") in outliving and r.get("PhysicalResourceId")
        ]

    def delete(self, stack_name):
        self.formation.delete_stack(StackName=self.stack_id(stack_name))
        status = self.wait(stack_name)
        if status:
            raise Failed(f"{self.stack_id(stack_name)} could not be deleted ({status}): {self.why(stack_name)}")


def say(text):
    print(text, flush=True)


def wanted(cloud):
    return stacks_module.all_stacks(cloud.settings, cloud.account, cloud.newest_image())


def describe_change(change):
    resource = change["ResourceChange"]
    replaced = "  REPLACED" if resource.get("Replacement") == "True" else ""
    return f"    {resource['Action'].lower():7} {resource['LogicalResourceId']} ({resource['ResourceType']}){replaced}"


def plan_stack(cloud, stack):
    """Shows what applying one stack would do, by a change set that is taken back again."""
    title = cloud.stack_id(stack.name)
    if cloud.wait(stack.name) in HALF_MADE:
        return say(f"  {title}: half made; what there is of it is removed and all of {stack.template}.yaml is added")
    parameters = cloud.parameters(stack)
    if parameters is None:
        sources = ", ".join(cloud.missing(stack))
        return say(f"  {title}: all of {stack.template}.yaml is added (its details are known once {sources} is there)")
    changes = cloud.preview(stack, parameters)
    say(f"  {title}:" + ("" if changes else " as it should be"))
    for change in changes:
        say(describe_change(change))


def plan(cloud):
    for stack in wanted(cloud):
        plan_stack(cloud, stack)
    say_what_stays(cloud)
    for name in grown(cloud):
        say(f"  {cloud.stack_id(name)}: stays; make ca4-grow changes it")
    unsaid = as_made.unsaid(cloud)
    if unsaid:
        say(as_made.complaint(unsaid))
    say("Nothing was changed. What it costs: docs/deploy.md. To do it: make ca4-apply")


def say_what_stays(cloud):
    """What exists and is left alone, though the variables say otherwise."""
    for name in cloud.extra_nodes():
        wanted_nodes = cloud.settings.nodes
        say(f"  {cloud.stack_id(name)}: stays, though CA4_NODES is {wanted_nodes}; drain it, then make ca4-destroy ONLY={name}")
    if not cloud.settings.has_database and cloud.describe("database"):
        say(f"  {cloud.stack_id('database')}: stays, and costs, though another database is used; make ca4-destroy ONLY=database")
    for name, gib in as_made.disks_that_stay(cloud):
        say(f"  {cloud.stack_id(name)}: its disk stays as it is, {gib} GiB; docs/deploy.md (Changing it) says how to make it larger")


def grown(cloud):
    return [name for name in growth.stack_names() if cloud.describe(name)]


def grow(cloud, name, words, planned):
    exists = cloud.wait(growth.PREFIX + name) not in ("", *HALF_MADE)
    stack = growth.stack(cloud.formation, name, growth.said_values(words), exists)
    if planned:
        return plan_stack(cloud, stack)
    say(f"  {cloud.stack_id(stack.name)}: " + ("applied" if cloud.apply(stack) else "as it should be"))
    for key, value in cloud.outputs(stack.name).items():
        say(f"  {key} = {value}")
    say(f"What it costs and what comes next: docs/scaling.md. To delete it: make ca4-destroy ONLY={stack.name}")


def apply(cloud):
    unsaid = as_made.unsaid(cloud)
    if unsaid:
        raise Failed(as_made.complaint(unsaid))
    for stack in wanted(cloud):
        say(f"  {cloud.stack_id(stack.name)}: " + ("applied" if cloud.apply(stack) else "as it should be"))
    say_what_stays(cloud)
    found = outputs.collect(cloud)
    outputs.write(cloud.settings, found)
    for name, value in found.items():
        say(f"  {name} = {value}")
    say(f"Written to {cloud.settings.state_dir}/. From now on this costs money by the hour. Next: make ca4-bootstrap-k3s")


def confirm(cloud, what):
    """Refuses unless the person, or CONFIRM, names the system."""
    prefix = cloud.settings.prefix
    given = os.environ.get("CONFIRM", "")
    if not given and sys.stdin.isatty():
        given = input(f"This deletes {what} of '{prefix}' in {cloud.settings.region}. Type {prefix} to go on: ")
    if given != prefix:
        raise Failed(f"not confirmed, nothing was deleted: it would delete {what}. Say CONFIRM={prefix} to go on")


def existing(cloud):
    """The stacks that are there, the latest made first."""
    settings = cloud.settings
    nodes = [stacks_module.node_name(n) for n in range(1, settings.nodes + 1)] + cloud.extra_nodes()
    # Whether or not a MONGO_URI is set now: a database that was made is found.
    names = ["network", "security", "iam", "archive", "database", *nodes, "bastion", *growth.stack_names()]
    return [name for name in reversed(names) if cloud.describe(name)]


def unprotect_database(cloud):
    """DocumentDB's protection against deletion is a property of the stack, so taking it off is a change of the stack."""
    status = cloud.wait("database")
    if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"):
        cloud.apply(stacks_module.database(cloud.settings, protected=False))


def destroy(cloud, only=""):
    names = existing(cloud)
    if only:
        if only not in names:
            raise Failed(f"there is no stack {cloud.stack_id(only)}; there are: {', '.join(names) or 'none'}")
        names = [only]
    if not names:
        say("  nothing is there")
        return
    confirm(cloud, f"the stacks {', '.join(names)} with the disks of their machines")
    for name in names:
        if name == "database":
            unprotect_database(cloud)
        left = cloud.left_by(name)
        cloud.delete(name)
        say(f"  {cloud.stack_id(name)}: deleted")
        for what in left:
            say(f"  {what}: kept, and charged for; nothing here deletes it")
    if not only:
        outputs.forget(cloud.settings)
        bucket = stacks_module.archive_bucket(cloud.settings, cloud.account)
        say(f"Kept, and charged for: the archive bucket {bucket} and the database's last snapshot; make ca4-nuke removes them")


def delete_bucket(cloud, bucket):
    """With every version of every object."""
    try:
        for page in cloud.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            versions = page.get("Versions", []) + page.get("DeleteMarkers", [])
            doomed = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in versions]
            if doomed:
                failed = cloud.s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True}).get("Errors", [])
                if failed:
                    raise Failed(f"{bucket}: {failed[0]['Key']} can't be deleted: {failed[0]['Message']}")
        cloud.s3.delete_bucket(Bucket=bucket)
        say(f"  {bucket}: deleted")
    except cloud.s3.exceptions.NoSuchBucket:
        pass


def delete_snapshots(cloud):
    """Those that deleting the database's stack made: CloudFormation names them after the stack."""
    for page in cloud.docdb.get_paginator("describe_db_cluster_snapshots").paginate(SnapshotType="manual"):
        for snapshot in page["DBClusterSnapshots"]:
            name = snapshot["DBClusterSnapshotIdentifier"]
            if name.startswith(f"{cloud.stack_id('database')}-snapshot-"):
                cloud.docdb.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
                say(f"  {name}: deleted")


def nuke(cloud):
    confirm(cloud, "every stack, the archive with all its versions and the database's snapshots")
    os.environ["CONFIRM"] = cloud.settings.prefix  # said once, for all of it
    destroy(cloud)
    delete_bucket(cloud, stacks_module.archive_bucket(cloud.settings, cloud.account))
    delete_snapshots(cloud)
    clean(cloud.settings.state_dir)


def mongo_uri(cloud):
    """The connection string of the DocumentDB, password included, on standard output: for a pipe, not for a screen."""
    found = outputs.read(cloud.settings)
    if not found["ca4_db_secret"]:
        raise Failed("this system has no DocumentDB of its own; set MONGO_URI to the database it was made with")
    secret = json.loads(cloud.secrets.get_secret_value(SecretId=found["ca4_db_secret"])["SecretString"])
    # Where the worker's pod has Amazon's certificate authorities. DocumentDB knows no retryable writes.
    ca_file = "/etc/ca4/database-ca/global-bundle.pem"
    print(
        f"mongodb://{secret['username']}:{secret['password']}@{found['ca4_db_endpoint']}:27017/"
        f"?tls=true&tlsCAFile={ca_file}&replicaSet=rs0&retryWrites=false",
        end="",
    )


def clean(state_dir):
    """What was written on this machine. Beside the kubeconfig there may be others, where CA4_KUBE_DIR names a folder of the user's."""
    shutil.rmtree(state_dir, ignore_errors=True)
    folder = settings_module.kube_dir()
    for name in ("kubeconfig.yaml", "kubeconfig.yaml.new"):  # the second where fetching it was cut off; it may be whole
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    say("  removed what was written here: outputs, SSH configuration, kubeconfig")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("plan", help="show what apply would change; changes nothing")
    commands.add_parser("apply", help="make or change the stacks, write the outputs")
    grower = commands.add_parser("grow", help="make or change one stack of growth/")
    grower.add_argument("name", help=", ".join(growth.names()))
    grower.add_argument("--set", nargs="*", default=[], metavar="PARAMETER=VALUE", help="what its template is told")
    grower.add_argument("--plan", action="store_true", help="show what would change; change nothing")
    destroyer = commands.add_parser("destroy", help="delete the stacks; keep archive and final snapshot")
    destroyer.add_argument("--only", default="", help="one stack, e.g. node-2")
    commands.add_parser("nuke", help="delete everything, data too")
    commands.add_parser("mongo-uri", help="print DocumentDB's connection string, with its password")
    commands.add_parser("clean", help="remove what was written on this machine")
    return parser.parse_args()


def run(args):
    if args.command == "clean":
        return clean(settings_module.state_dir())
    settings = settings_module.load(needs_access=args.command in ("plan", "apply"))
    cloud = Cloud(settings)
    if args.command == "mongo-uri":
        return mongo_uri(cloud)
    say(f"{args.command}: '{settings.prefix}' in account {cloud.account}, {settings.region}")
    if args.command == "destroy":
        return destroy(cloud, args.only)
    if args.command == "grow":
        return grow(cloud, args.name, args.set, args.plan)
    return {"plan": plan, "apply": apply, "nuke": nuke}[args.command](cloud)


def main():
    args = arguments()
    try:
        run(args)
    except settings_module.BadSettings as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return 78
    except (Failed, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return 1
    except botocore.parsers.ResponseParserError as error:  # a proxy's page, a hotel's
        print(f"{args.command}: what answers is not AWS, or not able to: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
