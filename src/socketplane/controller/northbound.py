"""The northbound as this controller writes it: its replica, its fence, and what others did to our rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from socketplane.compile import TABLES, Desired, Edge, RowKey
from socketplane.compile.rows import EDGE_COLUMNS, OUR_KEYS, identity, owner_of
from socketplane.controller.fence import Fence
from socketplane.ovsdb import (
    Client,
    Lock,
    Operation,
    Replica,
    RowChange,
    assert_lock,
    by_uuid,
    insert,
    mutate,
    update,
    wait,
)

MARKER = "sp_epoch"
"""Name of the Address_Set that carries the epoch of the controller that writes; nothing refers to it."""
EPOCH = OUR_KEYS + "epoch"
COUNT = mutate("NB_Global", (), [("nb_cfg", "+=", 1)])
"""Has hosts tell when they have installed a transaction: OVN passes the number on to them, with what came before it."""
_MONITORED: Mapping[str, frozenset[str]] = {
    **TABLES,
    "Logical_Switch_Port": TABLES["Logical_Switch_Port"] | {"up"},
    "Address_Set": frozenset({"name", "external_ids"}),
    "NB_Global": frozenset({"nb_cfg"}),
}


class Northbound:
    """Reads and writes OVN's northbound. `on_tampering` is called when a row of ours isn't what `desired` says."""

    def __init__(
        self,
        client: Client,
        lock: Lock,
        cluster: UUID,
        epoch: int,
        desired: Desired,
        on_tampering: Callable[[RowChange], None],
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._epoch = epoch
        self._desired = desired
        self._on_tampering = on_tampering
        self._replica: Replica | None = None
        self._owner = str(cluster)
        self.fence = Fence(lock, self._is_latest)
        self.transactions = 0

    async def open(self) -> None:
        """Load the replica; the lock must be held."""
        self._replica = await self._client.monitor(_MONITORED, self._take)

    async def close(self) -> None:
        """Stop following the database."""
        if self._replica is not None:
            replica, self._replica = self._replica, None
            await self._client.cancel_monitor(replica)

    @property
    def connected(self) -> bool:
        """Whether the database answers."""
        return self._client.connected

    @property
    def replica(self) -> Replica:
        """The rows as they are."""
        if self._replica is None:
            raise RuntimeError("open() first")
        return self._replica

    def is_up(self, endpoint: str) -> bool:
        """Return whether the endpoint's host has installed its flows."""
        port = self.replica["Logical_Switch_Port"].get(identity(self._cluster, "Logical_Switch_Port", endpoint))
        return bool(port and port.get("up"))

    @property
    def count(self) -> int:
        """How many transactions were counted so far, by whomever."""
        return max((row["nb_cfg"] for row in self.replica["NB_Global"].values()), default=0)

    def other_owners(self) -> set[str]:
        """Return the ids of other clusters that rows are marked with. Ours holds the lock, so theirs are no more."""
        rows = (row for table in TABLES for row in self.replica[table].values())
        return {owner for row in rows if (owner := owner_of(row)) is not None} - {self._owner}

    async def write(self, operations: Sequence[Operation]) -> None:
        """Commit operations as one transaction, unless a later controller has taken over."""
        await self._client.transact(*self.fence.guards(), *operations, timeout=30.0)
        self.transactions += 1

    async def mark(self) -> None:
        """Write our epoch, if it isn't there: at the start, or when the database was restored from an older copy."""
        there = self._marker()
        if there is None:
            row = {"name": MARKER, "external_ids": self._ids()}
            operation: Operation = insert("Address_Set", row, uuid=identity(self._cluster, "Address_Set", MARKER))
        elif _epoch_of(there[1]) > self._epoch and there[1]["external_ids"].get(EPOCH + "-of") == self._owner:
            self.fence.depose()
            self.fence.check()
            return
        elif there[1]["external_ids"] == self._ids():
            return
        else:
            operation = update("Address_Set", by_uuid(there[0]), {"external_ids": self._ids()})
        await self._client.transact(assert_lock(self.fence.lock_name), operation)

    def _marker(self) -> tuple[UUID, Mapping[str, Any]] | None:
        return next(((uuid, row) for uuid, row in self.replica["Address_Set"].items() if row["name"] == MARKER), None)

    def _ids(self) -> dict[str, str]:
        return {EPOCH: str(self._epoch), EPOCH + "-of": self._owner}

    def _is_latest(self) -> Operation:
        return wait("Address_Set", (("name", "==", MARKER),), ("external_ids",), ({"external_ids": self._ids()},))

    def _take(self, changes: Sequence[RowChange]) -> None:
        if self._replica is None:
            return  # the first content: a full pass follows
        for change in changes:
            if change.table == "Address_Set":
                if MARKER in ((change.new or {}).get("name"), (change.old or {}).get("name")):
                    self._take_marker(change)
            elif change.table != "NB_Global" and self._is_tampering(change):
                self._on_tampering(change)

    def _take_marker(self, change: RowChange) -> None:
        ids = change.new["external_ids"] if change.new else {}
        if ids.get(EPOCH + "-of") == self._owner and _epoch_of(change.new or {}) > self._epoch:
            self.fence.depose()
        elif ids != self._ids() and change.old is not None:
            self._on_tampering(change)

    def _is_tampering(self, change: RowChange) -> bool:
        """Tell whether a change made one of our rows or edges differ from what is desired."""
        row, new = self._desired.rows.get(RowKey(change.table, change.uuid)), change.new
        if row is None:
            return new is not None and owner_of(new) == self._owner
        if new is None or any(new[column] != value and not _kept(column, value, new) for column, value in row.items()):
            return True
        return any(
            (Edge(change.table, change.uuid, column, child) in self._desired.edges) != (child in new[column])
            for column, child_table in EDGE_COLUMNS.get(change.table, ())
            for child in _toggled(change, new, column)
            if self._is_ours(child_table, child)
        )

    def _is_ours(self, table: str, uuid: UUID) -> bool:
        if RowKey(table, uuid) in self._desired.rows:
            return True
        row = self.replica[table].get(uuid)
        return row is not None and owner_of(row) == self._owner


def _toggled(change: RowChange, new: Mapping[str, Any], column: str) -> frozenset[UUID]:
    """Return what came to or went from a set column."""
    if change.members is not None:
        return change.members.get(column, frozenset())
    before: frozenset[UUID] = change.old[column] if change.old else frozenset()
    now: frozenset[UUID] = new[column]
    return before ^ now


def _kept(column: str, value: Any, row: Mapping[str, Any]) -> bool:
    """Tell whether external_ids differ in keys of others only."""
    if column != "external_ids":
        return False
    return bool({key: text for key, text in row[column].items() if key.startswith(OUR_KEYS)} == value)


def _epoch_of(row: Mapping[str, Any]) -> int:
    text = row.get("external_ids", {}).get(EPOCH, "")
    return int(text) if text.isdecimal() else 0
