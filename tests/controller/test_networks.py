"""Networks and leases."""

import asyncio
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID, uuid4

import pytest

from socketplane.compile import names
from socketplane.controller.plans.networks import PENDING_SECONDS
from socketplane.errors import (
    AddressInUse,
    Conflict,
    Exhausted,
    Forbidden,
    InUse,
    InvalidInput,
    NameInUse,
    NotFound,
    SubnetOverlap,
)
from socketplane.model.ipam import REST_SECONDS
from support.steps import attach, endpoint_id, lease


async def test_a_network_gets_a_subnet_of_the_pool_and_a_switch(world):
    second = await world.admin.call("POST", "/v1/networks", {"name": "db", "labels": {"team": "a"}, "internal": True})
    assert (world.web["subnet"], world.web["gateway"], world.web["origin"]) == ("10.192.0.0/22", "10.192.0.1", "")
    assert (second["subnet"], second["internal"], second["labels"]) == ("10.192.4.0/22", True, {"team": "a"})
    rows = world.active.reconciler.northbound.replica["Logical_Switch"].values()
    assert {names.switch(UUID(network["id"])) for network in (world.web, second)} <= {row["name"] for row in rows}
    assert await world.h1.call("GET", f"/v1/networks/{second['id']}") == second
    assert [network["name"] for network in (await world.h2.call("GET", "/v1/networks"))["items"]] == ["web", "db"]
    await world.h1.call("DELETE", "/v1/networks/db")
    with pytest.raises(NotFound, match=r"no network db.*network ls"):
        await world.h1.call("GET", "/v1/networks/db")


async def test_the_same_request_twice_is_one_network(world):
    body = {"name": "db", "request": "r1"}
    made = await asyncio.gather(*(world.h1.call("POST", "/v1/networks", body) for _ in range(5)))
    assert len({network["id"] for network in made}) == 1
    assert made[0]["origin"] == "h1"


async def test_two_hosts_at_once_and_one_of_them_wins(world):
    both = await asyncio.gather(
        world.h1.call("POST", "/v1/networks", {"name": "db", "request": "a"}),
        world.h2.call("POST", "/v1/networks", {"name": "db", "request": "b"}),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in both) == ["NameInUse", "dict"]


IMPOSSIBLE = [
    ({"name": "web"}, NameInUse, "name: there is a network web already"),
    ({"name": "bridge"}, InvalidInput, "name: bridge is a name of Docker's own"),
    ({"name": "a b"}, InvalidInput, "name: string should match pattern"),
    (
        {"name": "x", "subnet": "10.192.1.0/24"},
        SubnetOverlap,
        r"subnet: 10.192.1.0/24 overlaps 10.192.0.0/22 of network web",
    ),
    ({"name": "x", "subnet": "192.168.0.0/24"}, InvalidInput, r"subnet: .*not in the cluster's pool 10.192.0.0/10"),
    ({"name": "x", "subnet": "10.200.0.0/31"}, InvalidInput, "subnet: .*no room"),
    ({"name": "x", "subnet": "10.200.0.1/24"}, InvalidInput, "subnet: "),
    ({"name": "x", "subnet": "10.200.0.0/24", "gateway": "10.200.1.1"}, InvalidInput, "gateway: 10.200.1.1 is not in"),
    ({"name": "x", "subnet": "10.200.0.0/24", "gateway": "10.200.0.0"}, InvalidInput, "gateway: "),
    ({"name": "x", "subnet": "10.200.0.0/24", "ip_range": "10.201.0.0/24"}, InvalidInput, "ip_range: "),
    ({"name": "x", "subnett": "10.200.0.0/24"}, InvalidInput, "subnett: there is no such field"),
    ({"name": "x", "labels": {"a": 1}}, InvalidInput, "labels.a: input should be a valid string"),
    ({"name": "x", "labels": {"a": "\0"}}, InvalidInput, "labels.a: .*NUL"),
]


async def test_what_can_not_be_is_refused_by_name(world):
    before = dict(world.active.store.committed.networks)
    for body, error, message in IMPOSSIBLE:
        with pytest.raises(error, match=message):
            await world.admin.call("POST", "/v1/networks", body)
    assert world.active.store.committed.networks == before
    assert world.active.store.working.networks == before


async def test_a_pool_that_is_used_up(world):
    await world.admin.call("POST", "/v1/networks", {"name": "large", "subnet": "10.224.0.0/11"})
    await world.admin.call("POST", "/v1/networks", {"name": "large2", "subnet": "10.208.0.0/12"})
    await world.admin.call("POST", "/v1/networks", {"name": "large3", "subnet": "10.200.0.0/13"})
    await world.admin.call("POST", "/v1/networks", {"name": "large4", "subnet": "10.196.0.0/14"})
    await world.admin.call("POST", "/v1/networks", {"name": "large5", "subnet": "10.194.0.0/15"})
    await world.admin.call("POST", "/v1/networks", {"name": "large6", "subnet": "10.193.0.0/16"})
    await world.admin.call("POST", "/v1/networks", {"name": "large7", "subnet": "10.192.128.0/17"})
    await world.admin.call("POST", "/v1/networks", {"name": "large8", "subnet": "10.192.64.0/18"})
    await world.admin.call("POST", "/v1/networks", {"name": "large9", "subnet": "10.192.8.0/21"})
    for name in range(13):
        await world.admin.call("POST", "/v1/networks", {"name": f"n{name}"})
    with pytest.raises(Exhausted, match="subnet: no /22 is left in the pool"):
        await world.admin.call("POST", "/v1/networks", {"name": "n13"})


async def test_a_pending_network_gets_its_name_or_is_collected(world):
    pending = await world.h1.call("POST", "/v1/networks", {"request": "p1"})
    given_up = await world.h1.call("POST", "/v1/networks", {"request": "p2"})
    used = await world.h1.call("POST", "/v1/networks", {"request": "p3"})
    assert pending["name"] == ""
    assert len((await world.h1.call("GET", "/v1/networks"))["items"]) == 1
    await attach(world.h1, used, 1)
    with pytest.raises(Forbidden, match="host h1 may change"):
        await world.h2.call("PATCH", f"/v1/networks/{pending['id']}", {"name": "db"})
    with pytest.raises(NameInUse):
        await world.h1.call("PATCH", f"/v1/networks/{pending['id']}", {"name": "web"})
    patch = {"name": "db", "labels": {"a": "b"}, "gateway": "10.192.4.9", "internal": True}
    for _ in range(2):
        named = await world.h1.call("PATCH", f"/v1/networks/{pending['id']}", patch)
    assert (named["name"], named["gateway"], named["internal"], named["labels"]) == ("db", "10.192.4.9", True, {"a": "b"})
    with pytest.raises(Conflict, match="name already"):
        await world.admin.call("PATCH", f"/v1/networks/{pending['id']}", {"name": "other"})
    world.clock.ahead += PENDING_SECONDS + 1
    await world.until(lambda: UUID(given_up["id"]) not in world.active.store.committed.networks, 15)
    assert {network.id for network in world.active.store.committed.networks.values()} == {
        UUID(network["id"]) for network in (world.web, pending, used)
    }


async def test_the_gateway_is_shared_and_moves_while_nobody_is_there(world):
    pending = await world.h1.call("POST", "/v1/networks", {"subnet": "10.200.0.0/24"})
    first = await lease(world.h1, pending, "g1", kind="gateway")
    second = await lease(world.h2, pending, "g2", kind="gateway", address="10.200.0.1")
    assert first == second
    assert (first["address"], first["host"], first["prefix"]) == ("10.200.0.1", "", 24)
    moved = await lease(world.h1, pending, "g3", kind="gateway", address="10.200.0.254")
    assert moved["address"] == "10.200.0.254"
    await world.h1.call("DELETE", f"/v1/networks/{pending['id']}/leases/10.200.0.254")
    assert (await world.h1.call("GET", f"/v1/networks/{pending['id']}"))["gateway"] == "10.200.0.254"
    assert (await attach(world.h1, pending, 1))["address"] == "10.200.0.1"
    with pytest.raises(InUse, match=r"gateway: network .* has endpoints"):
        await lease(world.h1, pending, "g4", kind="gateway", address="10.200.0.2")
    with pytest.raises(InUse, match="internal: "):
        await world.h1.call("PATCH", f"/v1/networks/{pending['id']}", {"internal": True})


async def test_leases_are_idempotent_and_addresses_rest(world):
    small = await world.admin.call("POST", "/v1/networks", {"name": "small", "subnet": "10.200.0.0/29"})
    made = await asyncio.gather(*(lease(world.h1, small, "same") for _ in range(4)))
    assert {one["address"] for one in made} == {"10.200.0.2"}
    with pytest.raises(Conflict, match="request: another lease"):
        await lease(world.h2, small, "same")
    for number in range(3, 7):
        assert (await lease(world.h1, small, f"r{number}"))["address"] == f"10.200.0.{number}"
    with pytest.raises(Exhausted, match=r"all 6 addresses.*are in use"):
        await lease(world.h1, small, "more")
    path = f"/v1/networks/{small['id']}/leases/10.200.0.4"
    with pytest.raises(Forbidden, match="held by host h1"):
        await world.h2.call("DELETE", path)
    for _ in range(2):
        await world.h1.call("DELETE", path)
    with pytest.raises(Exhausted, match="comes free in"):
        await lease(world.h2, small, "more")
    assert (await lease(world.h1, small, "mine", address="10.200.0.4"))["host"] == "h1", "its own, asked for by name"
    await world.h1.call("DELETE", path)
    world.clock.ahead += REST_SECONDS + 1
    assert (await lease(world.h2, small, "more"))["address"] == "10.200.0.4"


async def test_rested_leases_are_forgotten(world):
    held = await lease(world.h1, world.web, "r")
    await world.h1.call("DELETE", f"/v1/networks/{world.web['id']}/leases/{held['address']}")
    key = (UUID(world.web["id"]), IPv4Address(held["address"]))
    assert world.active.store.committed.leases[key].released
    world.clock.ahead += REST_SECONDS + 1
    await world.until(lambda: key not in world.active.store.committed.leases, 15)


NOT_TO_BE_HAD = [
    ("10.192.0.1", AddressInUse, "gateway"),
    ("10.192.0.0", InvalidInput, "network or broadcast"),
    ("10.192.9.9", InvalidInput, "not in the network's subnet"),
    ("10.192.0.77", AddressInUse, "held by container other on host h2"),
    ("10.192.0.300", InvalidInput, "not a valid IPv4 address"),
]


async def test_an_address_that_can_not_be_had(world):
    held = await lease(world.h2, world.web, "theirs", address="10.192.0.77")
    body = {"network": world.web["id"], "address": held["address"], "mac": "02:00:00:00:00:01", "name": "other"}
    await world.h2.call("PUT", f"/v1/endpoints/{endpoint_id(9)}", body)
    for address, error, message in NOT_TO_BE_HAD:
        with pytest.raises(error, match=message):
            await lease(world.h1, world.web, "mine", address=address)


async def test_a_network_with_endpoints_stays(world):
    await attach(world.h1, world.web, 1)
    for name in ("web", world.web["id"]):
        with pytest.raises(InUse, match=r"web has 1 endpoint\(s\), on h1.*endpoint ls --network web"):
            await world.h2.call("DELETE", f"/v1/networks/{name}")
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(1)}")
    await world.h2.call("DELETE", "/v1/networks/web")
    assert world.active.store.committed.leases == {}
    with pytest.raises(NotFound):
        await lease(world.h1, world.web, "r")
    assert (await world.admin.call("POST", "/v1/networks", {"name": "web"}))["subnet"] == world.web["subnet"]


async def test_an_ip_range_is_where_addresses_come_from(world):
    body = {"name": "r", "subnet": "10.200.0.0/24", "ip_range": "10.200.0.128/30"}
    network = await world.admin.call("POST", "/v1/networks", body)
    addresses = [(await lease(world.h1, network, f"r{n}"))["address"] for n in range(4)]
    assert all(IPv4Address(address) in IPv4Network("10.200.0.128/30") for address in addresses)
    with pytest.raises(Exhausted):
        await lease(world.h1, network, "one more")


async def test_unknown_networks(world):
    for path in (f"/v1/networks/{uuid4()}", "/v1/networks/nope"):
        with pytest.raises(NotFound, match="no network"):
            await world.admin.call("GET", path)


async def test_a_network_is_routed_when_an_administrator_says_so(world):
    with pytest.raises(InvalidInput, match=r"routed: an internal network leads nowhere"):
        await world.admin.call("POST", "/v1/networks", {"name": "db", "internal": True, "routed": True})
    front = await world.admin.call("POST", "/v1/networks", {"name": "front", "routed": True})
    assert (front["routed"], world.web["routed"]) == (True, False)
    await attach(world.h1, front, 1)
    closed = await world.admin.call("PATCH", f"/v1/networks/{front['id']}", {"routed": False})
    assert not closed["routed"], "with containers on it, too"
    mine = await world.h1.call("POST", "/v1/networks", {"request": "p"})
    assert (await world.h1.call("PATCH", f"/v1/networks/{mine['id']}", {"name": "mine", "routed": True}))["routed"]
    with pytest.raises(Forbidden, match=r"routed: only an administrator may open"):
        await world.h1.call("PATCH", f"/v1/networks/{mine['id']}", {"routed": False})
    with pytest.raises(InvalidInput, match="internal network leads nowhere"):
        await world.admin.call("PATCH", f"/v1/networks/{mine['id']}", {"internal": True})
