"""deploy/k8s/apply.sh and deploy/k3s/image.sh, with stand-ins for kubectl, make and ssh that write down how they are called: no cluster
can be had here."""

import io
import json
import os
import shutil
import subprocess
import tarfile

import pytest
import yaml
from support import ROOT

DIGEST = "sha256:" + "a" * 64


class StandIns:
    """Programs of these names; each notes its arguments, then does `does`. `{here}` is their folder."""

    def __init__(self, folder, **does):
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()
        for name, script in does.items():
            file = folder / name
            file.write_text(f'#!/bin/sh\nhere={folder}\necho "{name} $*" >>$here/calls\n{script}\n')
            file.chmod(0o755)
        (folder / "kubeconfig.yaml").touch()
        (folder / "outputs.env").write_text("ca4_s3_bucket=an-archive\nca4_region=eu-central-1\nedge_node_private_ips=10.40.0.1,10.40.0.2\n")

    def run(self, *argv, **env):
        env = {"PATH": f"{self.folder}:/usr/bin:/bin", "CA4_STATE_DIR": str(self.folder), "KUBECONFIG": str(self.folder / "kubeconfig.yaml")} | env
        return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=60, stdin=subprocess.DEVNULL)

    def made(self, name):
        return [line.removeprefix(f"{name} ") for line in self.calls.read_text().splitlines() if line.startswith(f"{name} ")]


APPLY = ROOT / "deploy/k8s/apply.sh"
# A cluster that answers once there is a tunnel, and takes everything.
KUBECTL = """
case "$*" in
  *readyz*) [ -e $here/up ] || { echo "connection refused" >&2; exit 1; } ;;
  "apply --filename -") cat >>$here/applied ;;
  create*) cat >/dev/null; echo "made: true" ;;
esac"""


def test_without_a_tunnel_it_is_started_first(tmp_path):
    cluster = StandIns(tmp_path, kubectl=KUBECTL, make="touch $here/up")
    (tmp_path / "ca4.toml").touch()
    done = cluster.run(APPLY, "platform")
    assert done.returncode == 0, done.stderr
    assert cluster.made("make") == ["run-local-processor"]
    assert "name: kafka" in (tmp_path / "applied").read_text()
    waited = [call for call in cluster.made("kubectl") if call.startswith(("rollout", "wait"))]
    assert [call.split()[1:3] for call in waited] == [["status", "statefulset/kafka"], ["job/kafka-topics", "--namespace"]]
    # With the tunnel there already nothing is started.
    assert cluster.run(APPLY, "platform").returncode == 0
    assert cluster.made("make") == ["run-local-processor"]


@pytest.mark.parametrize(("toml", "blamed"), [(False, "make ca4-apply"), (True, "does K3s run?")])
def test_a_cluster_that_stays_away_is_told_and_nothing_is_applied(tmp_path, toml, blamed):
    cluster = StandIns(tmp_path, kubectl=KUBECTL, make="true")
    if toml:
        (tmp_path / "ca4.toml").touch()
    refused = cluster.run(APPLY, "platform")
    assert refused.returncode == 1
    assert blamed in refused.stderr
    assert not (tmp_path / "applied").exists()


def test_the_edge_gets_its_secret_by_standard_input_and_an_image_from_a_registry(tmp_path):
    cluster = StandIns(tmp_path, kubectl=KUBECTL, make="exit 1")
    (tmp_path / "up").touch()
    done = cluster.run(APPLY, "edge", MONGO_URI="mongodb://u:secret-word@h", CA4_IMAGE="registry.example/ca4:0.2.0")
    assert done.returncode == 0, done.stderr
    assert any("create secret generic ca4-database" in call for call in cluster.made("kubectl"))
    assert "secret-word" not in cluster.calls.read_text() + done.stdout + done.stderr
    assert "image: registry.example/ca4:0.2.0" in (tmp_path / "applied").read_text()
    assert cluster.made("make") == []


@pytest.mark.parametrize(
    ("missing", "blamed"),
    [
        ("crd scaledobjects.keda.sh", "install it into the namespace keda"),
        ("secret ca4-processor-tokens --namespace app", "CA4_TOKENS_FILE must be set"),
        ("secret ca4-processor-tls --namespace app", "CA4_TLS_CERT_FILE must be set"),
    ],
)
def test_what_an_overlay_needs_and_is_not_there_is_told_before_it_is_applied(tmp_path, missing, blamed):
    (tmp_path / "up").touch()
    env = {"MONGO_URI": "mongodb://h", "CA4_IMAGE": "ca4:1", "CA4_OVERLAY": "k3s-ha"}
    lacking = StandIns(tmp_path, kubectl=f'[ "$*" = "get {missing}" ] && exit 1\n{KUBECTL}')
    refused = lacking.run(APPLY, "edge", **env)
    assert refused.returncode == 1
    assert blamed in refused.stderr
    assert "kind: StatefulSet" not in (tmp_path / "applied").read_text()
    complete = StandIns(tmp_path, kubectl=KUBECTL)
    assert complete.run(APPLY, "edge", **env).returncode == 0
    assert "kind: StatefulSet" in (tmp_path / "applied").read_text()
    assert any("rollout status statefulset/processor" in call for call in complete.made("kubectl"))


def test_without_a_registry_the_image_of_this_tree_is_made_before_anything_is_changed(tmp_path):
    cluster = StandIns(tmp_path, kubectl=KUBECTL, make="exit 3")
    (tmp_path / "up").touch()
    assert cluster.run(APPLY, "edge", MONGO_URI="mongodb://h").returncode == 3
    assert cluster.made("make") == ["image-archive"]
    assert not [call for call in cluster.made("kubectl") if "secret" in call]
    assert not (tmp_path / "applied").exists()


# A cluster that keeps the Secret with the address of alerts, and may be unable to say so.
WITH_WEBHOOK = f"""
case "$*" in
  "create secret generic alert-webhook "*) touch $here/webhook ;;
  "get secret alert-webhook "*) [ ! -e $here/mute ] || exit 1; [ ! -e $here/webhook ] || echo secret/alert-webhook; exit ;;
esac
{KUBECTL}"""


def test_alerts_go_on_to_where_they_went_until_the_secret_is_deleted(tmp_path):
    cluster = StandIns(tmp_path, kubectl=WITH_WEBHOOK)
    (tmp_path / "up").touch()
    applied = tmp_path / "applied"

    def tells_somebody(**env):
        applied.unlink(missing_ok=True)
        done = cluster.run(APPLY, "monitoring", **env)
        assert done.returncode == 0, done.stderr
        told = "/etc/alertmanager-webhook/url" in applied.read_text()
        assert told == ("name: alertmanager-webhook" in applied.read_text())
        return told

    assert not tells_somebody()
    assert tells_somebody(CA4_ALERT_WEBHOOK="https://hooks.example/secret-path")
    assert tells_somebody()
    (tmp_path / "mute").touch()
    applied.unlink()
    assert cluster.run(APPLY, "monitoring").returncode != 0
    assert not applied.exists()
    (tmp_path / "mute").unlink()
    (tmp_path / "webhook").unlink()
    assert not tells_somebody()
    assert "secret-path" not in cluster.calls.read_text()


# One that remembers which StatefulSets have been given a bucket, as it would answer for them.
WITH_BUCKETS = f"""
case "$*" in
  "get statefulset prometheus "*) [ ! -e $here/mute ] || exit 1; ! grep -q "name: thanos-sidecar" $here/last || echo metrics-bucket-hash; exit ;;
  "get statefulset loki "*) ! grep -q "name: LOKI_STORE" $here/last || echo logs-bucket-hash; exit ;;
  "get configmap metrics-bucket-hash "*) printf 'my-metrics eu-west-1'; exit ;;
  "get configmap logs-bucket-hash "*) printf 'my-logs eu-north-1'; exit ;;
  "apply --filename -") cat >$here/it; ! grep -q "name: loki" $here/it || mv $here/it $here/last; exit ;;
esac
{KUBECTL}"""


def test_metrics_and_logs_go_on_to_their_buckets(tmp_path):
    cluster = StandIns(tmp_path, kubectl=WITH_BUCKETS)
    (tmp_path / "up").touch()
    (tmp_path / "last").touch()

    def buckets(**env):
        done = cluster.run(APPLY, "monitoring", **env)
        assert done.returncode == 0, done.stderr
        maps = [o for o in yaml.safe_load_all((tmp_path / "last").read_text()) if o["kind"] == "ConfigMap" and "S3_BUCKET" in o["data"]]
        return {(o["data"]["S3_BUCKET"], o["data"]["S3_REGION"]) for o in maps}

    assert buckets() == set()
    both = {("my-metrics", "eu-west-1"), ("my-logs", "eu-north-1")}
    assert buckets(CA4_METRICS_BUCKET="my-metrics", CA4_BUCKETS_REGION="eu-west-1") == {("my-metrics", "eu-west-1")}
    assert buckets(CA4_LOGS_BUCKET="my-logs", CA4_BUCKETS_REGION="eu-north-1") == {(name, "eu-north-1") for name in ("my-metrics", "my-logs")}
    assert buckets() == both
    assert buckets(CA4_METRICS_BUCKET="") == {("my-logs", "eu-north-1")}
    (tmp_path / "mute").touch()
    before = (tmp_path / "last").read_text()
    refused = cluster.run(APPLY, "monitoring")
    assert refused.returncode == 1
    assert "which buckets are in use" in refused.stderr
    assert (tmp_path / "last").read_text() == before


@pytest.mark.parametrize(("half", "name"), [("platform", "ca4-mongo-dev"), ("monitoring", "grafana-admin")])
def test_a_cluster_that_does_not_say_whether_there_is_a_password_gets_no_other(tmp_path, half, name):
    cluster = StandIns(tmp_path, kubectl=f'case "$*" in "get secret {name} "*) exit 1 ;; esac\n{KUBECTL}')
    (tmp_path / "up").touch()
    refused = cluster.run(APPLY, half, CA4_OVERLAY="dev")
    assert refused.returncode == 1
    assert f"whether there is a Secret {name}" in refused.stderr
    assert not [call for call in cluster.made("kubectl") if f"create secret generic {name}" in call]
    forgetful = StandIns(tmp_path, kubectl=KUBECTL)
    assert forgetful.run(APPLY, half, CA4_OVERLAY="dev").returncode == 0
    assert [call for call in cluster.made("kubectl") if f"create secret generic {name}" in call]


def test_no_password_is_no_password_of_the_database(tmp_path):
    """An empty one would go to the workers, over that which they have."""
    cluster = StandIns(tmp_path, kubectl=f'case "$*" in "get secret ca4-mongo-dev "*) exit 1 ;; esac\n{KUBECTL}')
    (tmp_path / "up").touch()
    refused = cluster.run(APPLY, "edge", CA4_OVERLAY="dev", CA4_IMAGE="registry.example/ca4:1.2")
    assert refused.returncode == 1
    assert "CA4_OVERLAY=dev make ca4-platform-setup" in refused.stderr
    assert not [call for call in cluster.made("kubectl") if "create secret" in call]


def archive(path, digest=DIGEST):
    index = json.dumps({"manifests": [{"digest": digest}]}).encode()
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("index.json")
        info.size = len(index)
        tar.addfile(info, io.BytesIO(index))
    return path


def test_the_image_goes_to_each_node_that_does_not_have_it(tmp_path):
    ssh = f"""
case "$*" in
  *ca4-node-1*list*) echo "docker.io/library/ca4:0.1.0 application/vnd.oci.image.manifest.v1+json {DIGEST} 41.0 MiB" ;;
  *ca4-node-2*list*) echo "docker.io/library/ca4:0.1.0 application/vnd.oci.image.manifest.v1+json sha256:other 40.0 MiB" ;;
  *import*) cat >$here/imported ;;
esac"""
    nodes = StandIns(tmp_path, ssh=ssh)
    image = archive(tmp_path / "ca4.tar")
    done = nodes.run(ROOT / "deploy/k3s/image.sh", image)
    assert done.returncode == 0, done.stderr
    imports = [call for call in nodes.made("ssh") if "import" in call]
    assert imports == [f"-F {tmp_path}/ssh_config -o BatchMode=yes ca4-node-2 sudo /usr/local/bin/k3s ctr images import -"]
    assert (tmp_path / "imported").read_bytes() == image.read_bytes()


@pytest.mark.parametrize("overlay", ["k3s", "k3s-ha"])
def test_pods_roll_out_when_the_image_of_this_tree_has_changed_under_its_tag(tmp_path, overlay):
    tree = tmp_path / "tree"
    shutil.copytree(APPLY.parents[1] / "k8s", tree / "deploy/k8s")
    shutil.copytree(APPLY.parents[1] / "k3s", tree / "deploy/k3s")
    (tree / ".deps").symlink_to(ROOT / ".deps")
    make = "mkdir -p build/image/ca4; cp $here/ca4.tar build/image/ca4/ca4-0.1.0.tar"
    cluster = StandIns(tmp_path, kubectl=KUBECTL, make=make, ssh="cat >/dev/null")
    (tmp_path / "up").touch()
    digests = []
    for mark in ("a", "a", "b"):
        archive(tmp_path / "ca4.tar", "sha256:" + mark * 64)
        done = cluster.run(tree / "deploy/k8s/apply.sh", "edge", MONGO_URI="mongodb://h", CA4_OVERLAY=overlay)
        assert done.returncode == 0, done.stderr
        made = [m for m in yaml.safe_load_all((tmp_path / "applied").read_text()) if m["kind"] in ("Deployment", "StatefulSet")]
        assert {m["metadata"]["name"] for m in made} == {"worker"} | ({"processor"} if overlay == "k3s-ha" else set())
        noted = {m["spec"]["template"]["metadata"]["annotations"]["ca4/image-digest"] for m in made}
        assert all("prometheus.io/port" in m["spec"]["template"]["metadata"]["annotations"] for m in made if m["kind"] == "Deployment")
        digests += noted
        (tmp_path / "applied").unlink()
    assert digests == ["sha256:" + mark * 64 for mark in "aab"]


# A cluster that keeps the edge's Secrets; the same content has the same version.
WITH_SECRETS = f"""
for argument; do case "$argument" in --from-file=tokens=*) cp "${{argument#--from-file=tokens=}}" $here/ca4-processor-tokens ;; esac; done
case "$*" in
  "create secret generic ca4-database "*) cat >$here/ca4-database; echo "made: true"; exit ;;
  "get secret/ca4-database secret/ca4-processor-tokens "*)
    [ ! -e $here/mute ] || exit 1
    for name in ca4-database ca4-processor-tokens; do [ ! -e $here/$name ] || echo "$name $(cksum <$here/$name)"; done
    exit ;;
esac
{KUBECTL}"""


def test_pods_roll_out_when_tokens_database_or_settings_have_changed(tmp_path):
    cluster = StandIns(tmp_path, kubectl=WITH_SECRETS)
    (tmp_path / "up").touch()
    applied, tokens = tmp_path / "applied", tmp_path / "tokens"
    env = {"CA4_IMAGE": "ca4:1", "CA4_OVERLAY": "k3s-ha", "MONGO_URI": "mongodb://u:secret-word@h"}

    def noted(**more):
        applied.unlink(missing_ok=True)
        done = cluster.run(APPLY, "edge", **(env | more))
        assert done.returncode == 0, done.stderr
        made = [m for m in yaml.safe_load_all(applied.read_text()) if m["kind"] in ("Deployment", "StatefulSet")]
        assert {m["metadata"]["name"] for m in made} == {"worker", "processor"}
        (digest,) = {m["spec"]["template"]["metadata"]["annotations"]["ca4/settings-digest"] for m in made}
        return digest

    tokens.write_text("colab write sha256:aa\ndash read sha256:bb\n")
    digests = [noted(CA4_TOKENS_FILE=str(tokens))]
    assert noted() == digests[0]
    tokens.write_text("dash read sha256:bb\n")
    digests.append(noted(CA4_TOKENS_FILE=str(tokens)))
    digests.append(noted(MONGO_URI="mongodb://u:secret-word@elsewhere"))
    (tmp_path / "outputs.env").write_text("ca4_s3_bucket=another-archive\nca4_region=eu-central-1\n")
    digests.append(noted(MONGO_URI="mongodb://u:secret-word@elsewhere"))
    assert len(set(digests)) == 4
    (tmp_path / "mute").touch()
    applied.unlink()
    assert cluster.run(APPLY, "edge", **env).returncode != 0
    assert "kind: Deployment" not in applied.read_text()


def test_a_node_that_does_not_take_the_image_ends_it(tmp_path):
    nodes = StandIns(tmp_path, ssh='case "$*" in *import*) echo "no space left" >&2; exit 1 ;; esac')
    refused = nodes.run(ROOT / "deploy/k3s/image.sh", archive(tmp_path / "ca4.tar"))
    assert refused.returncode != 0
    assert "no space left" in refused.stderr


def test_without_outputs_it_says_what_comes_first(tmp_path):
    nothing = StandIns(tmp_path)
    os.remove(tmp_path / "outputs.env")
    refused = nothing.run(ROOT / "deploy/k3s/image.sh", archive(tmp_path / "ca4.tar"))
    assert refused.returncode == 1
    assert "make ca4-apply" in refused.stderr
