"""Asking this host's name servers: bounded in time and number, from a port of its own for each query."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from socketplane.agent.names import message

PATIENCE = 4.0
"""Seconds for a query in all; what asks for containers waits about as long."""
TRY = 1.5
AT_ONCE = 500
AT_ONCE_EACH = 100
"""Queries under way, of all containers and of one."""
_PORT = 53
_WORTH_ANOTHER = frozenset({2, 5})  # SERVFAIL, REFUSED: the next server may know better
Servers = Callable[[], Sequence[IPv4Address]]


class Forwarder:
    """Passes queries on as they came. `servers` are asked in order, until one gives an answer."""

    def __init__(self, servers: Servers, *, port: int = _PORT, patience: float = PATIENCE, attempt: float = TRY) -> None:
        self._servers = servers
        self._port = port
        self._patience = patience
        self._attempt = attempt
        self._under_way: dict[IPv4Address, int] = {}
        self._all = 0

    async def ask(self, source: IPv4Address, wire: bytes, *, stream: bool) -> bytes | None:
        """Return a server's answer under the query's id; None where none came, or there are too many queries."""
        mine = self._under_way.get(source, 0)
        if self._all >= AT_ONCE or mine >= AT_ONCE_EACH:
            return None
        self._under_way[source], self._all = mine + 1, self._all + 1
        try:
            async with asyncio.timeout(self._patience):
                reply = await self._ask_servers(secrets.token_bytes(2) + wire[2:], stream=stream)
        except TimeoutError:
            return None
        finally:
            self._all -= 1
            self._under_way[source] -= 1
            if not self._under_way[source]:
                del self._under_way[source]
        return wire[:2] + reply[2:] if reply is not None else None

    async def _ask_servers(self, wire: bytes, *, stream: bool) -> bytes | None:
        ask = self._by_tcp if stream else self._by_udp
        best: bytes | None = None
        for server in self._servers():
            try:
                async with asyncio.timeout(self._attempt):
                    reply = await ask(server, wire)
            except (OSError, EOFError, TimeoutError):
                continue
            if reply[3] & 0xF not in _WORTH_ANOTHER:
                return reply
            best = best or reply
        return best

    async def _by_udp(self, server: IPv4Address, wire: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Exchange(wire), remote_addr=(str(server), self._port)
        )
        try:
            transport.sendto(wire)
            return await protocol.reply
        finally:
            transport.close()

    async def _by_tcp(self, server: IPv4Address, wire: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(str(server), self._port)
        try:
            writer.write(len(wire).to_bytes(2, "big") + wire)
            reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        finally:
            writer.close()
        if not message.fits(wire, reply):
            raise OSError("not an answer to what was asked")
        return reply


class _Exchange(asyncio.DatagramProtocol):
    """Waits for the answer to one query; what else arrives is not one."""

    def __init__(self, wire: bytes) -> None:
        self._wire = wire
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's signature
        """Take an answer."""
        if not self.reply.done() and message.fits(self._wire, data):
            self.reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there."""
        if not self.reply.done():
            self.reply.set_exception(exc)
