"""Taking a change of the northbound apart by unit, when the server refuses it as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socketplane.compile import UNIT, Actual, Desired, Difference, Edge, RowKey, operations
from socketplane.compile.rows import EDGE_COLUMNS
from socketplane.controller.northbound import Northbound
from socketplane.ovsdb import NotLockOwner, ResourcesExhausted, TransactionFailed, WaitFailed

NOT_A_REFUSAL = (NotLockOwner, WaitFailed, ResourcesExhausted)
"""Failures of a transaction that say nothing of its content."""

_CHILD_TABLE = {(table, column): child for table, columns in EDGE_COLUMNS.items() for column, child in columns}


def split(difference: Difference, desired: Desired, actual: Actual) -> dict[str, Difference]:
    """Return the difference of each unit. An edge belongs to the unit of its child."""
    units: dict[str, Difference] = {}

    def part(key: RowKey) -> Difference:
        row: Mapping[str, Any] = desired.rows.get(key) or actual[key.table].get(key.uuid) or {}
        unit = row.get("external_ids", {}).get(UNIT, "")
        return units.setdefault(unit, Difference(owner=difference.owner))

    for key, row in difference.rows.items():
        part(key).rows[key] = row
    for edge, wanted in difference.edges.items():
        part(_child(edge)).edges[edge] = wanted
    return units


async def write_apart(northbound: Northbound, difference: Difference, desired: Desired) -> dict[str, str]:
    """Write each unit's part in a transaction of its own; return why which units were refused.

    Parts wait for one another's rows, so it goes round until nothing more can be written.
    """
    units = split(difference, desired, northbound.replica)
    refused: dict[str, str] = {}
    progress = True
    while progress:
        progress = False
        for unit, part in list(units.items()):
            todo = operations(part, northbound.replica)
            if not todo:
                continue
            try:
                await northbound.write(todo)
            except NOT_A_REFUSAL:
                raise
            except TransactionFailed as error:
                refused[unit] = str(error)
                del units[unit]
            else:
                progress = True
    return refused


def everything(desired: Desired) -> Difference:
    """Return all that is desired as a difference: what is left over is not in it."""
    return Difference(dict(desired.rows), dict.fromkeys(desired.edges, True), desired.owner)


def _child(edge: Edge) -> RowKey:
    return RowKey(_CHILD_TABLE[edge.table, edge.column], edge.child)
