"""Policy documents as text: YAML (so JSON too), several in one file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.model.policy import ParsedPolicy, parse
from socketplane.model.yamltext import construct, located, read_nodes


def parse_documents(text: str | bytes, filename: str, *, network: str | None = None) -> list[ParsedPolicy]:
    """Read all documents of a file. Errors name the file, the document where there are several, line and field."""
    nodes = read_nodes(text, filename)
    if not nodes:
        raise InvalidInput(f"{filename}: there is no document in it", remedy="write a NetworkPolicy (networking.k8s.io/v1)")
    policies = []
    seen: dict[tuple[str, str], str] = {}
    for number, node in enumerate(nodes, start=1):
        where = f"{filename}, document {number}" if len(nodes) > 1 else filename
        try:
            policy = parse(_construct(node), network=network)
        except SocketPlaneError as error:
            raise located(error, where, node) from None
        key = (policy.network, policy.name)
        if key in seen:
            message = f"policy {policy.network}/{policy.name} is already in {seen[key]}"
            twice = InvalidInput(message, field="metadata.name", remedy="give each its own name")
            raise located(twice, where, node)
        seen[key] = where
        policies.append(policy)
    return policies


def _construct(node: yaml.Node) -> Mapping[str, Any]:
    value = construct(node)
    if not isinstance(value, Mapping):
        raise InvalidInput("a document has to be a mapping", remedy="start it with apiVersion: networking.k8s.io/v1")
    return value
