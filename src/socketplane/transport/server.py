"""Serving an ASGI app on a unix socket and on TLS, with the peer's identity in `scope["state"]["peer"]`."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from socketplane.errors import Unavailable
from socketplane.transport.peer import peer_of_transport

# The file of a unix socket is removed by us, or is not ours; from Python 3.13 on the loop would do it by itself.
_KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}

TcpListener = tuple[str, int, ssl.SSLContext]


HANDSHAKE_SECONDS = 10.0
STRANGER_SECONDS = 30.0
"""How long a connection without a certificate may stand: what it may ask for is answered at once."""
STRANGERS = 1000
"""How many of them there may be at a time. A host's own connections are not counted: strangers can't keep it out."""

STRANGER_BYTES = 1 << 18
"""How much such a connection may send in all: a request to join is a hundredth of that, and headers have no bound."""


class _PeerProtocol(HttpToolsProtocol):
    """Uvicorn's protocol; it also tells the app who is at the other end, and bounds what strangers can hold."""

    def __init__(self, strangers: dict[_PeerProtocol, asyncio.TimerHandle], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._strangers = strangers
        self._allowance: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = peer_of_transport(transport)
        self.app_state = {**self.app_state, "peer": peer}
        if peer.kind == "anonymous":
            full = len(self._strangers) >= STRANGERS
            self._allowance = 0 if full else STRANGER_BYTES
            self._strangers[self] = self.loop.call_later(0 if full else STRANGER_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._allowance is not None:
            self._allowance -= len(data)
            if self._allowance < 0:
                return self.transport.abort()
        return super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if end := self._strangers.pop(self, None):
            end.cancel()
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """Several listeners before one app; signals are the caller's business. `ports` are those of the TCP listeners."""

    def __init__(self, config: uvicorn.Config, sockets: Sequence[tuple[socket.socket, ssl.SSLContext | None]]) -> None:
        super().__init__(config)
        self._listeners = sockets
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._strangers: dict[_PeerProtocol, asyncio.TimerHandle] = {}
        self.ports = [entry.getsockname()[1] for entry, tls in sockets if tls]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Listen on all sockets."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        self.servers = []
        for listener, tls in self._listeners:
            if tls:
                server = await loop.create_server(
                    self._protocol, sock=listener, ssl=tls, ssl_handshake_timeout=HANDSHAKE_SECONDS, backlog=1024
                )
            else:
                server = await loop.create_unix_server(self._protocol, sock=listener, backlog=1024, **_KEEP_FILE)
            self.servers.append(server)
        self.started = True
        self.ready.set()

    async def main_loop(self) -> None:
        """Sleep until `stop` (uvicorn's own wakes up ten times a second, for a date header that we don't send)."""
        await self._stopping.wait()

    def stop(self) -> None:
        """Begin to end: no new connections, requests in flight are finished."""
        self._stopping.set()

    def _protocol(self) -> asyncio.Protocol:
        return _PeerProtocol(
            self._strangers, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


@asynccontextmanager
async def serve(
    app: Any,
    *,
    unix: Path | None = None,
    passed: socket.socket | None = None,
    tcp: Sequence[TcpListener] = (),
    keep_alive: float = 75.0,
    mode: int = 0o600,
) -> AsyncIterator[Server]:
    """Serve `app` for as long as the context is open; the end waits for requests in flight (3 s at most).

    A stale file at `unix` is replaced; one that somebody still serves is not.
    `passed` is a unix socket that listens already and whose file is another's (systemd's): it outlives us.
    `keep_alive` is how long an idle connection is kept, seconds: dockerd wants its own kept for good.

    Raises:
        Unavailable: an address is in use or can't be listened on.
    """
    sockets: list[tuple[socket.socket, ssl.SSLContext | None]] = []
    try:
        if unix:
            sockets.append((await asyncio.to_thread(_bind_unix, unix, mode), None))
        if passed:
            passed.setblocking(False)
            sockets.append((passed, None))
        sockets.extend((_bind_tcp(host, port), tls) for host, port, tls in tcp)
    except BaseException:
        for listener, _ in sockets:
            listener.close()
        raise
    server = Server(_config(app, keep_alive), sockets)
    task = asyncio.create_task(server._serve())  # not serve(): that one takes the signals
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield server
    finally:
        ready.cancel()
        server.stop()
        await task
        if unix:
            await asyncio.to_thread(_remove, unix)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()


def _config(app: Any, keep_alive: float) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_PeerProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(keep_alive),
        timeout_graceful_shutdown=3,
    )


def _bind_unix(path: Path, mode: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            _refuse_served(path)
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        before = os.umask(0o777 & ~mode)  # the file must never be open to others, not even for a moment
        try:
            listener.bind(str(path))
            listener.listen(1024)  # here, so that who sees the file can connect
        finally:
            os.umask(before)
    except OSError as error:
        listener.close()
        raise Unavailable(f"can't listen: {error.strerror or error}", field=str(path)) from None
    except BaseException:
        listener.close()
        raise
    return listener


def _refuse_served(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
        except OSError:
            pass  # its queue is full: served all the same
        raise Unavailable("another process serves this socket", field=str(path), remedy="stop it first")


def _bind_tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)  # here, so that a taken port is known now
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"can't listen: {error.strerror or error}",
            field=f"{host}:{port}",
            remedy=f"`ss -ltnp sport = :{port}` names the program that has it",
        ) from None
    return listener
