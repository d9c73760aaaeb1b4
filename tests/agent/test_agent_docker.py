"""The client of the engine, the inventory of its containers, and what it gave up on."""

import asyncio

import pytest
from aiohttp import web

from socketplane.agent.docker import Docker, DockerError
from socketplane.agent.inventory import CONNECTED, Inventory, container_of
from socketplane.agent.revive import gave_up
from socketplane.errors import Conflict, NotFound, Unavailable
from support.engine import Engine


@pytest.mark.parametrize(("api", "agreed"), [("1.41", "/v1.41"), ("1.51", "/v1.51"), ("1.60", "/v1.51")])
async def test_the_api_version_is_the_lower_one(tmp_path, api, agreed):
    async with (
        Engine(tmp_path / "none", tmp_path / "docker.sock", api=api) as engine,
        Docker(tmp_path / "docker.sock") as docker,
    ):
        assert await docker.networks() == []
        assert docker._api == agreed
        assert docker.version == engine.version


async def test_an_engine_that_is_too_old_is_named(tmp_path):
    async with Engine(tmp_path / "none", tmp_path / "docker.sock", api="1.24"), Docker(tmp_path / "docker.sock") as docker:
        with pytest.raises(Unavailable, match=r"20\.10 or later"):
            await docker.networks()


async def test_errors_of_the_engine_keep_their_sentence_and_kind(tmp_path):
    async with Engine(tmp_path / "none", tmp_path / "docker.sock") as engine, Docker(tmp_path / "docker.sock") as docker:
        with pytest.raises(NotFound, match="network not found"):
            await docker.network("../x")
        await engine.network_create("web", driver="bridge", ipam="default")
        body = {
            "Name": "web",
            "Driver": "bridge",
            "Internal": False,
            "Options": {},
            "Labels": {},
            "IPAM": {"Driver": "x", "Config": [], "Options": {}},
        }
        with pytest.raises(Conflict, match="already exists"):
            await docker.create_network(body)
    async with Docker(tmp_path / "docker.sock") as docker:
        with pytest.raises(Unavailable, match="Docker does not answer"):
            await docker.networks()
        assert not await docker.responsive()


async def test_a_socket_of_something_else(tmp_path):
    async def hello(_):
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/{any:.*}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "docker.sock")).start()
    async with Docker(tmp_path / "docker.sock") as docker:
        with pytest.raises(Unavailable, match="something else than Docker"):
            await docker.connect()
    await runner.cleanup()
    assert issubclass(DockerError, Exception)


async def test_the_inventory_follows_the_engine_across_its_restart(tmp_path, until):
    async with Engine(tmp_path / "none", tmp_path / "docker.sock") as engine, Docker(tmp_path / "docker.sock") as docker:
        old = engine.create("old", labels={"a": "b"})
        inventory, events = Inventory(docker), []
        inventory.on_event(events.append)
        task = asyncio.create_task(inventory.run())
        await until(lambda: inventory.connected)
        assert inventory.by_name("old").labels == {"a": "b"}
        new = engine.create("new", labels={"name": "x", "c": "d"})
        engine.create("long", labels={"blob": "x" * 300_000})
        await until(lambda: inventory.by_name("long"))
        assert inventory.by_name("new").labels == {"c": "d"}, "an event can't tell a label called `name`"
        await engine.rename(new, "newer")
        await until(lambda: inventory.by_name("newer"))
        assert inventory.by_name("long").labels == {"blob": "x" * 300_000}
        await engine.stop_api()
        await until(lambda: not inventory.connected)
        del engine.boxes[old.id]
        await engine.start_api()
        await until(lambda: inventory.connected)
        assert inventory.by_name("old") is None
        assert events.count(CONNECTED) == 2
        task.cancel()


def test_a_linked_containers_name_is_the_one_without_its_users():
    assert container_of({"Id": "1", "Names": ["/user/alias", "/db"], "Labels": None}).name == "db"


ABSENCE = (
    'Post "http://%2Frun%2Fdocker%2Fplugins%2Fsocketplane.sock/NetworkDriver.Join": dial unix: connect: connection refused'
)


MISSING = "IpamDriver.RequestAddress: socketplane: the agent isn't running, nothing was changed; `socketplane up` starts it"


@pytest.mark.parametrize(
    ("error", "policy", "status", "expected"),
    [
        ('legacy plugin: plugin "socketplane" not found', "always", "exited", True),
        (ABSENCE, "unless-stopped", "created", True),
        (ABSENCE.replace("connection refused", "no such file or directory"), "always", "created", True),
        ("Unable to locate plugin: socketplane, retrying in 8s", "always", "exited", True),
        ("could not find plugin socketplane in v1 plugin registry: plugin not found", "on-failure", "exited", True),
        (MISSING, "always", "exited", True),
        (MISSING, "unless-stopped", "created", True),
        (MISSING, "on-failure", "exited", True),
        (MISSING, "no", "exited", False),
        (
            "NetworkDriver.Join: socketplane: the agent ended over this call each time it was sent; its log may have why",
            "always",
            "exited",
            True,
        ),
        ('OCI runtime create failed: exec: "socketplane": executable file not found in $PATH', "always", "exited", False),
        ('error mounting "/srv/socketplane": no such file or directory', "always", "exited", False),
        (
            "IpamDriver.RequestAddress: socketplane: the controller is unreachable, nothing was changed: x",
            "always",
            "exited",
            True,
        ),
        ("NetworkDriver.Join: socketplane: port sp1 is not ready after 10 s: x", "on-failure", "exited", True),
        (ABSENCE, "no", "exited", False),
        (ABSENCE, "always", "running", False),
        ("IpamDriver.RequestAddress: socketplane: address: 10.0.0.9 is held by container a", "always", "exited", False),
        ('OCI runtime create failed: exec: "x": executable file not found', "always", "exited", False),
        ("", "always", "exited", False),
    ],
)
def test_which_containers_docker_gave_up_on(error, policy, status, expected):
    state = {"Error": error, "Status": status, "Running": status == "running"}
    assert gave_up({"State": state, "HostConfig": {"RestartPolicy": {"Name": policy}}}) is expected
