"""A live copy of tables, as a monitor fills and follows it. No sockets: updates come in as arguments."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID

from socketplane.ovsdb.errors import ProtocolError
from socketplane.ovsdb.schema import Column
from socketplane.ovsdb.types import Row, parse_uuid

logger = logging.getLogger(__name__)

Columns = Mapping[str, Mapping[str, Column]]
OnChange = Callable[[Sequence["RowChange"]], None]
T = TypeVar("T")


@dataclass(slots=True)
class RowChange:
    """One row before and after: `old` is None for a new row, `new` for one that is gone."""

    table: str
    uuid: UUID
    old: Row | None
    new: Row | None
    members: Mapping[str, frozenset[Any]] | None = None
    """What came to or went from each set column, where the server said so: finding it takes time in large sets."""


class Replica(Mapping[str, Mapping[UUID, Row]]):
    """The monitored tables: replica[table][uuid][column].

    The mappings are live views: don't keep an iteration over an await. A row itself never changes; a change puts a
    new one in its place. Rows hold the monitored columns that the server has. While the client is disconnected the
    last content stays.
    """

    def __init__(self, tables: Sequence[str], on_change: OnChange | None = None) -> None:
        self._rows: dict[str, dict[UUID, Row]] = {table: {} for table in tables}
        self._views = {table: MappingProxyType(rows) for table, rows in self._rows.items()}
        self._columns: Columns = {}
        self._defaults: dict[str, dict[str, Any]] = {}
        self._on_change = on_change
        self._waiters: dict[asyncio.Future[Any], Callable[[Replica], Any]] = {}

    def __getitem__(self, table: str) -> Mapping[UUID, Row]:
        return self._views[table]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    async def wait_for(self, predicate: Callable[[Replica], T], timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Return the predicate's value as soon as it is true; it is asked now and after every update.

        Raises TimeoutError, and whatever the predicate raises.
        """
        value = predicate(self)
        if value:
            return value
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = predicate
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        finally:
            del self._waiters[waiter]

    def set_columns(self, columns: Columns) -> None:
        """Say what the server's rows look like from now on."""
        self._columns = columns
        self._defaults = {
            table: {name: column.default for name, column in of_table.items()} for table, of_table in columns.items()
        }

    def apply(self, updates: Any) -> None:
        """Apply a <table-updates2>. Raises ProtocolError, and then has changed nothing, if it does not fit."""
        self._commit(self._changes(updates, self._rows))

    def replace(self, updates: Any) -> None:
        """Make the content what a <table-updates2> of initial rows says; only true differences are reported."""
        changes = self._changes(updates, {table: {} for table in self._rows})
        fresh = {table: set[UUID]() for table in self._rows}
        for change in changes:
            fresh[change.table].add(change.uuid)
            change.old = self._rows[change.table].get(change.uuid)
        gone = [
            RowChange(table, uuid, row, None)
            for table, rows in self._rows.items()
            for uuid, row in rows.items()
            if uuid not in fresh[table]
        ]
        self._commit(gone + [change for change in changes if change.old != change.new])

    def _changes(self, updates: Any, base: Mapping[str, Mapping[UUID, Row]]) -> list[RowChange]:
        changes: list[RowChange] = []
        try:
            for table, rows in updates.items():
                columns, defaults, current = self._columns[table], self._defaults[table], base[table]
                for text, update in rows.items():
                    ((kind, wire),) = update.items()
                    uuid = parse_uuid(text)
                    old = current.get(uuid)
                    members = None
                    if kind == "modify":
                        new, members = _modified(columns, old, wire)
                    elif kind == "delete":
                        new = None
                    else:
                        new = defaults | {name: columns[name].decode(value) for name, value in wire.items()}
                    if old is not None or new is not None:
                        changes.append(RowChange(table, uuid, old, new, members))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProtocolError(f"an update that does not fit: {error!r}") from error
        return changes

    def _commit(self, changes: list[RowChange]) -> None:
        for change in changes:
            if change.new is None:
                del self._rows[change.table][change.uuid]
            else:
                self._rows[change.table][change.uuid] = change.new
        if changes and self._on_change is not None:
            try:
                self._on_change(changes)
            except Exception:
                logger.exception("on_change failed; the replica itself is up to date")
        if self._waiters:
            self._wake()

    def _wake(self) -> None:
        for waiter, predicate in list(self._waiters.items()):
            if waiter.done():
                continue
            try:
                value = predicate(self)
            except Exception as error:
                waiter.set_exception(error)
            else:
                if value:
                    waiter.set_result(value)


def _modified(
    columns: Mapping[str, Column], old: Row | None, wire: Mapping[str, Any]
) -> tuple[Row, dict[str, frozenset[Any]]]:
    """Return the row, and what its set columns gained or lost."""
    if old is None:
        raise ProtocolError("a difference to a row that was never sent")
    new = dict(old)
    members = {}
    for name, text in wire.items():
        column = columns[name]
        difference = column.decode_difference(text)
        new[name] = column.apply(old[name], difference)
        if isinstance(difference, frozenset):
            members[name] = difference
    return new, members
