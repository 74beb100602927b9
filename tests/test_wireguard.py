"""deploy/aws/growth/wireguard.sh: keys made on each side, configurations that WireGuard's own tools take.

The bastion is a folder here, and Session Manager a stand-in that runs what it is sent: this kernel has no WireGuard to bring a tunnel up
with, so that one carries traffic is not shown.
"""

import os
import re
import subprocess

import pytest
from support import ROOT

SCRIPT = ROOT / "deploy/aws/growth/wireguard.sh"

# What the laptop's `aws` is asked, in the order of the script. The command runs as the SSM agent would run it.
AWS = """\
#!/usr/bin/env bash
set -eu
echo "$*" >>"$LOG"
case "$2" in
  send-command)
    while [ "$1" != --parameters ]; do shift; done
    python3 -c 'import json,sys; print(json.loads(sys.argv[1])["commands"][0])' "$2" | sed "s|/run/|$BASTION/|g" >"$BASTION/command"
    CA4_WIREGUARD_DIR=$BASTION/wireguard bash "$BASTION/command" >"$BASTION/out" 2>"$BASTION/err" || touch "$BASTION/failed"
    echo 11111111-2222-3333-4444-555555555555 ;;
  wait) [ ! -e "$BASTION/failed" ] ;;
  get-command-invocation) case "$*" in *StandardErrorContent*) cat "$BASTION/err" ;; *) cat "$BASTION/out" ;; esac ;;
esac
"""
CALLED = '#!/bin/sh\necho "$(basename "$0") $*" >>"$LOG"\n'


class Ends:
    def __init__(self, folder):
        self.folder = folder
        tools = folder / "tools"
        for path in (tools, folder / "bastion", folder / "laptop"):
            path.mkdir()
        for name, text in {"aws": AWS, "dnf": CALLED, "systemctl": CALLED}.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        (folder / "laptop/outputs.env").write_text(
            "ca4_region=eu-central-1\nbastion_public_ip=203.0.113.9\nbastion_instance_id=i-0123\nedge_node_private_ips=10.40.32.10,10.40.48.10\n"
        )
        self.env = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "LOG": str(folder / "log"),
            "BASTION": str(folder / "bastion"),
            "CA4_STATE_DIR": str(folder / "laptop"),
        }

    def run(self, *args, **env):
        return subprocess.run([SCRIPT, *args], env=self.env | env, capture_output=True, text=True, timeout=60)

    def up(self, state="laptop", **env):
        result = self.run("up", CA4_STATE_DIR=str(self.folder / state), **env)
        assert result.returncode == 0, result.stderr
        return self.stripped(self.folder / state / "wireguard/ca4.conf")

    def bastion(self):
        return self.stripped(self.folder / "bastion/wireguard/ca4.conf")

    @staticmethod
    def stripped(path):
        """As wg takes it, after wg-quick took its own lines out."""
        result = subprocess.run(["wg-quick", "strip", path], capture_output=True, text=True, timeout=30)
        assert result.returncode == 0, result.stderr
        return result.stdout


@pytest.fixture
def ends(tmp_path):
    return Ends(tmp_path)


def value(text, key):
    return re.findall(rf"^{key} = (.+)$", text, re.MULTILINE)


def public(private):
    return subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout.strip()


def test_each_end_knows_the_others_public_key_and_only_its_own_private_one(ends):
    laptop, bastion = ends.up(), ends.bastion()
    (laptops_key,), (bastions_key,) = value(laptop, "PrivateKey"), value(bastion, "PrivateKey")
    assert value(laptop, "PublicKey") == [public(bastions_key)]
    assert value(bastion, "PublicKey") == [public(laptops_key)]
    assert value(laptop, "Endpoint") == ["203.0.113.9:51820"] and value(bastion, "ListenPort") == ["51820"]
    assert value(bastion, "AllowedIPs") == ["10.41.8.2/32"]
    # No private key went over the wire or into a log.
    carried = (ends.folder / "log").read_text() + (ends.folder / "bastion/command").read_text() + (ends.folder / "bastion/out").read_text()
    assert laptops_key not in carried and bastions_key not in carried
    kept = [p for p in ends.folder.rglob("*") if p.is_file() and re.search("PrivateKey|^.{43}=$", p.read_text(), re.MULTILINE)]
    assert len(kept) >= 4
    assert all(p.stat().st_mode & 0o077 == 0 for p in kept if p.name in ("private.key", "ca4.conf"))


def test_laptops_come_one_by_one_and_a_second_time_changes_no_key(ends):
    first = ends.up()
    (ends.folder / "other").mkdir()
    (ends.folder / "other/outputs.env").write_text((ends.folder / "laptop/outputs.env").read_text())
    second = ends.up("other", CA4_WIREGUARD_ADDRESS="10.41.8.3")
    assert ends.up() == first
    assert value(first, "PublicKey") == value(second, "PublicKey")
    assert value(ends.bastion(), "AllowedIPs") == ["10.41.8.2/32", "10.41.8.3/32"]
    assert value(ends.bastion(), "PublicKey") == [public(value(x, "PrivateKey")[0]) for x in (first, second)]
    assert (ends.folder / "log").read_text().count("systemctl restart wg-quick@ca4") == 3


def test_the_laptop_routes_the_vpc_and_nothing_else(ends, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "deploy/aws"))
    import stacks

    assert value(ends.up(), "AllowedIPs") == [f"{stacks.VPC_PREFIX}.0.0/16"]


def test_the_bastions_firewall_is_one_and_keeps_to_its_ports(ends):
    ends.up()
    rules = ends.folder / "bastion/wireguard/ca4.nft"
    # In a network namespace of its own: nothing of this machine changes.
    shown = subprocess.run(
        ["unshare", "--net", "sh", "-c", 'nft -f "$1" && nft list ruleset', "_", rules], capture_output=True, text=True, timeout=30
    )
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"hook forward priority filter; policy drop", shown.stdout)
    ports = re.search(r'iifname "ca4" ip daddr 10\.40\.0\.0/16 tcp dport \{ (.+) \} accept', shown.stdout)[1]
    bastion = (ROOT / "deploy/aws/security.yaml").read_text().split("  Nodes:")[0]
    allowed = {p for p in re.findall(r"FromPort: (\d+), ToPort: [^,]+, CidrIp: !Ref VpcCidr", bastion)}
    assert {p.split("-")[0] for p in ports.split(", ")} == allowed | {"9098"}


@pytest.mark.parametrize(
    ("args", "env", "blamed"),
    [
        (["up"], {"CA4_WIREGUARD_ADDRESS": "10.41.8.1"}, "it may be 10.41.8.2 to 10.41.8.254"),
        (["up"], {"CA4_WIREGUARD_ADDRESS": "10.41.8.2; reboot"}, "it may be 10.41.8.2 to 10.41.8.254"),
        (["up"], {"CA4_STATE_DIR": "/nowhere"}, "make ca4-apply"),
        (["serve", "$(reboot)", "10.41.8.2"], {}, "no WireGuard public key"),
        (["serve"], {}, "serve takes KEY ADDRESS"),
        ([], {}, ""),
    ],
)
def test_what_is_wrong_is_told(ends, args, env, blamed):
    result = ends.run(*args, **env)
    assert result.returncode == (1 if args else 2)
    assert blamed in result.stderr
    assert args or "wireguard.sh up" in result.stdout


def test_a_bastion_that_can_not_is_told_with_its_reason(ends):
    (ends.folder / "tools/dnf").write_text("#!/bin/sh\necho 'no package wireguard-tools' >&2\nexit 1\n")
    result = ends.run("up")
    assert result.returncode == 1
    assert "the bastion did not do it: no package wireguard-tools" in result.stderr
    assert not (ends.folder / "laptop/wireguard/ca4.conf").exists()
