"""One connection: JSON-RPC over a stream socket, probed when idle. It ends once and is not used again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import orjson

from socketplane.ovsdb.errors import (
    Disconnected,
    InvalidOperation,
    NotConnected,
    OvsdbError,
    ProtocolError,
    RequestFailed,
    Unanswered,
)
from socketplane.ovsdb.jsonstream import JsonStream
from socketplane.ovsdb.remote import Remote, Tls

logger = logging.getLogger(__name__)

Handler = Callable[[Any], Any]
OnNotification = Callable[[str, list[Any]], None]


class Connection(asyncio.Protocol):
    """Requests out, answers and notifications in, in the order in which the server wrote them.

    An answer's `handler` and `on_notification` are called while the message is read, before any later one; what
    they raise ends the connection.
    """

    def __init__(self, on_notification: OnNotification, on_lost: Callable[[], None], probe_interval: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_notification = on_notification
        self._on_lost = on_lost
        self._probe_interval = probe_interval
        self._transport: asyncio.Transport | None = None
        self._stream = JsonStream()
        self._pending: dict[int, tuple[str, asyncio.Future[Any], Handler | None]] = {}
        self._next_id = 0
        self._outgoing: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._last_received = 0.0
        self._probe: asyncio.TimerHandle | None = None
        self._probing = False
        self._reason: Exception | None = None
        self._closed = asyncio.Event()

    # Requests

    async def call(
        self,
        method: str,
        params: list[Any],
        *,
        handler: Handler | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Any:
        """Send a request; return its result, or what `handler` makes of it.

        Raises RequestFailed, Disconnected, or Unanswered after `timeout`; the server is then asked to cancel, as it
        is when the caller is cancelled.
        """
        request_id, future = self.start(method, params, handler)
        timer = None if timeout is None else self._loop.call_later(timeout, self._expire, request_id, timeout)
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(request_id)
            if future.done() and not future.cancelled():
                future.exception()  # seen, so that asyncio does not complain that nobody looked
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def start(self, method: str, params: list[Any], handler: Handler | None = None) -> tuple[int, asyncio.Future[Any]]:
        """Send a request; return its id and the future of its result."""
        self.check()
        self._next_id = request_id = self._next_id + 1
        self._send({"method": method, "params": params, "id": request_id})
        future: asyncio.Future[Any] = self._loop.create_future()
        self._pending[request_id] = (method, future, handler)
        return request_id, future

    def check(self) -> None:
        """Raise NotConnected if the connection has ended."""
        if self._reason is not None or self._transport is None:
            raise NotConnected(str(self._reason or "not connected"))

    @property
    def is_writable(self) -> bool:
        """Whether the socket takes more."""
        return self._writable.is_set()

    async def writable(self) -> None:
        """Return when the socket takes more."""
        await self._writable.wait()

    def _expire(self, request_id: int, timeout: float) -> None:
        entry = self._pending.get(request_id)
        if entry is not None and not entry[1].done():
            self._cancel(request_id)
            entry[1].set_exception(Unanswered(f"{entry[0]}: no answer within {timeout:g} s; the outcome is unknown"))

    def _cancel(self, request_id: int) -> None:
        if self._pending.pop(request_id, None) is not None and self._reason is None:
            self._send({"method": "cancel", "params": [request_id], "id": None})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            data = orjson.dumps(message)
        except TypeError as error:  # a string that UTF-8 can't hold, for example
            raise InvalidOperation(f"can't be written as JSON: {error}") from error
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(data)

    def _flush(self) -> None:
        """Write in one go what was sent in one turn of the loop: a system call costs more than an encoding."""
        data = self._outgoing[0] if len(self._outgoing) == 1 else b"".join(self._outgoing)
        self._outgoing.clear()
        if self._transport is not None and self._reason is None:
            self._transport.write(data)

    # What comes in

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        if self._reason is not None:
            return
        self._last_received = self._loop.time()
        self._probing = False
        try:
            for message in self._stream.feed(data):
                self._take(message)
        except OvsdbError as error:
            self.close(error)
        except Exception as error:
            logger.exception("failed to take a message")
            self.close(ProtocolError(f"a message that could not be taken: {error!r}"))

    def _take(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method is None:
            self._take_answer(message)
            return
        params = message.get("params")
        if type(method) is not str or type(params) is not list:
            raise ProtocolError(f"not a request: {str(message)[:200]}")
        if method == "echo":
            self._send({"id": message.get("id"), "result": params, "error": None})
        elif message.get("id") is None:
            self._on_notification(method, params)
        else:
            self._send({"id": message["id"], "result": None, "error": "unknown method"})

    def _take_answer(self, message: dict[str, Any]) -> None:
        request_id = message.get("id")
        if "result" not in message and "error" not in message:
            raise ProtocolError(f"neither request nor answer: {str(message)[:200]}")
        entry = self._pending.pop(request_id, None) if type(request_id) is int else None
        if entry is None:  # the answer to what was cancelled meanwhile
            return
        method, future, handler = entry
        error, result = message.get("error"), message.get("result")
        if error is not None:
            if not future.done():
                future.set_exception(_request_failed(method, error))
            return
        if handler is not None:
            try:
                result = handler(result)
            except Exception as failure:
                if not future.done():
                    future.set_exception(Disconnected(f"{method}: {failure}"))
                raise
        if not future.done():
            future.set_result(result)

    # Life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start probing."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class
        self._last_received = self._loop.time()
        if self._probe_interval > 0:
            self._probe = self._loop.call_later(self._probe_interval, self._check)

    def _check(self) -> None:
        """Probe a connection on which nothing came for an interval, and end it when the next one brings nothing."""
        idle = self._loop.time() - self._last_received
        wait = self._probe_interval - idle
        if wait <= 0:
            if self._probing:
                self.close(Disconnected(f"no sign of life for {idle:.1f} s"))
                return
            self._probing = True
            self._next_id += 1
            self._send({"method": "echo", "params": [], "id": self._next_id})
            wait = self._probe_interval
        self._probe = self._loop.call_later(wait, self._check)

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The socket's buffer has room."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self.close(Disconnected(f"connection lost: {exc}" if exc else "the server closed the connection"))
        self._transport = None
        self._closed.set()

    def close(self, reason: Exception) -> None:
        """End the connection: pending requests raise Disconnected, with the reason in its text."""
        if self._reason is not None:
            return
        self._reason = reason
        if self._probe is not None:
            self._probe.cancel()
        pending, self._pending = self._pending, {}
        for method, future, _ in pending.values():
            if not future.done():
                future.set_exception(Disconnected(f"{method}: {reason}; the outcome is unknown"))
        self._writable.set()
        self._on_lost()
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> Exception | None:
        """Return when the connection is gone, with the reason."""
        await self._closed.wait()
        return self._reason


def _request_failed(method: str, error: Any) -> RequestFailed:
    if isinstance(error, dict):
        return RequestFailed(method, str(error.get("error", "")), str(error.get("details", "")))
    return RequestFailed(method, str(error))


async def connect(
    remote: Remote,
    tls: Tls | None,
    on_notification: OnNotification,
    on_lost: Callable[[], None],
    probe_interval: float,
) -> Connection:
    """Open a connection, TLS handshake included. Raises OSError."""
    loop = asyncio.get_running_loop()

    def make() -> Connection:
        return Connection(on_notification, on_lost, probe_interval)

    if remote.kind == "unix":
        return (await loop.create_unix_connection(make, remote.path))[1]
    if remote.kind == "tcp":
        return (await loop.create_connection(make, remote.host, remote.port))[1]
    if tls is None:
        raise OSError(f"{remote} needs TLS keys")
    context = await asyncio.to_thread(tls.context)
    return (await loop.create_connection(make, remote.host, remote.port, ssl=context, server_hostname=remote.host))[1]
