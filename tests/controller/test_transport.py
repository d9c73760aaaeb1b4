"""Client and server against one another, over real sockets."""

import asyncio
import socket
import stat
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime

import orjson
import pytest

from socketplane import pki
from socketplane.errors import NameInUse, SocketPlaneError, Unauthenticated, Unavailable
from socketplane.transport import server as transport_server
from socketplane.transport import tls
from socketplane.transport.client import STANDBY_HEADER, ControllerClient
from socketplane.transport.lines import Lines
from socketplane.transport.server import serve
from support import controller_keys


class App:
    """Answers who asks, with what; `answers` says otherwise by path."""

    def __init__(self):
        self.answers = {}
        self.calls = 0

    async def __call__(self, scope, receive, send):
        self.calls += 1
        if scope["path"] == "/v1/watch":
            return await self.stream(send)
        body = (await receive())["body"]
        peer = scope["state"]["peer"]
        seen = {"kind": peer.kind, "id": peer.system_id, "body": body.decode(), "query": scope["query_string"].decode()}
        status, headers, content = self.answers.get(scope["path"], (200, [], orjson.dumps(seen)))
        headers = [(b"content-type", b"application/json"), *headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        return await send({"type": "http.response.body", "body": content})

    async def stream(self, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"type":"snapshot","networks":[],"ho', "more_body": True})
        await send({"type": "http.response.body", "body": b'sts":[]}\n{"type":"ping"}\n', "more_body": True})
        await send({"type": "http.response.body", "body": b'{"type":"delete","kind":"host","id":"h2"}\n'})


@pytest.fixture
def app():
    return App()


@pytest.fixture
def keys(tmp_path):
    controller_keys.manager(tmp_path / "pki")
    return tmp_path / "pki"


@pytest.fixture
def authority(keys):
    return pki.load_authority(keys)


async def test_the_unix_socket_is_the_administrator_and_private(app, tmp_path):
    path = tmp_path / "run" / "c.sock"
    async with serve(app, unix=path), ControllerClient(path) as client:
        assert stat.S_IMODE((await asyncio.to_thread(path.stat)).st_mode) == 0o600
        answer = await client.call("POST", "/x", {"a": 1}, {"label": ["a=1", "b=2"]})
        assert answer == {"kind": "admin", "id": "", "body": '{"a":1}', "query": "label=a%3D1&label=b%3D2"}
    assert not await asyncio.to_thread(path.exists)


async def test_a_stale_socket_is_replaced_and_a_served_one_is_not(app, tmp_path):
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with serve(app, unix=path):
        with pytest.raises(Unavailable, match="another process serves"):
            async with serve(app, unix=path):
                pass
        async with ControllerClient(path) as client:
            assert (await client.call("GET", "/x"))["kind"] == "admin"


async def test_a_taken_port_is_named(app, keys):
    context = tls.server_context(keys)
    async with serve(app, tcp=[("127.0.0.1", 0, context)]) as server:
        with pytest.raises(Unavailable, match=f"127.0.0.1:{server.ports[0]}.*in use"):
            async with serve(app, tcp=[("127.0.0.1", server.ports[0], context)]):
                pass


async def test_the_certificate_says_who_it_is(app, keys, authority, tmp_path):
    controller_keys.lay(tmp_path / "admin", authority, "host", pki.Subject("alice", pki.ORGANIZATION_ADMIN))
    controller_keys.lay(tmp_path / "odd", authority, "host", pki.Subject("mallory", "another"))
    async with serve(app, tcp=[("127.0.0.1", 0, tls.server_context(keys))]) as server:
        address = f"127.0.0.1:{server.ports[0]}"
        for context, expected in (
            (tls.client_context(keys), ("host", "system-h1")),
            (tls.client_context(tmp_path / "admin"), ("admin", "alice")),
            (tls.client_context(tmp_path / "odd"), ("anonymous", "")),
            (tls.anonymous_context(authority.certificate), ("anonymous", "")),
            (tls.unverified_context(), ("anonymous", "")),
        ):
            async with ControllerClient(([address], context)) as client:
                answer = await client.call("GET", "/x")
                assert (answer["kind"], answer["id"]) == expected


async def test_a_foreign_certificate_is_refused_from_both_ends(app, keys, tmp_path):
    foreign = pki.make_ca("foreign", datetime.now(UTC))
    controller_keys.lay(tmp_path / "foreign", foreign, "host", pki.Subject("system-h1", pki.ORGANIZATION_HOST))
    (tmp_path / "foreign" / "ca.crt").write_text((keys / "ca.crt").read_text())
    async with serve(app, tcp=[("127.0.0.1", 0, tls.server_context(keys))]) as server:
        address = f"127.0.0.1:{server.ports[0]}"
        async with ControllerClient(([address], tls.client_context(tmp_path / "foreign"))) as client:
            with pytest.raises((Unauthenticated, Unavailable), match="this host's certificate"):
                await client.call("GET", "/x")
        async with ControllerClient(([address], tls.anonymous_context(foreign.certificate))) as client:
            with pytest.raises(Unauthenticated, match="certificate is not trusted"):
                await client.call("GET", "/x")
    assert app.calls == 0


async def test_strangers_hold_little_and_not_for_long(app, keys, authority, monkeypatch):
    monkeypatch.setattr(transport_server, "STRANGERS", 3)
    monkeypatch.setattr(transport_server, "STRANGER_SECONDS", 1.0)
    async with serve(app, tcp=[("127.0.0.1", 0, tls.server_context(keys))]) as server:
        port = server.ports[0]

        async def stranger(content):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.unverified_context())
            writer.write(content)
            return reader, writer

        async def ended(reader):
            with suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""

        slow = [await stranger(b"GET /x HTTP/1.1\r\nx") for _ in range(2)]
        greedy, of_greedy = await stranger(b"GET /x HTTP/1.1\r\nx: ")
        with suppress(ConnectionError):
            of_greedy.write(b"x" * 2 * transport_server.STRANGER_BYTES)
            await of_greedy.drain()
        await ended(greedy)
        slow.append(await stranger(b""))
        one_more, of_one_more = await stranger(b"GET /x HTTP/1.1\r\n\r\n")
        await ended(one_more)
        async with ControllerClient(([f"127.0.0.1:{port}"], tls.client_context(keys))) as client:
            assert (await client.call("GET", "/x"))["kind"] == "host", "strangers are not in the way of a host"
        for reader, _ in slow:
            await ended(reader)
        async with ControllerClient(([f"127.0.0.1:{port}"], tls.unverified_context())) as client:
            assert (await client.call("GET", "/x"))["kind"] == "anonymous"
        for writer in (of_greedy, of_one_more, *(writer for _, writer in slow)):
            writer.close()


def test_missing_key_files_are_named(tmp_path):
    with pytest.raises(Unavailable, match=r"ca\.crt"):
        tls.client_context(tmp_path)


async def test_the_active_controller_is_found(app, keys):
    standby = App()
    error = Unavailable("this controller is not the active one")
    standby.answers["/x"] = (503, [(STANDBY_HEADER.encode(), b"1")], orjson.dumps({"error": error.as_dict()}))
    context = tls.server_context(keys)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serve(standby, tcp=[("127.0.0.1", 0, context)]))
        async with serve(standby, tcp=[("127.0.0.1", 0, context)]) as gone:
            pass
        active = await stack.enter_async_context(serve(app, tcp=[("127.0.0.1", 0, context)]))
        addresses = [f"127.0.0.1:{entry.ports[0]}" for entry in (gone, first, active)]
        client = await stack.enter_async_context(ControllerClient((addresses, tls.client_context(keys))))
        for _ in range(3):
            assert (await client.call("GET", "/x"))["kind"] == "host"
        assert standby.calls == 1, "later calls go to the one that answered"


async def test_errors_come_back_as_they_were_raised(app, tmp_path):
    error = NameInUse("a network has this name", field="name", remedy="choose another")
    app.answers = {
        "/known": (409, [], orjson.dumps({"error": error.as_dict()})),
        "/odd": (500, [], b"<html>"),
    }
    async with serve(app, unix=tmp_path / "s"), ControllerClient(tmp_path / "s") as client:
        with pytest.raises(NameInUse) as caught:
            await client.call("GET", "/known")
        assert caught.value.as_dict() == error.as_dict()
        with pytest.raises(SocketPlaneError, match="answered 500: <html>"):
            await client.call("GET", "/odd")
        assert client.down_since is None


async def test_nobody_there_is_unavailable_until_somebody_is(app, tmp_path):
    async with ControllerClient(tmp_path / "s") as client:
        with pytest.raises(Unavailable, match=r"no controller answers.*No such file"):
            await client.call("GET", "/x")
        assert client.down_since is not None
        async with serve(app, unix=tmp_path / "s"):
            assert await client.call("GET", "/x")
        assert client.down_since is None


async def test_a_restart_between_two_calls_is_not_noticed(app, tmp_path):
    async with ControllerClient(tmp_path / "s") as client:
        for _ in range(3):
            async with serve(app, unix=tmp_path / "s"):
                assert await client.call("POST", "/v1/networks", {})


@pytest.mark.parametrize(("path", "tries"), [("/v1/networks", 2), ("/v1/join", 1), ("/v1/tokens", 1)])
async def test_a_lost_answer_is_asked_for_again_unless_that_does_harm(tmp_path, path, tries):
    requests = []

    async def hang_up(reader, writer):
        requests.append(await reader.readuntil(b"\r\n"))
        writer.close()

    server = await asyncio.start_unix_server(hang_up, tmp_path / "s")
    async with server, ControllerClient(tmp_path / "s") as client:
        with pytest.raises(Unavailable, match="disconnected"):
            await client.call("POST", path, {})
    assert len(requests) == tries


async def test_a_stream_yields_changes_and_reconnects_with_a_snapshot(app, tmp_path):
    async with serve(app, unix=tmp_path / "s"), ControllerClient(tmp_path / "s") as client:
        seen = []
        async for change in client.watch():
            seen.append((change.type, change.id))
            if len(seen) == 4:
                break
        assert seen == [("snapshot", ""), ("delete", "h2")] * 2


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_lines_do_not_depend_on_the_pieces(size):
    text = b"first\n\nsecond\nthird without end"
    lines, got = Lines(), []
    for start in range(0, len(text), size):
        got += lines.feed(text[start : start + size])
    assert got == [b"first", b"second"]
    assert lines.feed(b"\n") == [b"third without end"]
