"""What the northbound server can do, read from its schema and not from version numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


class _Table(Protocol):
    @property
    def columns(self) -> Mapping[str, object]: ...


class _Schema(Protocol):
    @property
    def tables(self) -> Mapping[str, _Table]: ...


@dataclass(frozen=True, slots=True)
class Features:
    """Abilities that compiled rows may depend on."""

    acl_tier: bool = False
    """ACLs have tiers (OVN 23.06 and later); priority bands serve without."""
    incremental: bool = False
    """northd takes in a member more or less without computing everything anew (23.09; the schema tells from 24.03 on).

    But not the first and the last of a port group on a switch: anchors spare it those.
    """

    @staticmethod
    def from_schema(schema: _Schema) -> Features:
        """Return what a server with this schema can do."""
        return Features.from_columns({name: table.columns.keys() for name, table in schema.tables.items()})

    @staticmethod
    def from_columns(tables: Mapping[str, Collection[str]]) -> Features:
        """Return what a server with these tables and columns can do."""
        return Features(acl_tier="tier" in tables.get("ACL", ()), incremental="options" in tables.get("DNS", ()))
