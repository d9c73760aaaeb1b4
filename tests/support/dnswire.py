"""Queries as clients send them, and a name server of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode

Said = Callable[[dns.message.Message], bytes | None]


def query(name: str, kind: str = "A", **options: object) -> bytes:
    return dns.message.make_query(name, kind, **options).to_wire()  # type: ignore[arg-type]


def read(wire: bytes) -> tuple[str, list[str]]:
    """Return a reply's code, and what it holds, sorted."""
    reply = dns.message.from_wire(wire)
    return dns.rcode.to_text(reply.rcode()), sorted(item.to_text() for rrset in reply.answer for item in rrset)


def saying(address: str, *, code: dns.rcode.Rcode = dns.rcode.NOERROR) -> Said:
    """Return what answers all queries alike."""

    def say(asked: dns.message.Message) -> bytes:
        reply = dns.message.make_response(asked)
        reply.set_rcode(code)
        if code == dns.rcode.NOERROR:
            name = asked.question[0].name
            reply.answer = [dns.rrset.from_text(name, 60, "IN", "A", address)]
        return reply.to_wire()

    return say


class NameServer(asyncio.DatagramProtocol):
    """Answers as `said` says, by UDP and TCP on one port; None: with silence."""

    def __init__(self) -> None:
        self.said: Said = lambda _: None
        self.asked: list[dns.message.Message] = []
        self.streams = 0
        self.ports: list[int] = []
        """From which ports questions came."""
        self.lies: bytes | None = None
        """What a stream is answered with, whatever was asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.ports.append(addr[1])
        if reply := self._reply(data):
            self.transport.sendto(reply, addr)  # type: ignore[attr-defined]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.streams += 1
        data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        if self.lies is not None:
            self._reply(data)
            writer.write(self.lies)
            await writer.drain()
        elif reply := self._reply(data):
            writer.write(len(reply).to_bytes(2, "big") + reply)
            await writer.drain()
        writer.close()

    def _reply(self, data: bytes) -> bytes | None:
        asked = dns.message.from_wire(data)
        self.asked.append(asked)
        return self.said(asked)


@asynccontextmanager
async def name_server(address: str, port: int = 0) -> AsyncIterator[tuple[NameServer, int]]:
    loop = asyncio.get_running_loop()
    server = NameServer()
    while True:
        transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=(address, port))
        taken = transport.get_extra_info("sockname")[1]
        try:
            stream = await asyncio.start_server(server.connected, address, taken)
        except OSError:
            transport.close()
            if port:
                raise
        else:
            port = taken
            break
    try:
        yield server, port
    finally:
        transport.close()
        stream.close()
        await stream.wait_closed()
