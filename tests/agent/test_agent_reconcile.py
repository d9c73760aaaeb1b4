"""What handlers missed, and what was lost: the agent killed, the controller gone, Docker restarted."""

import asyncio
import json
from ipaddress import IPv4Address
from uuid import UUID

import pytest

from socketplane import wire
from socketplane.agent.agent import Timing
from socketplane.agent.compare import Ages, Attached, Findings, Seen, compare
from socketplane.agent.inventory import Container
from support.engine import EngineError, Place

NET = UUID(int=1)


@pytest.fixture
async def web(world, h1, until):
    made = await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    return made


async def none_left(world):
    return await world.items("/v1/endpoints") == [] and await world.items("/v1/leases", host="h1") == []


async def test_containers_that_ended_while_the_agent_was_down_leave_nothing(world, h1, web, until):
    kept = await h1.engine.run("kept", "web")
    gone = await h1.engine.run("gone", "web")
    await h1.stop(crash=True)
    await h1.engine.stop(gone)  # every call fails; dockerd goes on
    assert set(await world.endpoints()) == {"kept", "gone"}
    await h1.start()

    async def cleaned():
        leases = await world.items("/v1/leases", host="h1")
        return set(await world.endpoints()) == {"kept"} and len(leases) == 1 and len(h1.ports.attached) == 1

    await until(cleaned)
    assert {place.endpoint for place in kept.places.values()} == set(h1.ports.attached)


async def test_an_address_of_choice_is_free_again_after_a_crash(world, h1, web, until):
    address = str(IPv4Address(web["gateway"]) + 9)
    box = await h1.engine.run("a", "web", ip=address)
    await h1.stop(crash=True)
    await h1.engine.stop(box)
    await h1.start()

    async def cleaned():
        return await none_left(world)

    await until(cleaned)
    await h1.engine.start(box)
    assert (await world.endpoints())["a"]["address"] == address


async def test_a_running_container_that_the_controller_lost_is_told_again(world, h1, web, until):
    box = await h1.engine.run("a", "web", labels={"app": "a"})
    (place,) = box.places.values()
    before = (await world.endpoints())["a"]
    async with world.controller.client("h1") as client:
        await client.call("DELETE", f"/v1/endpoints/{place.endpoint}", params={"release": "true"})

    async def back():
        return (await world.endpoints()).get("a")

    after = await until(back)
    assert {**after, "created": 0, "up": 0} == {**before, "created": 0, "up": 0}


async def test_the_agent_may_be_killed_and_started_with_containers_running(world, h1, web, until):
    box = await h1.engine.run("a", "web")
    before = await world.running()
    await h1.stop(crash=True)
    await h1.start()
    await until(lambda: h1.agent.inventory.connected and h1.agent.link.synced)
    await h1.agent.reconciler.reconcile()
    assert await world.endpoints() == before
    await h1.engine.stop(box)
    assert await none_left(world)
    assert h1.ports.attached == {}


async def test_an_agent_that_forgot_everything_finds_it_again(world, h1, web, until):
    await h1.engine.network_create("own")  # its Docker network does not name the cluster's
    box = await h1.engine.run("a", "web", "own")
    await h1.stop()
    await asyncio.to_thread((h1.paths.state / "agent.json").write_text, "{broken")
    await h1.start()
    await until(lambda: len(h1.agent.state.networks) == 2 and h1.agent.link.synced)
    await h1.agent.reconciler.reconcile()
    assert len(await world.items("/v1/endpoints")) == 2
    assert await asyncio.to_thread((h1.paths.state / "agent.json.broken").read_text) == "{broken"
    second = await h1.engine.run("b", "own")
    for each in (box, second):
        await h1.engine.stop(each)
    assert await none_left(world)


async def test_the_agent_is_restarted_between_create_and_join(world, h1, web, until):
    plugin, net = h1.engine.plugin, h1.engine.net("web")
    address = (await plugin.call("IpamDriver.RequestAddress", {"PoolID": net.pool_id, "Address": "", "Options": None}))[
        "Address"
    ]
    box = h1.engine.create("a", "web", labels={"app": "a"})
    place = Place("cd" * 32, address, "02:00:00:00:00:01")
    common = {"NetworkID": net.id, "EndpointID": place.endpoint}
    await plugin.call(
        "NetworkDriver.CreateEndpoint", {**common, "Interface": {"Address": address, "MacAddress": place.mac}}
    )
    box.places[net.id] = place
    await h1.stop(crash=True)
    await asyncio.to_thread((h1.paths.state / "agent.json").unlink)
    await h1.start()
    await plugin.call("NetworkDriver.Join", {**common, "SandboxKey": "", "Options": {}})
    endpoint = (await world.endpoints())["a"]
    assert (endpoint["address"], endpoint["mac"], endpoint["labels"]) == (address.split("/")[0], place.mac, {"app": "a"})


async def test_without_a_controller_starts_fail_soon_and_say_why_and_stops_work(world, h1, web, until):
    running = [await h1.engine.run(f"a{n}", "web") for n in range(3)]
    await world.stop()
    loop = asyncio.get_running_loop()
    began = loop.time()
    results = await asyncio.gather(*(h1.engine.run(f"b{n}", "web") for n in range(40)), return_exceptions=True)
    assert loop.time() - began < 5, "one patience of 0.5 s, not forty"
    assert {type(result) for result in results} == {EngineError}
    assert all("the controller is unreachable, nothing was changed" in str(result) for result in results)
    began = loop.time()
    await h1.engine.stop(running[0])
    assert loop.time() - began < 1
    assert len(h1.ports.attached) == 2, "what runs keeps running"
    assert not h1.agent.outbox.empty
    await world.start()

    async def told():
        return set(await world.endpoints()) == {"a1", "a2"} and len(await world.items("/v1/leases", host="h1")) == 2

    await until(told, 15)
    await h1.engine.start(running[0])
    assert set(await world.endpoints()) == {"a0", "a1", "a2"}


async def test_a_start_waits_for_a_controller_that_restarts(world, make_host, until):
    h1 = await make_host("h1", timing=Timing(interval=0.2, report=0.2))
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    await world.stop()
    start = asyncio.create_task(h1.engine.run("a", "web"))
    await until(lambda: h1.agent.link.down)
    await world.start()
    await start
    assert set(await world.endpoints()) == {"a"}


async def test_containers_that_docker_gave_up_on_are_started(world, h1, web, until):
    boxes = {policy: h1.engine.create(f"c-{policy}", "web", restart=policy) for policy in ("always", "no")}
    await h1.stop()
    for box in boxes.values():
        with pytest.raises(EngineError, match=r"socketplane\.sock"):
            await h1.engine.start(box)
    broken = h1.engine.create("broken", "web", restart="always")
    broken.error = "exec: no such file or directory"
    await h1.start()
    await until(lambda: boxes["always"].running)
    assert set(await world.endpoints()) == {"c-always"}
    assert not boxes["no"].running
    assert not broken.running


async def test_a_container_without_its_interface_is_an_alarm(world, h1, web, until):
    box = await h1.engine.run("a", "web")
    h1.ports.attached.clear()
    (alarm,) = await until(lambda: h1.agent.reconciler.alarms)
    assert alarm.startswith("container a has lost its interface")
    assert box.running


async def test_a_container_that_ended_without_dockerd_has_no_endpoint(world, h1, web, until):
    box = await h1.engine.run("a", "web")
    await h1.engine.run("b", "web")
    await h1.stop()
    box.running, box.remains = False, True
    h1.ports.attached.pop(next(iter(box.places.values())).endpoint)
    await h1.start()

    async def settled():
        return set(await world.endpoints()) == {"b"} and len(await world.items("/v1/leases", host="h1")) == 1

    await until(settled)
    await h1.agent.reconciler.reconcile()
    assert set(await world.endpoints()) == {"b"}
    assert h1.agent.reconciler.alarms == []


async def test_a_handler_in_progress_is_left_alone(world, h1, web, until):
    await h1.engine.run("a", "web")
    h1.ports.attached["ee" * 32] = "02:00:00:00:00:01"
    async with h1.agent.locks.hold("ee" * 32):
        h1.agent.state.endpoints["ee" * 32] = next(iter(h1.agent.state.endpoints.values()))
        for _ in range(4):
            await h1.agent.reconciler.reconcile()
            await asyncio.sleep(0.15)  # past the grace of 0.3 s
        assert "ee" * 32 in h1.ports.attached
    await until(lambda: "ee" * 32 not in h1.ports.attached)
    assert len(h1.ports.attached) == 1


def attached(number, name="a", **labels):
    return Attached(f"{number:064x}", NET, IPv4Address(number), "02:53:00:00:00:01", Container("c" * 64, name, labels))


def told(entry, **changes):
    body = json.loads(entry.put().model_dump_json()) | {"network_name": "web", "host": "h1"} | changes
    return wire.Endpoint.model_validate(body)


def test_what_fits_together_is_left_alone():
    one = attached(1)
    lease = wire.Lease(network=NET, address=one.address, prefix=24, kind="endpoint", host="h1")
    seen = Seen({one.endpoint: one}, {one.endpoint: told(one)}, [lease], {one.endpoint})
    assert compare(seen) == Findings()


def test_without_dockers_word_nothing_is_unknown():
    one = attached(1)
    assert compare(Seen(None, {one.endpoint: told(one)}, [], {one.endpoint})) == Findings()


def test_without_the_controllers_word_nothing_is_put():
    one = attached(1)
    assert compare(Seen({one.endpoint: one}, None, None, {one.endpoint})).put == ()


@pytest.mark.parametrize("changes", [{"known": False}, {"name": "b"}, {"labels": {"x": "y"}}, {"container": ""}])
def test_what_the_controller_knows_wrongly_is_put(changes):
    one = attached(1, app="a")
    assert compare(Seen({one.endpoint: one}, {one.endpoint: told(one, **changes)}, [], {one.endpoint})).put == (one,)


def test_shared_and_auxiliary_addresses_are_nobodys_to_release():
    leases = [
        wire.Lease(network=NET, address=IPv4Address(n), prefix=24, kind=kind, host="h1")
        for n, kind in enumerate(("gateway", "auxiliary", "endpoint"))
    ]
    assert compare(Seen({}, {}, leases)).leases == {(NET, IPv4Address(2))}


def test_a_port_known_by_twelve_digits_belongs_to_its_endpoint():
    one = attached(1)
    assert compare(Seen({one.endpoint: one}, {one.endpoint: told(one)}, [], {one.endpoint[:12]})) == Findings()
    assert compare(Seen({}, {}, [], {"abcdefabcdef"})).ports == {"abcdefabcdef"}


def test_only_what_stays_unknown_is_removed():
    ages = Ages(60)
    found = Findings(ports=frozenset({"a", "b"}))
    assert ages.ripe(found, 0).ports == frozenset()
    assert ages.ripe(Findings(ports=frozenset({"a"})), 59).ports == frozenset()
    assert ages.ripe(found, 61).ports == {"a"}, "b was known in between"
    assert ages.ripe(found, 121).ports == {"a", "b"}
