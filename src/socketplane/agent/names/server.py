"""The resolver's sockets: queries by UDP and TCP in, answers out."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

import dns.rcode
import structlog

from socketplane.agent.names import message
from socketplane.agent.names.answers import Forward, Inside, decide
from socketplane.agent.names.forward import Forwarder
from socketplane.agent.names.table import Table

IDLE = 10.0
"""Seconds for which a connection may say nothing."""
CONNECTIONS = 256
CONNECTIONS_EACH = 16
_IP_FREEBIND = 15
_BUFFER = 1 << 20
_log = structlog.get_logger()


class Server:
    """Answers containers. `table` returns what is known now; counters are by what became of queries."""

    def __init__(self, table: Callable[[], Table], inside: Inside, forwarder: Forwarder) -> None:
        self._table = table
        self._inside = inside
        self._forwarder = forwarder
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: Counter[IPv4Address] = Counter()
        self.counts: Counter[str] = Counter()

    async def listen(self, address: str, port: int) -> None:
        """Answer from now on. OSError: somebody else has the port."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._bind(first, address, port)
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=first.dup())
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as second:
            second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._bind(second, address, self.port)
            self._tcp = await asyncio.start_server(self._connected, sock=second.dup())

    @property
    def port(self) -> int:
        """The port, where any was asked for."""
        return int(self._udp.get_extra_info("sockname")[1])

    async def close(self) -> None:
        """Answer no more."""
        self._udp.close()
        self._tcp.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def received(self, wire: bytes, source: tuple[str, int], send: Callable[[bytes, tuple[str, int]], None]) -> None:
        """Answer a datagram, at once or when a server has."""
        asker = IPv4Address(source[0])
        try:
            said = decide(self._table(), self._inside, asker, wire)
        except Exception:  # whatever came in, the next one is answered
            self.counts["failed"] += 1
            _log.exception("resolver.failed", source=str(asker))
            return
        if not isinstance(said, Forward):
            self.counts[said.kind] += 1
            if said.wire:
                send(said.wire, source)
            return

        async def ask() -> None:
            send(await self._forward(asker, wire, said, stream=False), source)

        self._spawn(ask())

    async def _forward(self, asker: IPv4Address, wire: bytes, said: Forward, *, stream: bool) -> bytes:
        reply = await self._forwarder.ask(asker, wire, stream=stream)
        self.counts["forwarded" if reply is not None else "unanswered"] += 1
        return reply if reply is not None else message.refusal(said.query, dns.rcode.SERVFAIL)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asker = IPv4Address(writer.get_extra_info("peername")[0])
        admitted = self._connections.total() < CONNECTIONS and self._connections[asker] < CONNECTIONS_EACH
        self._connections[asker] += 1
        try:
            if admitted:
                await self._converse(asker, reader, writer)
        except (OSError, EOFError, TimeoutError):
            pass
        except Exception:
            self.counts["failed"] += 1
            _log.exception("resolver.failed", source=str(asker))
        finally:
            self._connections -= Counter([asker])
            with suppress(OSError):
                writer.close()

    async def _converse(self, asker: IPv4Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(IDLE):
                wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            said = decide(self._table(), self._inside, asker, wire, stream=True)
            if isinstance(said, Forward):
                reply = await self._forward(asker, wire, said, stream=True)
            else:
                self.counts[said.kind] += 1
                reply = said.wire
            if not reply:
                return
            writer.write(len(reply).to_bytes(2, "big") + reply)
            async with asyncio.timeout(IDLE):
                await writer.drain()

    @staticmethod
    def _bind(listener: socket.socket, address: str, port: int) -> None:
        listener.setblocking(False)
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)  # sp0 may come later, or again
        listener.bind((address, port))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.received(data, addr, self._send)

    def _send(self, data: bytes, source: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, source)
