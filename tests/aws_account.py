"""An AWS account of moto's, with deploy/aws/cloud.py in front of it."""

import json
import subprocess
import sys

import boto3
import moto_gaps
from moto_process import Moto
from support import ROOT


class Account:
    """A moto account, and cloud.py in front of it."""

    def __init__(self, folder):
        self.moto = Moto()
        self.tool = ROOT / "deploy/aws/cloud.py"
        self.state = folder / "state"
        key = folder / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "admin: the laptop", "-f", key], check=True)
        self.env = self.moto.environment() | {
            "CA4_ADMIN_CIDR": "203.0.113.0/24",
            "CA4_SSH_PUBLIC_KEY_FILE": str(key) + ".pub",
            "CA4_STATE_DIR": str(self.state),
            "CA4_KUBE_DIR": str(folder / "kube"),
            # A database that exists elsewhere: moto's CloudFormation makes none.
            "MONGO_URI": "mongodb+srv://user:secret-word@cluster0.example.net/ca4",
        }

    def run(self, *args, **env):
        """With variables besides its own; None takes one away."""
        command = [sys.executable, self.tool, *args]
        env = {name: value for name, value in (self.env | env).items() if value is not None}
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )

    def ok(self, *args, **env):
        result = self.run(*args, **env)
        assert result.returncode == 0, result.stderr + result.stdout
        return result.stdout

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.moto.url,
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def apply(self, **env):
        """cloud.py apply on a fresh account, and then what moto's CloudFormation left out."""
        said = self.ok("apply", **env)
        formation = self.client("cloudformation")
        names = [s["StackName"] for s in formation.describe_stacks()["Stacks"]]
        moto_gaps.close(formation, self.client("ec2"), names)
        return said

    def outputs(self):
        return json.loads((self.state / "outputs.json").read_text())

    def stack_outputs(self, name):
        stack = self.client("cloudformation").describe_stacks(StackName=f"ca4-{name}")["Stacks"][0]
        return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
