"""Schema of a TrafficPolicy's spec."""

from __future__ import annotations

from socketplane.model.schemas.network_policy import peer, port
from socketplane.model.schemas.parts import Schema, array, mapping, part, present
from socketplane.model.traffic_policy import MAX_MARKS
from socketplane.model.units import DSCP, MAX_DSCP, RATE, SIZE


def spec() -> Schema:
    """Return the schema of what is under `spec`."""
    return mapping(
        {
            "podSelector": part("selector", description="Containers of the network that it is about; absent or {}: all."),
            "egress": _limit("What each of them may send."),
            "ingress": _limit("What each of them may get."),
            "mark": array(_mark(), high=MAX_MARKS, null=True, description="The first that matches a packet counts."),
        },
        anyOf=[
            present("egress"),
            present("ingress"),
            {"required": ["mark"], "properties": {"mark": {"type": "array", "minItems": 1}}},
        ],
    )


def _limit(text: str) -> Schema:
    return mapping(
        {
            "rate": {
                "type": "string",
                "pattern": f"^ *{RATE} *$",
                "description": "Bits a second: 8kbit to 34Gbit; k, M and G are powers of 1,000.",
            },
            "burst": {
                "type": ["string", "null"],
                "pattern": f"^ *{SIZE} *$",
                "description": "Bytes that may pass above the rate after a pause; absent: what holds the rate best.",
            },
        },
        ["rate"],
        null=True,
        description=text,
    )


def _mark() -> Schema:
    names = "|".join(_caseless(name) for name in DSCP)
    return mapping(
        {
            "dscp": {
                "anyOf": [
                    {"type": "integer", "minimum": 0, "maximum": MAX_DSCP},
                    {"type": "string", "pattern": f"^({names})$"},
                ],
                "description": "The six bits, as a number or by name: EF, AF41, CS1.",
            },
            "to": array(peer(), null=True, description="Any of these; absent or []: anyone."),
            "ports": array(port(), null=True, description="Any of these; absent or []: anything."),
        },
        ["dscp"],
    )


def _caseless(name: str) -> str:
    return "".join(f"[{letter}{letter.lower()}]" if letter.isalpha() else letter for letter in name)
