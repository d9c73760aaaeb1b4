"""The client: one database on the first of several servers that answers, found again when it is lost."""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from socketplane.ovsdb.connection import Connection
from socketplane.ovsdb.errors import (
    Disconnected,
    NotConnected,
    OvsdbError,
    ProtocolError,
    RequestFailed,
    transaction_failed,
)
from socketplane.ovsdb.lock import Lock
from socketplane.ovsdb.monitor import Monitor
from socketplane.ovsdb.operations import Operation
from socketplane.ovsdb.remote import Backoff, Remote, Tls
from socketplane.ovsdb.replica import OnChange, Replica
from socketplane.ovsdb.schema import Schema
from socketplane.ovsdb.session import Session
from socketplane.ovsdb.transaction import Result, decode_results, encode_transaction

logger = logging.getLogger(__name__)


class Client:
    """Transactions, monitors and locks on one database. An async context manager; for one event loop.

    It connects in the background: to the remotes in their order, again and again with growing, jittered pauses. A
    lost connection is restored with its monitors (resumed after the last seen transaction where the server can, else
    compared with the whole) and locks. A server that has lost its cluster is left, and with `leader_only` one that
    does not lead it. After `probe_interval` seconds of silence the server is probed, after another it is given up
    (0 turns that off).
    """

    def __init__(
        self,
        remotes: Sequence[str],
        database: str,
        *,
        tls: Tls | None = None,
        leader_only: bool = False,
        probe_interval: float = 5.0,
        connect_timeout: float = 10.0,
        backoff: Backoff | None = None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        if not remotes or isinstance(remotes, str):
            raise ValueError("a client needs a list of at least one remote")
        self.database = database
        self._remotes = [Remote.parse(remote) for remote in remotes]
        self._tls = tls
        self._leader_only = leader_only
        self._probe_interval = probe_interval
        self._connect_timeout = connect_timeout
        self._backoff = backoff or Backoff()
        self._random = random
        self._schema: Schema | None = None
        self._schema_wire: Any = None
        self._session: Session | None = None  # knows the schema: monitors and locks can be asked for
        self._connection: Connection | None = None  # the replicas are up to date: transactions can be sent
        self._connected = asyncio.Event()
        self._monitors: dict[str, Monitor] = {}
        self._monitors_made = 0
        self._locks: dict[str, Lock] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_connected(), name=f"ovsdb {self.database}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None  # noqa: S101
        self._task.cancel()
        await asyncio.wait([self._task])
        for monitor in self._monitors.values():
            if not monitor.filled.done():
                monitor.filled.set_exception(NotConnected("the client is closed"))

    @property
    def connected(self) -> bool:
        """Whether transactions can be sent now."""
        return self._connection is not None

    async def wait_connected(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Return when transactions can be sent. Raises NotConnected after `timeout` seconds."""
        if self._connection is not None:
            return
        try:
            async with asyncio.timeout(timeout):
                while self._connection is None and not self._closed:
                    await self._connected.wait()
        except TimeoutError:
            raise NotConnected(f"no server of {self.database} within {timeout:g} s") from None
        if self._closed:
            raise NotConnected("the client is closed")

    @property
    def schema(self) -> Schema:
        """The schema of the server, of the last one while disconnected. Raises NotConnected before the first."""
        if self._schema is None:
            raise NotConnected("no server has told its schema yet")
        return self._schema

    # Transactions

    async def transact(self, *operations: Operation, timeout: float = 10.0) -> list[Result]:  # noqa: ASYNC109
        """Execute the operations as one transaction; return one result for each.

        Many may be under way at once; the server takes them in the order of the calls. When it returns, the
        replicas show the transaction's effects. Raises TransactionFailed (nothing was done), InvalidOperation or
        NotConnected (nothing was sent), else Disconnected (the outcome is unknown).
        """
        connection = self._connection
        if connection is None or not connection.is_writable:
            connection, timeout = await self._wait_writable(timeout)
        schema = self.schema
        params = encode_transaction(schema, operations)
        try:
            answer = await connection.call("transact", params, timeout=timeout)
        except RequestFailed as error:
            raise transaction_failed(None, error.error, error.details) from None
        try:
            return decode_results(schema, operations, answer)
        except ProtocolError as error:
            connection.close(error)
            raise Disconnected(f"{error}; the outcome is unknown") from error

    async def _wait_writable(self, timeout: float) -> tuple[Connection, float]:  # noqa: ASYNC109
        """Return a connection that takes data, and what is left of the timeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            await self.wait_connected(max(0.0, deadline - loop.time()))
            connection = self._connection
            if connection is None:
                continue
            try:
                async with asyncio.timeout_at(deadline):
                    await connection.writable()
            except TimeoutError:
                raise NotConnected(f"the server took no data for {timeout:g} s; nothing was sent") from None
            if connection is self._connection:
                return connection, max(0.0, deadline - loop.time())

    # Monitors

    async def monitor(self, tables: Mapping[str, Collection[str] | None], on_change: OnChange | None = None) -> Replica:
        """Return a replica of the tables, once it is filled. None stands for all columns of a table.

        Tables and columns that the server lacks are left out; such a table is empty. `on_change` gets one list per
        update, the first with the whole content, so that the sum of all is the content. It is called from the event
        loop while the update is read: it must be quick, and what it raises is logged.
        """
        self._monitors_made += 1
        monitor = Monitor(f"{self.database} {self._monitors_made}", tables, on_change)
        self._monitors[monitor.name] = monitor
        try:
            if self._session is not None:
                try:
                    await self._session.ask_monitor(monitor)
                except Disconnected:
                    logger.debug("monitor %s goes on with the next connection", monitor.name)
            await monitor.filled
        except BaseException:
            await self._stop(monitor)
            raise
        return monitor.replica

    async def cancel_monitor(self, replica: Replica) -> None:
        """Stop following; the replica keeps its last content."""
        for monitor in list(self._monitors.values()):
            if monitor.replica is replica:
                await self._stop(monitor)

    async def _stop(self, monitor: Monitor) -> None:
        self._monitors.pop(monitor.name, None)
        if self._session is not None:
            self._session.cancel_monitor(monitor)

    # Locks

    def lock(self, name: str) -> Lock:
        """Enter the queue for a lock, on this and every later connection, until its release()."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = Lock(name, self._steal, self._release)
            if self._session is not None:
                self._session.ask_lock(lock)
        return lock

    async def _steal(self, lock: Lock) -> None:
        session = self._session
        if session is None or self._locks.get(lock.name) is not lock:
            raise NotConnected("a lock can be stolen only while connected, and before its release")
        if lock.held:
            return
        session.leave_lock(lock)  # the server wants the old request to be taken back first
        await session.ask_lock(lock, "steal")

    async def _release(self, lock: Lock) -> None:
        if self._locks.get(lock.name) is not lock:
            return
        del self._locks[lock.name]
        lock.set_held(False)
        if self._session is not None:
            await self._session.leave_lock(lock)

    # Connections

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0  # rounds over the remotes that brought nothing lasting
        try:
            while True:
                for remote in self._remotes:
                    started = loop.time()
                    if await self._one_connection(remote, logging.DEBUG if failures else logging.WARNING):
                        if loop.time() - started > self._backoff.longest:
                            failures = -1
                        break  # the order of the remotes is a preference: begin with the first again
                failures += 1
                await asyncio.sleep(self._backoff.delay(failures, self._random()))
        finally:
            self._closed = True
            self._connected.set()  # who waits must learn that it is over

    async def _one_connection(self, remote: Remote, level: int) -> bool:
        """Stay with one server for as long as it lasts; return whether it was of use at all."""
        session = Session(self.database, self._monitors, self._locks, self._lost, leader_only=self._leader_only)
        connected = False
        reason: Exception | None = None
        try:
            async with asyncio.timeout(self._connect_timeout):
                await session.open(remote, self._tls, self._probe_interval)
                await session.prepare(self._schema, self._schema_wire)
            self._schema, self._schema_wire = session.schema, session.schema_wire
            self._session = session
            await session.resume()
            session.connection.check()
            self._connection = session.connection
            self._connected.set()
            connected = True
            logger.info("%s: connected to %s", self.database, remote)
            reason = await session.connection.closed()
        except (OSError, OvsdbError) as error:
            reason = error
        except Exception as error:
            logger.exception("%s: a fault with %s", self.database, remote)
            reason = error
        finally:
            await session.close(reason or NotConnected("the client is closed"))
            self._lost()
        if connected:
            logger.warning("%s: lost %s: %s", self.database, remote, reason)
        else:
            logger.log(level, "%s: can't use %s: %s", self.database, remote, reason or "no answer")
        return connected

    def _lost(self) -> None:
        """Called in the moment in which a connection ends."""
        self._session = self._connection = None
        self._connected.clear()
        for lock in self._locks.values():
            lock.set_held(False)
