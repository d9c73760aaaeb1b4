"""The intent as the database has it, kept in step with its replica, and what follows from each change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import structlog

from socketplane.controller.addresses import Addresses
from socketplane.controller.draft import Draft
from socketplane.controller.fence import LOCK, Fence
from socketplane.controller.intent import Intent
from socketplane.controller.policyrows import Row, closed_policy
from socketplane.controller.rows import KINDS, TABLES, ClusterRecord, Item, same
from socketplane.errors import SocketPlaneError
from socketplane.model.spec import Policy
from socketplane.model.types import Cluster, Host
from socketplane.ovsdb import Client, Lock, Operation, Replica, RowChange, assert_lock, by_uuid, insert, update, wait

_log = structlog.get_logger()
_ORDER = {table: rank for rank, table in enumerate(TABLES)}


@dataclass(frozen=True, slots=True)
class Change:
    """One value before and after; None where it was or is not there."""

    old: Item | None
    new: Item | None


Listener = Callable[[Sequence[Change]], None]


class Store:
    """`committed` is what the database holds; `working` is that plus what the writer is about to commit.

    Listeners hear of every committed change, whoever made it, in the order of commits; they must be quick and not fail.
    """

    def __init__(self, client: Client, lock: Lock) -> None:
        self._client = client
        self._lock = lock
        self._replica: Replica | None = None
        self._listeners: list[Listener] = []
        self._host_names: dict[UUID, str] = {}
        self._epoch = 0
        self.committed = Intent()
        self.working = Intent()
        self.addresses = Addresses(self.working)
        self.not_understood: dict[UUID, str] = {}
        """Alarms about rows, by their UUID."""
        self.fence = Fence(lock, self._is_latest)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every later change."""
        self._listeners.append(listener)

    async def open(self, cluster: Cluster, now: float) -> None:
        """Load the intent and begin a new epoch; the lock must be held. `cluster` is used if there is none yet.

        Raises:
            OvsdbError: the database does not answer, or refuses (the next start tries again).
        """
        self._replica = await self._client.monitor(dict.fromkeys(TABLES), self._take)
        record = self.committed.get(ClusterRecord, "")
        if record is None:
            record = ClusterRecord(cluster, epoch=1, created=round(now, 3))
            kind = KINDS[ClusterRecord]
            create = insert(kind.table, kind.to_row(record), uuid=record.cluster.id)
            await self._client.transact(assert_lock(LOCK), create)
        else:
            epoch = record.epoch
            self._epoch = epoch + 1
            await self._client.transact(
                assert_lock(LOCK),
                _epoch_is(epoch),
                update("Cluster", by_uuid(record.cluster.id), {"epoch": epoch + 1}),
            )
        self._epoch = self.committed.cluster.epoch
        _log.info(
            "intent.loaded",
            epoch=self._epoch,
            hosts=len(self.committed.hosts),
            networks=len(self.committed.networks),
            endpoints=len(self.committed.endpoints),
        )

    async def close(self) -> None:
        """Stop following the database."""
        self._listeners.clear()
        if self._replica is not None:
            replica, self._replica = self._replica, None
            await self._client.cancel_monitor(replica)

    @property
    def epoch(self) -> int:
        """Number of this controller's turn."""
        return self._epoch

    def reset(self, draft: Draft) -> None:
        """Make `working` what is committed again, for all that a refused draft touched."""
        for model, key in draft.touched():
            committed = self.committed.get(model, key)
            old = self.working.put(committed) if committed is not None else self.working.discard(model, key)
            self.addresses.follow(old, committed)

    def _is_latest(self) -> Operation:
        return _epoch_is(self._epoch)

    def _take(self, changes: Sequence[RowChange]) -> None:
        """Follow the replica. What refers comes after what it refers to, and leaves before it."""
        gone = [change for change in changes if change.new is None]
        here = [change for change in changes if change.new is not None]
        gone.sort(key=lambda change: -_ORDER[change.table])
        here.sort(key=lambda change: _ORDER[change.table])
        told = [self._follow(change.table, change.uuid, change.old, change.new) for change in (*gone, *here)]
        news = [change for change in told if change is not None and not same(change.old, change.new)]
        for listener in self._listeners:
            listener(news)

    def _follow(self, table: str, uuid: UUID, old_row: Row | None, new_row: Row | None) -> Change | None:
        model = TABLES[table]
        row = new_row if new_row is not None else old_row
        try:
            item: Item = KINDS[model].from_row(uuid, row or {}, self._host_names)
            self.not_understood.pop(uuid, None)
        except (ValueError, KeyError, SocketPlaneError) as error:
            # Only an edit by hand can do that. The rest of the intent must not be lost with it, and nothing be opened.
            _log.error("intent.row_not_understood", table=table, row=str(uuid), reason=str(error))
            self.not_understood[uuid] = f"a row of {table} in the intent database can't be understood: {error}"
            if model is not Policy or row is None:
                return None
            item = closed_policy(row)
        key = KINDS[model].key(item)  # key columns are immutable: the old value has the same
        if new_row is None:
            self.not_understood.pop(uuid, None)
            self.addresses.follow(self.working.discard(model, key), None)
            return Change(self.committed.discard(model, key), None)
        if isinstance(item, Host):
            self._host_names[uuid] = item.name
        if isinstance(item, ClusterRecord) and self._epoch and item.epoch > self._epoch:
            self.fence.depose()
        planned = self.working.get(model, key)
        if same(planned, item):
            item = cast("Item", planned)  # one object for both
        else:
            self.addresses.follow(self.working.put(item), item)
        return Change(self.committed.put(item), item)


def _epoch_is(epoch: int) -> Operation:
    return wait("Cluster", (), ("epoch",), ({"epoch": epoch},))
