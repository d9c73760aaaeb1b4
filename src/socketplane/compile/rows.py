"""What units produce: northbound rows, and edges between them. A row or an edge belongs to exactly one unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from socketplane.compile import names
from socketplane.compile.features import Features

Value = str | int | float | bool | UUID | frozenset[object] | dict[str, str] | dict[str, int] | None
Row = Mapping[str, Any]

OWNER = "socketplane:owner"
"""Key in external_ids whose value is the cluster's id: rows without it are not ours."""
UNIT = "socketplane:unit"
"""Key in external_ids that names the unit that a row was compiled from, as kind/key."""
OUR_KEYS = "socketplane:"
"""Prefix of all our keys in external_ids; keys of others are kept."""

EDGE_COLUMNS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Logical_Switch": (
        ("ports", "Logical_Switch_Port"),
        ("qos_rules", "QoS"),
        ("load_balancer_group", "Load_Balancer_Group"),
    ),
    "Logical_Router": (
        ("ports", "Logical_Router_Port"),
        ("static_routes", "Logical_Router_Static_Route"),
        ("policies", "Logical_Router_Policy"),
    ),
    "Port_Group": (("ports", "Logical_Switch_Port"), ("acls", "ACL")),
    "Meter": (("bands", "Meter_Band"),),
    "Load_Balancer_Group": (("load_balancer", "Load_Balancer"),),
}
"""Columns whose members are edges: table to (column, table of the members). Members of others are kept."""

ROOT_TABLES = frozenset({*EDGE_COLUMNS, "Load_Balancer"})
"""Tables whose rows live without a reference. Rows of all other tables are collected by the server with their last edge."""

TABLES: Mapping[str, frozenset[str]] = {
    "Logical_Switch": frozenset({"name", "ports", "qos_rules", "load_balancer_group", "other_config", "external_ids"}),
    "Logical_Switch_Port": frozenset({"name", "type", "addresses", "port_security", "options", "external_ids"}),
    "Logical_Router": frozenset({"name", "options", "ports", "static_routes", "policies", "external_ids"}),
    "Logical_Router_Port": frozenset({"name", "mac", "networks", "external_ids"}),
    "Logical_Router_Static_Route": frozenset({"ip_prefix", "nexthop", "external_ids"}),
    "Logical_Router_Policy": frozenset({"priority", "match", "action", "nexthops", "external_ids"}),
    "Port_Group": frozenset({"name", "ports", "acls", "external_ids"}),
    "ACL": frozenset(
        {
            *("name", "tier", "priority", "direction", "match", "action", "log", "severity", "meter", "label"),
            *("options", "external_ids"),
        }
    ),
    "QoS": frozenset({"priority", "direction", "match", "action", "external_ids"}),
    "Meter": frozenset({"name", "unit", "bands", "fair", "external_ids"}),
    "Meter_Band": frozenset({"action", "rate", "burst_size", "external_ids"}),
    "Load_Balancer": frozenset({"name", "protocol", "vips", "selection_fields", "options", "external_ids"}),
    "Load_Balancer_Group": frozenset({"name", "load_balancer"}),
}
"""Tables and columns that we write: what a replica has to hold for `operations`. OVN before 23.06 has no `tier`."""


class RowKey(NamedTuple):
    """A row's identity."""

    table: str
    uuid: UUID


class Edge(NamedTuple):
    """Membership of a row in a set column of another."""

    table: str
    """The parent's."""
    parent: UUID
    column: str
    child: UUID


@dataclass(slots=True)
class Desired:
    """Rows and edges that the northbound should hold. Columns of edges are not in the rows."""

    rows: dict[RowKey, Row] = field(default_factory=dict)
    edges: set[Edge] = field(default_factory=set)
    owner: str = ""
    """Id of the cluster."""


@dataclass(slots=True)
class Difference:
    """What changed: rows with their new content (None: gone), edges with whether they should be there."""

    rows: dict[RowKey, Row | None] = field(default_factory=dict)
    edges: dict[Edge, bool] = field(default_factory=dict)
    owner: str = ""

    def __bool__(self) -> bool:
        return bool(self.rows or self.edges)

    def update(self, later: Difference) -> None:
        """Add a later difference: where both speak of the same, the later one holds."""
        self.rows.update(later.rows)
        self.edges.update(later.edges)


class Output:
    """Collects the rows and edges of one unit. Row identity is computed from the cluster, the table and a key."""

    __slots__ = ("cluster", "edges", "features", "rows", "unit")

    def __init__(self, cluster: UUID, unit: str, features: Features) -> None:
        self.cluster = cluster
        self.unit = unit
        self.features = features
        self.rows: dict[RowKey, Row] = {}
        self.edges: set[Edge] = set()

    def row(self, table: str, key: str, columns: dict[str, Value], notes: Mapping[str, str] | None = None) -> UUID:
        """Add a row and return its UUID; `notes` go into external_ids for people who read the database."""
        uuid = identity(self.cluster, table, key)
        ids = {OWNER: str(self.cluster), UNIT: self.unit}
        for name, text in (notes or {}).items():
            ids[OUR_KEYS + name] = text
        if "external_ids" in TABLES[table]:
            columns["external_ids"] = ids
        self.rows[RowKey(table, uuid)] = columns
        return uuid

    def edge(self, table: str, parent: UUID, column: str, child: UUID) -> None:
        """Add the membership of `child` in a column of `parent`."""
        self.edges.add(Edge(table, parent, column, child))


def owner_of(row: Row) -> str | None:
    """Return the id of the cluster that a row belongs to; None for rows of others."""
    ids: Mapping[str, str] | None = row.get("external_ids")
    if ids is not None:
        return ids.get(OWNER)
    name = str(row["name"])  # a Load_Balancer_Group
    prefixes = (names.BALANCERS, names.SERVICE_BALANCERS)
    return next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), None)


def identity(cluster: UUID, table: str, key: str) -> UUID:
    """Return the UUID that the row of this table and key has in the cluster's northbound."""
    return uuid5(cluster, f"{table}/{key}")
