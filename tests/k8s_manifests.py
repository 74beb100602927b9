"""Manifests as kustomize builds them, and the pods that come of them."""

import subprocess

import yaml
from k8s_policy import Peer
from support import ROOT

K8S = ROOT / "deploy/k8s"
KUSTOMIZE = ROOT / ".deps/kustomize/kustomize"
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


def build(folder):
    result = subprocess.run([KUSTOMIZE, "build", folder], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return list(yaml.safe_load_all(result.stdout))


def merged(*folders):
    """Several builds as one cluster would hold them: the same object only once."""
    objects = {identity(d): d for folder in folders for d in build(folder)}
    return list(objects.values())


def identity(doc):
    return (doc["kind"], doc["metadata"].get("namespace", ""), doc["metadata"]["name"])


def title(doc):
    return f"{doc['kind']} {doc['metadata']['name']}"


def of(docs, *kinds):
    return [d for d in docs if d["kind"] in kinds]


def template(workload):
    return workload["spec"]["template"]


def containers(workload):
    spec = template(workload)["spec"]
    return spec.get("initContainers", []) + spec["containers"]


def pods(docs):
    """The pods of every workload, with addresses in K3s' pod network and the labels that controllers add."""
    made = []
    for workload in of(docs, *WORKLOADS):
        name = workload["metadata"]["name"]
        ports = {p["name"]: p["containerPort"] for c in containers(workload) for p in c.get("ports", []) if "name" in p}
        stateful = workload["kind"] == "StatefulSet"
        for number in range(workload["spec"].get("replicas", 1) if stateful else 1):
            pod = f"{name}-{number}" if stateful else name
            labels = dict(template(workload)["metadata"]["labels"])
            if stateful:
                labels["statefulset.kubernetes.io/pod-name"] = pod
            address = f"10.42.0.{len(made) + 10}"
            made.append(Peer(pod, address, workload["metadata"]["namespace"], labels, ports))
    return made
