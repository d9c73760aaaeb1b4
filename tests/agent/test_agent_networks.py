"""One network on all engines: made by the cluster, adopted from Docker, deleted, and clashing."""

import asyncio

import pytest

from socketplane.agent import networks
from socketplane.errors import Unavailable
from support.engine import EngineError


async def test_a_network_of_the_cluster_is_on_every_engine_as_it_was_asked_for(world, h1, h2, until):
    asked = {
        "name": "web",
        "subnet": "10.200.0.0/24",
        "gateway": "10.200.0.254",
        "ip_range": "10.200.0.128/26",
        "internal": True,
        "labels": {"team": "a"},
    }
    made = await world.admin.call("POST", "/v1/networks", asked)
    for host in (h1, h2):
        await until(lambda host=host: "web" in host.engine.names())
        net = host.engine.net("web")
        assert (net.subnet, net.gateway, net.internal, net.labels) == (
            "10.200.0.0/24",
            "10.200.0.254/24",
            True,
            {"team": "a"},
        )
        assert net.pool_id == f"{made['id']}/10.200.0.128/26"
        assert net.options == {}, "Compose 1 takes a network with options for another one than its own"
    box = await h1.engine.run("a", "web")
    (place,) = box.places.values()
    assert place.address.split("/")[0].rpartition(".")[2] in {str(n) for n in range(128, 192)}
    await world.admin.call("PATCH", f"/v1/networks/{made['id']}", {"labels": {}})
    assert len(await world.items("/v1/leases", host="h1")) == 1


async def test_a_network_made_with_docker_is_adopted_and_appears_everywhere(world, h1, h2, until):
    await h1.engine.network_create("web", labels={"team": "a"})
    await until(lambda: "web" in h2.engine.names())
    web = (await world.networks())["web"]
    assert (web["labels"], web["origin"], web["internal"]) == ({"team": "a"}, "h1", False)
    assert h2.engine.net("web").labels == {"team": "a"}
    assert h2.engine.net("web").subnet == h1.engine.net("web").subnet == web["subnet"]
    a, b = await asyncio.gather(h1.engine.run("a", "web"), h2.engine.run("b", "web"))
    assert {endpoint["network_name"] for endpoint in await world.items("/v1/endpoints")} == {"web"}
    assert a.networks == b.networks


async def test_docker_options_reach_the_cluster(world, h1, until):
    await h1.engine.network_create(
        "web",
        subnet="10.210.0.0/16",
        gateway="10.210.0.9",
        ip_range="10.210.7.0/24",
        internal=True,
        aux={"x": "10.210.7.5"},
    )

    async def named():
        return (await world.networks()).get("web")

    web = await until(named)
    assert (web["subnet"], web["gateway"], web["ip_range"], web["internal"]) == (
        "10.210.0.0/16",
        "10.210.0.9",
        "10.210.7.0/24",
        True,
    )
    leases = {lease["address"]: lease["kind"] for lease in await world.items("/v1/leases")}
    assert leases == {"10.210.0.9": "gateway", "10.210.7.5": "auxiliary"}
    with pytest.raises(EngineError, match=r"10\.210\.7\.5 is set aside with --aux-address"):
        await h1.engine.run("a", "web", ip="10.210.7.5")


async def test_dockers_own_addresses_are_refused_with_the_right_command(world, h1):
    command = "docker network create -d socketplane --ipam-driver socketplane NAME"
    with pytest.raises(EngineError, match=command):
        await h1.engine.network_create("web", ipam="default")
    with pytest.raises(EngineError, match=command):
        await h1.engine.network_create("web", ipam="default", subnet="10.192.0.0/22")
    assert await world.networks() == {}
    assert h1.engine.names() == set()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ipv6": True, "subnet6": "fd00::/64"}, r"fd00::/64 is not in the cluster's pool fd\w+:\w+:\w+::/48"),
        ({"subnet": "192.168.0.0/24"}, "192.168.0.0/24"),
        ({"subnet": "10.200.0.0/24", "gateway": "10.201.0.1"}, "gateway"),
        ({"options": {"com.docker.network.driver.mtu": "1400"}}, "--opt com.docker.network.driver.mtu: no such option"),
        ({"subnet": "10.200.0.5/24"}, r"10\.200\.0\.5/24 has bits set beyond its prefix; write 10\.200\.0\.0/24"),
        ({"ipam_options": {"colour": "red"}}, "--ipam-opt colour: no such option"),
        ({"ipam_options": {"socketplane.network": "web"}}, "not a network's id"),
        ({"ipam_options": {"socketplane.network": "7f9e2c1a-0000-4000-8000-000000000000"}}, "no network 7f9e2c1a"),
    ],
)
async def test_what_can_not_be_is_refused_and_leaves_nothing(world, h1, settings, message):
    with pytest.raises(EngineError, match=message):
        await h1.engine.network_create("web", **settings)
    assert await world.networks() == {}
    assert h1.agent.state.pools == {}


async def test_overlapping_subnets_are_refused(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web", "subnet": "10.200.0.0/24"})
    await until(lambda: "web" in h1.engine.names())
    with pytest.raises(EngineError, match=r"10\.200\.0\.0/24"):
        await h1.engine.network_create("other", subnet="10.200.0.0/16")
    assert set(await world.networks()) == {"web"}


async def test_a_subnet_that_the_host_routes_elsewhere_is_refused_before_docker_asks_for_ever(world, h1):
    h1.agent.ipam._route_table = lambda: (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000C00A\t00000000\t0001\t0\t0\t0\t0000C0FF\t0\t0\t0\n"
    )
    with pytest.raises(EngineError, match=r"overlaps this host's route to 10\.192\.0\.0/10 on eth0"):
        await h1.engine.network_create("web")
    assert await world.networks() == {}


async def test_docker_network_rm_removes_it_everywhere(world, h1, h2, until):
    await h1.engine.network_create("web")
    await until(lambda: "web" in h2.engine.names())
    await h2.engine.network_rm("web")
    await until(lambda: not h1.engine.names() and not h2.engine.names())
    assert await world.networks() == {}
    assert h1.agent.state.networks == {} == h2.agent.state.networks


async def test_a_network_removed_as_soon_as_it_is_adopted_does_not_flicker(world, h1, until):
    for _ in range(5):
        await h1.engine.network_create("web")
        await until(lambda: h1.agent.link.networks)
        await h1.engine.network_rm("web")
    await h1.agent.networks.sync()
    assert await world.networks() == {}
    assert "POST /networks/create" not in h1.engine.requests, "a late word of the watch is no wish"


async def test_a_network_is_not_made_anew_before_the_controller_has_answered(world, h1, until, monkeypatch):
    await h1.engine.network_create("web")
    await until(lambda: h1.agent.link.networks)
    asked, answer, delete = asyncio.Event(), asyncio.Event(), h1.agent.link.delete_network

    async def slow(network):
        monkeypatch.undo()
        asked.set()
        await answer.wait()
        await delete(network)

    monkeypatch.setattr(h1.agent.link, "delete_network", slow)
    removal = asyncio.create_task(h1.engine.network_rm("web"))
    await asked.wait()
    await h1.agent.networks.sync()
    answer.set()
    await removal
    assert await world.networks() == {}
    assert "POST /networks/create" not in h1.engine.requests


async def test_a_network_that_docker_is_removing_is_not_made_anew_meanwhile(world, h1, until):
    await h1.engine.network_create("web")
    await until(lambda: h1.agent.link.networks)
    h1.engine.net("web").in_delete = True
    await h1.agent.networks.sync()
    await h1.engine.network_rm("web")
    assert await world.networks() == {}
    assert "POST /networks/create" not in h1.engine.requests


async def test_a_network_removed_while_the_agent_was_down_comes_back(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    await h1.stop()
    before = h1.engine.net("web").id
    await h1.engine.network_rm("web")
    await h1.start()
    await until(lambda: "web" in h1.engine.names())
    assert h1.engine.net("web").id != before
    await h1.engine.run("a", "web")


async def test_docker_network_rm_of_one_in_use_elsewhere_comes_back(world, h1, h2, until):
    await h1.engine.network_create("web", labels={"a": "b"})
    await until(lambda: "web" in h2.engine.names())
    await h2.engine.run("b", "web")
    before = h1.engine.net("web").id
    await h1.engine.network_rm("web")
    await until(lambda: "web" in h1.engine.names())
    net = h1.engine.net("web")
    assert net.id != before
    assert net.labels == {"a": "b"}
    assert set(await world.networks()) == {"web"}
    await h1.engine.run("a", "web")
    assert {endpoint["network_name"] for endpoint in await world.items("/v1/endpoints")} == {"web"}


async def test_deleting_in_the_cluster_removes_it_from_every_engine(world, h1, h2, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names() and "web" in h2.engine.names())
    await world.admin.call("DELETE", "/v1/networks/web")
    await until(lambda: not h1.engine.names() and not h2.engine.names())
    assert h1.agent.state.networks == {}
    assert h1.agent.state.removing == set()


async def test_removal_while_the_controller_is_away_is_told_later(world, h1, h2, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names() and "web" in h2.engine.names())
    await world.stop()
    await h1.engine.network_rm("web")
    assert "web" not in h1.engine.names()
    await h1.stop()  # it survives a restart
    await h1.start()
    assert len(h1.agent.state.tombstones) == 1
    await world.start()
    await until(lambda: not h2.engine.names(), 15)
    assert await world.networks() == {}
    assert h1.engine.names() == set()
    await until(lambda: not h1.agent.state.tombstones)


async def test_a_bridge_of_that_name_is_reported_and_gives_way_when_removed(world, h1, h2, until):
    await h2.engine.network_create("web", driver="bridge", ipam="default")
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    (conflict,) = await until(lambda: h2.agent.networks.conflicts)
    assert conflict.startswith("web: a bridge network of this name is on this host")
    assert "docker network rm web" in conflict

    async def reported():
        return (await world.admin.call("GET", "/v1/hosts/h2"))["report"]["conflicts"] == [conflict]

    await until(reported)
    await h2.engine.network_rm("web")
    await until(lambda: "web" in h2.engine.names())
    assert h2.engine.net("web").driver == "socketplane"
    await until(lambda: not h2.agent.networks.conflicts)


async def test_two_hosts_at_once_the_first_wins_and_the_other_is_replaced(world, h1, h2, until):
    await asyncio.gather(h1.engine.network_create("web"), h2.engine.network_create("web"))

    async def one():
        subnets = {host.engine.net("web").subnet for host in (h1, h2) if "web" in host.engine.names()}
        found = await world.networks()
        return len(subnets) == 1 and set(found) == {"web"} and all("web" in host.engine.names() for host in (h1, h2))

    await until(one)
    a, b = await asyncio.gather(h1.engine.run("a", "web"), h2.engine.run("b", "web"))
    assert len({endpoint["network"] for endpoint in await world.items("/v1/endpoints")}) == 1
    assert a.places
    assert b.places


async def test_the_loser_in_use_stays_until_its_containers_are_gone(world, make_host, until, monkeypatch):
    h2 = await make_host("h2", start=False)
    # It makes its network while nobody adopts it, and uses it at once.
    with monkeypatch.context() as patch:
        patch.setattr(networks.Networks, "sync", nothing)
        await h2.start()
        await until(lambda: h2.agent.inventory.connected and h2.agent.link.synced)
        await h2.engine.network_create("web")
        box = await h2.engine.run("b", "web")
        await world.admin.call("POST", "/v1/networks", {"name": "web"})
    h2.agent.networks.wake()
    (conflict,) = await until(lambda: h2.agent.networks.conflicts)
    assert "another host made a network of this name first, but containers on this host use it" in conflict
    assert "docker network disconnect web CONTAINER" in conflict
    assert box.places, "it keeps what it has"
    await h2.engine.stop(box)
    web = (await world.networks())["web"]

    async def replaced():
        return has_subnet(h2, web["subnet"]) and set(await world.networks()) == {"web"}

    await until(replaced)
    await until(lambda: not h2.agent.networks.conflicts)


async def nothing(_):
    """Instead of a comparison."""


def has_subnet(host, subnet):
    return any(net.subnet == subnet for net in host.engine.networks.values())


async def test_a_second_docker_network_for_one_of_the_cluster_is_refused(world, h1, until):
    made = await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    option = {"socketplane.network": made["id"]}
    with pytest.raises(EngineError, match="the cluster's network web exists on this host already"):
        await h1.engine.network_create("again", options=option, ipam_options=option)
    assert h1.engine.names() == {"web"}
    assert set(await world.networks()) == {"web"}


@pytest.mark.parametrize("name", ["x" * 64, "bridge"])
async def test_a_name_that_the_cluster_can_not_have_is_a_conflict(world, h1, until, name):
    await h1.engine.network_create(name)
    (conflict,) = await until(lambda: h1.agent.networks.conflicts)
    assert conflict.startswith(f"{name}: ")
    await h1.engine.network_rm(name)
    await until(lambda: not h1.agent.networks.conflicts)
    assert await world.networks() == {}


async def test_a_failed_create_leaves_no_pending_network(world, h1, until):
    create = h1.agent.driver._adoption.created

    async def crash(request):
        raise Unavailable("as if it were so")

    h1.agent.driver._adoption.created = crash
    with pytest.raises(EngineError):
        await h1.engine.network_create("web")
    assert await world.networks() == {}
    h1.agent.driver._adoption.created = create
    # dockerd dies between RequestPool and CreateNetwork: nobody asks for a release.
    space = {"AddressSpace": "socketplane", "Pool": "", "SubPool": "", "Options": {}, "V6": False}
    await h1.engine.plugin.call("IpamDriver.RequestPool", space)
    assert set(await world.networks()) == {""}

    async def gone():
        return await world.networks() == {}

    await until(gone)
    assert h1.agent.state.pools == {}


async def test_a_routed_network_made_with_docker_is_open_on_every_host(world, h1, h2, until):
    await h1.engine.network_create("front", options={"socketplane.routed": "true"})

    async def front():
        return (await world.networks()).get("front")

    made = await until(front)
    assert made["routed"]
    for host in (h1, h2):
        await until(lambda host=host: host.admitted and made["subnet"] in map(str, host.admitted[-1][0]), 5)
        assert {str(address) for address in host.admitted[-1][1]} == {"127.0.0.1", "127.0.0.2"}
    with pytest.raises(EngineError, match="internal network leads nowhere"):
        await h1.engine.network_create("both", internal=True, options={"socketplane.routed": "true"})
    await world.admin.call("PATCH", f"/v1/networks/{made['id']}", {"routed": False})
    await until(lambda: not h1.admitted[-1][0], 5)


async def test_what_is_open_stays_so_over_a_restart_without_controller(world, h1, until):
    made = await world.admin.call("POST", "/v1/networks", {"name": "front", "routed": True, "ipv6": True})
    subnets = {made["subnet"], made["subnet6"]}
    await until(lambda: h1.admitted and subnets == set(map(str, h1.admitted[-1][0])), 5)
    opened = h1.admitted[-1]
    await h1.stop()
    await world.stop()
    h1.admitted.clear()
    await h1.start()
    await until(lambda: h1.admitted, 5)
    assert h1.admitted == [opened]


async def test_docker_29_tells_who_asks_and_a_reserved_address_comes_by_itself(world, h1, h2, until):
    network = await world.admin.call("POST", "/v1/networks", {"name": "web"})
    path = f"/v1/networks/{network['id']}/reservations/10.192.0.50"
    await world.admin.call("PUT", path, {"container": "db"})
    for host in (h1, h2):
        await until(lambda host=host: "web" in host.engine.names())
        host.engine.version = "29.0.0"
    for host in (h1, h2, h1):
        box = await host.engine.run("db", "web")
        assert [place.address for place in box.places.values()] == ["10.192.0.50/22"]
        assert [place.address for place in (await host.engine.run("app", "web")).places.values()] != ["10.192.0.50/22"]
        await host.engine.rm(box)
        await host.engine.rm(next(box for box in host.engine.boxes.values() if box.name == "app"))
    host.engine.version = "20.10.24"
    with pytest.raises(EngineError, match="reserved for container db: this is app"):
        await host.engine.run("app", "web", ip="10.192.0.50")
