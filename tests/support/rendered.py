"""Policies as the documents that say the same: what a user would have written."""

from __future__ import annotations

from typing import Any

from socketplane.model.spec import (
    Block,
    ClusterRule,
    ClusterSpec,
    Hosts,
    Members,
    Peer,
    Policy,
    PolicySpec,
    Port,
    Rule,
    Selector,
)

Document = dict[str, Any]


def document_of(policy: Policy) -> Document:
    """Return a policy's document. A NetworkPolicy has to be about a direction: a document can't say that it is not."""
    spec = policy.spec
    metadata: Document = {"name": policy.name}
    if isinstance(spec, ClusterSpec):
        found = {
            "tier": spec.tier.value,
            "priority": spec.priority,
            "subject": _pods(spec.subject),
            "ingress": [_cluster_rule(rule, "from") for rule in spec.ingress],
            "egress": [_cluster_rule(rule, "to") for rule in spec.egress],
        }
        version, kind = "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"
    else:
        found = _spec(spec)
        version, kind = "networking.k8s.io/v1", "NetworkPolicy"
        metadata["namespace"] = policy.network
        if spec.audit:
            metadata["annotations"] = {"socketplane.io/mode": "audit"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": found}


def _spec(spec: PolicySpec) -> Document:
    ways = {"Ingress": ("from", spec.ingress), "Egress": ("to", spec.egress)}
    assert spec.ingress is not None or spec.egress is not None
    return {
        "podSelector": _selector(spec.subject),
        "policyTypes": [way for way, (_, rules) in ways.items() if rules is not None],
        **{
            way.lower(): [_rule(rule, peers) for rule in rules] for way, (peers, rules) in ways.items() if rules is not None
        },
    }


def _rule(rule: Rule, peers: str) -> Document:
    found: Document = {}
    if rule.peers is not None:
        found[peers] = [_peer(peer) for peer in rule.peers]
    if rule.ports is not None:
        found["ports"] = [_port(port) for port in rule.ports]
    return found


def _peer(peer: Peer) -> Document:
    if isinstance(peer, Block):
        return {"ipBlock": {"cidr": str(peer.cidr), **({"except": list(map(str, peer.excepts))} if peer.excepts else {})}}
    assert isinstance(peer, Members), "a NetworkPolicy has no peers that are hosts"
    networks = {} if peer.networks is None else {"namespaceSelector": _selector(peer.networks)}
    return {**networks, "podSelector": _selector(peer.endpoints)}


def _port(port: Port) -> Document:
    numbers = {"port": port.port, "endPort": port.end}
    return {"protocol": port.protocol.value.upper(), **{key: value for key, value in numbers.items() if value is not None}}


def _cluster_rule(rule: ClusterRule, peers: str) -> Document:
    found: Document = {"action": rule.action.value, peers: [_cluster_peer(peer) for peer in rule.peers]}
    if rule.ports is not None:
        found["protocols"] = [_protocol(port) for port in rule.ports]
    return found


def _cluster_peer(peer: Peer) -> Document:
    if isinstance(peer, Hosts):
        return {"nodes": _selector(peer.selector)}
    return {"networks": [str(peer.cidr)]} if isinstance(peer, Block) else _pods(peer)


def _pods(members: Members) -> Document:
    assert members.networks is not None
    return {"pods": {"namespaceSelector": _selector(members.networks), "podSelector": _selector(members.endpoints)}}


def _protocol(port: Port) -> Document:
    first, last = (1, 65535) if port.port is None else (port.port, port.end)
    where: Document = {"range": {"start": first, "end": last}} if last else {"number": first}
    return {port.protocol.value: {"destinationPort": where}}


def _selector(selector: Selector) -> Document:
    labels: dict[str, str] = {}
    expressions: list[Document] = []
    for key, value in selector.match_labels:
        if labels.setdefault(key, value) != value:  # two values for one key: nobody has both, which can be said as well
            expressions.append({"key": key, "operator": "In", "values": [value]})
    for each in selector.expressions:
        values = {"values": list(each.values)} if each.values else {}
        expressions.append({"key": each.key, "operator": each.operator.value, **values})
    found: Document = {"matchLabels": labels} if labels else {}
    return {**found, **({"matchExpressions": expressions} if expressions else {})}
