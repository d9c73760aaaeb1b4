"""IPv6 beside IPv4, as dockerd asks for it: two pools, two addresses, one network and one endpoint."""

import asyncio
from ipaddress import IPv6Interface, IPv6Network

import pytest

from support.engine import EngineError


async def six(world, name="six", **more):
    return await world.admin.call("POST", "/v1/networks", {"name": name, "ipv6": True, **more})


async def test_a_network_of_the_cluster_is_on_every_engine_with_ipv6(world, h1, h2, until):
    made = await six(world)
    for host in (h1, h2):
        await until(lambda host=host: "six" in host.engine.names())
        net = host.engine.net("six")
        assert (net.subnet6, net.gateway6) == (made["subnet6"], f"{made['gateway6']}/64")
        assert net.pool6_id == f"{made['id']}/v6"
    a, b = await asyncio.gather(h1.engine.run("a", "six"), h2.engine.run("b", "six"))
    (place,), (other,) = a.places.values(), b.places.values()
    assert IPv6Interface(place.address6).network == IPv6Interface(other.address6).network == IPv6Network(made["subnet6"])
    assert (place.gateway, place.gateway6) == (made["gateway"], made["gateway6"])
    told = {item["name"]: f"{item['address6']}/64" for item in await world.items("/v1/endpoints")}
    assert told == {"a": place.address6, "b": other.address6}
    await h1.engine.rm(a)
    assert await world.items("/v1/leases", host="h1") == []
    assert len(await world.items("/v1/leases", host="h2")) == 2


async def test_a_network_made_with_docker_may_have_ipv6(world, h1, h2, until):
    await h1.engine.network_create("web", ipv6=True)
    await until(lambda: "web" in h2.engine.names())
    web = (await world.networks())["web"]
    assert web["subnet6"] == h1.engine.net("web").subnet6 == h2.engine.net("web").subnet6
    pool = IPv6Network(web["subnet6"]).supernet(new_prefix=48)
    gateway = str(pool[(7 << 64) + 9])
    await h1.engine.network_create("own", ipv6=True, subnet6=f"{pool[7 << 64]}/64", gateway6=gateway)
    await until(lambda: "own" in h2.engine.names())
    own = (await world.networks())["own"]
    assert (own["subnet6"], own["gateway6"]) == (f"{pool[7 << 64]}/64", gateway)
    with pytest.raises(EngineError, match="overlaps"):
        await h2.engine.network_create("again", ipv6=True, subnet6=own["subnet6"])
    assert set(await world.networks()) == {"web", "own"}
    await h1.engine.network_rm("own")
    await until(lambda: "own" not in h2.engine.names())


async def test_pools_that_do_not_belong_together_are_refused(world, h1):
    """Two networks at once: dockerd does not say which one an IPv6 pool is for, but CreateNetwork tells both."""
    call = h1.engine.plugin.call
    space = (await call("IpamDriver.GetDefaultAddressSpaces"))["LocalDefaultAddressSpace"]
    ask = {"AddressSpace": space, "Pool": "", "SubPool": "", "Options": {}}
    with pytest.raises(EngineError, match="goes with an IPv4 one"):
        await call("IpamDriver.RequestPool", {**ask, "V6": True})
    one, two = [await call("IpamDriver.RequestPool", {**ask, "V6": False}) for _ in range(2)]
    pool6 = await call("IpamDriver.RequestPool", {**ask, "V6": True})
    assert pool6["PoolID"].partition("/")[0] == two["PoolID"]
    create = {"NetworkID": "ab" * 32, "Options": {"com.docker.network.enable_ipv6": True}}
    data6 = [{"AddressSpace": space, "Pool": pool6["Pool"]}]
    with pytest.raises(EngineError, match="try again"):
        pool = [{"AddressSpace": space, "Pool": one["Pool"]}]
        await call("NetworkDriver.CreateNetwork", {**create, "IPv4Data": pool, "IPv6Data": data6})
    pool = [{"AddressSpace": space, "Pool": two["Pool"]}]
    with pytest.raises(EngineError, match="try again"):
        await call("NetworkDriver.CreateNetwork", {**create, "Options": {}, "IPv4Data": pool, "IPv6Data": None})
    await call("NetworkDriver.CreateNetwork", {**create, "IPv4Data": pool, "IPv6Data": data6})


async def test_a_named_address_is_had_again_after_a_restart(world, h1, until):
    made = await six(world)
    await until(lambda: "six" in h1.engine.names())
    wanted = str(IPv6Network(made["subnet6"])[0xBEEF])
    box = await h1.engine.run("a", "six", ip6=wanted)
    with pytest.raises(EngineError, match="held by container a on host h1"):
        await h1.engine.run("b", "six", ip6=wanted)
    await h1.engine.stop(box)
    await h1.engine.start(box)
    (place,) = box.places.values()
    assert place.address6 == f"{wanted}/64"
    with pytest.raises(EngineError, match="not in the network"):
        await h1.engine.run("c", "six", ip6="fd00::5")


async def test_an_internal_network_has_no_gateway_of_ipv6(world, h1, until):
    made = await six(world, internal=True)
    await until(lambda: "six" in h1.engine.names())
    box = await h1.engine.run("a", "six")
    (place,) = box.places.values()
    assert (place.gateway, place.gateway6) == (made["gateway"], "")
    assert place.address6


async def test_what_the_controller_lost_is_told_again(world, h1, until):
    await six(world)
    await until(lambda: "six" in h1.engine.names())
    box = await h1.engine.run("a", "six")
    (place,) = box.places.values()
    async with world.controller.client("h1") as client:
        await client.call("DELETE", f"/v1/endpoints/{place.endpoint}", params={"release": "true"})
    await h1.agent.reconciler.reconcile()
    (told,) = await world.items("/v1/endpoints")
    assert f"{told['address6']}/64" == place.address6
    assert len(await world.items("/v1/leases", host="h1")) == 2


async def test_hosts_have_ipv6_while_a_network_with_a_way_out_has_it(world, h1, h2, until):
    inner = await six(world, name="inner", internal=True)
    await until(lambda: "inner" in h1.engine.names() and h1.confined)
    await until(lambda: inner["subnet6"] in set(map(str, h1.confined[-1])))
    assert h1.pool6 is None
    made = await six(world)
    pool = IPv6Network(made["subnet6"]).supernet(new_prefix=48)
    await until(lambda: h1.pool6 == h2.pool6 == pool)
    await until(lambda: "six" in h1.engine.names())
    await h1.stop()
    h1.pool6 = None
    await world.stop()
    await h1.start()
    await until(lambda: h1.pool6 == pool)  # it remembers
    await world.start()
    await world.admin.call("DELETE", "/v1/networks/six")
    await until(lambda: h1.pool6 is h2.pool6 is None)
