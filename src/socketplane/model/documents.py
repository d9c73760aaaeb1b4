"""Documents as text: YAML (so JSON too), several in one file, lists of them unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import yaml

from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.model.lists import Item, items
from socketplane.model.policy import KINDS, SERVICE_KINDS, Parsed, ParsedService, parse, parse_service
from socketplane.model.yamltext import construct, located, read_nodes

P = TypeVar("P", Parsed, ParsedService)


def parse_documents(text: str | bytes, filename: str, *, network: str | None = None) -> list[Parsed]:
    """Read all policies of a file. Errors name the file, the document where there are several, line and field.

    Of items of lists that kubectl printed, what the server wrote is left out; `left_out` of each tells what.
    """
    return _parse_all(text, filename, lambda document: parse(document, network=network), KINDS)


def parse_services(text: str | bytes, filename: str, *, network: str | None = None) -> list[ParsedService]:
    """Read all services of a file, likewise."""
    return _parse_all(text, filename, lambda document: parse_service(document, network=network), SERVICE_KINDS)


def _parse_all(
    text: str | bytes, filename: str, reader: Callable[[Mapping[str, Any]], P], kinds: Mapping[str, object]
) -> list[P]:
    nodes = read_nodes(text, filename)
    if not nodes:
        raise InvalidInput(f"{filename}: there is no document in it", remedy=f"write one of {', '.join(kinds)}")
    parsed: list[P] = []
    seen: dict[tuple[str, str], str] = {}
    for number, node in enumerate(nodes, start=1):
        where = f"{filename}, document {number}" if len(nodes) > 1 else filename
        for item in _items(node, where):
            try:
                found: P = replace(_parse(item, reader), left_out=item.left_out)
                _note(found, seen, f"{where}, {item.path}" if item.path else where)
            except SocketPlaneError as error:
                raise located(_inside(error, item.path), where, node) from None
            parsed.append(found)
    if not parsed:
        raise InvalidInput(f"{filename}: the list has no items", remedy="there is nothing to do for it")
    return parsed


def _items(node: yaml.Node, where: str) -> Iterator[Item]:
    """Yield what a document holds: itself, or a list's items."""
    try:
        value = construct(node)
        if not isinstance(value, Mapping):
            raise InvalidInput("a document has to be a mapping", remedy="start it with apiVersion and kind")
        found = items(value)
    except SocketPlaneError as error:
        raise located(error, where, node) from None
    yield from found if found is not None else [Item(value, "")]


def _parse(item: Item, reader: Callable[[Mapping[str, Any]], P]) -> P:
    if not isinstance(item.document, Mapping):
        raise InvalidInput("a document has to be a mapping", remedy="start it with apiVersion and kind")
    return reader(item.document)


def _note(found: Parsed | ParsedService, seen: dict[tuple[str, str], str], where: str) -> None:
    """Refuse a document whose name was there before."""
    key = (found.network, found.name)
    if key in seen:
        what = "service" if isinstance(found, ParsedService) else "policy"
        message = f"{what} {found.title} is already in {seen[key]}"
        raise InvalidInput(message, field="metadata.name", remedy="give each its own name")
    seen[key] = where


def _inside(error: SocketPlaneError, path: str) -> SocketPlaneError:
    """Return an error in an item with the item's place in the list."""
    field: Any = ".".join(part for part in (path, error.field) if part) or None
    return type(error)(error.message, field=field, remedy=error.remedy)
