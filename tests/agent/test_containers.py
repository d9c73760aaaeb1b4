"""Containers' lives, as dockerd drives them through the plugin socket."""

import asyncio
import json
from ipaddress import IPv4Address

import pytest

from socketplane.model.types import mac_of
from support.engine import EngineError, Place


async def test_a_container_gets_address_mac_gateway_and_its_identity_before_join_answers(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web", "subnet": "10.200.0.0/24"})
    await until(lambda: "web" in h1.engine.names())
    box = await h1.engine.run("web1", "web", labels={"app": "web", "name": "mine", "image": "theirs"})
    (place,) = box.places.values()
    endpoint = (await world.endpoints())["web1"]
    assert place.address == f"{endpoint['address']}/24"
    assert place.mac == endpoint["mac"] == h1.ports.attached[place.endpoint]
    assert (place.interface, place.gateway) == ("sc" + place.endpoint[:12], "10.200.0.1")
    assert endpoint["container"] == box.id
    assert endpoint["labels"] == {"app": "web", "name": "mine", "image": "theirs"}, "as the engine has them, not its events"
    assert endpoint["known"]
    assert h1.engine.deadlocks == []


async def test_a_container_that_stops_leaves_nothing(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    box = await h1.engine.run("web1", "web")
    await h1.engine.stop(box)
    assert await world.items("/v1/endpoints") == []
    assert await world.items("/v1/leases", host="h1") == []
    assert h1.ports.attached == {}
    assert h1.agent.state.endpoints == {}
    await h1.engine.start(box)
    assert "web1" in await world.endpoints()


async def test_address_and_mac_of_choice(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web", "subnet": "10.200.0.0/24"})
    await until(lambda: "web" in h1.engine.names())
    box = await h1.engine.run("a", "web", ip="10.200.0.77", mac="02:00:00:00:00:07")
    endpoint = (await world.endpoints())["a"]
    assert (endpoint["address"], endpoint["mac"]) == ("10.200.0.77", "02:00:00:00:00:07")
    with pytest.raises(EngineError, match=r"10\.200\.0\.77 is held by container a"):
        await h1.engine.run("b", "web", ip="10.200.0.77")
    for _ in range(3):
        await h1.engine.stop(box)
        await h1.engine.start(box)
    assert (await world.endpoints())["a"]["address"] == "10.200.0.77"


@pytest.mark.parametrize("mac", ["01:00:00:00:00:07", "zz", "02:00:00:00:00"])
async def test_a_mac_that_can_not_be_is_refused_and_leaves_nothing(world, h1, until, mac):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    with pytest.raises(EngineError, match="--mac-address"):
        await h1.engine.run("a", "web", mac=mac)
    assert await world.items("/v1/leases", host="h1") == []
    assert h1.ports.attached == {}


async def test_several_networks_and_a_connection_while_it_runs(world, h1, until):
    for name in ("one", "two", "three"):
        await world.admin.call("POST", "/v1/networks", {"name": name})
    await until(lambda: {"one", "two", "three"} <= h1.engine.names())
    box = await h1.engine.run("a", "one", "two")
    await h1.engine.connect(box, "three")
    found = await world.items("/v1/endpoints")
    assert {endpoint["network_name"] for endpoint in found} == {"one", "two", "three"}
    assert {endpoint["name"] for endpoint in found} == {"a"}
    await h1.engine.disconnect(box, "one")
    found = await world.items("/v1/endpoints")
    assert {endpoint["network_name"] for endpoint in found} == {"two", "three"}


async def test_an_internal_network_has_a_gateway_for_questions_and_is_confined_before_anyone_is_on_it(world, h1, until):
    made = await world.admin.call("POST", "/v1/networks", {"name": "db", "internal": True})
    await until(lambda: "db" in h1.engine.names())
    assert h1.engine.net("db").internal
    box = await h1.engine.run("a", "db")
    (place,) = box.places.values()
    assert place.gateway == made["gateway"]
    assert made["subnet"] in {str(subnet) for subnet in h1.confined[-1]}


async def test_forty_at_once_on_two_hosts(world, h1, h2, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names() and "web" in h2.engine.names())
    boxes = await asyncio.gather(*((h1, h2)[n % 2].engine.run(f"c{n}", "web") for n in range(40)))
    endpoints = await world.endpoints()
    assert len({endpoint["address"] for endpoint in endpoints.values()}) == 40
    assert all(endpoint["known"] for endpoint in endpoints.values())
    assert {endpoint["host"] for endpoint in endpoints.values()} == {"h1", "h2"}
    await asyncio.gather(*((h1, h2)[n % 2].engine.rm(box) for n, box in enumerate(boxes)))
    assert await world.items("/v1/endpoints") == []
    assert await world.items("/v1/leases", host="h1") == []


async def test_an_engine_that_boots_is_not_waited_for_and_the_name_is_settled_later(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    h1.engine.booting.clear()
    async with asyncio.timeout(1.5):
        boxes = await asyncio.gather(*(h1.engine.run(f"a{n}", "web", labels={"app": "a"}) for n in range(5)))
    assert len(boxes) == 5
    assert [endpoint["known"] for endpoint in await world.items("/v1/endpoints")] == [False] * 5
    await h1.engine.stop_api()
    h1.engine.booting.set()
    await h1.engine.start_api()

    async def settled():
        found = await world.items("/v1/endpoints")
        return all(endpoint["known"] and endpoint["labels"] == {"app": "a"} for endpoint in found) and found

    assert {endpoint["name"] for endpoint in await until(settled)} == {f"a{n}" for n in range(5)}
    assert h1.engine.deadlocks == []


async def test_a_new_container_under_an_old_name_has_its_own_labels(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    for labels in ({"v": "1"}, {"v": "2"}, {}):
        box = await h1.engine.run("a", "web", labels=labels)
        assert (await world.endpoints())["a"]["labels"] == labels
        await h1.engine.rm(box)


async def test_a_renamed_container_is_renamed_in_the_cluster(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    box = await h1.engine.run("a", "web")
    await h1.engine.rename(box, "b")

    async def renamed():
        return set(await world.endpoints()) == {"b"}

    await until(renamed)


async def test_join_fails_when_flows_are_not_installed_and_leaves_nothing(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    h1.ports.not_installed = True
    with pytest.raises(EngineError, match=r"socketplane: port is not ready"):
        await h1.engine.run("a", "web")
    assert await world.items("/v1/endpoints") == []
    assert await world.items("/v1/leases", host="h1") == []
    assert h1.ports.attached == {}


async def test_a_port_that_can_not_be_made_fails_the_start_and_leaves_nothing(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    h1.ports.broken = "Open vSwitch does not answer"
    with pytest.raises(EngineError, match=r"NetworkDriver\.Join: socketplane: Open vSwitch does not answer"):
        await h1.engine.run("a", "web")
    assert h1.agent.state.endpoints == {}
    assert await world.items("/v1/endpoints") == []
    assert await world.items("/v1/leases", host="h1") == []
    tries = h1.ports.tries
    results = await asyncio.gather(*(h1.engine.run(f"b{n}", "web") for n in range(10)), return_exceptions=True)
    assert all("Open vSwitch does not answer" in str(result) for result in results)
    assert h1.ports.tries - tries <= 2, "what is known to fail is not waited for ten times"
    h1.ports.broken = ""

    async def recovered():
        try:
            return await h1.engine.run("c", "web")
        except EngineError:
            return None

    await until(recovered)


async def test_the_controller_is_told_while_the_port_is_made_and_join_waits_for_it(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    h1.ports.attaching.clear()
    start = asyncio.create_task(h1.engine.run("a", "web"))

    async def told():
        return "a" in await world.endpoints()

    await until(told)
    assert h1.ports.attached == {}
    assert not start.done()
    h1.ports.attaching.set()
    (place,) = (await start).places.values()
    assert h1.ports.attached == {place.endpoint: place.mac}


async def begun(h1):
    """Call CreateEndpoint, and return while its port is still being made."""
    plugin, net = h1.engine.plugin, h1.engine.net("web")
    address = (await plugin.call("IpamDriver.RequestAddress", {"PoolID": net.pool_id}))["Address"]
    place = Place("ab" * 32, address, "")
    h1.ports.attaching.clear()
    common = {"NetworkID": net.id, "EndpointID": place.endpoint}
    answer = await plugin.call("NetworkDriver.CreateEndpoint", {**common, "Interface": {"Address": address}})
    place.mac = answer["Interface"]["MacAddress"]
    h1.engine.create("a", "web").places[net.id] = place
    return common, place


async def test_an_endpoint_that_is_deleted_while_its_port_is_made_has_none(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    common, place = await begun(h1)
    await h1.engine.plugin.call("NetworkDriver.DeleteEndpoint", common)
    h1.ports.attaching.set()
    second = await h1.engine.run("b", "web")
    assert list(h1.ports.attached) == [entry.endpoint for entry in second.places.values()]
    assert place.endpoint not in h1.agent.state.endpoints


async def test_an_agent_that_stops_while_a_port_is_made_makes_it_after_its_return(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    common, place = await begun(h1)
    await h1.stop()
    h1.ports.attaching.set()
    await h1.start()
    assert h1.ports.attached == {}, "given up, not left to finish behind the next agent's back"
    await h1.engine.plugin.call("NetworkDriver.Join", {**common, "SandboxKey": "", "Options": {}})
    assert h1.ports.attached == {place.endpoint: place.mac}


async def test_every_method_may_be_repeated(world, h1, until):
    made = await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    box = await h1.engine.run("a", "web")
    joined = [call for call in h1.engine.plugin.calls if call[1] is not None and call[0].startswith("NetworkDriver.")]

    async def told():
        return (await world.items("/v1/endpoints"))[0]["conditions"]

    await until(told)  # how it is comes a moment after who it is
    before = await world.items("/v1/endpoints")
    for method, arguments in joined:
        status, answer = await h1.engine.plugin.raw(method, json.dumps(arguments).encode())
        assert status == 200, answer
    assert await world.items("/v1/endpoints") == before
    assert [network["id"] for network in await world.items("/v1/networks")] == [made["id"]]
    await h1.engine.stop(box)
    left = [call for call in h1.engine.plugin.calls if "Delete" in call[0] or "Leave" in call[0] or "Release" in call[0]]
    for method, arguments in left:
        status, answer = await h1.engine.plugin.raw(method, json.dumps(arguments).encode())
        assert status == 200, answer
    assert await world.items("/v1/endpoints") == []


async def test_an_echo_of_release_does_not_take_the_address_from_its_next_holder(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web", "subnet": "10.200.0.0/24"})
    await until(lambda: "web" in h1.engine.names())
    plugin, net = h1.engine.plugin, h1.engine.net("web")
    box = await h1.engine.run("a", "web", ip="10.200.0.9")
    (place,) = box.places.values()
    common = {"NetworkID": net.id, "EndpointID": place.endpoint}
    await plugin.call("NetworkDriver.DeleteEndpoint", common)
    await h1.engine.run("b", "web", ip="10.200.0.9")
    await plugin.call("IpamDriver.ReleaseAddress", {"PoolID": net.pool_id, "Address": "10.200.0.9"})
    assert [lease["address"] for lease in await world.items("/v1/leases", host="h1")] == ["10.200.0.9"]
    assert set(await world.endpoints()) == {"b"}


async def test_a_refused_endpoint_gives_its_address_back(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    plugin, net = h1.engine.plugin, h1.engine.net("web")
    await h1.engine.run("a", "web")
    mac = (await world.endpoints())["a"]["mac"]
    leases = await world.items("/v1/leases", host="h1")
    given = (await plugin.call("IpamDriver.RequestAddress", {"PoolID": net.pool_id}))["Address"]
    common = {"NetworkID": net.id, "EndpointID": "ab" * 32}
    await plugin.call("NetworkDriver.CreateEndpoint", {**common, "Interface": {"Address": given, "MacAddress": mac}})
    with pytest.raises(EngineError, match="belongs to a on this network"):
        await plugin.call("NetworkDriver.Join", common)
    await plugin.call("NetworkDriver.DeleteEndpoint", common)
    address = given.partition("/")[0]
    await plugin.call("IpamDriver.ReleaseAddress", {"PoolID": net.pool_id, "Address": address})
    assert await world.items("/v1/leases", host="h1") == leases
    assert set(await world.endpoints()) == {"a"}


async def test_macs_follow_addresses(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    await h1.engine.run("a", "web")
    endpoint = (await world.endpoints())["a"]
    assert endpoint["mac"] == mac_of(IPv4Address(endpoint["address"]))
