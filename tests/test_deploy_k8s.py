"""deploy/k8s: built by kustomize, valid for Kubernetes' schemas, and held to rules; each rule also sees a planted mistake.

There is no cluster here: that a node really pulls, schedules and routes so is not shown by these tests.
"""

import copy
import re
import shutil
import subprocess
import textwrap

import kubernetes_validate
import pytest
import yaml
from k8s_manifests import K8S, WORKLOADS, build, containers, identity, merged, of, pods, template, title
from k8s_policy import Peer, Policies, selected
from support import ROOT

# K3s' release is of this Kubernetes (deploy/k3s/version.env).
KUBERNETES = "1.35"
# Kinds of others' extensions, which have no schema in Kubernetes; their rules are below.
EXTENSIONS = {"ScaledObject"}
OF_THE_CLUSTER = {"Namespace", "ClusterRole", "ClusterRoleBinding"}


@pytest.fixture(scope="session")
def systems():
    """What clusters are given, as lists of objects."""
    overlays = K8S / "overlays"
    return {
        "k3s": build(overlays / "k3s"),
        "k3s-ha": merged(overlays / "k3s-ha/platform", overlays / "k3s-ha/edge", K8S / "gpu-job"),
        "dev": merged(overlays / "dev/platform", overlays / "dev/edge"),
        "eks-msk-atlas": build(overlays / "eks-msk-atlas"),
    }


SYSTEMS = ["k3s", "k3s-ha", "dev", "eks-msk-atlas"]


def test_the_two_halves_are_the_whole(systems):
    halves = merged(K8S / "overlays/k3s/platform", K8S / "overlays/k3s/edge")
    assert {identity(d): d for d in halves} == {identity(d): d for d in systems["k3s"]}


def test_every_folder_is_in_a_system_that_is_tested():
    used = set()

    def follow(folder):
        if folder in used:
            return
        used.add(folder)
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        for entry in kustomization.get("resources", []) + kustomization.get("components", []):
            path = (folder / entry).resolve()
            assert path.exists(), path
            if path.is_dir():
                follow(path)

    for overlay in (K8S / "overlays").glob("**/kustomization.yaml"):
        follow(overlay.parent.resolve())
    follow((K8S / "gpu-job").resolve())
    assert {p.parent.resolve() for p in K8S.glob("**/kustomization.yaml")} == used


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_object_fits_kubernetes_schema(systems, system):
    for doc in systems[system]:
        if doc["kind"] not in EXTENSIONS:
            kubernetes_validate.validate(doc, KUBERNETES, strict=True)


def test_the_schemas_see_a_misspelt_field(systems):
    broken = copy.deepcopy(the(systems["k3s"], "Deployment", "worker"))
    broken["spec"]["template"]["spec"]["terminationGraceSeconds"] = 5
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def the(docs, kind, name):
    (found,) = [d for d in docs if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


# A rule takes the objects of a system and returns what is wrong.


def every_image_is_pinned(docs):
    images = {c["image"] for w in of(docs, *WORKLOADS) for c in containers(w)}
    pinned = re.compile(r".+(@sha256:[0-9a-f]{64}|:v?\d+\.\d+\.\d+\S*)$")
    return [i for i in images if not pinned.match(i)]


def every_selector_matches(docs):
    wrong = []
    for workload in of(docs, "Deployment", "StatefulSet", "DaemonSet"):
        if not selected(workload["spec"]["selector"], template(workload)["metadata"]["labels"]):
            wrong.append(title(workload))
    everyone = pods(docs)
    for doc in of(docs, "PodDisruptionBudget"):
        if not any(p.namespace == doc["metadata"]["namespace"] and selected(doc["spec"]["selector"], p.labels) for p in everyone):
            wrong.append(title(doc))
    for doc in of(docs, "NetworkPolicy"):
        own = [p for p in everyone if p.namespace == doc["metadata"]["namespace"]]
        if doc["spec"]["podSelector"] and not any(selected(doc["spec"]["podSelector"], p.labels) for p in own):
            wrong.append(title(doc))
    return wrong


def behind(docs, service):
    return [
        p
        for p in pods(docs)
        if p.namespace == service["metadata"]["namespace"] and selected({"matchLabels": service["spec"]["selector"]}, p.labels)
    ]


def every_service_has_pods_and_their_ports(docs):
    wrong = []
    for service in of(docs, "Service"):
        endpoints = behind(docs, service)
        if not endpoints:
            wrong.append(f"{title(service)}: no pod")
        for port in service["spec"]["ports"]:
            if "name" not in port or not isinstance(port.get("targetPort"), str):
                wrong.append(f"{title(service)}: a port without a name")
            elif any(port["targetPort"] not in p.ports for p in endpoints):
                wrong.append(f"{title(service)}: {port['targetPort']}")
    return wrong


def every_stateful_set_has_its_service(docs):
    services = {(s["metadata"]["namespace"], s["metadata"]["name"]) for s in of(docs, "Service")}
    return [
        title(s)
        for s in of(docs, "StatefulSet")
        if (s["metadata"]["namespace"], s["spec"]["serviceName"]) not in services
    ]


def every_container_port_has_a_name(docs):
    return [
        f"{title(w)}: {p}" for w in of(docs, *WORKLOADS) for c in containers(w) for p in c.get("ports", []) if "name" not in p
    ]


def every_probe_asks_at_a_port_that_is_there(docs):
    wrong = []
    for workload in of(docs, "Deployment", "StatefulSet", "DaemonSet"):
        for container in containers(workload):
            ports = {p["name"] for p in container.get("ports", [])}
            if "readinessProbe" not in container:
                wrong.append(f"{title(workload)}: no readiness probe")
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(kind, {})
                asked = probe.get("httpGet") or probe.get("tcpSocket")
                if asked and asked["port"] not in ports:
                    wrong.append(f"{title(workload)}: {kind} at {asked['port']}")
    return wrong


# Made by deploy/k8s/apply.sh, not by a manifest.
MADE_AT_DEPLOYMENT = {
    ("app", "Secret", "ca4-database"),
    ("app", "Secret", "ca4-processor-tokens"),
    ("app", "Secret", "ca4-producer-token"),
    ("app", "Secret", "ca4-processor-tls"),
    ("app", "ConfigMap", "ca4-database-ca"),
    ("platform", "Secret", "ca4-mongo-dev"),
    ("monitoring", "Secret", "grafana-admin"),
    ("monitoring", "Secret", "alert-webhook"),
}


def references(docs):
    """(namespace, kind, name, key or None) of every Secret, ConfigMap and claim that something needs."""
    found = set()
    for workload in of(docs, *WORKLOADS):
        namespace = workload["metadata"]["namespace"]
        for volume in template(workload)["spec"].get("volumes", []):
            if "configMap" in volume:
                found.add((namespace, "ConfigMap", volume["configMap"]["name"], None))
            if "secret" in volume:
                found.add((namespace, "Secret", volume["secret"]["secretName"], None))
            if "persistentVolumeClaim" in volume:
                found.add((namespace, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], None))
        for container in containers(workload):
            for source in container.get("envFrom", []):
                found |= {(namespace, kind[:1].upper() + kind[1:-3], ref["name"], None) for kind, ref in source.items()}
            for variable in container.get("env", []):
                for kind, ref in variable.get("valueFrom", {}).items():
                    # A fieldRef is of the pod itself.
                    if kind != "fieldRef":
                        found.add((namespace, kind[:1].upper() + kind[1:-6], ref["name"], ref["key"]))
    for ingress in of(docs, "Ingress"):
        for tls in ingress["spec"].get("tls", []):
            found.add((ingress["metadata"]["namespace"], "Secret", tls["secretName"], None))
    return found


def everything_referred_to_exists(docs):
    there = {(d["metadata"].get("namespace"), d["kind"], d["metadata"]["name"]) for d in docs} | MADE_AT_DEPLOYMENT
    return [f"{kind} {name} in {ns}" for ns, kind, name, _ in references(docs) if (ns, kind, name) not in there]


def every_volume_mount_has_its_volume(docs):
    wrong = []
    for workload in of(docs, *WORKLOADS):
        volumes = {v["name"] for v in template(workload)["spec"].get("volumes", [])}
        volumes |= {c["metadata"]["name"] for c in workload["spec"].get("volumeClaimTemplates", [])}
        mounts = {m["name"] for c in containers(workload) for m in c.get("volumeMounts", [])}
        wrong += [f"{title(workload)}: {n}" for n in volumes ^ mounts]
    return wrong


def pods_are_restricted(docs):
    """What the Pod Security Standard `restricted` asks for, and a read-only root besides."""
    wrong = []
    for workload in of(docs, *WORKLOADS):
        spec = template(workload)["spec"]
        pod = spec.get("securityContext", {})
        faults = [k for k in ("hostNetwork", "hostPID", "hostIPC") if spec.get(k)]
        faults += [] if pod.get("runAsNonRoot") is True and pod.get("runAsUser", 0) > 0 else ["runs as root"]
        faults += [] if pod.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost") else ["seccomp"]
        faults += [f"volume {v['name']}" for v in spec.get("volumes", []) if "hostPath" in v]
        faults += [] if spec.get("automountServiceAccountToken") is False else ["token of the API"]
        for container in containers(workload):
            context = container.get("securityContext", {})
            faults += [] if context.get("allowPrivilegeEscalation") is False else ["escalation"]
            faults += ["privileged"] if context.get("privileged") else []
            faults += [] if context.get("capabilities") == {"drop": ["ALL"]} else ["capabilities"]
            faults += [] if context.get("readOnlyRootFilesystem") is True else ["writable root"]
            faults += [f"host port {p}" for p in container.get("ports", []) if "hostPort" in p]
        wrong += [f"{title(workload)}: {f}" for f in faults]
    return wrong


def every_container_has_requests_and_limits(docs):
    wrong = []
    for workload in of(docs, *WORKLOADS):
        for container in containers(workload):
            resources = container.get("resources", {})
            for side in ("requests", "limits"):
                wrong += [f"{title(workload)}: {side} {k}" for k in ("cpu", "memory") if k not in resources.get(side, {})]
        for volume in template(workload)["spec"].get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                wrong.append(f"{title(workload)}: volume {volume['name']} without a limit")
    return wrong


def what_is_several_has_a_disruption_budget(docs):
    wrong = []
    for workload in of(docs, "Deployment", "StatefulSet"):
        labels = template(workload)["metadata"]["labels"]
        if workload["spec"].get("replicas") == 1 and workload["metadata"]["name"] != "kafka":
            continue
        if not any(
            b["metadata"]["namespace"] == workload["metadata"]["namespace"] and selected(b["spec"]["selector"], labels)
            for b in of(docs, "PodDisruptionBudget")
        ):
            wrong.append(title(workload))
    return wrong


def what_is_not_ready_holds_no_drain_up(docs):
    """By default a budget that is used up by pods that are not ready lets none of these go: `kubectl drain` waits for ever."""
    return [title(b) for b in of(docs, "PodDisruptionBudget") if b["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow"]


def pods_get_longer_to_end_than_they_need(docs):
    """The processor's own grace is in the settings' page; a broker and a worker get what their manifests give reasons for."""
    text = (ROOT / "docs/configuration.md").read_text()
    grace_s = int(re.search(r"`shutdown_grace_ms`.*?\| `(\d+)`", text)[1]) / 1000
    least = {"processor": grace_s + 15, "worker": grace_s + 30, "kafka": 90, "mongo": 30, "producer": 30}
    wrong = []
    for workload in of(docs, *WORKLOADS):
        needed = least.get(workload["metadata"]["name"], 0)
        if template(workload)["spec"].get("terminationGracePeriodSeconds", 30) < needed:
            wrong.append(title(workload))
    return wrong


def every_object_is_in_a_namespace_that_exists(docs):
    namespaces = {d["metadata"]["name"] for d in of(docs, "Namespace")}
    return [title(d) for d in docs if d["kind"] not in OF_THE_CLUSTER and d["metadata"].get("namespace") not in namespaces]


def every_namespace_is_closed_and_restricted(docs):
    wrong = []
    closed = {p["metadata"]["namespace"] for p in of(docs, "NetworkPolicy") if closes_everything(p)}
    for namespace in of(docs, "Namespace"):
        name = namespace["metadata"]["name"]
        level = namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        wrong += [] if name in closed else [f"{name} is open"]
        wrong += [] if level == "restricted" or name == "monitoring" else [f"{name} enforces {level}"]
    return wrong


def closes_everything(policy):
    spec = policy["spec"]
    return not spec["podSelector"] and set(spec["policyTypes"]) == {"Ingress", "Egress"} and not spec.keys() & {"ingress", "egress"}


def no_secret_is_written_down(docs):
    names = re.compile(r"(?i)password|secret|token$|mongo_uri")
    wrong = [title(d) for d in of(docs, "Secret")]
    wrong += [k for d in of(docs, "ConfigMap") for k in d["data"] if names.search(k) and not k.endswith("_FILE")]
    for workload in of(docs, *WORKLOADS):
        for container in containers(workload):
            wrong += [v["name"] for v in container.get("env", []) if "value" in v and names.search(v["name"])]
    return wrong


def ingress_leads_to_a_service(docs):
    wrong = []
    for ingress in of(docs, "Ingress"):
        services = {s["metadata"]["name"]: {p["name"] for p in s["spec"]["ports"]} for s in of(docs, "Service")}
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                if backend["port"]["name"] not in services.get(backend["name"], set()):
                    wrong.append(f"{title(ingress)}: {backend}")
        tls = ingress["spec"].get("tls") or "HTTPS" in str(ingress["metadata"]["annotations"])
        wrong += [] if tls else [f"{title(ingress)}: no TLS"]
    return wrong


def scalers_own_the_number_of_workers(docs):
    wrong = []
    partitions = int(re.search(r"ensure gpu-metadata (\d+)", (K8S / "base/kafka/topics.sh").read_text())[1])
    for scaler in of(docs, "ScaledObject", "HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        target = spec["scaleTargetRef"]["name"]
        deployment = the(docs, "Deployment", target)
        if "replicas" in deployment["spec"]:
            wrong.append(f"{title(scaler)}: {target} has a number of its own")
        if spec.get("maxReplicaCount", spec.get("maxReplicas")) != partitions:
            wrong.append(f"{title(scaler)}: not as many as partitions ({partitions})")
        for trigger in spec.get("triggers", []):
            metadata = trigger["metadata"]
            # Of Kafka's trigger: consumer group and topic are the wire contract's.
            if (trigger["type"], metadata["consumerGroup"], metadata["topic"]) != ("kafka", "ca4-worker", "gpu-metadata"):
                wrong.append(f"{title(scaler)}: trigger")
            if not all(isinstance(v, str) for v in metadata.values()):
                wrong.append(f"{title(scaler)}: KEDA's metadata are strings")
            settings = the(docs, "ConfigMap", "ca4-settings")["data"]
            if metadata["bootstrapServers"] != settings["KAFKA_BOOTSTRAP"]:
                wrong.append(f"{title(scaler)}: asks another Kafka")
    return wrong


def worker(docs):
    return the(docs, "Deployment", "worker")


def change(kind, name, edit):
    def plant(docs):
        edit(the(docs, kind, name))

    return plant


def container(doc):
    return template(doc)["spec"]["containers"][0]


def drop(mapping, key):
    del mapping[key]


# rule: a mistake in the system k3s-ha that it must see
RULES = {
    every_image_is_pinned: change("Deployment", "worker", lambda d: container(d).update(image="ca4:latest")),
    every_selector_matches: change("PodDisruptionBudget", "worker", lambda d: d["spec"]["selector"]["matchLabels"].update(a="b")),
    every_service_has_pods_and_their_ports: change(
        "Service", "kafka-tunnel-2", lambda d: d["spec"]["selector"].update({"statefulset.kubernetes.io/pod-name": "kafka-3"})
    ),
    every_stateful_set_has_its_service: change("StatefulSet", "kafka", lambda d: d["spec"].update(serviceName="kafka-headless")),
    every_container_port_has_a_name: change("StatefulSet", "kafka", lambda d: drop(container(d)["ports"][0], "name")),
    every_probe_asks_at_a_port_that_is_there: change(
        "StatefulSet", "processor", lambda d: container(d)["livenessProbe"]["httpGet"].update(port="status")
    ),
    everything_referred_to_exists: change(
        "Deployment", "worker", lambda d: container(d)["env"][0]["valueFrom"]["secretKeyRef"].update(name="ca4-mongo")
    ),
    every_volume_mount_has_its_volume: change("StatefulSet", "kafka", lambda d: template(d)["spec"]["volumes"].pop()),
    pods_are_restricted: change("Deployment", "worker", lambda d: drop(container(d)["securityContext"], "capabilities")),
    every_container_has_requests_and_limits: change("Job", "kafka-topics", lambda d: drop(container(d)["resources"], "limits")),
    what_is_several_has_a_disruption_budget: lambda docs: docs.remove(the(docs, "PodDisruptionBudget", "processor")),
    what_is_not_ready_holds_no_drain_up: change(
        "PodDisruptionBudget", "worker", lambda d: drop(d["spec"], "unhealthyPodEvictionPolicy")
    ),
    pods_get_longer_to_end_than_they_need: change(
        "Deployment", "worker", lambda d: template(d)["spec"].update(terminationGracePeriodSeconds=10)
    ),
    every_object_is_in_a_namespace_that_exists: lambda docs: docs.remove(the(docs, "Namespace", "platform")),
    every_namespace_is_closed_and_restricted: change(
        "Namespace", "app", lambda d: d["metadata"]["labels"].update({"pod-security.kubernetes.io/enforce": "baseline"})
    ),
    no_secret_is_written_down: change("ConfigMap", "ca4-settings", lambda d: d["data"].update(MONGO_URI="mongodb://u:p@h")),
    ingress_leads_to_a_service: change("Ingress", "processor", lambda d: drop(d["spec"], "tls")),
    scalers_own_the_number_of_workers: change("Deployment", "worker", lambda d: d["spec"].update(replicas=2)),
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rule(systems, rule, system):
    assert rule(systems[system]) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rule_sees_a_mistake(systems, rule):
    docs = copy.deepcopy(systems["k3s-ha"])
    RULES[rule](docs)
    assert rule(docs)


def test_an_open_namespace_is_seen_also_where_each_pod_has_rules_of_its_own(systems):
    docs = [d for d in systems["k3s-ha"] if identity(d) != ("NetworkPolicy", "app", "default-deny")]
    assert every_namespace_is_closed_and_restricted(docs) == ["app is open"]


def test_what_is_made_at_deployment_is_made_by_the_script():
    script = (K8S / "apply.sh").read_text()
    for namespace, kind, name in MADE_AT_DEPLOYMENT:
        made = rf"secret {namespace} {name}\b|create (secret tls|configmap) {name} --namespace {namespace}\b"
        assert re.search(made, script), (kind, name)


def test_keys_of_secrets_are_the_scripts(systems):
    script = (K8S / "apply.sh").read_text()
    keys = {key for docs in systems.values() for _, kind, _, key in references(docs) if kind == "Secret" and key}
    assert keys == {"MONGO_URI", "username", "password"}
    assert all(f"{key}=" in script for key in keys)


def test_the_runbooks_commands_find_kafka(systems):
    kafka = the(systems["k3s"], "StatefulSet", "kafka")
    assert kafka["metadata"]["namespace"] == "platform"
    assert "kafka-0" in [p.name for p in pods(systems["k3s"])]


def test_three_brokers_are_three_with_three_doors(systems):
    docs = systems["k3s-ha"]
    kafka = the(docs, "StatefulSet", "kafka")
    environment = {v["name"]: v.get("value") for v in container(kafka)["env"]}
    assert kafka["spec"]["replicas"] == int(environment["KAFKA_BROKERS"]) == 3
    doors = {s["spec"]["ports"][0]["port"]: behind(docs, s) for s in of(docs, "Service") if "tunnel" in s["metadata"]["name"]}
    assert {port: [p.name for p in found] for port, found in doors.items()} == {
        9092: ["kafka-0"],
        9093: ["kafka-1"],
        9094: ["kafka-2"],
    }


def test_the_processors_probes_are_answered_by_the_program(systems, serve, tmp_path):
    server = serve("serve", tmp_path / "data")
    processor = the(systems["k3s-ha"], "StatefulSet", "processor")
    asked = {container(processor)[k]["httpGet"]["path"] for k in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert asked == {"/livez", "/readyz"}
    for path in asked:
        assert server.get(path).status_code == 200


def render(*args, **env):
    return subprocess.run(
        [K8S / "apply.sh", *args], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"} | env, timeout=60
    )


@pytest.fixture
def state(tmp_path):
    (tmp_path / "outputs.env").write_text("ca4_s3_bucket=an-archive\nca4_region=eu-central-1\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ("ca4:0.2.0", "ca4:0.2.0"),
        ("registry.example:5000/team/ca4:0.2.0", "registry.example:5000/team/ca4:0.2.0"),
        ("ca4@sha256:" + "a" * 64, "ca4@sha256:" + "a" * 64),
    ],
)
def test_image_and_account_go_into_the_manifests(state, image, shown):
    result = render("render", "edge", CA4_STATE_DIR=state, CA4_IMAGE=image)
    assert result.returncode == 0, result.stderr
    docs = list(yaml.safe_load_all(result.stdout))
    assert container(worker(docs))["image"] == shown
    assert the(docs, "ConfigMap", "ca4-settings")["data"]["CA4_ARCHIVE_S3_BUCKET"] == "an-archive"


@pytest.mark.parametrize(
    ("args", "env", "blamed"),
    [
        (["render", "edge"], {"CA4_IMAGE": "ca4"}, "give a tag or a digest"),
        (["render", "edge"], {"CA4_OVERLAY": "gke"}, "there is no deploy/k8s/overlays/gke/edge; overlays: dev"),
        (["render", "edge"], {"CA4_STATE_DIR": "/nowhere"}, "make ca4-apply"),
        (["platform"], {"KUBECONFIG": "/nowhere/kubeconfig.yaml"}, "make ca4-bootstrap-k3s"),
    ],
)
def test_what_is_missing_is_told(state, args, env, blamed):
    result = render(*args, **({"CA4_STATE_DIR": state} | env))
    assert result.returncode != 0
    assert blamed in result.stderr


# Who may reach what, in the cluster.

OTHERS = [
    Peer("tunnel-end", "10.42.1.10", "kube-system", {"svccontroller.k3s.cattle.io/svcname": "kafka-tunnel-0"}),
    Peer("other-balancer", "10.42.1.11", "kube-system", {"svccontroller.k3s.cattle.io/svcname": "traefik"}),
    Peer("ingress", "10.42.1.12", "kube-system", {"app.kubernetes.io/name": "traefik"}),
    Peer("names", "10.42.1.13", "kube-system", {"k8s-app": "kube-dns"}),
    Peer("exporter", "10.42.1.14", "monitoring", {"app.kubernetes.io/name": "kafka-exporter"}),
    Peer("prometheus", "10.42.1.15", "monitoring", {"app.kubernetes.io/name": "prometheus"}),
    Peer("keda", "10.42.1.16", "keda", {"app": "keda-operator"}),
    Peer("stranger-here", "10.42.1.17", "app", {"app.kubernetes.io/name": "stranger"}),
    Peer("stranger-there", "10.42.1.18", "platform", {"app.kubernetes.io/name": "stranger"}),
    Peer("stranger-elsewhere", "10.42.1.19", "default", {"app.kubernetes.io/name": "worker", "ca4/uses-kafka": "true"}),
    Peer("database", "10.40.64.10"),
    Peer("node", "10.40.32.10"),
    Peer("internet", "198.51.100.9"),
    Peer("credentials", "169.254.169.254"),
    # On EKS: the balancer in the public subnets, brokers in two zones' private subnets and in the third's, the agent of Pod Identity.
    Peer("balancer", "10.40.0.10"),
    Peer("broker", "10.40.48.10"),
    Peer("broker-third", "10.40.96.10"),
    Peer("agent", "169.254.170.23"),
    Peer("other-vpc", "10.41.0.10"),
]
PORTS = (22, 53, 80, 443, 3000, 6443, 8000, 9090, 9092, 9093, 9094, 9098, 9464, 27017)

ADMITTED = {
    "k3s": "worker>kafka:9092 kafka-topics>kafka:9092 exporter>kafka:9092 kafka>kafka:9092 kafka>kafka:9093 tunnel-end>kafka:9094"
    " prometheus>worker:9464",
    "dev": "worker>kafka:9092 kafka-topics>kafka:9092 exporter>kafka:9092 kafka>kafka:9092 kafka>kafka:9093 tunnel-end>kafka:9094"
    " worker>mongo:27017 prometheus>worker:9464",
    "k3s-ha": "worker>kafka:9092 kafka-topics>kafka:9092 exporter>kafka:9092 kafka>kafka:9092 kafka>kafka:9093 tunnel-end>kafka:9094"
    " keda>kafka:9092 processor>kafka:9092 ingress>processor:8000 producer>processor:8000"
    " prometheus>worker:9464 prometheus>processor:9464 prometheus>producer:9464",
    "eks-msk-atlas": "balancer>processor:8000 ingress>processor:8000 prometheus>worker:9464 prometheus>processor:9464",
}
OUTSIDE = "worker>{0}:27017 worker>{0}:443"
FAR = ("database", "node", "internet", "balancer", "broker", "broker-third", "other-vpc")
WORKER_OUT = " ".join(OUTSIDE.format(x) for x in FAR) + " worker>credentials:80"
# The nodes are in the brokers' subnets. STS, the database and the archive may be at any address that HTTPS leads to.
MSK_OUT = " ".join(
    f"{pod}>{peer}"
    for pod in ("worker", "processor")
    for peer in ["node:9098", "broker:9098", "broker-third:9098", "agent:80", "worker:443", "processor:443"]
    + [f"{p.name}:443" for p in OTHERS if not p.address.startswith("169.254.")]
)
LEAVE = {
    "k3s": f"worker>kafka:9092 kafka-topics>kafka:9092 kafka>kafka:9092 kafka>kafka:9093 {WORKER_OUT}",
    "dev": f"worker>kafka:9092 kafka-topics>kafka:9092 kafka>kafka:9092 kafka>kafka:9093 worker>mongo:27017 {WORKER_OUT}",
    "k3s-ha": f"worker>kafka:9092 kafka-topics>kafka:9092 kafka>kafka:9092 kafka>kafka:9093 processor>kafka:9092"
    f" producer>processor:8000 {WORKER_OUT}",
    "eks-msk-atlas": f"{MSK_OUT} {WORKER_OUT}",
}


def without_number(name):
    return re.sub(r"-\d+$", "", name)


def matrix(question, sources, targets, ports=PORTS):
    return {
        f"{without_number(s.name)}>{without_number(t.name)}:{port}"
        for s in sources
        for t in targets
        for port in ports
        if question(s, t, port)
    }


def policy_faults(docs, system):
    policies, own = Policies(docs), pods(docs)
    # Two of each, so that a pod's neighbour of the same kind is a case as well.
    twins = [Peer(p.name, p.address.replace("10.42.0.", "10.42.2."), p.namespace, p.labels, p.ports) for p in own]
    everyone = own + twins + OTHERS
    admitted = matrix(lambda s, t, port: s != t and policies.admitted(s, t, port), everyone, own)
    leaving = matrix(lambda s, t, port: s != t and policies.may_leave(s, t, port), own, everyone)
    names = {f"{without_number(p.name)}>names:53" for p in own}
    faults = sorted(f"admitted {x}" for x in admitted ^ set(ADMITTED[system].split()))
    return faults + sorted(f"leaves {x}" for x in leaving ^ (set(LEAVE[system].split()) | names))


@pytest.mark.parametrize("system", ADMITTED)
def test_only_who_may_reach_something_can(systems, system):
    assert policy_faults(systems[system], system) == []


EKS_MISTAKES = {
    "the processor open to every private address": ("BALANCER", "10.0.0.0/8"),
    "the processor open to the nodes and their pods": ("BALANCER", "10.40.0.0/16"),
    "the balancer kept out": ("BALANCER", "10.41.0.0/19"),
    "brokers anywhere": ("BROKERS", "10.0.0.0/8"),
    "the third zone's broker forgotten": ("BROKERS_THIRD", "10.40.112.0/20"),
}


@pytest.mark.parametrize("mistake", EKS_MISTAKES)
def test_a_wrong_network_is_seen_on_eks(tmp_path, mistake):
    """network.env is what decides: a change there is in the policies, and the matrix sees it."""
    name, value = EKS_MISTAKES[mistake]
    shutil.copytree(K8S, tmp_path / "k8s")
    network = tmp_path / "k8s/overlays/eks-msk-atlas/network.env"
    network.write_text(re.sub(rf"^{name}=.*$", f"{name}={value}", network.read_text(), flags=re.MULTILINE))
    assert policy_faults(build(network.parent), "eks-msk-atlas")


def test_the_folder_that_the_docs_put_on_top_of_the_eks_overlay_says_what_is_the_accounts(tmp_path):
    (block,) = re.findall(r"^   ```yaml\n(.*?)^   ```", (ROOT / "docs/scaling.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "deploy").mkdir()
    shutil.copytree(K8S, tmp_path / "deploy/k8s")
    (tmp_path / "my-eks").mkdir()
    (tmp_path / "my-eks/kustomization.yaml").write_text(textwrap.dedent(block))
    built = build(tmp_path / "my-eks")
    mine = yaml.safe_load(block)
    (settings,) = [d["data"] for d in of(built, "ConfigMap") if d["metadata"]["name"] == "ca4-settings"]
    assert not [value for value in settings.values() if "example" in value or "eu-central-1" in value], settings
    for patch in mine["patches"]:
        for operation in yaml.safe_load(patch["patch"]):
            assert operation["value"] in str(of(built, patch["target"]["kind"]))
    image = "{newName}:{newTag}".format(**mine["images"][0])
    assert {c["image"] for workload in of(built, *WORKLOADS) for c in containers(workload)} == {image}
    assert policy_faults(built, "eks-msk-atlas") == []


def rules(name, side="ingress"):
    """Edits the rules of a policy."""
    return lambda edit: change("NetworkPolicy", name, lambda d: edit(d["spec"][side]))


MISTAKES = {
    "Kafka open to its namespace": rules("kafka")(lambda r: r[0]["from"].append({"podSelector": {}})),
    "Kafka open to every pod": rules("kafka")(lambda r: r[0].pop("from")),
    "every port for workers": rules("kafka")(lambda r: r[0].pop("ports")),
    "the tunnel's listener for any balancer": rules("kafka-tunnel")(lambda r: r[0]["from"][0].pop("podSelector")),
    "the processor open to the node network": rules("processor")(
        lambda r: r[0]["from"].append({"ipBlock": {"cidr": "10.40.0.0/16"}})
    ),
    "monitoring may write to Kafka": rules("kafka")(lambda r: r[0]["from"][1].pop("podSelector")),
    "all of monitoring at the admin port": rules("admin-port")(lambda r: r[0]["from"][0].pop("podSelector")),
    "every port for Prometheus": rules("admin-port")(lambda r: r[0].pop("ports")),
    "workers may go anywhere": rules("uses-database", "egress")(lambda r: r.append({})),
    "processors reach the database": change(
        "NetworkPolicy", "uses-database", lambda d: d["spec"]["podSelector"].update(matchLabels={"ca4/uses-kafka": "true"})
    ),
    "platform is not closed": lambda docs: docs.remove(
        next(d for d in of(docs, "NetworkPolicy") if identity(d)[1:] == ("platform", "default-deny"))
    ),
    "nobody can ask for names": lambda docs: docs.remove(
        next(d for d in of(docs, "NetworkPolicy") if identity(d)[1:] == ("app", "dns"))
    ),
    "workers can't reach Kafka": lambda docs: docs.remove(the(docs, "NetworkPolicy", "uses-kafka")),
    "brokers can't reach each other": rules("kafka")(lambda r: r.pop()),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_policy_is_seen(systems, mistake):
    docs = copy.deepcopy(systems["k3s-ha"])
    MISTAKES[mistake](docs)
    assert policy_faults(docs, "k3s-ha")
