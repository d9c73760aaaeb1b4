"""A connection made ready for one database: server checked, schema read, locks and monitors asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from socketplane.ovsdb import server_status
from socketplane.ovsdb.connection import Connection, connect
from socketplane.ovsdb.errors import Disconnected, ProtocolError, RequestFailed
from socketplane.ovsdb.lock import Lock
from socketplane.ovsdb.monitor import Monitor
from socketplane.ovsdb.remote import Remote, Tls
from socketplane.ovsdb.schema import Schema

logger = logging.getLogger(__name__)


class Session:
    """One connection's work for a client, whose monitors and locks it looks up by name."""

    def __init__(
        self,
        database: str,
        monitors: Mapping[str, Monitor],
        locks: Mapping[str, Lock],
        on_lost: Callable[[], None],
        *,
        leader_only: bool,
    ) -> None:
        self.schema: Schema
        self.schema_wire: Any = None
        self._connection: Connection | None = None
        self._on_lost = on_lost
        self._database = database
        self._monitors = monitors
        self._locks = locks
        self._leader_only = leader_only
        self._status = server_status.ServerStatus(database, leader_only=leader_only)
        self._asked: set[str] = set()
        self._queued: dict[str, Lock] = {}  # locks whose request the server has answered

    async def open(self, remote: Remote, tls: Tls | None, probe_interval: float) -> None:
        """Connect. Raises OSError."""
        self._connection = await connect(remote, tls, self._notified, self._on_lost, probe_interval)

    @property
    def connection(self) -> Connection:
        """The connection, after open()."""
        assert self._connection is not None  # noqa: S101
        return self._connection

    async def close(self, reason: Exception) -> None:
        """End the connection, if there is one; return when its socket is closed."""
        if self._connection is not None:
            self._connection.close(reason)
            await self._connection.closed()

    async def prepare(self, schema: Schema | None, schema_wire: Any) -> None:
        """Check the server and read the schema; one that has not changed since the last connection is used again."""
        status = self.connection.call(
            "monitor",
            [server_status.DATABASE, server_status.MONITOR, server_status.REQUEST],
            handler=self._status.take,
        )
        try:
            await status
        except RequestFailed:  # a server older than 2.9
            if self._leader_only:
                raise
        self.schema_wire = await self.connection.call("get_schema", [self._database])
        same = schema is not None and self.schema_wire == schema_wire
        self.schema = schema if same and schema is not None else Schema.parse(self.schema_wire)

    async def resume(self) -> None:
        """Ask for all locks and monitors; return when the replicas are up to date."""
        for lock in self._locks.values():
            self.ask_lock(lock)
        await asyncio.gather(*(self.ask_monitor(monitor) for monitor in list(self._monitors.values())))

    async def ask_monitor(self, monitor: Monitor) -> None:
        """Ask for a monitor, once; a refusal goes to who waits for its first content."""
        if monitor.name in self._asked:
            return
        self._asked.add(monitor.name)
        requests = monitor.requests(self.schema)
        call = self.connection.call
        try:
            try:
                await call("monitor_cond_since", monitor.since(requests, self._database), handler=monitor.take_since)
            except RequestFailed as error:
                if error.error != "unknown method":
                    raise
                await call("monitor_cond", [self._database, monitor.name, requests], handler=monitor.take)
        except RequestFailed as error:
            if monitor.filled.done():
                raise
            monitor.filled.set_exception(error)

    def ask_lock(self, lock: Lock, method: str = "lock") -> asyncio.Future[Any]:
        """Ask for a lock, or steal it."""

        def granted(result: Any) -> None:
            self._queued[lock.name] = lock
            if self._locks.get(lock.name) is lock:
                lock.set_held(result.get("locked") is True)

        future = self.connection.start(method, [lock.name], granted)[1]
        future.add_done_callback(lambda done: _log_refusal(lock, done))
        return future

    def leave_lock(self, lock: Lock) -> asyncio.Future[Any]:
        """Leave the queue for a lock."""
        future = self.connection.start("unlock", [lock.name])[1]
        future.add_done_callback(_seen)
        return future

    def cancel_monitor(self, monitor: Monitor) -> None:
        """Tell the server that nobody follows any more, if it knows the monitor."""
        if monitor.name in self._asked:
            self.connection.start("monitor_cancel", [monitor.name])[1].add_done_callback(_seen)

    def _notified(self, method: str, params: list[Any]) -> None:
        name = params[0] if params else None
        if method in ("update2", "update3"):
            monitor = self._monitors.get(name) if isinstance(name, str) else None
            if monitor is not None:  # else one that was cancelled a moment ago
                monitor.update(method, params)
        elif method in ("locked", "stolen"):
            lock = self._queued.get(name) if isinstance(name, str) else None
            if lock is not None and lock is self._locks.get(lock.name):  # else it is about one released since
                lock.set_held(method == "locked")
        elif method == "update":
            if len(params) != 2:
                raise ProtocolError("not an update")
            self._status.take(params[1])
        elif method == "monitor_canceled":
            raise Disconnected("the server cancelled a monitor: the database was removed or its schema converted")


def _seen(done: asyncio.Future[Any]) -> None:
    """Keep asyncio from complaining about an outcome that nobody needs."""
    if not done.cancelled():
        done.exception()


def _log_refusal(lock: Lock, done: asyncio.Future[Any]) -> None:
    if not done.cancelled() and isinstance(done.exception(), RequestFailed):
        logger.error("lock %s: %s", lock.name, done.exception())
