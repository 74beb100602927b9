"""NetworkPolicies, evaluated as Kubernetes defines them: who is let in, who may leave."""

import ipaddress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Peer:
    """A pod (namespace and labels), or with namespace '' something outside the cluster."""

    name: str
    address: str
    namespace: str = ""
    labels: dict = field(default_factory=dict, hash=False)
    ports: dict = field(default_factory=dict, hash=False)  # name -> number


def selected(selector, labels):
    if any(labels.get(k) != v for k, v in selector.get("matchLabels", {}).items()):
        return False
    for e in selector.get("matchExpressions", []):
        has, value = e["key"] in labels, labels.get(e["key"])
        holds = {
            "In": value in e.get("values", []),
            "NotIn": value not in e.get("values", []),
            "Exists": has,
            "DoesNotExist": not has,
        }[e["operator"]]
        if not holds:
            return False
    return True


class Policies:
    def __init__(self, docs):
        self.policies = [d for d in docs if d["kind"] == "NetworkPolicy"]

    def _applying(self, peer, direction):
        return [
            p
            for p in self.policies
            if p["metadata"]["namespace"] == peer.namespace
            and direction in p["spec"]["policyTypes"]
            and selected(p["spec"]["podSelector"], peer.labels)
        ]

    def admitted(self, source, target, port):
        """The target lets the source in at this port number."""
        applying = self._applying(target, "Ingress")
        rules = [r for p in applying for r in p["spec"].get("ingress", [])]
        return not applying or any(self._allows(r, "from", source, port, target, target.namespace) for r in rules)

    def may_leave(self, source, target, port):
        applying = self._applying(source, "Egress")
        rules = [r for p in applying for r in p["spec"].get("egress", [])]
        return not applying or any(self._allows(r, "to", target, port, target, source.namespace) for r in rules)

    def _allows(self, rule, side, other, port, target, own_namespace):
        ports = rule.get("ports")
        if ports and not any(target.ports.get(p["port"], p["port"]) == port for p in ports):
            return False
        peers = rule.get(side)
        return not peers or any(self._is(p, other, own_namespace) for p in peers)

    def _is(self, peer, other, own_namespace):
        if "ipBlock" in peer:
            address = ipaddress.ip_address(other.address)
            inside = address in ipaddress.ip_network(peer["ipBlock"]["cidr"])
            return inside and not any(address in ipaddress.ip_network(e) for e in peer["ipBlock"].get("except", []))
        if not other.namespace:
            return False
        if "namespaceSelector" in peer:
            # Kubernetes gives every namespace this label.
            if not selected(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace}):
                return False
        elif other.namespace != own_namespace:
            return False
        return selected(peer.get("podSelector", {}), other.labels)
