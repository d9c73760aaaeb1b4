"""Documents of kind List, as `kubectl get -o yaml` prints them: their items, without what the server wrote.

An author's document must not have a server's fields: nothing here could honour them. A list that kubectl prints always
has them, and they tell about an object of another cluster; so there, and only there, they are left out, and named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from socketplane.errors import InvalidInput
from socketplane.model.fields import Fields
from socketplane.model.policy import KINDS, METADATA_OF_SERVERS, SERVICE_KINDS

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation: the whole document once more, as kubectl got it."""

_LISTS = {"List": ("v1", None)} | {
    f"{name}List": (kind.api_version, name) for name, kind in (*KINDS.items(), *SERVICE_KINDS.items())
}
_KEPT = ("deletionGracePeriodSeconds", "deletionTimestamp")
"""To be refused: the object is being deleted where it comes from."""


@dataclass(frozen=True, slots=True)
class Item:
    """An element of a list: the document to parse, its path in the list, and the paths in it that were left out."""

    document: Any
    path: str
    left_out: tuple[str, ...] = ()


def items(document: Mapping[str, Any]) -> Iterator[Item] | None:
    """Return a list's items; None for a document that is no list."""
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in _LISTS:
        return None
    version, of = _LISTS[kind]
    fields = Fields(document, "")
    fields.take("kind"), fields.take("metadata")
    if fields.take("apiVersion") != version:
        raise InvalidInput("does not fit the kind", field="apiVersion", remedy=f"for a {kind} write apiVersion: {version}")
    found = fields.items("items")
    fields.finish()
    return (_item({"apiVersion": version, "kind": of} if of else {}, value, path) for value, path in found or ())


def _item(typed: Mapping[str, str], value: Any, path: str) -> Item:
    """Return an item, without what the server wrote. In a typed list items need not say their kind again."""
    if not isinstance(value, Mapping):
        return Item(value, path)
    document = {**typed, **value}
    left_out = [name for name in ("status",) if document.pop(name, None) is not None]
    if isinstance(metadata := document.get("metadata"), Mapping):
        metadata = document["metadata"] = dict(metadata)
        servers = [name for name in METADATA_OF_SERVERS if name in metadata and name not in _KEPT]
        left_out += [f"metadata.{name}" for name in servers]
        for name in servers:
            del metadata[name]
        if isinstance(notes := metadata.get("annotations"), Mapping) and LAST_APPLIED in notes:
            metadata["annotations"] = {key: note for key, note in notes.items() if key != LAST_APPLIED}
            left_out.append(f"metadata.annotations[{LAST_APPLIED}]")
    return Item(document, path, tuple(left_out))
