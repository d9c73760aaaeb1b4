"""The front: dockerd's calls reach the agent whole and once answered, and get a quick answer while there is no agent."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from socketplane.agent.answers import CONSTANT, FOREVER, LONGEST_BODY
from socketplane.agent.front import Front, passed_socket
from socketplane.agent.revive import gave_up
from socketplane.agent.upstream import Upstream
from socketplane.config import Paths
from socketplane.transport.server import serve

METHOD = "NetworkDriver.DeleteEndpoint"
BODY = b'{"NetworkID": "a", "EndpointID": "b"}'
PATIENCE = 0.3


class StandInAgent:
    """The agent's end: notes what comes in and answers, dies over a call, or says nothing, as told."""

    def __init__(self, path):
        self._path = path
        self._server = None
        self._writers = set()
        self.calls = []
        self.connections = 0
        self.deaths = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self.called = asyncio.Event()
        self.answer = 200, b'{"Value": {}}'

    async def start(self):
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self):
        """End as a killed process does: the file stays, connections break."""
        if self._server:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            self._server = None

    async def _serve(self, reader, writer):
        self.connections += 1
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
                self.calls.append((head.split()[1], await reader.readexactly(length)))
                self.called.set()
                if self.deaths:
                    self.deaths -= 1
                    writer.transport.abort()
                    break
                await self.answering.wait()
                status, body = self.answer
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        self._writers.discard(writer)


class Caller:
    """dockerd's end: one connection."""

    def __init__(self, reader, writer):
        self.reader, self._writer = reader, writer

    @classmethod
    async def to(cls, path):
        return cls(*await asyncio.open_unix_connection(path))

    async def raw(self, data):
        self._writer.write(data)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        return int(head.split()[1]), head, await self.reader.readexactly(length)

    async def call(self, method=METHOD, body=BODY):
        status, head, data = await self.raw(
            f"POST /{method} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        assert "connection: close" not in head
        return status, json.loads(data)

    async def close(self):
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def fronted(tmp_path, *, patience=PATIENCE, bound=5.0):
    """A front, its agent (not started), and a caller for the asking."""
    async with AsyncExitStack() as stack:
        upstream = Upstream(tmp_path / "agent.sock", patience=patience, bound=bound)
        stack.push_async_callback(upstream.close)
        await stack.enter_async_context(serve(Front(upstream), unix=tmp_path / "front.sock", keep_alive=FOREVER))
        agent = StandInAgent(tmp_path / "agent.sock")
        stack.push_async_callback(agent.stop)

        async def connect():
            caller = await Caller.to(tmp_path / "front.sock")
            stack.push_async_callback(caller.close)
            return caller

        yield agent, connect


def missing(answer):
    """Whether an answer says that there is no agent, and what to do."""
    assert answer["Err"] == answer["Error"]
    return "the agent isn't running" in answer["Err"] and "`socketplane up` starts it" in answer["Err"]


@pytest.mark.parametrize("reply", [(200, {"Value": {}}), (500, {"Err": "x", "Error": "x"}), (400, {"Err": "x"}), (404, {})])
async def test_a_call_and_its_answer_pass_as_they_are_over_one_connection(tmp_path, reply):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        agent.answer = reply[0], json.dumps(reply[1]).encode()
        caller = await connect()
        for _ in range(3):
            assert await caller.call() == reply
        assert agent.calls == [(f"/{METHOD}", BODY)] * 3
        assert agent.connections == 1


async def test_large_bodies_and_answers_pass_whole(tmp_path):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        agent.answer = 200, json.dumps({"x": "y" * 3_000_000}).encode()
        body = json.dumps({"x": "z" * 3_000_000}).encode()
        assert await (await connect()).call(body=body) == (200, {"x": "y" * 3_000_000})
        assert agent.calls == [(f"/{METHOD}", body)]


async def test_an_empty_body_stays_empty_for_the_agent_to_refuse(tmp_path):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        await (await connect()).call(body=b"")
        assert agent.calls == [(f"/{METHOD}", b"")]


async def test_forty_calls_at_once(tmp_path, until):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        agent.answering.clear()
        callers = [await connect() for _ in range(40)]
        calls = [asyncio.create_task(caller.call(body=b"%d" % n)) for n, caller in enumerate(callers)]
        await until(lambda: len(agent.calls) == 40)  # none waits for another
        agent.answering.set()
        assert await asyncio.gather(*calls) == [(200, {"Value": {}})] * 40
        assert sorted(int(body) for _, body in agent.calls) == list(range(40))
        await asyncio.gather(*(caller.call() for caller in callers))
        assert agent.connections == 40


async def test_what_never_changes_is_answered_without_an_agent(tmp_path):
    async with fronted(tmp_path, patience=60) as (_, connect):
        caller = await connect()
        for method, expected in CONSTANT.items():
            assert await caller.call(method, b"") == (200, expected)


async def test_without_an_agent_all_calls_together_wait_a_bounded_time(tmp_path):
    async with fronted(tmp_path) as (_, connect):
        loop = asyncio.get_running_loop()
        began = loop.time()
        callers = [await connect() for _ in range(40)]
        for status, answer in await asyncio.gather(*(caller.call() for caller in callers)):
            assert status == 500
            assert missing(answer)
            assert "nothing was changed" in answer["Err"]
        assert PATIENCE <= loop.time() - began < PATIENCE + 1
        began = loop.time()
        for method in ("NetworkDriver.Leave", "IpamDriver.ReleaseAddress", "NetworkDriver.DeleteNetwork", METHOD) * 5:
            status, answer = await callers[0].call(method)
            assert status == 500
            assert missing(answer)
        assert loop.time() - began < 10 * PATIENCE, "only the first waits"


async def test_calls_go_through_as_soon_as_the_agent_is_there(tmp_path, until):
    async with fronted(tmp_path, patience=30) as (agent, connect):
        waiting = [asyncio.create_task((await connect()).call()) for _ in range(10)]
        await asyncio.sleep(0.1)  # they wait, which nothing shows
        assert not any(task.done() for task in waiting)
        await agent.start()
        assert await asyncio.gather(*waiting) == [(200, {"Value": {}})] * 10


async def test_a_later_absence_has_patience_of_its_own(tmp_path, until):
    async with fronted(tmp_path, patience=1.0) as (agent, connect):
        caller = await connect()
        assert (await caller.call())[0] == 500
        for noticed_by in ("a call", "nobody's call"):
            await agent.start()
            if noticed_by == "a call":
                assert (await caller.call())[0] == 200  # at once, though patience is used up
            else:
                await until(lambda: agent.connections)
            await agent.stop()
            waiting = asyncio.create_task(caller.call())
            await asyncio.sleep(0.1)  # it waits, which nothing shows
            assert not waiting.done()
            assert (await waiting)[0] == 500
            agent.connections = 0


async def test_an_agent_that_dies_over_a_call_gets_the_whole_of_it_again(tmp_path):
    async with fronted(tmp_path, patience=30) as (agent, connect):
        await agent.start()
        agent.answering.clear()
        caller = await connect()
        waiting = asyncio.create_task(caller.call())
        await agent.called.wait()
        await agent.stop()
        agent.answering.set()
        await asyncio.sleep(0.1)  # it is away for a while
        assert not waiting.done()
        await agent.start()
        assert await waiting == (200, {"Value": {}})
        assert agent.calls == [(f"/{METHOD}", BODY)] * 2
        assert await caller.call() == (200, {"Value": {}}), "one answer, not two"
        assert len(agent.calls) == 3


async def test_a_connection_that_the_agent_closed_is_not_noticed_by_dockerd(tmp_path):
    async with fronted(tmp_path, patience=0) as (agent, connect):
        await agent.start()
        caller = await connect()
        assert (await caller.call())[0] == 200
        await agent.stop()
        await agent.start()
        assert (await caller.call())[0] == 200


async def test_an_agent_that_dies_and_stays_away(tmp_path):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        agent.answering.clear()
        caller = await connect()
        waiting = asyncio.create_task(caller.call())
        await agent.called.wait()
        await agent.stop()
        status, answer = await waiting
        assert status == 500
        assert missing(answer)
        assert "nothing was changed" not in answer["Err"], "nobody knows"


async def test_a_call_that_kills_the_agent_is_not_sent_for_ever(tmp_path):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        agent.deaths = 100
        caller = await connect()
        status, answer = await caller.call()
        assert status == 500
        assert "the agent ended over this call" in answer["Err"]
        assert agent.calls == [(f"/{METHOD}", BODY)] * 3


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"])
async def test_an_answer_that_is_none_or_only_half_of_one(tmp_path, answer):
    async with fronted(tmp_path) as (_, connect):

        async def babble(reader, writer):
            await reader.read(10)
            writer.write(answer)
            writer.close()

        server = await asyncio.start_unix_server(babble, tmp_path / "agent.sock")
        assert (await (await connect()).call())[0] == 500
        server.close()


async def test_an_agent_that_hangs_does_not_hang_dockerd(tmp_path):
    async with fronted(tmp_path, bound=0.2) as (agent, connect):
        await agent.start()
        agent.answering.clear()
        caller = await connect()
        status, answer = await caller.call()
        assert (status, answer["Err"]) == (500, "socketplane: the agent took longer than 0.2 s; its log may have why")
        agent.answering.set()
        assert (await caller.call())[0] == 200


async def test_what_the_front_says_makes_the_agent_start_the_container_later(tmp_path):
    async with fronted(tmp_path, patience=0) as (agent, connect):
        caller = await connect()
        errors = [(await caller.call("IpamDriver.RequestAddress"))[1]["Err"]]
        await agent.start()
        agent.deaths = 3
        errors.append((await caller.call("IpamDriver.RequestAddress"))[1]["Err"])
    for error in errors:
        for policy in ("always", "unless-stopped", "on-failure"):
            state = {"Error": f"IpamDriver.RequestAddress: {error}", "Status": "exited", "Running": False}
            assert gave_up({"State": state, "HostConfig": {"RestartPolicy": {"Name": policy}}})


async def test_an_idle_connection_is_not_closed(tmp_path):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        caller = await connect()
        assert (await caller.call())[0] == 200
        with pytest.raises(TimeoutError):  # longer than uvicorn's 5 s: the server says nothing, not even goodbye
            async with asyncio.timeout(5.3):
                await caller.reader.read(1)
        assert (await caller.call())[0] == 200


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /NetworkDriver.Join", 405),
        (b"PUT /Plugin.Activate", 405),
        (b"POST /", 404),
        (b"POST /NetworkDriver", 404),
        (b"POST /NetworkDriver.", 404),
        (b"POST /../etc/passwd", 404),
        (b"POST /NetworkDriver.Join%0d%0aX:%20y", 404),
        (b"POST /NetworkDriver.J%C3%B6in", 404),
        (b"POST /A.B.C", 404),
    ],
)
async def test_what_is_no_method_never_reaches_the_agent(tmp_path, request_line, status):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        caller = await connect()
        assert (await caller.raw(request_line + b" HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"))[0] == status
        assert agent.calls == []
        assert (await caller.call())[0] == 200


async def test_a_body_that_is_too_long_is_refused(tmp_path):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        status, answer = await (await connect()).call(body=b" " * (LONGEST_BODY + 1))
        assert (status, answer["Err"]) == (400, "socketplane: the request is too long")
        assert agent.calls == []


async def test_a_body_in_pieces_and_one_that_breaks_off(tmp_path):
    async with fronted(tmp_path) as (agent, connect):
        await agent.start()
        caller = await connect()
        chunked = b'POST /%s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n4\r\na":1\r\n1\r\n}\r\n0\r\n\r\n'
        assert (await caller.raw(chunked % METHOD.encode()))[0] == 200
        assert agent.calls == [(f"/{METHOD}", b'{"a":1}')]
        broken = await connect()
        broken._writer.write(f"POST /{METHOD} HTTP/1.1\r\nContent-Length: 100\r\n\r\n{{".encode())
        await broken.close()
        assert (await caller.call())[0] == 200
        assert len(agent.calls) == 2, "half a request is none"


NOISE = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda verb, path, headers, body: b"%s %s HTTP/1.1\r\n%s\r\n\r\n%s" % (verb, path, headers, body),
        st.sampled_from([b"POST", b"GET", b"CONNECT", b"", b"post", b"PRI"]),
        st.one_of(st.sampled_from([b"/NetworkDriver.Join", b"*", b"//", b"http://x/IpamDriver.Z"]), st.binary(max_size=40)),
        st.one_of(
            st.sampled_from(
                [b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
                 b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"Expect: 100-continue",
                 b"Upgrade: websocket\r\nConnection: upgrade", b"Content-Length: 1\r\nContent-Length: 2"]
            ),
            st.binary(max_size=60),
        ),
        st.binary(max_size=60),
    ),
)  # fmt: skip


@given(noise=st.lists(NOISE, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_does_no_harm(tmp_path_factory, noise):
    asyncio.run(_make_noise(tmp_path_factory.mktemp("noise"), noise))


async def _make_noise(path, noise):
    async with fronted(path) as (agent, connect):
        await agent.start()
        well = await connect()
        for data in noise:
            caller = await connect()
            with suppress(ConnectionError):
                caller._writer.write(data)
                caller._writer.write_eof()
                async with asyncio.timeout(5):
                    await caller.reader.read()
        assert await well.call() == (200, {"Value": {}})
        for target, _ in agent.calls:
            assert target.replace("/", "").replace(".", "").isalpha(), "only what looks like a method is passed on"


# ---- the daemon


PROGRAM = """
import os, sys
if {fd}: os.dup2({fd}, 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
sys.argv[1:] = ['--root', {root!r}]
from socketplane.agent.{module} import main
main()
"""


@asynccontextmanager
async def daemon(root, module="front", fd=0):
    """A daemon as a process of its own, killed at the end if it still runs."""
    program = PROGRAM.format(fd=fd, root=str(root), module=module)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, pass_fds=[fd] if fd else [], stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_daemon_outlives_agents_and_removes_its_socket(tmp_path, until):
    paths = Paths(tmp_path)
    async with daemon(tmp_path) as front:
        await until(paths.plugin_socket.exists)
        assert paths.plugin_socket.stat().st_mode & 0o777 == 0o600
        caller = await Caller.to(paths.plugin_socket)
        for _ in range(2):
            async with daemon(tmp_path, "main") as agent:
                await until(paths.agent_socket.exists)
                assert paths.agent_socket.stat().st_mode & 0o777 == 0o600
                status, answer = await caller.call(body=b"")
                assert (status, "without its arguments" in answer["Err"]) == (400, True), "the agent's own word"
                agent.kill()
                await agent.wait()
        status, answer = await caller.call()
        assert status == 500
        assert missing(answer)
        await caller.close()
        front.send_signal(signal.SIGTERM)
        assert await front.wait() == 0
    assert not paths.plugin_socket.exists(), "a leftover would delay dockerd"


async def test_a_second_daemon_does_not_take_the_socket_away(tmp_path, until):
    paths = Paths(tmp_path)
    async with daemon(tmp_path):
        await until(paths.plugin_socket.exists)
        async with daemon(tmp_path) as second:
            assert await second.wait() == 1
        caller = await Caller.to(paths.plugin_socket)
        assert (await caller.call("Plugin.Activate", b""))[0] == 200
        await caller.close()


async def test_a_socket_that_systemd_holds_outlives_the_daemon(tmp_path):
    path = tmp_path / "held.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        held.bind(str(path))
        held.listen()
        for _ in range(2):
            async with daemon(tmp_path / "root", fd=held.fileno()) as process:
                caller = await Caller.to(path)  # queued until the daemon is there
                status, answer = await caller.call("Plugin.Activate", b"")
                assert (status, answer["Implements"]) == (200, ["NetworkDriver", "IpamDriver"])
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
                assert path.exists()
                await caller.close()


def test_a_passed_socket_is_ours_only_if_meant_for_us():
    assert passed_socket({}) is None
    assert passed_socket({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None
    assert passed_socket({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}) is None
