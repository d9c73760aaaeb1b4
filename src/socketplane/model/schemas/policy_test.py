"""Schema of the files of `socketplane policy test`."""

from __future__ import annotations

from socketplane.model.assertions.document import FIELD, MAX_ASSERTIONS
from socketplane.model.assertions.statement import EXPECTED, MAX_LENGTH, PROTOCOLS
from socketplane.model.schemas.parts import Schema, array, mapping

_SHORT = rf"^\s*\S+?\s*(->|→)\s*\S+\s+({'|'.join(EXPECTED)})\s*$"


def schema() -> Schema:
    """Return the schema of a file."""
    short = {
        "type": "string",
        "pattern": _SHORT,
        "maxLength": 3 * MAX_LENGTH,
        "description": "FROM -> TO[:PORT[/PROTOCOL]] allow|deny. Without a port it is about everything.",
        "examples": ["web -> db:5432 deny", "web -> dns:53/udp allow", "web -> db:icmp deny", "web -> db deny"],
    }
    text = "What has to hold. It is an error where an end means nobody."
    items = array({"oneOf": [short, _long()]}, 1, MAX_ASSERTIONS, description=text)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Assertions of socketplane policy test"}
    return head | mapping({FIELD: items}, [FIELD])


def _long() -> Schema:
    whom = "a container's name, a Compose service or labels (app=web,tier=front), maybe with NETWORK/ before; or an address"
    end = {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "pattern": r"^\S+$", "description": f"Whom: {whom}."}
    number = {"type": "integer", "minimum": 1, "maximum": 65535}
    text = {"type": "string", "pattern": "^0*[1-9][0-9]{0,4}$"}
    properties = {
        "name": {"type": ["string", "null"], "description": "What reports call it."},
        "from": end,
        "to": end,
        "port": {"anyOf": [number, text, {"type": "null"}], "description": "Without one: all ports."},
        "protocol": {
            "anyOf": [{"type": "string", "pattern": _any_case(PROTOCOLS)}, {"type": "null"}],
            "description": "With a port tcp is meant where it is absent, without one everything, ping included.",
        },
        "expect": {"enum": list(EXPECTED)},
    }
    return mapping(properties, ["from", "to", "expect"])


def _any_case(names: tuple[str, ...]) -> str:
    return f"^({'|'.join(''.join(f'[{char.upper()}{char}]' for char in name) for name in names)})$"
