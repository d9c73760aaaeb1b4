"""What a network or a broken peer does to a connection: dribbling, huge messages, garbage, silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from socketplane.ovsdb import Client, Disconnected, NotConnected, comment, insert, select
from support.eventually import eventually
from support.ovsdb_proxy import Proxy
from support.ovsdb_schema import QUICK, SCHEMA
from support.ovsdb_server import OvsdbServer
from support.ports import free_port

Answer = Callable[[dict[str, Any]], bytes]


@asynccontextmanager
async def fake_peer(answer: Answer, piece: int = 1 << 16) -> AsyncIterator[str]:
    """Serve OVSDB on a TCP port with answers of the test's own making, cut into pieces."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = b""
        try:
            while data := await reader.read(1 << 16):
                requests, buffer = split(buffer + data)
                for request in requests:
                    out = answer(request)
                    for start in range(0, len(out), piece):
                        writer.write(out[start : start + piece])
                        await writer.drain()
                        await asyncio.sleep(0)
        except OSError:
            pass
        finally:
            writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield f"tcp:127.0.0.1:{port}"
    finally:
        server.close()


def split(data: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """Return the whole requests of this client, whose messages end where the next begins."""
    requests = []
    while data:
        for end in range(1, len(data) + 1):
            if data[end - 1 : end] == b"}" and data[end : end + 1] in (b"", b"{"):
                try:
                    requests.append(orjson.loads(data[:end]))
                except orjson.JSONDecodeError:
                    continue
                data = data[end:]
                break
        else:
            return requests, data
    return requests, b""


def polite(request: dict[str, Any]) -> dict[str, Any]:
    """Answer what a client asks before it is connected, as a server older than `_Server` and monitor_cond_since does."""
    reply: dict[str, Any] = {"id": request["id"], "result": {}, "error": None}
    if request["method"] in ("monitor", "monitor_cond_since"):
        return reply | {"result": None, "error": "unknown method"}
    if request["method"] == "get_schema":
        return reply | {"result": SCHEMA}
    if request["method"] == "monitor_cond":
        return reply | {"result": {"Thing": {"00000000-0000-0000-0000-000000000001": {"initial": {"name": "}{\\"}}}}}
    if request["method"] == "transact":
        return reply | {"result": [{} for _ in request["params"][1:]]}
    return reply


async def test_a_peer_that_dribbles_byte_by_byte() -> None:
    async with (
        fake_peer(lambda request: orjson.dumps(polite(request)), piece=1) as remote,
        Client([remote], "Test", backoff=QUICK) as client,
    ):
        replica = await client.monitor({"Thing": ["name"]})
        assert [row["name"] for row in replica["Thing"].values()] == ["}{\\"]
        assert len(await client.transact(comment("a"), comment("b"))) == 2


async def test_messages_that_arrive_together(tmp_path: Path, server: OvsdbServer) -> None:
    async with Proxy(server.socket, tmp_path) as proxy, Client([proxy.remote], "Test", backoff=QUICK) as client:
        replica = await client.monitor({"Thing": ["name"]})
        proxy.freeze()
        pending = [asyncio.ensure_future(client.transact(insert("Thing", {"name": f"}}{{{n}"}))) for n in range(50)]
        async with Client([server.remote], "Test") as other:
            watched = await other.monitor({"Thing": ["name"]})
            await watched.wait_for(lambda r: len(r["Thing"]) == 50, 10)
        proxy.thaw()
        await asyncio.gather(*pending)
        assert {row["name"] for row in replica["Thing"].values()} == {f"}}{{{n}" for n in range(50)}


@pytest.mark.parametrize("piece", [7, 4096])
async def test_a_real_server_through_a_narrow_pipe(tmp_path: Path, server: OvsdbServer, piece: int) -> None:
    text = 'quote " backslash \\ braces }{ é€😀 ' * 20
    async with (
        Proxy(server.socket, tmp_path, piece=piece) as proxy,
        Client([proxy.remote], "Test", connect_timeout=30, backoff=QUICK) as client,
    ):
        replica = await client.monitor({"Thing": None})
        await client.transact(*(insert("Thing", {"name": f"{n}{text}", "props": {text: text}}) for n in range(5)))
        (read,) = await client.transact(select("Thing", (), ["name"]))
        assert {row["name"] for row in read.rows} == {f"{n}{text}" for n in range(5)}
        assert {row["name"] for row in replica["Thing"].values()} == {f"{n}{text}" for n in range(5)}


async def test_huge_messages_both_ways(client: Client) -> None:
    megabyte = "0123456789abcde\\" * 65536
    await client.transact(*(insert("Thing", {"name": f"{n:02}{megabyte}"}) for n in range(32)), timeout=60)
    replica = await client.monitor({"Thing": ["name"]})
    (read,) = await client.transact(select("Thing", (), ["name"]), timeout=60)
    assert {row["name"] for row in read.rows} == {f"{n:02}{megabyte}" for n in range(32)}
    assert len(replica["Thing"]) == 32


GARBAGE = {
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "binary": bytes(range(256)),
    "unbalanced": b'{"id":1}}',
    "not closed properly": b'{"method":"update3","params":[}',
    "an array": b"[1,2,3]",
    "neither request nor answer": b"{}",
    "params of the wrong type": b'{"method":"update3","params":7,"id":null}',
    "method of the wrong type": b'{"method":7,"params":[],"id":null}',
    "an update without content": b'{"method":"update3","params":["Test 1"],"id":null}',
    "an update of the wrong type": b'{"method":"update3","params":["Test 1","x",[]],"id":null}',
    "an unknown table": b'{"method":"update3","params":["Test 1","x",{"Nothing":{"'
    + b"0" * 36
    + b'":{"delete":null}}}],"id":null}',
    "not a uuid": b'{"method":"update3","params":["Test 1","x",{"Thing":{"row":{"delete":null}}}],"id":null}',
    "a difference to nothing": b'{"method":"update2","params":["Test 1",{"Thing":{"00000000-0000-0000-0000-0000000000ff":'
    b'{"modify":{"name":"x"}}}}],"id":null}',
    "a value of the wrong type": b'{"method":"update2","params":["Test 1",{"Thing":{"00000000-0000-0000-0000-0000000000ff":'
    b'{"insert":{"name":["set",[{}]]}}}}],"id":null}',
    "invalid utf-8": b'{"method":"update2","params":["\xff"],"id":null}',
    "status of the wrong type": b'{"method":"update","params":["_Server",7],"id":null}',
    "database gone": b'{"method":"monitor_canceled","params":["Test 1"],"id":null}',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_ends_the_connection_and_the_next_one_is_right(
    tmp_path: Path, server: OvsdbServer, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with Proxy(server.socket, tmp_path) as proxy, Client([proxy.remote], "Test", backoff=QUICK) as client:
        replica = await client.monitor({"Thing": ["name"]})
        await client.transact(insert("Thing", {"name": "a"}))
        proxy.freeze()
        in_flight = asyncio.ensure_future(client.transact(comment("x"), timeout=30))
        await asyncio.sleep(0)
        with caplog.at_level(logging.WARNING, "socketplane.ovsdb"):
            proxy.inject(garbage)
            with pytest.raises(Disconnected):
                await in_flight
        proxy.thaw()
        await client.transact(insert("Thing", {"name": "b"}))
        assert proxy.connections == 2
        assert {row["name"] for row in replica["Thing"].values()} == {"a", "b"}
        assert "lost" in caplog.text


@pytest.mark.parametrize(
    "result", [None, [], [None], [7], [{}, {}], [{"uuid": 5}], [{"uuid": ["uuid", "x"]}], [{"rows": [{"x": 1}]}]]
)
async def test_a_result_that_does_not_fit_ends_the_connection(result: Any) -> None:
    def answer(request: dict[str, Any]) -> bytes:
        return orjson.dumps(polite(request) | ({"result": result} if request["method"] == "transact" else {}))

    async with fake_peer(answer) as remote, Client([remote], "Test", backoff=QUICK) as client:
        with pytest.raises(Disconnected):
            await client.transact(select("Thing"))


async def test_only_garbage_from_the_first_byte_on_leads_to_patient_retries() -> None:
    attempts = 0

    def answer(_: dict[str, Any]) -> bytes:
        nonlocal attempts
        attempts += 1
        return b"\x16\x03\x01"

    async with fake_peer(answer) as remote, Client([remote], "Test") as client:
        with pytest.raises(NotConnected):
            await client.transact(comment("x"), timeout=0.5)
    assert 2 <= attempts < 20


async def test_a_refused_monitor_is_the_callers_error() -> None:
    def answer(request: dict[str, Any]) -> bytes:
        refused = {"result": None, "error": {"error": "permission error", "details": "not for you"}}
        return orjson.dumps(polite(request) | (refused if request["method"] == "monitor_cond" else {}))

    async with fake_peer(answer) as remote, Client([remote], "Test", backoff=QUICK) as client:
        for connected_first in (False, True):
            if connected_first:
                await client.wait_connected(10)
            with pytest.raises(Exception, match="permission error: not for you"):
                await client.monitor({"Thing": None})
        assert client.connected


async def test_an_unanswered_probe_ends_the_connection(tmp_path: Path, server: OvsdbServer) -> None:
    async with (
        Proxy(server.socket, tmp_path) as proxy,
        Client([proxy.remote], "Test", probe_interval=0.05, backoff=QUICK) as client,
    ):
        replica = await client.monitor({"Thing": ["name"]})
        proxy.freeze()
        in_flight = asyncio.ensure_future(client.transact(comment("x"), timeout=30))
        with pytest.raises(Disconnected, match="no sign of life"):
            await in_flight
        proxy.thaw()
        await client.transact(insert("Thing", {"name": "a"}))
        assert len(replica["Thing"]) == 1


async def test_answered_probes_keep_an_idle_connection(tmp_path: Path, server: OvsdbServer) -> None:
    async with (
        Proxy(server.socket, tmp_path) as proxy,
        Client([proxy.remote], "Test", probe_interval=0.02, backoff=QUICK) as client,
    ):
        await client.wait_connected(10)
        await eventually(lambda: proxy.sent.count(b'"echo"') >= 5)
        assert proxy.connections == 1
        assert client.connected


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b'{"id":"echo","method":"echo","params":["x",1]}', b'{"id":"echo","result":["x",1],"error":null}'),
        (b'{"id":5,"method":"what","params":[]}', b'{"id":5,"result":null,"error":"unknown method"}'),
    ],
)
async def test_requests_of_the_server_are_answered(
    tmp_path: Path, server: OvsdbServer, request_: bytes, answer: bytes
) -> None:
    async with Proxy(server.socket, tmp_path) as proxy, Client([proxy.remote], "Test", backoff=QUICK) as client:
        await client.wait_connected(10)
        proxy.inject(request_)
        await eventually(lambda: answer in proxy.sent)


async def test_a_peer_that_accepts_and_says_nothing_does_not_block_the_next_remote(server: OvsdbServer) -> None:
    async with (
        fake_peer(lambda _: b"") as silent,
        Client([silent, server.remote], "Test", connect_timeout=0.1, backoff=QUICK) as client,
    ):
        await client.transact(comment("x"))
