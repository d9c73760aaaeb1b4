"""The resolver's sockets, and the servers behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import dns.flags
import dns.message
import dns.rcode
import pytest

from socketplane.agent.names import forward
from socketplane.agent.names.answers import Inside
from socketplane.agent.names.forward import Forwarder
from socketplane.agent.names.server import CONNECTIONS_EACH, Server
from socketplane.agent.names.table import Named, Table
from support.dnswire import NameServer, name_server, query, read, saying

WEB = UUID(int=1)
HOME = "127.0.0.1"


@asynccontextmanager
async def resolver(servers: Sequence[str], port: int = 53, **bounds: float) -> AsyncIterator[Server]:
    """A resolver to which 127.0.0.1 is a container on `web`, beside `one` and many called `many`."""
    table = Table("h1")
    table.name_network(WEB, "web")
    table.set_local("e1", WEB, int(IPv4Address(HOME)), "c1")
    table.put("e2", Named(WEB, int(IPv4Address("10.192.0.9")), "c2", "h2", ("one",)))
    for number in range(100):
        table.put(f"m{number}", Named(WEB, int(IPv4Address("10.192.1.0")) + number, "c", "h2", ("many",)))
    forwarder = Forwarder(lambda: [IPv4Address(text) for text in servers], port=port, **bounds)
    server = Server(lambda: table, Inside(IPv4Network("10.192.0.0/10"), IPv4Network("169.254.192.0/20")), forwarder)
    while True:
        try:
            await server.listen(HOME, 0)
            break
        except OSError:  # the port is free by UDP, and somebody has it by TCP
            server._udp.close()
    try:
        yield server
    finally:
        await server.close()


async def by_udp(server: Server, wire: bytes, seconds: float = 5) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect((HOME, server.port))
        await loop.sock_sendall(client, wire)
        async with asyncio.timeout(seconds):
            return await loop.sock_recv(client, 65535)


async def by_tcp(server: Server, *wires: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection(HOME, server.port)
    found = []
    async with asyncio.timeout(5):
        for wire in wires:
            writer.write(len(wire).to_bytes(2, "big") + wire)
            found.append(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
    writer.close()
    return found


async def test_udp_and_tcp() -> None:
    async with resolver([]) as server:
        assert read(await by_udp(server, query("one"))) == ("NOERROR", ["10.192.0.9"])
        cut = dns.message.from_wire(await by_udp(server, query("many")))
        assert cut.flags & dns.flags.TC
        one, many = await by_tcp(server, query("one"), query("many"))
        assert read(one) == ("NOERROR", ["10.192.0.9"])
        assert len(read(many)[1]) == 100
        assert server.counts == {"answered": 4}


async def test_everything_else_is_asked_of_the_hosts_servers() -> None:
    async with name_server("127.0.0.2") as (upstream, port), resolver(["127.0.0.2"], port) as server:
        upstream.said = saying("192.0.2.7")
        wire = query("example.com", id=99, use_edns=0, payload=1400)
        reply = await by_udp(server, wire)
        assert (reply[:2], read(reply)) == (wire[:2], ("NOERROR", ["192.0.2.7"]))
        assert (upstream.asked[0].edns, upstream.asked[0].payload) == (0, 1400), "as it came"
        upstream.said = saying("", code=dns.rcode.NXDOMAIN)
        assert read(await by_udp(server, query("nobody"))) == ("NXDOMAIN", [])
        assert upstream.streams == 0
        upstream.said = saying("192.0.2.8")
        assert read((await by_tcp(server, query("example.com")))[0]) == ("NOERROR", ["192.0.2.8"])
        assert upstream.streams == 1
        assert server.counts == {"forwarded": 3}


async def test_the_next_server_is_asked_when_one_is_down_silent_or_failing() -> None:
    async with name_server("127.0.0.4") as (good, port), name_server("127.0.0.3", port) as (bad, _):
        good.said = saying("192.0.2.7")
        async with resolver(["127.0.0.2", "127.0.0.3", "127.0.0.4"], port, attempt=0.1) as server:
            for said in (lambda _: None, saying("", code=dns.rcode.SERVFAIL), saying("", code=dns.rcode.REFUSED)):
                bad.said = said
                for reply in (await by_udp(server, query("x.example")), *await by_tcp(server, query("x.example"))):
                    assert read(reply) == ("NOERROR", ["192.0.2.7"])


async def test_no_server_at_all_is_servfail_in_time() -> None:
    async with name_server("127.0.0.2") as (_, port):
        async with resolver(["127.0.0.2"] * 3, port, attempt=5.0, patience=0.2) as server:
            assert read(await by_udp(server, query("x.example"), 3)) == ("SERVFAIL", [])
        async with resolver([], port) as server:
            assert read(await by_udp(server, query("x.example"), 3)) == ("SERVFAIL", [])
            assert server.counts == {"unanswered": 1}


def _other_id(asked: dns.message.Message) -> bytes:
    wire = saying("192.0.2.66")(asked)
    assert wire
    return bytes([wire[0] ^ 1]) + wire[1:]


def _other_name(asked: dns.message.Message) -> bytes | None:
    return saying("192.0.2.66")(dns.message.make_query("evil.example", "A", id=asked.id))


@pytest.mark.parametrize("said", [_other_id, _other_name, lambda asked: asked.to_wire(), lambda _: b"\0" * 12])
async def test_a_reply_to_something_else_is_none(said: object) -> None:
    async with name_server("127.0.0.2") as (upstream, port):
        upstream.said = said  # type: ignore[assignment]
        async with resolver(["127.0.0.2"], port, attempt=0.1) as server:
            assert read(await by_udp(server, query("x.example"))) == ("SERVFAIL", [])
            assert read((await by_tcp(server, query("x.example")))[0]) == ("SERVFAIL", [])


async def test_who_guesses_meets_another_port_and_id_each_time() -> None:
    async with name_server("127.0.0.2") as (upstream, port), resolver(["127.0.0.2"], port) as server:
        upstream.said = saying("192.0.2.7")
        for _ in range(20):
            await by_udp(server, query("example.com", id=1))
        assert len(set(upstream.ports)) > 10
        assert len({asked.id for asked in upstream.asked}) > 10


async def test_nonsense_before_the_answer_does_not_keep_it_from_arriving() -> None:
    async with name_server("127.0.0.2") as (upstream, port), resolver(["127.0.0.2"], port) as server:

        def say(asked: dns.message.Message) -> bytes | None:
            address = ("127.0.0.1", upstream.ports[-1])
            for lie in (b"", b"\0", _other_id(asked), _other_name(asked) or b"", asked.to_wire(), b"\xff" * 4000):
                upstream.transport.sendto(lie, address)  # type: ignore[attr-defined]
            return saying("192.0.2.7")(asked)

        upstream.said = say
        assert read(await by_udp(server, query("x.example"))) == ("NOERROR", ["192.0.2.7"])
        assert server.counts == {"forwarded": 1}


@pytest.mark.parametrize(
    "lies", [b"", b"\0", b"\0\0", b"\xff\xff" + b"x" * 30, b"\0\x05" + b"x" * 500, b"\0\x20" + b"\xc0\x0c" * 16]
)
async def test_a_server_that_lies_by_tcp_is_passed_over_in_time(lies: bytes) -> None:
    async with name_server("127.0.0.2") as (bad, port), name_server("127.0.0.3", port) as (good, _):
        bad.lies, good.said = lies, saying("192.0.2.7")
        async with resolver(["127.0.0.2", "127.0.0.3"], port, attempt=0.2) as server:
            assert read((await by_tcp(server, query("x.example")))[0]) == ("NOERROR", ["192.0.2.7"])
            assert read((await by_tcp(server, query("one")))[0]) == ("NOERROR", ["10.192.0.9"])


async def test_names_of_ours_go_on_while_servers_are_silent() -> None:
    async with name_server("127.0.0.2") as (upstream, port), resolver(["127.0.0.2"], port, patience=0.5) as server:
        lost = [asyncio.create_task(by_udp(server, query(f"x{number}.example"))) for number in range(10)]
        await _waits(upstream, 10)
        assert read(await by_udp(server, query("one"))) == ("NOERROR", ["10.192.0.9"])
        assert [read(reply) for reply in await asyncio.gather(*lost)] == [("SERVFAIL", [])] * 10


async def test_a_client_that_dawdles_is_cut_off_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socketplane.agent.names.server.IDLE", 1.0)
    async with resolver([]) as server:
        reader, writer = await asyncio.open_connection(HOME, server.port)
        wire = query("one")
        slow = asyncio.create_task(_drip(writer, len(wire).to_bytes(2, "big") + wire))
        assert read((await by_tcp(server, query("one")))[0]) == ("NOERROR", ["10.192.0.9"])
        assert await asyncio.wait_for(reader.read(), 5) == b"", "it would have taken eight seconds"
        slow.cancel()
        writer.close()
        assert server.counts == {"answered": 1}


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for byte in data:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.3)  # slower than is waited for


async def _waits(upstream: NameServer, count: int) -> None:
    async with asyncio.timeout(5):
        while len(upstream.asked) < count:  # noqa: ASYNC110 - the server's list
            await asyncio.sleep(0.005)  # between two looks


async def test_one_containers_flood_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "AT_ONCE_EACH", 3)
    async with name_server("127.0.0.2") as (upstream, port), resolver(["127.0.0.2"], port) as server:
        held = [asyncio.create_task(by_udp(server, query(f"x{number}.example"))) for number in range(3)]
        await _waits(upstream, 3)
        assert read(await by_udp(server, query("more.example"))) == ("SERVFAIL", [])
        assert read(await by_udp(server, query("one"))) == ("NOERROR", ["10.192.0.9"])
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_connections_are_bounded() -> None:
    async with resolver([]) as server:
        held = [await asyncio.open_connection(HOME, server.port) for _ in range(CONNECTIONS_EACH)]
        reader, writer = await asyncio.open_connection(HOME, server.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        for _, each in [*held, (None, writer)]:
            each.close()
            await each.wait_closed()
        async with asyncio.timeout(5):
            while True:
                try:
                    (reply,) = await by_tcp(server, query("one"))
                except (EOFError, OSError):
                    continue
                break
        assert read(reply) == ("NOERROR", ["10.192.0.9"])


async def test_nonsense_ends_its_connection_alone() -> None:
    async with resolver([]) as server:
        for nonsense in (b"\0\0", b"\xff\xff" + b"x" * 10, b"\0\x05hello"):
            reader, writer = await asyncio.open_connection(HOME, server.port)
            writer.write(nonsense)
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        assert read((await by_tcp(server, query("one")))[0]) == ("NOERROR", ["10.192.0.9"])
        assert server.counts["failed"] == 0
