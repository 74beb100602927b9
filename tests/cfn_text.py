"""CloudFormation templates as text: the linter, the policy scan, and their parsed form."""

import subprocess
import sys
from pathlib import Path

import cfnlint.decode.cfn_yaml
from support import ROOT

CHECKOV = ROOT / ".deps/checkov/bin/checkov"


def cfn_lint(*paths):
    return subprocess.run([Path(sys.executable).with_name("cfn-lint"), "--", *paths], capture_output=True, text=True, timeout=120)


def checkov(folder):
    """--skip-download: the scan asks nobody."""
    flags = ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download"]
    return subprocess.run([CHECKOV, "-d", folder, *flags], capture_output=True, text=True, timeout=120)


def load(text):
    return cfnlint.decode.cfn_yaml.loads(text)


def resources(template, kind):
    return {n: r for n, r in template["Resources"].items() if r["Type"] == kind}


def the(template, kind):
    (only,) = resources(template, kind).values()
    return only
