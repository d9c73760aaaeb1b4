"""A database's schema, with the codecs of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socketplane.ovsdb.codec import applier, decoder, encoder, operand_encoder
from socketplane.ovsdb.errors import InvalidOperation, ProtocolError
from socketplane.ovsdb.types import BaseType, ColumnType


class Column:
    """One column: its type, and the functions that translate its values."""

    __slots__ = ("apply", "decode", "decode_difference", "default", "encode", "encode_operand", "mutable", "name", "type")

    def __init__(self, name: str, column_type: ColumnType, *, mutable: bool = True) -> None:
        self.name = name
        self.type = column_type
        self.mutable = mutable
        self.default = column_type.default
        self.decode = decoder(column_type)
        self.encode = encoder(column_type)
        self.encode_operand = operand_encoder(column_type)
        self.decode_difference, self.apply = applier(column_type)


class Table:
    """One table: `columns` by name, `indexes` as tuples of columns; the implicit columns are in `all_columns` only."""

    __slots__ = ("all_columns", "columns", "indexes", "is_root", "name")

    def __init__(
        self, name: str, columns: Mapping[str, Column], indexes: tuple[tuple[str, ...], ...], *, is_root: bool
    ) -> None:
        self.name = name
        self.columns = columns
        self.indexes = indexes
        self.is_root = is_root
        implicit = ColumnType(BaseType("uuid"))
        self.all_columns = {**columns, **{n: Column(n, implicit, mutable=False) for n in ("_uuid", "_version")}}

    def column(self, name: str) -> Column:
        """Return a column, or raise InvalidOperation."""
        try:
            return self.all_columns[name]
        except KeyError:
            raise InvalidOperation(f"table {self.name} has no column {name}") from None


class Schema:
    """What tables and columns the connected server has."""

    __slots__ = ("name", "tables", "version")

    def __init__(self, name: str, version: str, tables: Mapping[str, Table]) -> None:
        self.name = name
        self.version = version
        self.tables = tables

    def has(self, table: str, column: str | None = None) -> bool:
        """Tell whether the server has a table, or a column in it."""
        found = self.tables.get(table)
        return found is not None and (column is None or column in found.columns)

    def table(self, name: str) -> Table:
        """Return a table, or raise InvalidOperation."""
        try:
            return self.tables[name]
        except KeyError:
            raise InvalidOperation(f"database {self.name} has no table {name}") from None

    @classmethod
    def parse(cls, wire: Any) -> Schema:
        """Read a <database-schema> of RFC 7047."""
        try:
            tables = {name: _parse_table(name, table) for name, table in wire["tables"].items()}
            return cls(str(wire["name"]), str(wire.get("version", "")), tables)
        except (KeyError, TypeError, AttributeError) as error:
            raise ProtocolError(f"not a database schema: {error!r}") from error


def _parse_table(name: str, wire: Any) -> Table:
    columns = {
        column: Column(column, ColumnType.parse(fields["type"]), mutable=fields.get("mutable", True))
        for column, fields in wire["columns"].items()
    }
    indexes = tuple(tuple(index) for index in wire.get("indexes", ()))
    return Table(name, columns, indexes, is_root=bool(wire.get("isRoot", False)))
