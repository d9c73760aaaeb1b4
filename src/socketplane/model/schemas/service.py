"""Schema of a Service's spec."""

from __future__ import annotations

from socketplane.model.schemas.parts import Schema, array, mapping, part
from socketplane.model.services.document import AFFINITY, MAX_AFFINITY, MAX_PORTS, MAX_SECONDS


def spec() -> Schema:
    """Return the schema of what is under `spec`."""
    return mapping(
        {
            "selector": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "minProperties": 1,
                "propertyNames": {"minLength": 1},
                "description": "Labels that all have to be there.",
            },
            "ports": array(_port(), 0, MAX_PORTS, null=True, description="At least one, unless it is headless."),
            "clusterIP": {
                "type": ["string", "null"],
                "description": "An address of the range for services; None: headless; absent: a free one.",
            },
            "type": {"enum": ["ClusterIP", None]},
            "internalTrafficPolicy": {"enum": ["Cluster", None]},
            "sessionAffinity": {"enum": ["ClientIP", "None", None], "description": "ClientIP: a client stays."},
            "sessionAffinityConfig": mapping({"clientIP": mapping({"timeoutSeconds": _affinity()}, null=True)}, null=True),
            "readinessProbe": _probe(),
        },
        ["selector"],
    )


def _affinity() -> Schema:
    text = f"Without effect: a client stays while the backends stay the same. Absent: {AFFINITY}."
    return {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_AFFINITY, "description": text}


def _port() -> Schema:
    return mapping(
        {
            "port": part("port", description="What clients connect to."),
            "targetPort": {
                "anyOf": [part("port"), {"type": "null"}],
                "description": "Of the containers; absent: the same.",
            },
            "protocol": {"enum": ["TCP", "UDP", "SCTP", None]},
            "name": {
                "type": ["string", "null"],
                "pattern": "^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$",
                "description": "Of several ports each needs one.",
            },
        },
        ["port"],
    )


def _probe() -> Schema:
    header = mapping({"name": {"type": "string"}, "value": {"type": "string"}}, ["name", "value"])
    http = mapping(
        {
            "port": part("port"),
            "path": {"type": ["string", "null"], "pattern": "^/"},
            "scheme": {"enum": ["HTTP", None]},
            "httpHeaders": array(header, null=True),
        },
        ["port"],
        null=True,
        description="Good is a status from 200 to 399.",
    )
    numbers = {
        "initialDelaySeconds": (0, MAX_SECONDS),
        "periodSeconds": (1, MAX_SECONDS),
        "timeoutSeconds": (1, 60),
        "successThreshold": (1, 100),
        "failureThreshold": (1, 100),
    }
    bounds: Schema = {
        name: {"type": ["integer", "null"], "minimum": low, "maximum": high} for name, (low, high) in numbers.items()
    }
    tcp = mapping({"port": part("port")}, ["port"], null=True, description="Good is a connection.")
    given = [{"required": [name], "properties": {name: {"type": "object"}}} for name in ("httpGet", "tcpSocket")]
    return mapping({"httpGet": http, "tcpSocket": tcp, **bounds}, null=True) | {
        "if": {"type": "object"},
        "then": {"oneOf": given},
        "description": "What has to be so before a container is a backend, asked by its host; one of httpGet, tcpSocket.",
    }
