"""deploy/monitoring: built by kustomize as deploy/k8s/apply.sh renders it, and held to the rules of test_deploy_k8s.py, each of which sees
a planted mistake there. Images of Grafana, Alloy, Loki and Thanos can't run here: that these programs take their configuration is not shown.
"""

import copy
import re
import subprocess

import kubernetes_validate
import pytest
import test_deploy_k8s as k8s
import yaml
from k8s_manifests import K8S, WORKLOADS, build, containers, of, pods, template, title
from k8s_policy import Peer, Policies
from support import ROOT

MONITORING = ROOT / "deploy/monitoring"
EVERYTHING = {
    "CA4_METRICS_BUCKET": "some-metrics",
    "CA4_LOGS_BUCKET": "some-logs",
    "CA4_BUCKETS_REGION": "eu-central-1",
    "CA4_ALERT_WEBHOOK": "https://hooks.example/secret-path",
    "CA4_DOCS_URL": "https://git.example/us/ca4/blob/main/",
}


def render(folder, **env):
    return subprocess.run(
        [K8S / "apply.sh", "render", "monitoring"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "CA4_STATE_DIR": str(folder)} | env,
        timeout=60,
    )


def rendered(folder, **env):
    result = render(folder, **env)
    assert result.returncode == 0, result.stderr
    return build(K8S / "base/namespaces") + list(yaml.safe_load_all(result.stdout))


@pytest.fixture(scope="session")
def systems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("monitoring")
    return {"disks": rendered(folder), "buckets": rendered(folder, **EVERYTHING)}


def the(docs, kind, name):
    return k8s.the(docs, kind, name)


def config(docs, name):
    """The one file of a generated ConfigMap, whose name goes on with a hash."""
    (found,) = [d for d in of(docs, "ConfigMap") if re.fullmatch(name + "-[a-z0-9]{10}", d["metadata"]["name"])]
    (text,) = found["data"].values()
    return text


RULES = [
    k8s.every_image_is_pinned,
    k8s.every_selector_matches,
    k8s.every_service_has_pods_and_their_ports,
    k8s.every_stateful_set_has_its_service,
    k8s.every_container_port_has_a_name,
    k8s.every_probe_asks_at_a_port_that_is_there,
    k8s.everything_referred_to_exists,
    k8s.every_volume_mount_has_its_volume,
    k8s.every_container_has_requests_and_limits,
    k8s.what_is_several_has_a_disruption_budget,
    k8s.every_object_is_in_a_namespace_that_exists,
    k8s.every_namespace_is_closed_and_restricted,
    k8s.no_secret_is_written_down,
]
SYSTEMS = ["disks", "buckets"]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rule(systems, rule, system):
    assert rule(systems[system]) == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_object_fits_kubernetes_schema(systems, system):
    for doc in systems[system]:
        kubernetes_validate.validate(doc, k8s.KUBERNETES, strict=True)


def test_every_component_is_in_a_system_that_is_tested():
    components = {p.parent.name for p in MONITORING.glob("components/*/kustomization.yaml")}
    script = (K8S / "apply.sh").read_text()
    assert components == {"thanos", "loki-s3", "alert-webhook"}
    assert all(re.search(rf"components/{c}\b|bucket {c} ", script) for c in components)


# What may be less closed than everything else, and in what. Nothing here may be more than the manifests need.
EXEMPT = {
    # Log files of the kubelet are root's alone; whose they are the API knows.
    "DaemonSet alloy": {"runs as root", "volume logs", "token of the API"},
    "DaemonSet node-exporter": {"volume proc", "volume sys", "volume root"},
    "StatefulSet prometheus": {"token of the API"},
    "Deployment kube-state-metrics": {"token of the API"},
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_pods_are_restricted_but_for_what_they_are_for(systems, system):
    exempt = {f"{pod}: {fault}" for pod, faults in EXEMPT.items() for fault in faults}
    assert set(k8s.pods_are_restricted(systems[system])) == exempt


def test_what_is_mounted_of_a_node_is_read_only(systems):
    for workload in of(systems["buckets"], *WORKLOADS):
        of_the_node = {v["name"] for v in template(workload)["spec"].get("volumes", []) if "hostPath" in v}
        mounts = [m for c in containers(workload) for m in c.get("volumeMounts", []) if m["name"] in of_the_node]
        assert all(m["readOnly"] for m in mounts), title(workload)


def test_nobody_may_change_anything_or_read_secrets(systems):
    rules = [r for role in of(systems["buckets"], "Role", "ClusterRole") for r in role["rules"]]
    assert rules
    for rule in rules:
        assert set(rule["verbs"]) <= {"get", "list", "watch"}
        assert not {"secrets", "configmaps", "*"} & set(rule["resources"])


def test_who_asks_the_api_has_rights_there_and_nobody_else(systems):
    docs = systems["buckets"]
    accounts = {s["metadata"]["name"] for s in of(docs, "ServiceAccount")}
    used = {template(w)["spec"].get("serviceAccountName") for w in of(docs, *WORKLOADS)} - {None}
    bound = {s["name"] for b in of(docs, "RoleBinding", "ClusterRoleBinding") for s in b["subjects"]}
    assert accounts == used == bound == {"prometheus", "alloy", "kube-state-metrics"}
    # Prometheus sees the pods of the namespaces that it discovers in, no others.
    discovered = {n for c in prometheus(docs)["scrape_configs"] for k in c.get("kubernetes_sd_configs", []) for n in k["namespaces"]["names"]}
    granted = {b["metadata"]["namespace"] for b in of(docs, "RoleBinding") if b["metadata"]["name"] == "prometheus"}
    assert granted == discovered == {"app", "monitoring"}


def prometheus(docs):
    return yaml.safe_load(config(docs, "prometheus-config"))


PROMTOOL = ROOT / ".deps/prometheus/usr/bin/promtool"


def promtool(*args):
    return subprocess.run([PROMTOOL, *map(str, args)], capture_output=True, text=True, timeout=120)


def test_prometheus_takes_its_configuration(systems, tmp_path):
    parsed = prometheus(systems["disks"])
    # Debian's build has no discovery in Kubernetes: the same pods' labels would come from a file.
    discovery = [c.pop("kubernetes_sd_configs") for c in parsed["scrape_configs"] if "kubernetes_sd_configs" in c]
    assert discovery == [[{"role": "pod", "namespaces": {"names": ["app", "monitoring"]}}]]
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump(parsed))
    good = promtool("check", "config", file)
    assert good.returncode == 0, good.stderr
    file.write_text(yaml.safe_dump(parsed).replace("action: keep", "action: keeep"))
    assert promtool("check", "config", file).returncode != 0


def test_who_is_scraped_says_so_with_a_port_that_it_has(systems):
    for workload in of(systems["buckets"], *WORKLOADS):
        annotations = template(workload)["metadata"].get("annotations", {})
        wanted = "ca4/scraped" in template(workload)["metadata"]["labels"]
        assert (annotations.get("prometheus.io/scrape") == "true") == wanted, title(workload)
        if wanted:
            ports = [p["containerPort"] for c in containers(workload) for p in c["ports"] if p["name"] == "http"]
            assert [int(annotations["prometheus.io/port"])] == ports, title(workload)


def test_logs_have_the_labels_that_promtail_gave(systems):
    text = config(systems["disks"], "alloy-config")
    assert set(re.findall(r'target_label *= "(\w+)"', text)) - {"__path__"} == {
        *("namespace", "pod", "container", "app", "node_name", "job"),
    }
    # The label `stream` is made by this stage.
    assert "stage.cri" in text
    # Every part that something is sent to is there.
    parts = set(re.findall(r'^([a-z_.]+) "(\w+)" \{', text, re.MULTILINE))
    for kind, name in re.findall(r"\b((?:discovery|local|loki)\.[a-z_]+(?:\.\w+)?)\.(pods|loki)\.", text):
        assert (kind, name) in parts
    assert text.count("{") == text.count("}")


def test_grafana_asks_the_querier_once_there_is_one(systems):
    for system, url in (("disks", "http://prometheus:9090"), ("buckets", "http://thanos-query:10902")):
        (grafana,) = containers(the(systems[system], "StatefulSet", "grafana"))
        assert {v["name"]: v.get("value") for v in grafana["env"]}["PROMETHEUS_URL"] == url
        services = {(s["metadata"]["name"], p["port"]) for s in of(systems[system], "Service") for p in s["spec"]["ports"]}
        sources = yaml.safe_load(config(systems[system], "grafana-datasources"))["datasources"]
        for asked in [url, *(s["url"] for s in sources if s["url"] != "$PROMETHEUS_URL")]:
            name, port = asked.removeprefix("http://").split(":")
            assert (name, int(port)) in services


def test_grafana_is_reached_where_the_tunnel_ends(systems):
    service = the(systems["disks"], "Service", "grafana")["spec"]
    assert (service["type"], service["allocateLoadBalancerNodePorts"], service["ports"][0]["port"]) == ("LoadBalancer", False, 3000)
    # Everything else has no way from outside.
    assert [s["metadata"]["name"] for s in of(systems["buckets"], "Service") if s["spec"].get("type")] == ["grafana"]
    assert "grafana:3000" in (ROOT / "deploy/aws/bastion.yaml").read_text()


def test_grafana_has_no_password_of_its_own(systems):
    docs = systems["disks"]
    keys = {(kind, name, key) for _, kind, name, key in k8s.references(docs) if key}
    assert keys == {("Secret", "grafana-admin", "password"), ("Secret", "grafana-admin", "key")}
    script = (K8S / "apply.sh").read_text()
    assert re.search(r"printf 'password=%s\\nkey=%s\\n' \"\$\(openssl rand -hex 16\)\"", script)


def test_a_bucket_goes_to_who_uses_it(systems):
    docs = systems["buckets"]
    buckets = {d["metadata"]["name"]: d["data"]["S3_BUCKET"] for d in of(docs, "ConfigMap") if "S3_BUCKET" in d["data"]}
    found = {
        c["name"]: buckets[source["configMapRef"]["name"]]
        for w in of(docs, *WORKLOADS)
        for c in containers(w)
        for source in c.get("envFrom", [])
    }
    thanos = dict.fromkeys(("thanos-sidecar", "thanos-store", "thanos-compact"), "some-metrics")
    assert found == thanos | {"loki": "some-logs"}


def test_a_bucket_needs_a_region(tmp_path):
    assert "make ca4-apply" in render(tmp_path, CA4_METRICS_BUCKET="some").stderr
    (tmp_path / "outputs.env").write_text("ca4_region=eu-west-1\n")
    assert "S3_REGION: eu-west-1" in render(tmp_path, CA4_METRICS_BUCKET="some").stdout


def test_the_address_of_alerts_is_not_in_the_manifests(systems):
    assert "hooks.example" not in yaml.safe_dump_all(systems["buckets"])
    receivers = {s: yaml.safe_load(config(systems[s], "alertmanager-config")) for s in SYSTEMS}
    assert receivers["disks"]["receivers"] == [{"name": "nobody"}]
    assert receivers["buckets"]["receivers"][0]["webhook_configs"][0]["url_file"] == "/etc/alertmanager-webhook/url"
    assert receivers["disks"]["inhibit_rules"] == receivers["buckets"]["inhibit_rules"]


def rule_files(docs):
    """{file: text} of Prometheus' rules."""
    (found,) = [d["data"] for d in of(docs, "ConfigMap") if d["metadata"]["name"].startswith("prometheus-rules-")]
    return found


def test_alerts_link_to_where_the_documents_are_read(systems, tmp_path):
    files = {p.name: p.read_text() for p in (MONITORING / "rules").glob("*.yaml")}
    assert rule_files(systems["disks"]) == files
    linked = {name: text.replace("runbook_url: docs/", "runbook_url: https://git.example/us/ca4/blob/main/docs/") for name, text in files.items()}
    assert rule_files(systems["buckets"]) == linked != files
    for name, text in linked.items():
        (tmp_path / name).write_text(text)
    checked = promtool("check", "rules", *(tmp_path / name for name in linked))
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("url", ["git.example/ca4", "https://git.example/a b", "https://git.example/ca4?ref=main", "https://git.example/|&"])
def test_what_is_no_url_of_documents_is_refused(tmp_path, url):
    refused = render(tmp_path, CA4_DOCS_URL=url)
    assert refused.returncode == 1
    assert f"CA4_DOCS_URL is '{url}'" in refused.stderr
    assert refused.stdout == ""


# Who may reach what.

OTHERS = [
    Peer("tunnel", "10.42.1.10", "kube-system", {"svccontroller.k3s.cattle.io/svcname": "grafana"}),
    Peer("kafka-tunnel", "10.42.1.11", "kube-system", {"svccontroller.k3s.cattle.io/svcname": "kafka-tunnel-0"}),
    Peer("names", "10.42.1.12", "kube-system", {"k8s-app": "kube-dns"}),
    Peer("worker", "10.42.1.13", "app", {"app.kubernetes.io/name": "worker", "ca4/uses-kafka": "true"}),
    Peer("kafka", "10.42.1.14", "platform", {"app.kubernetes.io/name": "kafka"}),
    Peer("stranger", "10.42.1.15", "monitoring", {"app.kubernetes.io/name": "stranger"}),
    Peer("elsewhere", "10.42.1.16", "default", {"app.kubernetes.io/name": "prometheus", "ca4/scraped": "true"}),
    Peer("api", "10.43.0.1"),
    Peer("node", "10.40.32.10"),
    Peer("internet", "198.51.100.9"),
    Peer("credentials", "169.254.169.254"),
]
PORTS = (22, 53, 80, 443, 3000, 3100, 6443, 8000, 8080, 8081, 9090, 9092, 9093, 9095, 9100, 9308, 9464, 10250, 10901, 10902, 12345, 27017)

SCRAPES = {
    *("alertmanager:9093", "loki:3100", "alloy:12345", "node-exporter:9100", "kube-state-metrics:8080", "kafka-exporter:9308", "grafana:3000"),
}
BETWEEN = {f"prometheus>{x}" for x in SCRAPES} | {
    *("grafana>prometheus:9090", "grafana>loki:3100", "grafana>alertmanager:9093", "alloy>loki:3100"),
}
API = {f"{name}>{at}" for name in ("prometheus", "alloy", "kube-state-metrics") for at in ("api:443", "node:6443", "internet:6443")}
OUT = API | {"prometheus>worker:9464", "kafka-exporter>kafka:9092"}
THANOS = {
    *("prometheus>thanos-query:10902", "prometheus>thanos-store:10902", "prometheus>thanos-compact:10902"),
    *("grafana>thanos-query:10902", "thanos-query>prometheus:10901", "thanos-query>thanos-store:10901"),
}
USES_S3 = {
    f"{name}>{at}"
    for name in ("loki", "prometheus", "thanos-store", "thanos-compact")
    for at in ("node:443", "internet:443", "credentials:80")
} | {"alertmanager>node:443", "alertmanager>internet:443"}
EXPECTED = {"disks": (BETWEEN, OUT), "buckets": (BETWEEN | THANOS, OUT | USES_S3)}


def policy_faults(docs, system):
    policies, own = Policies(docs), pods(docs)
    twins = [Peer(p.name, p.address.replace("10.42.0.", "10.42.2."), p.namespace, p.labels, p.ports) for p in own]
    everyone = own + twins + OTHERS
    between, out = EXPECTED[system]
    admitted = k8s.matrix(lambda s, t, port: s != t and policies.admitted(s, t, port), everyone, own, PORTS)
    leaving = k8s.matrix(lambda s, t, port: s != t and policies.may_leave(s, t, port), own, everyone, PORTS)
    names = {f"{k8s.without_number(p.name)}>names:53" for p in own}
    # What a name may leave for is what it is admitted by, and the way out. Where Prometheus asks, a port is every scraped pod's.
    leaving = {x for x in leaving if x in admitted or not x.startswith("prometheus>") or x.split(">")[1].split(":")[0] in OUTSIDE}
    faults = sorted(f"admitted {x}" for x in admitted ^ (between | {"tunnel>grafana:3000"}))
    return faults + sorted(f"leaves {x}" for x in leaving ^ (between | out | names))


OUTSIDE = {p.name for p in OTHERS}


@pytest.mark.parametrize("system", SYSTEMS)
def test_only_who_may_reach_something_can(systems, system):
    assert policy_faults(systems[system], system) == []


def rules(name, edit, side="ingress"):
    def plant(docs):
        edit(the(docs, "NetworkPolicy", name)["spec"][side])

    return plant


MISTAKES = {
    "Grafana open to every pod": rules("grafana", lambda r: r[0].pop("from")),
    "any balancer to Grafana": rules("grafana", lambda r: r[0]["from"][0].pop("podSelector")),
    "everybody sees Alertmanager": rules("alertmanager", lambda r: r[0]["from"].append({"podSelector": {}})),
    "everybody writes logs": rules("loki", lambda r: r[0]["from"].append({"namespaceSelector": {}})),
    "metrics for every pod": rules("scraped", lambda r: r[0].pop("from")),
    "Prometheus may go anywhere": rules("prometheus", lambda r: r.append({}), "egress"),
    "the exporter leaves for every pod of Kafka's namespace": rules(
        "kafka-exporter", lambda r: r[0]["to"][0].pop("podSelector") and r[0].pop("ports"), "egress"
    ),
    "nobody reaches the API": lambda docs: docs.remove(the(docs, "NetworkPolicy", "asks-the-api")),
    "the store is nobody's": lambda docs: docs.remove(the(docs, "NetworkPolicy", "thanos-asked")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_policy_is_seen(systems, mistake):
    docs = copy.deepcopy(systems["buckets"])
    MISTAKES[mistake](docs)
    assert policy_faults(docs, "buckets")
