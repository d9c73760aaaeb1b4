"""Looking at what was compiled."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from socketplane.compile import Compiler, Difference, Features, Intent
from socketplane.compile.rows import Row
from socketplane.model.types import Endpoint
from support.intent import CLUSTER


def compiled(*things: Intent, tiers: bool = False) -> Compiler:
    """Return a compiler that holds these, flushed."""
    compiler = Compiler(CLUSTER, Features(acl_tier=tiers))
    change(compiler, *things)
    return compiler


def change(compiler: Compiler, *things: Intent, gone: bool = False) -> Difference:
    """Put things, or remove them; return the difference."""
    for thing in things:
        (compiler.remove if gone else compiler.put)(thing)
    return compiler.flush()


def rows(compiler: Compiler, table: str) -> dict[str, Row]:
    """Return the rows of a table by name."""
    return {row["name"]: row for key, row in compiler.desired.rows.items() if key.table == table}


def acls(compiler: Compiler, name: str | None = None) -> list[Row]:
    """Return the ACLs, or those of that name, the strongest first."""
    found = [row for key, row in compiler.desired.rows.items() if key.table == "ACL" and name in (None, row["name"])]
    return sorted(found, key=lambda row: (row.get("tier", 0), -row["priority"], row["match"]))


def groups_of(compiler: Compiler, endpoint: Endpoint) -> set[str]:
    """Return the names of the port groups that an endpoint is in."""
    by_uuid: Mapping[UUID, Row] = {key.uuid: row for key, row in compiler.desired.rows.items()}
    edges = [edge for edge in compiler.desired.edges if edge.table == "Port_Group" and edge.column == "ports"]
    return {by_uuid[edge.parent]["name"] for edge in edges if by_uuid[edge.child]["name"] == f"sp-{endpoint.id}"}


def group_of_acl(compiler: Compiler, acl: Row) -> str:
    """Return the name of the port group that an ACL is on."""
    rows_of = compiler.desired.rows
    uuid = next(key.uuid for key, row in rows_of.items() if row is acl)
    (edge,) = [edge for edge in compiler.desired.edges if edge.child == uuid]
    return next(str(row["name"]) for key, row in rows_of.items() if key.uuid == edge.parent)
