"""Schema of a ClusterNetworkPolicy's spec."""

from __future__ import annotations

from typing import Any

from socketplane.model import cluster_policy as parser
from socketplane.model.schemas.parts import Schema, array, mapping, one_of, part
from socketplane.model.spec import Protocol

_NETWORKS = part("selector", description="Networks, by their labels; {} selects all networks.")


def _one(properties: Schema, **more: Any) -> Schema:
    return mapping(properties, oneOf=one_of(*properties), **more)


def _pods() -> Schema:
    endpoints = part("selector", type="object", description="Containers of these networks; {} selects all of them.")
    properties = {"namespaceSelector": _NETWORKS, "podSelector": endpoints}
    return mapping(properties, ["podSelector"], null=True)


def _ports() -> Schema:
    bounds = mapping({"start": part("port"), "end": part("port")}, ["start", "end"], null=True)
    number = {"anyOf": [part("port"), {"type": "null"}]}
    return mapping({"destinationPort": _one({"number": number, "range": bounds})}, ["destinationPort"], null=True)


DEFINITIONS: Schema = {
    "pods": _pods(),
    "ports": _ports(),
    "protocol": _one({str(protocol): part("ports") for protocol in Protocol}),
}


def spec() -> Schema:
    """Return the schema of what is under `spec`."""
    return mapping(
        {
            "tier": {
                "enum": list(parser.TIERS),
                "description": "Admin is asked before all NetworkPolicies, Baseline where none selects the container.",
            },
            "priority": {
                "type": "integer",
                "minimum": 0,
                "maximum": parser.MAX_PRIORITY,
                "description": "Among the policies of its tier; lower is asked first.",
            },
            "subject": _one({"namespaces": _NETWORKS, "pods": part("pods")}, description="Containers that it is about."),
            "ingress": _rules("from", ("namespaces", "pods")),
            "egress": _rules("to", ("namespaces", "pods", "networks", "nodes")),
        },
        ["tier", "priority", "subject"],
    )


def _rules(peers: str, forms: tuple[str, ...]) -> Schema:
    blocks = array(part("cidr"), 1, parser.MAX_CIDRS, null=True, description="Addresses; the cluster's own are meant too.")
    hosts = part("selector", description="Hosts, by their labels; kubernetes.io/hostname is a host's name.")
    known = {"namespaces": _NETWORKS, "pods": part("pods"), "networks": blocks, "nodes": hosts}
    rule = mapping(
        {
            "name": {"type": ["string", "null"], "maxLength": parser.MAX_RULE_NAME, "description": "For people."},
            "action": {
                "enum": list(parser.ACTIONS),
                "description": "What happens to what the rule matches; Pass goes on to the next tier.",
            },
            peers: array(_one({form: known[form] for form in forms}), 1, parser.MAX_PEERS, description="Any of these."),
            "protocols": array(
                part("protocol"),
                1,
                parser.MAX_PROTOCOLS,
                null=True,
                description="Any of these; absent: anything, ping included.",
            ),
        },
        ["action", peers],
    )
    text = "Asked in their order; the first that matches decides."
    return array(rule, high=parser.MAX_RULES, null=True, description=text)
