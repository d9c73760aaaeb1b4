"""Transactions on the wire: operations to parameters, the answer to results or a typed error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from socketplane.ovsdb.errors import InvalidOperation, ProtocolError, TransactionFailed, transaction_failed
from socketplane.ovsdb.operations import (
    Abort,
    AssertLock,
    Comment,
    Commit,
    Delete,
    Insert,
    Mutate,
    Operation,
    Select,
    Update,
    Wait,
    Where,
)
from socketplane.ovsdb.schema import Schema, Table
from socketplane.ovsdb.types import Row, parse_uuid

Wire = dict[str, Any]


@dataclass(slots=True)
class Result:
    """An operation's outcome: rows changed (update, mutate, delete), the new UUID (insert), rows read (select)."""

    count: int = 0
    uuid: UUID | None = None
    rows: Sequence[Row] = ()


def encode_transaction(schema: Schema, operations: Sequence[Operation]) -> list[Any]:
    """Return the parameters of `transact`; raise InvalidOperation for what the schema does not allow."""
    params: list[Any] = [schema.name]
    for operation in operations:
        encode = _ENCODERS.get(type(operation))
        if encode is None:
            raise InvalidOperation(f"not an operation: {type(operation).__name__}")
        params.append(encode(schema, operation))
    return params


def _encode_row(table: Table, row: Mapping[str, Any]) -> Wire:
    columns = table.columns
    wire = {}
    for name, value in row.items():
        column = columns.get(name)
        if column is None:
            raise InvalidOperation(f"table {table.name} has no column {name}")
        try:
            wire[name] = column.encode(value)
        except InvalidOperation as error:
            raise InvalidOperation(f"{table.name}.{name}: {error}") from None
    return wire


def _encode_where(table: Table, where: Where) -> list[Any]:
    return [[name, function, _operand(table, name, value)] for name, function, value in where]


def _operand(table: Table, name: str, value: Any) -> Any:
    column = table.column(name)
    try:
        return column.encode_operand(value)
    except InvalidOperation as error:
        raise InvalidOperation(f"{table.name}.{name}: {error}") from None


def _encode_insert(schema: Schema, operation: Insert) -> Wire:
    row = _encode_row(schema.table(operation.table), operation.row)
    wire: Wire = {"op": "insert", "table": operation.table, "row": row}
    if operation.uuid is not None:
        wire["uuid"] = operation.uuid
    if operation.uuid_name is not None:
        wire["uuid-name"] = operation.uuid_name
    return wire


def _encode_update(schema: Schema, operation: Update) -> Wire:
    table = schema.table(operation.table)
    where = _encode_where(table, operation.where)
    return {"op": "update", "table": operation.table, "where": where, "row": _encode_row(table, operation.row)}


def _encode_mutate(schema: Schema, operation: Mutate) -> Wire:
    table = schema.table(operation.table)
    mutations = [[name, mutator, _operand(table, name, value)] for name, mutator, value in operation.mutations]
    where = _encode_where(table, operation.where)
    return {"op": "mutate", "table": operation.table, "where": where, "mutations": mutations}


def _encode_delete(schema: Schema, operation: Delete) -> Wire:
    where = _encode_where(schema.table(operation.table), operation.where)
    return {"op": "delete", "table": operation.table, "where": where}


def _encode_wait(schema: Schema, operation: Wait) -> Wire:
    table = schema.table(operation.table)
    wire: Wire = {
        "op": "wait",
        "table": operation.table,
        "where": _encode_where(table, operation.where),
        "columns": list(operation.columns),
        "until": operation.until,
        "rows": [{name: _operand(table, name, value) for name, value in row.items()} for row in operation.rows],
    }
    if operation.timeout is not None:
        wire["timeout"] = operation.timeout
    return wire


def _encode_select(schema: Schema, operation: Select) -> Wire:
    where = _encode_where(schema.table(operation.table), operation.where)
    wire: Wire = {"op": "select", "table": operation.table, "where": where}
    if operation.columns is not None:
        wire["columns"] = list(operation.columns)
    return wire


_ENCODERS: dict[type, Callable[[Schema, Any], Wire]] = {
    Insert: _encode_insert,
    Update: _encode_update,
    Mutate: _encode_mutate,
    Delete: _encode_delete,
    Wait: _encode_wait,
    Select: _encode_select,
    AssertLock: lambda _, operation: {"op": "assert", "lock": operation.name},
    Comment: lambda _, operation: {"op": "comment", "comment": operation.text},
    Abort: lambda *_: {"op": "abort"},
    Commit: lambda _, operation: {"op": "commit", "durable": operation.durable},
}


def decode_results(schema: Schema, operations: Sequence[Operation], wire: Any) -> list[Result]:
    """Return one result per operation, or raise the error that the server answered."""
    if type(wire) is not list:
        raise ProtocolError(f"not the result of a transaction: {str(wire)[:200]}")
    for index, outcome in enumerate(wire):
        if outcome is None or type(outcome) is not dict:
            raise ProtocolError(f"not the result of an operation: {str(outcome)[:200]}")
        if outcome.get("error") is not None:
            raise _failure(operations, index, outcome)
    if len(wire) != len(operations):
        raise ProtocolError(f"{len(wire)} results for {len(operations)} operations")
    try:
        return [_decode_result(schema, operation, outcome) for operation, outcome in zip(operations, wire, strict=True)]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ProtocolError(f"a result that does not fit: {error!r}") from error


def _failure(operations: Sequence[Operation], index: int, outcome: Wire) -> TransactionFailed:
    where = "at commit"
    if index < len(operations):
        operation = operations[index]
        names = [getattr(operation, "table", None), getattr(operation, "uuid", None)]
        where = " ".join(
            [f"operation {index}:", type(operation).__name__.lower(), *(str(n) for n in names if n is not None)]
        )
    details = ": ".join(str(outcome[name]) for name in ("details", "io-error") if name in outcome)
    return transaction_failed(index, str(outcome["error"]), details, where)


def _decode_result(schema: Schema, operation: Operation, outcome: Wire) -> Result:
    if "count" in outcome:
        return Result(count=outcome["count"])
    if "uuid" in outcome:
        return Result(uuid=parse_uuid(outcome["uuid"][1]))
    if "rows" in outcome and isinstance(operation, Select):
        columns = schema.table(operation.table).all_columns
        rows = [{name: columns[name].decode(value) for name, value in row.items()} for row in outcome["rows"]]
        return Result(count=len(rows), rows=rows)
    return Result()
