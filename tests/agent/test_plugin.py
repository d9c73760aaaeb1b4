"""The agent's socket: HTTP as dockerd speaks it, and everything that it never should."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socketplane.agent import driver, ipam
from socketplane.agent.agent import Agent, Surroundings, Timing
from socketplane.agent.answers import CONSTANT, FOREVER
from socketplane.agent.docker import Docker
from socketplane.agent.main import Gate, run
from socketplane.agent.plugin import Method, Plugin
from socketplane.agent.state import State
from socketplane.config import Paths
from socketplane.errors import Unavailable
from socketplane.model.forwarding import USERSPACE
from socketplane.transport.server import serve

TAKING_ARGUMENTS = sorted([*driver.REQUESTS, *ipam.REQUESTS])


@asynccontextmanager
async def served(tmp_path, methods):
    async with serve(Plugin(methods), unix=tmp_path / "plugin.sock", keep_alive=FOREVER):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "plugin.sock")
        yield SimpleNamespace(reader=reader, writer=writer)
        writer.close()
        await writer.wait_closed()


async def exchange(connection, request):
    connection.writer.write(request)
    head = (await connection.reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split("\r\n")[0])
    return int(head.split()[1]), head, json.loads(await connection.reader.readexactly(length))


def post(method, body=b"", headers=""):
    return f"POST /{method} HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "host", ["", "Host:\r\n", "Host: plugin.moby.localhost\r\n", "Host: %2Frun%2Fdocker%2Fplugins\r\n"]
)
async def test_the_host_header_does_not_matter(tmp_path, host):
    async with served(tmp_path, Gate().methods()) as connection:
        status, head, answer = await exchange(connection, post("Plugin.Activate", headers=host))
    assert (status, answer) == (200, {"Implements": ["NetworkDriver", "IpamDriver"]})
    assert "connection: close" not in head


async def test_an_idle_connection_is_not_closed(tmp_path):
    async with served(tmp_path, Gate().methods()) as connection:
        assert (await exchange(connection, post("NetworkDriver.GetCapabilities")))[0] == 200
        with pytest.raises(TimeoutError):  # longer than uvicorn's 5 s: the server says nothing, not even goodbye
            async with asyncio.timeout(5.3):
                await connection.reader.read(1)
        assert (await exchange(connection, post("NetworkDriver.GetCapabilities")))[0] == 200


BROKEN = [b"", b" \n", b"{", b"[]", b"null", b'"x"', b"\xff\xfe"]
MISTYPED = b'{"NetworkID": 5, "PoolID": 7}'


@pytest.mark.parametrize("method", TAKING_ARGUMENTS)
async def test_a_body_that_is_no_request_is_400_with_both_keys(method):
    plugin = Plugin(Gate(patience=0).methods())
    fields = {**driver.REQUESTS, **ipam.REQUESTS}[method].model_fields
    requiring = any(field.is_required() for key, field in fields.items() if key in ("network", "pool"))
    for body in [*BROKEN, *([MISTYPED] if requiring else [])]:
        status, answer = await ask(plugin, method, body)
        assert status == 400, body
        assert answer["Err"] == answer["Error"]
        assert answer["Err"].startswith("socketplane: ")


async def test_an_unknown_method_is_404_and_only_post_is_served():
    plugin = Plugin(Gate().methods())
    for method in ("NetworkDriver.GwAllocCheck", "VolumeDriver.List", "", "../etc/passwd"):
        status, answer = await ask(plugin, method, b"{}")
        assert (status, answer["Err"]) == (404, answer["Error"])
    status, _ = await ask(plugin, "Plugin.Activate", b"", verb="GET")
    assert status == 405


async def test_what_never_changes_is_answered_while_nothing_else_is_there():
    plugin = Plugin(Gate(patience=60).methods())
    for method, expected in CONSTANT.items():
        assert await ask(plugin, method, b"") == (200, expected)
    assert CONSTANT["NetworkDriver.GetCapabilities"] == {"Scope": "local", "ConnectivityScope": "global"}


async def test_other_methods_wait_for_the_agent_then_say_what_is_missing():
    gate = Gate(patience=0.05)
    gate.reason = "this machine is not a SocketPlane host yet"
    plugin = Plugin(gate.methods())
    body = b'{"NetworkID": "a"}'
    status, answer = await ask(plugin, "NetworkDriver.DeleteNetwork", body)
    assert status == 500
    assert answer["Err"].endswith("this machine is not a SocketPlane host yet")
    loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    for _ in range(20):  # one after another, as dockerd queues them: only the first waits
        assert (await ask(plugin, "NetworkDriver.DeleteNetwork", body))[0] == 500
    assert loop.time() - began < 0.5
    gate._patience = 10
    waiting = asyncio.create_task(ask(plugin, "NetworkDriver.DeleteNetwork", body))
    await asyncio.sleep(0)

    async def done(_):
        return {}

    gate.open({"NetworkDriver.DeleteNetwork": Method(done)})
    assert await waiting == (200, {})


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Unavailable("gone", field="where", remedy="wait"), "socketplane: where: gone; wait"),
        (RuntimeError("secret"), "socketplane: internal error in Some.Method; the agent's log has it"),
    ],
)
async def test_failures_are_500_with_both_keys(failure, message, monkeypatch):
    monkeypatch.setattr("socketplane.agent.plugin._log", SimpleNamespace(warning=_ignore, exception=_ignore))

    async def fail(_):
        raise failure

    assert await ask(Plugin({"Some.Method": Method(fail)}), "Some.Method", b"") == (500, {"Err": message, "Error": message})


async def test_no_call_lasts_for_ever():
    async def hang(_):
        await asyncio.Event().wait()

    status, answer = await ask(Plugin({"Some.Method": Method(hang)}, bound=0.01), "Some.Method", b"")
    assert (status, answer["Err"]) == (500, "socketplane: Some.Method took longer than 0.01 s")


async def test_a_body_in_pieces_and_one_that_is_too_long():
    async def echo(request):
        return {"got": request.network}

    plugin = Plugin({"Some.Method": Method(echo, driver.REQUESTS["NetworkDriver.DeleteNetwork"])})
    assert await ask(plugin, "Some.Method", b'{"Netw', b"ork", b'ID":"a"}') == (200, {"got": "a"})
    status, _ = await ask(plugin, "Some.Method", *[b" " * 1024 * 1024] * 5)
    assert status == 400


def _ignore(*_, **__):
    return None


async def ask(plugin, method, *parts, verb="POST"):
    """Call the app as the server would."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    await plugin({"type": "http", "path": f"/{method}", "method": verb}, receive, send)
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()
    return sent[0]["status"], json.loads(sent[1]["body"])


class Nobody:
    """A controller that never answers."""

    async def call(self, *_, **__):
        raise Unavailable("nobody answers")

    async def watch(self):
        await asyncio.Event().wait()
        yield


KEYS = [
    "NetworkID", "EndpointID", "Options", "IPv4Data", "IPv6Data", "Interface", "Address", "MacAddress", "AddressIPv6",
    "Pool", "PoolID", "SubPool", "AddressSpace", "V6", "Gateway", "com.docker.network.generic", "socketplane.network",
    "RequestAddressType",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(
        ["", "a" * 64, "0" * 64, "10.0.0.1/24", "10.0.0.0/24", "10.0.0.1", "fd00::1/64", "socketplane", "true",
         "com.docker.network.gateway", "02:00:00:00:00:01", "7f9e2c1a-0000-4000-8000-000000000000"]
    ),
    st.text(max_size=80),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from(KEYS), TEXTS), inner, max_size=6)
    ),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    VALUES.map(lambda value: json.dumps(value).encode(errors="surrogatepass")),
    st.dictionaries(st.sampled_from(KEYS), st.one_of(TEXTS, VALUES), max_size=8).map(
        lambda value: json.dumps(value).encode(errors="surrogatepass")
    ),
)


@settings(max_examples=400, deadline=None)
@given(method=st.one_of(st.sampled_from([*TAKING_ARGUMENTS, *CONSTANT]), st.text(max_size=30)), body=BODIES)
def test_any_bytes_get_an_answer(tmp_path_factory, method, body):
    asyncio.run(check_any_bytes(tmp_path_factory.getbasetemp() / "fuzz", method, body))


async def check_any_bytes(root, method, body):
    paths = Paths(root)
    async with Docker(paths.docker_socket) as docker:
        ports = SimpleNamespace(
            traits=USERSPACE, mtu=1442, attach=attach, detach=_nothing, installed=_nothing, ports=frozenset
        )
        agent = Agent(
            Surroundings(paths, "h1", Nobody(), docker, ports), State(paths.state / "agent.json"), Timing(patience=0)
        )
        gate = Gate()
        gate.open(agent.methods())
        status, answer = await ask(Plugin(gate.methods()), method, body)
    assert status in (200, 400, 404, 500)
    if status != 200:
        assert answer["Err"] == answer["Error"] != ""
        assert "internal error" not in answer["Err"]


async def attach(endpoint, mac, mtu):
    return "sc"


async def _nothing(*_):
    return None


async def test_the_daemon_answers_with_nothing_else_on_the_host_and_ends_when_told(tmp_path, until):
    paths, stop = Paths(tmp_path), asyncio.Event()
    task = asyncio.create_task(run(paths, stop))
    await until(lambda: task.done() or paths.agent_socket.exists())
    reader, writer = await asyncio.open_unix_connection(paths.agent_socket)
    status, _, _ = await exchange(SimpleNamespace(reader=reader, writer=writer), post("Plugin.Activate"))
    assert status == 200
    assert paths.agent_socket.stat().st_mode & 0o777 == 0o600
    writer.close()
    stop.set()
    assert await task == 0
    assert not paths.agent_socket.exists(), "a leftover says that somebody is there"


async def test_a_second_daemon_does_not_take_the_socket_away(tmp_path, until):
    paths, stop = Paths(tmp_path), asyncio.Event()
    first = asyncio.create_task(run(paths, stop))
    await until(paths.agent_socket.exists)
    assert await run(paths, asyncio.Event()) == 1
    assert paths.agent_socket.exists()
    stop.set()
    await first
