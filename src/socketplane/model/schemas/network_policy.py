"""Schema of a NetworkPolicy's spec."""

from __future__ import annotations

from socketplane.model.network_policy import PROTOCOLS, TYPES
from socketplane.model.rules import MAX_RULES
from socketplane.model.schemas.parts import Schema, absent, array, mapping, part, present


def spec() -> Schema:
    """Return the schema of what is under `spec`."""
    return mapping(
        {
            "podSelector": part("selector", description="Containers of the network that it is about; absent or {}: all."),
            "policyTypes": array(
                {"enum": list(TYPES)},
                null=True,
                description="Directions in which what no rule allows is denied. "
                "Absent: Ingress, and Egress where there is an egress rule.",
            ),
            "ingress": _rules("from", "Who may come in. [] allows nobody, [{}] everybody."),
            "egress": _rules("to", "Where they may go. [] allows nothing, [{}] everything."),
        }
    )


def _rules(peers: str, text: str) -> Schema:
    anyone = "Any of these; absent or []: anyone, from other networks too."
    rule = mapping(
        {
            peers: array(peer(), null=True, description=anyone),
            "ports": array(port(), null=True, description="Any of these; absent or []: anything, ping included."),
        }
    )
    return array(rule, high=MAX_RULES, null=True, description=text)


def peer() -> Schema:
    """Return the schema of one end of a rule."""
    block = mapping(
        {
            "cidr": part("cidr"),
            "except": array(part("cidr"), null=True, description="Parts of the block that are not meant."),
        },
        ["cidr"],
        null=True,
        description="Addresses outside of the cluster's pool.",
    )
    selected = [present("podSelector"), present("namespaceSelector")]
    return mapping(
        {
            "podSelector": part("selector", description="Containers: of the policy's own network, or of those selected."),
            "namespaceSelector": part("selector", description="Networks, by their labels; {} selects all networks."),
            "ipBlock": block,
        },
        oneOf=[
            {"allOf": [absent("ipBlock"), {"anyOf": selected}]},
            {"allOf": [present("ipBlock"), absent("podSelector", "namespaceSelector")]},
        ],
    )


def port() -> Schema:
    """Return the schema of what a rule says of ports."""
    number = {"anyOf": [part("port"), {"type": "null"}]}
    return mapping(
        {
            "protocol": {"enum": [*PROTOCOLS, None], "description": "Absent: TCP."},
            "port": number | {"description": "A number; absent: all ports of the protocol."},
            "endPort": number | {"description": "Last port of a range that begins with port."},
        },
        anyOf=[absent("endPort"), present("port")],
    )
