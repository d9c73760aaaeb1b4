"""The benchmark's policies as documents, as users would send them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from socketplane.model.policy import KINDS
from socketplane.model.spec import Block, ClusterRule, ClusterSpec, Direction, Members, Policy, Port, Rule, Selector

Document = dict[str, Any]
_END = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def document(policy: Policy) -> Document:
    """Return a policy's document."""
    spec = policy.spec
    if isinstance(spec, ClusterSpec):
        body: Document = {"tier": str(spec.tier), "priority": spec.priority, "subject": _pods(spec.subject)}
        body["ingress"] = [_cluster_rule(Direction.INGRESS, rule) for rule in spec.ingress]
        body["egress"] = [_cluster_rule(Direction.EGRESS, rule) for rule in spec.egress]
        kind, metadata = "ClusterNetworkPolicy", {"name": policy.name}
    else:
        body = {"podSelector": _selector(spec.subject), "policyTypes": []}
        for direction, rules in ((Direction.INGRESS, spec.ingress), (Direction.EGRESS, spec.egress)):
            if rules is not None:
                body["policyTypes"].append(direction.value.capitalize())
                body[direction.value] = [_rule(direction, rule) for rule in rules]
        kind, metadata = "NetworkPolicy", {"name": policy.name, "namespace": policy.network}
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata, "spec": body}


def _rule(direction: Direction, rule: Rule) -> Document:
    found: Document = {}
    if rule.peers is not None:
        found[_END[direction]] = [
            {"ipBlock": {"cidr": str(peer.cidr), "except": [str(cidr) for cidr in peer.excepts]}}
            if isinstance(peer, Block)
            else _members(peer)
            for peer in rule.peers
        ]
    if rule.ports is not None:
        found["ports"] = [_port(port) for port in rule.ports]
    return found


def _members(members: Members) -> Document:
    found = {"podSelector": _selector(members.endpoints)}
    if members.networks is not None:
        found["namespaceSelector"] = _selector(members.networks)
    return found


def _port(port: Port) -> Document:
    found: Document = {"protocol": port.protocol.upper()}
    if port.port is not None:
        found["port"] = port.port
    return found | ({"endPort": port.end} if port.end else {})


def _cluster_rule(direction: Direction, rule: ClusterRule) -> Document:
    blocks = [str(peer.cidr) for peer in rule.peers if isinstance(peer, Block)]
    ends: list[Document] = [_pods(peer) for peer in rule.peers if isinstance(peer, Members)]
    found: Document = {"action": str(rule.action), _END[direction]: ends + ([{"networks": blocks}] if blocks else [])}
    return found if rule.ports is None else {**found, "protocols": _protocols(rule.ports)}


def _protocols(ports: Sequence[Port]) -> list[Document]:
    return [{port.protocol.value: {"destinationPort": {"number": port.port}}} for port in ports]


def _pods(members: Members) -> Document:
    return {
        "pods": {
            "podSelector": _selector(members.endpoints),
            "namespaceSelector": _selector(members.networks or Selector()),
        }
    }


def _selector(selector: Selector) -> Document:
    found: Document = {"matchLabels": dict(selector.match_labels)} if selector.match_labels else {}
    if selector.expressions:
        found["matchExpressions"] = [
            {"key": want.key, "operator": str(want.operator), "values": list(want.values)} for want in selector.expressions
        ]
    return found
