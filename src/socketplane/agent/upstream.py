"""The front's connections to the agent: kept, and made anew when the agent was."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import httptools
import structlog

from socketplane.errors import Unavailable

PATIENCE = 3.0
"""Seconds that calls wait for an agent that is not there, counted from when it was first missed, by whomever."""
BOUND = 75.0
"""Seconds that one call may take; longer than the agent gives itself."""

_LOOK_AGAIN = 0.05
_SENDINGS = 3
"""How often a call is sent to an agent that ends over it each time."""
_KEPT = 64
_REMEDY = "`socketplane up` starts it"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the agent, as it is."""

    status: int
    body: bytes


class Upstream:
    """Sends calls to the agent, and each again with its whole body if the connection breaks: all are idempotent."""

    def __init__(self, path: Path, *, patience: float = PATIENCE, bound: float = BOUND) -> None:
        self._path = path
        self._patience = patience
        self._bound = bound
        self._idle: list[_Connection] = []
        self._missed_at: float | None = None
        self._back = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Let go of all connections."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        while self._idle:
            self._idle.pop().close()

    async def call(self, method: str, body: bytes) -> Answer:
        """Return the agent's answer.

        Raises:
            Unavailable: there is no agent, or it does not answer; it was waited for.
        """
        request = f"POST /{method} HTTP/1.1\r\nHost: agent\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        sendings = 0
        try:
            async with asyncio.timeout(self._bound):
                while sendings < _SENDINGS:
                    connection = await self._connection(sent=sendings > 0)
                    sendings += 1
                    try:
                        answer = await connection.exchange(request)
                    except ConnectionError:
                        await asyncio.sleep(_LOOK_AGAIN * (sendings - 1))
                    else:
                        self._keep(connection)
                        return answer
        except TimeoutError:
            raise Unavailable(f"the agent took longer than {self._bound:g} s", remedy="its log may have why") from None
        raise Unavailable("the agent ended over this call each time it was sent", remedy="its log may have why")

    async def _connection(self, *, sent: bool) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        while True:
            try:
                connection = await self._connect()
            except OSError as error:
                left = self._miss(str(error)) + self._patience - time.monotonic()
            else:
                self._find()
                return connection
            try:
                async with asyncio.timeout(max(0.0, left)):
                    await self._back.wait()
            except TimeoutError:
                what = "and what it had begun is put right when it is back" if sent else "nothing was changed"
                raise Unavailable(f"the agent isn't running, {what}", remedy=_REMEDY) from None

    async def _connect(self) -> _Connection:
        _, connection = await asyncio.get_running_loop().create_unix_connection(_Connection, str(self._path))
        return connection

    def _keep(self, connection: _Connection) -> None:
        if len(self._idle) < _KEPT:
            self._idle.append(connection)
        else:
            connection.close()

    def _miss(self, reason: str) -> float:
        """Note that nobody is there; return since when that is so."""
        if self._missed_at is None:
            self._missed_at = time.monotonic()
            self._back.clear()
            self._watcher = asyncio.create_task(self._watch())
            _log.warning("agent.missing", reason=reason)
        return self._missed_at

    def _find(self) -> None:
        """Note that somebody is there."""
        if self._missed_at is None:
            return
        _log.info("agent.back", after=round(time.monotonic() - self._missed_at, 1))
        self._missed_at = None
        self._back.set()
        if self._watcher:
            self._watcher.cancel()
            self._watcher = None

    async def _watch(self) -> None:
        """Look until the agent is there, whether anybody calls or not: the next gap is another one."""
        began = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_AGAIN if time.monotonic() - began < self._patience else 10 * _LOOK_AGAIN)
            try:
                self._keep(await self._connect())
            except OSError:
                continue
            self._watcher = None
            self._find()
            return


class _Connection(asyncio.Protocol):
    """One connection: a call at a time."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and return its answer. Raises ConnectionError: the connection broke before it was whole."""
        if self.closed or self._transport is None:
            raise ConnectionResetError
        self._answer = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it."""
        self.closed = True
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Fail the call under way."""
        self.closed = True
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the agent closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._answer is None or self._answer.done():
            self.close()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, body: bytes) -> None:
        """Keep a part (the parser's call)."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Answer the call (the parser's call)."""
        self.closed = self.closed or not self._parser.should_keep_alive()
        if self._answer and not self._answer.done():
            self._answer.set_result(Answer(self._parser.get_status_code(), b"".join(self._parts)))
