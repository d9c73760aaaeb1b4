"""Files of assertions: YAML with a list `assertions`, of texts and mappings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.model.assertions.statement import (
    ANYTHING,
    MAX_LENGTH,
    Assertion,
    check,
    parse_expected,
    parse_port,
    parse_protocol,
    parse_statement,
)
from socketplane.model.fields import Fields, kind_of, text
from socketplane.model.spec import Protocol
from socketplane.model.yamltext import construct, find, line_of, located, read_nodes

FIELD = "assertions"
MAX_ASSERTIONS = 10_000
_START = "start it with assertions: and a list"


def parse_assertions(content: str | bytes, filename: str) -> list[Assertion]:
    """Read a file. Errors name file, line and field."""
    nodes = read_nodes(content, filename)
    if len(nodes) != 1:
        raise InvalidInput(f"{filename}: has to be one document, not {len(nodes)}", remedy=_START)
    try:
        found = _assertions(construct(nodes[0]))
    except SocketPlaneError as error:
        raise located(error, filename, nodes[0]) from None
    lines = (line_of(find(nodes[0], f"{FIELD}[{number}]")) for number in range(len(found)))
    return [replace(assertion, filename=filename, line=line) for assertion, line in zip(found, lines, strict=True)]


def _assertions(value: object) -> list[Assertion]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"a test file has to be a mapping, not {kind_of(value)}", remedy=_START)
    fields = Fields(value, "")
    items = list(fields.items(FIELD) or ())
    fields.finish()
    if not items:
        raise InvalidInput("there are none", field=FIELD, remedy="write what has to hold, such as: - web -> db:5432 deny")
    if len(items) > MAX_ASSERTIONS:
        raise InvalidInput(f"there are more than {MAX_ASSERTIONS}", field=FIELD, remedy="split the file")
    return [parse_statement(item, path) if isinstance(item, str) else _mapping(item, path) for item, path in items]


def _mapping(value: object, path: str) -> Assertion:
    fields = Fields(value, path)
    source, target = _end(fields, "from"), _end(fields, "to")
    port, protocol, expect = (fields.take(name) for name in ("port", "protocol", "expect"))
    name = fields.take("name")
    fields.finish()
    if expect is None:
        raise InvalidInput("is missing", field=fields.at("expect"), remedy="write allow or deny")
    number = None if port is None else parse_port(port, fields.at("port"))
    kind = ANYTHING if number is None else str(Protocol.TCP)
    if protocol is not None:
        kind = parse_protocol(text(protocol, fields.at("protocol")), fields.at("protocol"))
    check(number, kind, fields.at("port"))
    allow = parse_expected(text(expect, fields.at("expect")), fields.at("expect"))
    title = "" if name is None else text(name, fields.at("name"))
    return Assertion(source, target, number, kind, allow, title[:MAX_LENGTH])


def _end(fields: Fields, name: str) -> str:
    value, path = fields.take(name), fields.at(name)
    if value is None:
        raise InvalidInput("is missing", field=path, remedy="name a container, a service, labels or an address")
    found = text(value, path)
    if not found or found.split() != [found] or len(found) > MAX_LENGTH:
        raise InvalidInput(f"{found[:80]!r} names nobody", field=path, remedy="write it without blanks")
    return found
