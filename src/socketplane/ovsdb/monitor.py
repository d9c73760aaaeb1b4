"""What a client asks of the server to keep one replica, and how it takes the answers. No sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from socketplane.ovsdb.errors import ProtocolError
from socketplane.ovsdb.replica import Columns, OnChange, Replica
from socketplane.ovsdb.schema import Schema

_NO_TRANSACTION = "00000000-0000-0000-0000-000000000000"


class Monitor:
    """One replica's subscription: survives connections, remembers up to which transaction it has seen."""

    def __init__(self, name: str, wanted: Mapping[str, Collection[str] | None], on_change: OnChange | None) -> None:
        self.name = name
        self.replica = Replica(tuple(wanted), on_change)
        self.filled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted = {table: None if columns is None else tuple(columns) for table, columns in wanted.items()}
        self._shape: dict[str, list[str]] = {}
        self._transaction = _NO_TRANSACTION

    def requests(self, schema: Schema) -> dict[str, Any]:
        """Return the <monitor-cond-requests> for a server with this schema: what it lacks is left out."""
        columns: Columns = {
            table: {
                name: column for name, column in schema.tables[table].columns.items() if wanted is None or name in wanted
            }
            for table, wanted in self._wanted.items()
            if schema.has(table)
        }
        shape = {table: list(of_table) for table, of_table in columns.items()}
        if shape != self._shape:
            self._transaction = _NO_TRANSACTION  # differences alone would not bring the new columns
        self._shape = shape
        self.replica.set_columns(columns)
        return {table: [{"columns": names}] for table, names in shape.items()}

    def since(self, requests: dict[str, Any], database: str) -> list[Any]:
        """Return the parameters of monitor_cond_since."""
        return [database, self.name, requests, self._transaction]

    def take_since(self, result: Any) -> None:
        """Take the answer to monitor_cond_since."""
        if not isinstance(result, list) or len(result) != 3 or not isinstance(result[1], str):
            raise ProtocolError("not an answer to monitor_cond_since")
        found, transaction, updates = result
        self._take(updates, transaction, whole=found is not True)

    def take(self, updates: Any) -> None:
        """Take the answer to monitor_cond."""
        self._take(updates, _NO_TRANSACTION, whole=True)

    def update(self, method: str, params: list[Any]) -> None:
        """Take an update2 or update3 notification."""
        if method == "update3":
            _, transaction, updates = params
        else:
            transaction, updates = _NO_TRANSACTION, params[1]
        self._take(updates, transaction, whole=False)

    def _take(self, updates: Any, transaction: str, *, whole: bool) -> None:
        try:
            (self.replica.replace if whole else self.replica.apply)(updates)
        except ProtocolError:
            self._transaction = _NO_TRANSACTION  # what we have can't be trusted as a base any more
            raise
        self._transaction = transaction
        if not self.filled.done():
            self.filled.set_result(None)
