"""From what is desired and what is there to the operations that close the gap. Rows and edges of others are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from socketplane.compile.rows import (
    EDGE_COLUMNS,
    OUR_KEYS,
    ROOT_TABLES,
    TABLES,
    Desired,
    Difference,
    Edge,
    Row,
    RowKey,
    owner_of,
)
from socketplane.ovsdb.operations import Operation, by_uuid, delete, insert, mutate, update

Actual = Mapping[str, Mapping[UUID, Mapping[str, Any]]]
"""A replica of (at least) TABLES."""

_CHILD_TABLE = {(table, column): child for table, columns in EDGE_COLUMNS.items() for column, child in columns}


def operations(wanted: Desired | Difference, actual: Actual) -> list[Operation]:
    """Return what makes `actual` hold what is wanted: nothing where it does already. All of it is one transaction.

    Given a Difference, only what it names is looked at; given what is desired as a whole, everything of ours is, and
    what is ours and not desired goes. A row of ours that someone emptied of its owner is recognised by its UUID.
    A row that isn't root is never deleted: it goes with its last edge, and stays where a stranger refers to it.
    An edge to a row that is missing is left out: the next pass over the whole finds it.
    """
    difference = _gap(wanted, actual) if isinstance(wanted, Desired) else wanted
    inserted: dict[RowKey, dict[str, Any]] = {}
    gone: set[RowKey] = set()
    updates: list[Operation] = []
    for key, row in difference.rows.items():
        there = actual[key.table].get(key.uuid)
        if row is None:
            if there is not None and key.table in ROOT_TABLES and _ours(there, difference.owner):
                gone.add(key)
        elif there is None:
            inserted[key] = dict(row)
        elif changed := _changed(row, there):
            updates.append(update(key.table, by_uuid(key.uuid), changed))
    mutations = _edges(difference, actual, inserted, gone)
    return [
        *(insert(key.table, row, uuid=key.uuid) for key, row in inserted.items()),
        *updates,
        *mutations,
        *(delete(key.table, by_uuid(key.uuid)) for key in gone),
    ]


def _ours(row: Row, owner: str) -> bool:
    return owner_of(row) == owner


def _changed(row: Row, there: Row) -> dict[str, Any]:
    """Return the columns to write; keys of others in external_ids are kept."""
    changed: dict[str, Any] = {}
    for column, value in row.items():
        if there[column] == value:
            continue
        if column == "external_ids":
            value = {**{k: v for k, v in there[column].items() if not k.startswith(OUR_KEYS)}, **value}
            if there[column] == value:
                continue
        changed[column] = value
    return changed


def _edges(
    difference: Difference, actual: Actual, inserted: dict[RowKey, dict[str, Any]], gone: set[RowKey]
) -> list[Operation]:
    """Put edges into the rows that are inserted, and return the mutations of those that are there."""
    initial: dict[tuple[RowKey, str], set[UUID]] = {}
    changes: dict[RowKey, dict[tuple[str, str], set[UUID]]] = {}
    for edge, wanted in difference.edges.items():
        parent = RowKey(edge.table, edge.parent)
        if wanted and not _present(edge, actual, inserted):
            continue
        if parent in inserted:
            if wanted:
                initial.setdefault((parent, edge.column), set()).add(edge.child)
            continue
        there = actual[edge.table].get(edge.parent)
        if there is None or parent in gone or (edge.child in there[edge.column]) == wanted:
            continue
        mutator = "insert" if wanted else "delete"
        changes.setdefault(parent, {}).setdefault((edge.column, mutator), set()).add(edge.child)
    for (parent, column), children in initial.items():
        inserted[parent][column] = frozenset(children)
    return [
        mutate(
            parent.table,
            by_uuid(parent.uuid),
            [(column, mutator, frozenset(children)) for (column, mutator), children in columns.items()],
        )
        for parent, columns in changes.items()
    ]


def _present(edge: Edge, actual: Actual, inserted: Mapping[RowKey, object]) -> bool:
    table = _CHILD_TABLE[edge.table, edge.column]
    return edge.child in actual[table] or RowKey(table, edge.child) in inserted


def _gap(desired: Desired, actual: Actual) -> Difference:
    """Return everything desired, and the removal of what is ours and not desired."""
    difference = Difference(rows=dict(desired.rows), edges=dict.fromkeys(desired.edges, True), owner=desired.owner)
    for table in TABLES:
        for uuid, row in actual[table].items():
            key = RowKey(table, uuid)
            if key not in desired.rows and not _ours(row, desired.owner):
                continue
            if key not in desired.rows:
                difference.rows[key] = None
            for edge in _edges_between_ours(key, row, desired, actual):
                difference.edges.setdefault(edge, False)
    return difference


def _edges_between_ours(parent: RowKey, row: Row, desired: Desired, actual: Actual) -> Iterator[Edge]:
    for column, table in EDGE_COLUMNS.get(parent.table, ()):
        for child in row[column]:
            there = actual[table].get(child)
            if RowKey(table, child) in desired.rows or (there is not None and _ours(there, desired.owner)):
                yield Edge(parent.table, parent.uuid, column, child)
