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


def texts(paths):
    """{stem: text} of templates."""
    return {p.stem: p.read_text() for p in paths}


def faults(rule, templates):
    """What a rule, which takes {name: parsed template}, finds in these texts."""
    return rule({name: load(text) for name, text in templates.items()})


def planted(templates, name, old, new):
    """The texts with a mistake in one of them."""
    assert old in templates[name]
    return templates | {name: templates[name].replace(old, new)}


def resources(template, kind):
    return {n: r for n, r in template["Resources"].items() if r["Type"] == kind}


def the(template, kind):
    (only,) = resources(template, kind).values()
    return only
