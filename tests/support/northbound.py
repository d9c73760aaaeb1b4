"""A northbound database in memory: what ovsdb-server does with our operations, references included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from socketplane.compile.rows import EDGE_COLUMNS, ROOT_TABLES, TABLES
from socketplane.ovsdb.operations import Delete, Insert, Mutate, Operation, Update, Where

WEAK = {("Port_Group", "ports"), ("Load_Balancer_Group", "load_balancer")}
SETS = {"addresses", "port_security", "networks", "nexthops"} | {c for of in EDGE_COLUMNS.values() for c, _ in of}
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(SETS, frozenset()),
    "options": {},
    "external_ids": {},
    **dict.fromkeys(["name", "type", "mac", "match", "action"], ""),
}


class Northbound(dict[str, dict[UUID, dict[str, Any]]]):
    """Rows by table and UUID. `apply` is one transaction; it raises AssertionError where the server would refuse."""

    def __init__(self) -> None:
        super().__init__({table: {} for table in TABLES})

    def apply(self, operations: Sequence[Operation]) -> None:
        """Execute operations, then collect garbage and check references as the server does at the end."""
        touched: set[UUID] = set()
        for operation in operations:
            if isinstance(operation, Insert):
                self._insert(operation)
                touched.add(operation.uuid or UUID(int=0))
            elif isinstance(operation, Update):
                self[operation.table][_one(operation.where)].update(operation.row)
            elif isinstance(operation, Mutate):
                self._mutate(operation)
            elif isinstance(operation, Delete):
                uuid = _one(operation.where)
                assert uuid not in touched, "deleted what the same transaction inserted"
                del self[operation.table][uuid]
            else:
                raise AssertionError(operation)
        self._settle()

    def _insert(self, operation: Insert) -> None:
        assert operation.uuid is not None
        assert operation.uuid not in self[operation.table], "duplicate uuid"
        unknown = operation.row.keys() - TABLES[operation.table]
        assert not unknown, f"columns that no replica is asked for: {unknown}"
        defaults = {column: DEFAULTS.get(column) for column in TABLES[operation.table]}
        self[operation.table][operation.uuid] = {**defaults, **operation.row}

    def _mutate(self, operation: Mutate) -> None:
        row = self[operation.table][_one(operation.where)]
        for column, mutator, value in operation.mutations:
            assert value, "a mutation without content"
            row[column] = row[column] | value if mutator == "insert" else row[column] - value

    def _settle(self) -> None:
        while True:
            strong = {child for table, column, row in self._sets() if (table, column) not in WEAK for child in row[column]}
            loose = [(t, u) for t, rows in self.items() if t not in ROOT_TABLES for u in rows if u not in strong]
            if not loose:
                break
            for table, uuid in loose:
                del self[table][uuid]
        for table, column, row in self._sets():
            children = self[dict(EDGE_COLUMNS[table])[column]]
            if (table, column) in WEAK:
                row[column] = frozenset(child for child in row[column] if child in children)
            assert row[column] <= children.keys(), f"dangling reference in {table}.{column}"
        assert all(row["bands"] for row in self["Meter"].values())
        for table in ("Logical_Switch_Port", "Logical_Router_Port", "Port_Group", "Meter"):
            names = [row["name"] for row in self[table].values()]
            assert len(names) == len(set(names)), f"two rows of {table} have one name"

    def _sets(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [(t, c, row) for t, columns in EDGE_COLUMNS.items() for c, _ in columns for row in self[t].values()]


def _one(where: Where) -> UUID:
    ((column, function, value),) = where
    assert (column, function) == ("_uuid", "==")
    assert isinstance(value, UUID)
    return value
