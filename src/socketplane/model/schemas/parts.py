"""What the schemas of several kinds share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from socketplane.model.network_policy import AUDIT, ENFORCE, MODE
from socketplane.model.parts import MAX_PORT
from socketplane.model.policy import NAME, NETWORK, OUR_PREFIX
from socketplane.model.spec import Operator

Schema = dict[str, Any]

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_CIDR4 = rf"{_OCTET}(\.{_OCTET}){{3}}/(3[0-2]|[12]?[0-9])"
_CIDR6 = r"[0-9a-fA-F.]*:[0-9a-fA-F:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])"


def mapping(properties: Schema, required: Iterable[str] = (), *, null: bool = False, **more: Any) -> Schema:
    """Return the schema of a mapping with these fields and no others; with `null`, of one that may be empty too."""
    needed = {"required": found} if (found := list(required)) else {}
    return {"type": ["object", "null"] if null else "object", "properties": properties, "additionalProperties": False} | (
        needed | more
    )


def array(items: Schema, low: int = 0, high: int | None = None, *, null: bool = False, **more: Any) -> Schema:
    """Return the schema of a list."""
    bounds = ({"minItems": low} if low else {}) | ({} if high is None else {"maxItems": high})
    return {"type": ["array", "null"] if null else "array", "items": items} | bounds | more


def part(name: str, **more: Any) -> Schema:
    """Return a reference to a part that is defined once."""
    return {"$ref": f"#/$defs/{name}", **more}


def present(name: str) -> Schema:
    """Return what holds where a field is there and not null."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def absent(*names: str) -> Schema:
    """Return what holds where fields are absent or null."""
    return {"properties": {name: {"type": "null"} for name in names}}


def one_of(*names: str) -> list[Schema]:
    """Return the cases of which one holds where exactly one of these fields is there."""
    return [{"allOf": [present(name), absent(*(other for other in names if other != name))]} for name in names]


def envelope(kind: str, api_version: str, namespaced: bool, spec: Schema) -> Schema:
    """Return what all kinds have around their spec."""
    namespace: Schema = {"type": "null", "description": f"A {kind} belongs to no network."}
    if namespaced:
        text = "Name of the network that it is for; where it is absent, `--network` has to say it."
        namespace = {"type": ["string", "null"], "pattern": f"^{NETWORK.pattern}$", "description": text}
    metadata = mapping(
        {
            "name": {"type": "string", "pattern": f"^{NAME.pattern}$", "description": "Unique in its network."},
            "namespace": namespace,
            "labels": part("texts"),
            "annotations": part("annotations") if namespaced else part("notes"),
        },
        ["name"],
    )
    fields = {"apiVersion": {"const": api_version}, "kind": {"const": kind}, "metadata": metadata, "spec": spec}
    return mapping(fields, fields)


_FOREIGN: Schema = {"not": {"pattern": f"^{OUR_PREFIX.replace('.', '[.]')}"}}
_TEXTS: Schema = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
_REQUIREMENT: Schema = mapping(
    {
        "key": {"type": "string", "minLength": 1, "description": "Name of the label."},
        "operator": {
            "enum": [str(operator) for operator in Operator],
            "description": "A label that is absent satisfies NotIn and DoesNotExist.",
        },
        "values": array({"type": "string"}, null=True, description="For In and NotIn, at least one; else none."),
    },
    ["key", "operator"],
) | {
    "if": {"properties": {"operator": {"enum": [str(Operator.IN), str(Operator.NOT_IN)]}}, "required": ["operator"]},
    "then": {"required": ["values"], "properties": {"values": {"type": "array", "minItems": 1}}},
    "else": {"properties": {"values": {"maxItems": 0}}},
}

DEFINITIONS: Schema = {
    "texts": _TEXTS,
    "notes": _TEXTS | {"propertyNames": _FOREIGN},
    "annotations": _TEXTS
    | {
        "properties": {MODE: {"enum": [ENFORCE, AUDIT], "description": "audit: cut nothing, record what would be denied."}},
        "propertyNames": {"anyOf": [_FOREIGN, {"enum": [MODE]}]},
    },
    "selector": mapping(
        {
            "matchLabels": _TEXTS | {"propertyNames": {"minLength": 1}, "description": "Labels that all have to be there."},
            "matchExpressions": array(_REQUIREMENT, null=True, description="Requirements that all have to hold."),
        },
        null=True,
        description="What has all of these labels and satisfies all expressions; {} selects all.",
    ),
    "cidr": {
        "type": "string",
        "anyOf": [{"pattern": f"^{_CIDR4}$"}, {"pattern": f"^{_CIDR6}$"}],
        "description": "Addresses in CIDR form, such as 192.0.2.0/24; bits behind the prefix are zero.",
    },
    "port": {"type": "integer", "minimum": 1, "maximum": MAX_PORT},
}
