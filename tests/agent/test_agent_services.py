"""What the agent finds out about containers for services, and tells the controller."""

import asyncio
import os

import pytest

from socketplane import wire
from socketplane.agent.services.ask import Asker, Place
from socketplane.agent.services.checks import Checks, Standing
from socketplane.errors import NotFound

PROBE = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 3}


def document(**spec):
    head = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop", "namespace": "web"}}
    return {"documents": [{**head, "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}], **spec}}]}


@pytest.fixture
async def web(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())


async def reasons(world):
    try:
        found = await world.admin.call("GET", "/v1/services/web/shop")
    except NotFound:
        return {}
    return {each["name"]: each["reason"] for each in found["backends"]}


class Answers:
    """Containers that answer probes as they are told."""

    def __init__(self, answer="ok"):
        self.answer, self.asked = answer, []

    async def ask(self, place, check):
        self.asked.append((str(place.address), check.port))
        return self.answer


async def test_a_container_is_ready_from_its_start_until_it_is_told_to_stop(world, h1, web, until):
    await world.admin.call("POST", "/v1/services", document())
    one = await h1.engine.run("one", "web", labels={"app": "shop"})
    two = await h1.engine.run("two", "web", labels={"app": "shop"}, health="starting")

    async def are(expected):
        return {name: why[:31] for name, why in (await reasons(world)).items()} == expected

    await until(lambda: are({"one": "", "two": "Docker's HEALTHCHECK says start"}))
    h1.engine.turn(two, "healthy")
    await until(lambda: are({"one": "", "two": ""}))
    h1.engine.kill(one, 1)  # HUP: many read their configuration anew
    h1.engine.turn(two, "unhealthy")
    await until(lambda: are({"one": "", "two": "Docker's HEALTHCHECK says unhea"}))
    h1.engine.turn(two, "healthy")
    h1.engine.kill(one)
    await until(lambda: are({"one": "it was told to stop", "two": ""}))
    await h1.stop(crash=True)
    await h1.start()
    h1.engine.turn(two, "unhealthy")
    await until(lambda: are({"one": "it was told to stop", "two": "Docker's HEALTHCHECK says unhea"}))
    await h1.engine.stop(one)
    await h1.engine.start(one)
    await until(lambda: are({"one": "", "two": "Docker's HEALTHCHECK says unhea"}))


async def test_an_agent_that_starts_anew_takes_nobody_out(world, h1, web, until):
    h1_answers = Answers()
    h1.agent.conditions._probes._asker = h1_answers
    await world.admin.call("POST", "/v1/services", document(readinessProbe=PROBE))
    await h1.engine.run("one", "web", labels={"app": "shop"})

    async def is_ready():
        return await reasons(world) == {"one": ""}

    await until(is_ready)
    assert h1_answers.asked[0][1] == 8080
    await h1.stop(crash=True)
    assert await is_ready()
    await h1.start()
    h1.agent.conditions._probes._asker = silent = Answers("connecting to port 8080: refused")
    while not silent.asked:
        assert await is_ready(), "what held before holds until it has failed often enough"
        await asyncio.sleep(0.01)  # between two looks

    async def is_out():
        return await reasons(world) == {"one": "connecting to port 8080: refused"}

    await until(is_out)
    await world.admin.call("POST", "/v1/services", document())
    await until(is_ready)


async def test_what_could_not_be_told_is_told_when_a_controller_answers(world, h1, web, until):
    await world.admin.call("POST", "/v1/services", document())
    one = await h1.engine.run("one", "web", labels={"app": "shop"})

    async def is_ready():
        return await reasons(world) == {"one": ""}

    await until(is_ready)
    await world.stop()
    h1.engine.turn(one, "unhealthy")
    await world.start()

    async def is_out():
        return await reasons(world) == {"one": "Docker's HEALTHCHECK says unhealthy"}

    await until(is_out)


def test_so_many_in_a_row_turn_a_probe():
    check = wire.Check(service="web/shop", kind="tcp", port=1, successes=2, failures=2)
    standing = Standing(check)
    told = [standing.take(result) for result in ("no", "ok", "ok", "no", "ok", "no", "no", "no", "other", "ok", "ok")]
    assert told == [True, False, True, False, False, False, True, False, True, False, True]
    assert Standing(check, "ok").take("no") is False, "what held before holds until it is found otherwise"


async def test_probes_are_really_asked_and_end_with_their_container():
    async def serve(reader, writer):
        request = await reader.readline()
        status = "200 OK" if b"/ready" in request else "503 Not yet"
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    asker, place = Asker(), Place(os.getpid(), "127.0.0.1")
    try:
        for kind, path, at, expected in (
            ("http", "/ready", port, "ok"),
            ("http", "/", port, f"GET / at port {port}: status 503"),
            ("tcp", "/", port, "ok"),
            ("tcp", "/", 1, "connecting to port 1: connection refused"),
        ):
            check = wire.Check(service="web/shop", kind=kind, port=at, path=path)
            assert await asker.ask(place, check) == expected
        gone = Place(2**22 + 1, "127.0.0.1")
        assert "no such file" in await asker.ask(gone, wire.Check(service="web/shop", kind="tcp", port=port))
        found = asyncio.Queue()
        checks = Checks(asker, lambda *told: found.put_nowait(told))
        checks.want("e", place, {"web/shop": wire.Check(service="web/shop", kind="http", port=port, path="/ready")}, {})
        assert await asyncio.wait_for(found.get(), 10) == ("e", "web/shop", "ok")
        checks.want("e", None, {}, {})
        assert not checks._tasks
    finally:
        asker.close()
        server.close()
