"""Keeps the northbound equal to the compiled intent: the one path for creating, changing, repairing and removing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from socketplane.compile import Compiler, Desired, Difference, operations
from socketplane.controller.apart import NOT_A_REFUSAL, everything, write_apart
from socketplane.controller.northbound import COUNT, Northbound
from socketplane.controller.recompute import LATER, Recompute, touch
from socketplane.controller.ruleset import Ruleset
from socketplane.controller.store import Change
from socketplane.errors import Unavailable
from socketplane.model.floating import Floating
from socketplane.model.services.types import Service
from socketplane.model.spec import Policy
from socketplane.model.traffic import TrafficPolicy
from socketplane.model.types import Cluster, Endpoint, Host, Network
from socketplane.ovsdb import (
    Client,
    Disconnected,
    Lock,
    NotLockOwner,
    Operation,
    OvsdbError,
    RowChange,
    TransactionFailed,
    WaitFailed,
)

FULL_PASS_SECONDS = 300.0
GATHER_SECONDS = 0.1
"""How long a repair waits for more of the same edit."""
RETRY_SECONDS = 1.0
REFUSED_SECONDS = 10.0
"""How long until what the northbound refused is tried again."""
Compiled = Host | Network | Endpoint | Policy | TrafficPolicy | Floating | Service
"""What the compiler is told of."""
_log = structlog.get_logger()


class Reconciler:
    """Feeds committed changes to the compiler and commits what follows, one transaction for all that waits.

    A transaction that fails is not lost: what it was about stays pending, and a full pass follows. `written` tells
    when the northbound holds everything that was fed before the call. `ruleset` follows what decides about connections.
    """

    def __init__(self, client: Client, lock: Lock, cluster: Cluster, epoch: int, compiler: Compiler) -> None:
        self._lock = lock
        self._compiler = compiler
        self._pending = Difference(owner=compiler.desired.owner)
        self._wake = asyncio.Event()
        self._fed = 0
        self._done = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._full_at: float | None = None
        self._unmarked = False
        self._refused = False
        self._recompute = Recompute()
        self.northbound = Northbound(client, lock, cluster.id, epoch, compiler.desired, self._tampered)
        self.ruleset = Ruleset(epoch)
        self.repairs = 0
        self.alarm: str | None = None

    async def open(self, items: Iterable[Compiled]) -> None:
        """Compile all of the intent and make the northbound equal to it; the lock must be held."""
        for item in items:
            self._compiler.put(item)
            self.ruleset.take([Change(None, item)])
        self._compiler.flush()
        await self.northbound.open()
        await self.northbound.mark()
        await self._remove_leftovers()
        started = time.monotonic()
        written = await self._full_pass(repair=False)
        _log.info("northbound.loaded", operations=written, seconds=round(time.monotonic() - started, 3))

    async def _remove_leftovers(self) -> None:
        """Remove what a former cluster on this northbound left: its names would stand in the way of ours."""
        for owner in self.northbound.other_owners():
            todo = operations(Desired(owner=owner), self.northbound.replica)
            if todo:
                _log.warning("northbound.leftovers_removed", cluster=owner, operations=len(todo))
                await self.northbound.write(todo)

    def feed(self, changes: Sequence[Change]) -> None:
        """Take in committed changes of the intent."""
        self.ruleset.take(changes)
        for change in changes:
            item = change.new or change.old
            if isinstance(item, Compiled):
                if change.new is None:
                    self._compiler.remove(item)
                else:
                    self._compiler.put(item)
                self._fed += 1
        self._wake.set()

    async def written(self, seconds: float) -> None:
        """Return when everything fed so far is in the northbound.

        Raises:
            Unavailable: it isn't within `seconds`. It stays noted, and is written when the northbound answers.
        """
        if self._done >= self._fed:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._fed, future))
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            raise Unavailable(
                "OVN's northbound database does not take the change", remedy="ask again; it is noted and will be written"
            ) from None

    async def numbered(self) -> int:
        """Return a number by which hosts tell when they have installed all that is in the northbound now."""
        await self.northbound.write((COUNT,))
        return self.northbound.count

    def gap(self) -> list[Operation]:
        """Return what a full pass would write now: nothing, when all is well and nothing waits."""
        return operations(self._compiler.desired, self.northbound.replica)

    def demand_full_pass(self, seconds: float = 0.0) -> None:
        """Look through everything in `seconds`, or earlier if that is due earlier."""
        at = time.monotonic() + seconds
        if self._full_at is None or at < self._full_at:
            self._full_at = at
            self._wake.set()

    def require(self) -> None:
        """Raise Unavailable while the northbound does not answer: before anything is changed."""
        if not self.northbound.connected:
            raise Unavailable(
                "OVN's northbound database does not answer; nothing was changed",
                remedy="ask again; `socketplane status` tells more",
            )

    async def run(self) -> None:
        """Write what is fed, repair what is tampered with, and look through everything now and then, until cancelled."""
        watcher = asyncio.create_task(self._watch_connection())
        self._full_at = time.monotonic() + FULL_PASS_SECONDS
        if self._compiler.features.incremental:
            self._recompute.due = time.monotonic() + LATER  # the controller before us may have ended before it was due
        try:
            while True:
                await self._sleep()
                try:
                    await self._step()
                except (Disconnected, NotLockOwner, Unavailable) as error:
                    self.northbound.fence.check()
                    _log.info("northbound.unreachable", reason=str(error))
                    await self._wait_lock()
                    self.demand_full_pass(0.0)
                except WaitFailed:
                    self._unmarked = True  # a database that was restored or made anew; or we are deposed
                    self.demand_full_pass(0.0)
                except OvsdbError as error:
                    self.alarm = f"the northbound refuses a change: {error}"
                    _log.error("northbound.refused", reason=str(error))
                    self.demand_full_pass(RETRY_SECONDS)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            watcher.cancel()

    async def _sleep(self) -> None:
        """Return when there is something to do."""
        moments = [moment for moment in (self._full_at, self._recompute.due) if moment is not None]
        seconds = max(0.0, min(moments) - time.monotonic()) if moments else None
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _step(self) -> None:
        if self._unmarked:
            await self.northbound.mark()
            self._unmarked = False
        if self._recompute.due is not None and self._recompute.due <= time.monotonic():
            await self.northbound.write(touch(self.northbound.replica["Logical_Switch"]))
            self._recompute.due = None
        if self._full_at is not None and self._full_at <= time.monotonic():
            self._full_at = time.monotonic() + FULL_PASS_SECONDS
            await self._full_pass(repair=True)
            return
        fed, revision = self._fed, self.ruleset.current
        self._pending.update(self._compiler.flush())
        pending = self._pending
        refused = await self._write(operations(pending, self.northbound.replica), lambda: pending, revision)
        self._settle(fed, revision, refused)

    async def _full_pass(self, *, repair: bool) -> int:
        """Compare everything; return how many operations were needed."""
        fed, revision = self._fed, self.ruleset.current
        self._pending.update(self._compiler.flush())
        expected = len(operations(self._pending, self.northbound.replica)) if repair else 0
        todo = await self._compare()
        refused = await self._write(todo, lambda: everything(self._compiler.desired), revision)
        self._refused = bool(refused)
        if repair and not refused and len(todo) > expected:
            self.repairs += 1
            for operation in todo[:50]:
                _log.warning("northbound.repaired", **_describe(operation))
        self._settle(fed, revision, refused)
        return len(todo)

    async def _write(
        self, todo: Sequence[Operation], difference: Callable[[], Difference], revision: str
    ) -> dict[str, str]:
        """Write what is to be done. Where it is refused as a whole, write unit by unit: one must not hold up all.

        Return why which units were refused; a full pass tries them again.
        """
        if not todo:
            return {}
        counted = self.ruleset.counted
        count = () if counted and counted[0] == revision else (COUNT,)
        refused: dict[str, str] = {}
        if self._compiler.features.incremental:
            self._recompute.note(todo, time.monotonic())  # before: where no answer comes, it may have been written
        try:
            await self.northbound.write([*todo, *count])
        except NOT_A_REFUSAL:
            raise
        except TransactionFailed as error:
            _log.warning("northbound.refused", operations=len(todo), reason=str(error))
            refused = await write_apart(self.northbound, difference(), self._compiler.desired)
            if count:
                await self.northbound.write(count)
        if count:
            self.ruleset.counted = revision, self.northbound.count
        for unit, reason in refused.items():
            self.alarm = f"the northbound refuses {unit or 'the removal of a row'}: {reason}"
            _log.error("northbound.unit_refused", unit=unit, reason=reason)
        return refused

    async def _compare(self) -> list[Operation]:
        """Compare in a thread on copies: at ten thousand ports it takes as long as a thousand requests."""
        desired, replica = self._compiler.desired, self.northbound.replica
        copy = Desired(dict(desired.rows), set(desired.edges), desired.owner)
        tables = {table: dict(rows) for table, rows in replica.items()}
        if not await asyncio.to_thread(operations, copy, tables):
            return []
        return self.gap()  # on what is there now

    def _settle(self, fed: int, revision: str, refused: Mapping[str, str]) -> None:
        """Answer those who wait. Of a batch with a refused unit nobody is told that all is well."""
        self._pending = Difference(owner=self._compiler.desired.owner)
        self._done = fed
        self._refused = self._refused or bool(refused)
        if self._refused:
            self.demand_full_pass(REFUSED_SECONDS)
        else:
            self.alarm = None
            self.ruleset.settle(revision, self.northbound.count)
        waiters, self._waiters = self._waiters, []
        for wanted, future in waiters:
            if wanted > fed:
                self._waiters.append((wanted, future))
            elif future.done():
                continue
            elif refused:
                future.set_exception(Unavailable(self.alarm or "the northbound refuses a change", remedy="see the alarm"))
            else:
                future.set_result(None)

    def _tampered(self, change: RowChange) -> None:
        row = change.new or change.old or {}
        _log.warning("northbound.tampered", table=change.table, row=str(change.uuid), name=row.get("name"))
        self.demand_full_pass(GATHER_SECONDS)

    async def _watch_connection(self) -> None:
        """Look through everything after each reconnection: something may have happened meanwhile."""
        while True:
            await self._lock.lost()
            await self._lock.acquired()
            self.demand_full_pass(0.0)

    async def _wait_lock(self) -> None:
        deposed = asyncio.create_task(self.northbound.fence.wait_deposed())
        acquired = asyncio.create_task(self._lock.acquired())
        try:
            await asyncio.wait((deposed, acquired), return_when=asyncio.FIRST_COMPLETED)
        finally:
            deposed.cancel()
            acquired.cancel()
        self.northbound.fence.check()


def _describe(operation: Operation) -> dict[str, Any]:
    where = getattr(operation, "where", None)
    uuid = getattr(operation, "uuid", None) or (where[0][2] if where else None)
    row = getattr(operation, "row", {})
    return {
        "operation": type(operation).__name__.lower(),
        "table": getattr(operation, "table", ""),
        "row": str(uuid),
        "columns": sorted(row) if row else [str(mutation[0]) for mutation in getattr(operation, "mutations", ())],
    }
