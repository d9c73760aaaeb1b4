"""Policy documents as text: YAML (so JSON too), several in one file, lists of them unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.model.lists import Item, items
from socketplane.model.policy import KINDS, Parsed, parse
from socketplane.model.yamltext import construct, located, read_nodes


def parse_documents(text: str | bytes, filename: str, *, network: str | None = None) -> list[Parsed]:
    """Read all documents of a file. Errors name the file, the document where there are several, line and field.

    Of items of lists that kubectl printed, what the server wrote is left out; `left_out` of each tells what.
    """
    nodes = read_nodes(text, filename)
    if not nodes:
        raise InvalidInput(f"{filename}: there is no document in it", remedy=f"write one of {', '.join(KINDS)}")
    parsed: list[Parsed] = []
    seen: dict[tuple[str, str], str] = {}
    for number, node in enumerate(nodes, start=1):
        where = f"{filename}, document {number}" if len(nodes) > 1 else filename
        for item in _items(node, where):
            try:
                found = replace(_parse(item, network), left_out=item.left_out)
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


def _parse(item: Item, network: str | None) -> Parsed:
    if not isinstance(item.document, Mapping):
        raise InvalidInput("a document has to be a mapping", remedy="start it with apiVersion and kind")
    return parse(item.document, network=network)


def _note(found: Parsed, seen: dict[tuple[str, str], str], where: str) -> None:
    """Refuse a policy that was there before."""
    key = (found.network, found.name)
    if key in seen:
        message = f"policy {found.title} is already in {seen[key]}"
        raise InvalidInput(message, field="metadata.name", remedy="give each its own name")
    seen[key] = where


def _inside(error: SocketPlaneError, path: str) -> SocketPlaneError:
    """Return an error in an item with the item's place in the list."""
    field: Any = ".".join(part for part in (path, error.field) if part) or None
    return type(error)(error.message, field=field, remedy=error.remedy)
