"""BGP at the controller: who may say what, and who is told."""

import pytest

from socketplane import wire
from socketplane.errors import Conflict, Forbidden, InvalidInput, NotFound
from support.steps import attach, lease

PEER = {"address": "192.0.2.254", "asn": 64600, "password": "geheim"}


async def test_a_peer_needs_an_as_and_an_address_outside(world):
    with pytest.raises(Conflict, match=r"no AS number yet; `socketplane bgp set"):
        await world.admin.call("POST", "/v1/bgp/peers", PEER)
    with pytest.raises(Forbidden):
        await world.h1.call("PUT", "/v1/bgp", {"asn": 64512})
    assert (await world.admin.call("PUT", "/v1/bgp", {"asn": 64512}))["asn"] == 64512
    for address in (
        "10.192.0.9",
        "169.254.192.9",
        "127.0.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "::1",
        "ff02::1",
        "fd47:14ad:c79c::a9fe:c009",
    ):
        with pytest.raises(InvalidInput, match="no router's"):
            await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "address": address})
    for address in ("fe80::1", "fe80::1%eth0", "2001:db8::1%eth0 shutdown", "::ffff:192.0.2.254"):
        with pytest.raises(InvalidInput, match="link-local, or IPv4 in other words"):
            await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "address": address})
    with pytest.raises(NotFound, match="no host h9"):
        await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "host": "h9"})
    with pytest.raises(InvalidInput) as refused:
        await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "password": "with spaces"})
    assert "with spaces" not in str(refused.value)


async def test_one_host_has_a_peer_once(world):
    await world.admin.call("PUT", "/v1/bgp", {"asn": 64512})
    for host in ("h1", "h2"):
        await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "host": host})
    for host in ("", "h1"):
        with pytest.raises(Conflict, match="host h1 has this peer already"):
            await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "host": host})
    listed = (await world.admin.call("GET", "/v1/bgp/peers"))["items"]
    assert [(peer["host"], peer["password"]) for peer in listed] == [("h1", True), ("h2", True)]
    with pytest.raises(NotFound, match="all hosts: no peer"):
        await world.admin.call("DELETE", f"/v1/bgp/peers/{PEER['address']}")
    await world.admin.call("DELETE", "/v1/hosts/h2", params={"force": "true"})
    await world.admin.call("DELETE", f"/v1/bgp/peers/{PEER['address']}", params={"host": "h1"})
    assert (await world.admin.call("GET", "/v1/bgp"))["peers"] == []


async def test_each_host_is_told_its_own_with_passwords_and_nobody_else_is(world):
    told = {name: [] for name in ("h1", "h2", "admin")}
    watches = {"h1": world.h1.watch(), "h2": world.h2.watch(), "admin": world.admin.watch()}
    first = {name: await anext(watch) for name, watch in watches.items()}
    assert (first["h1"].bgp, first["admin"].bgp) == (wire.BgpSettings(), None)
    await world.admin.call("PUT", "/v1/bgp", {"asn": 64512})
    await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "host": "h1"})
    await world.admin.call("POST", "/v1/networks", {"name": "last"})
    for name, watch in watches.items():
        async for change in watch:
            if change.network and change.network.name == "last":
                break
            told[name] += [change.bgp] if change.bgp else []
        await watch.aclose()
    assert [settings.asn for settings in told["h2"]] == [64512]
    assert told["h1"][-1].peers == [wire.BgpNeighbour(address="192.0.2.254", asn=64600, password="geheim")]
    assert told["admin"] == []


async def test_routers_are_told_of_their_own_version_of_ip(world):
    front = await world.admin.call("POST", "/v1/networks", {"name": "front", "routed": True, "ipv6": True})
    six = await lease(world.h1, front, "six", version=6)
    made = await attach(world.h1, front, 1, name="shop", address6=six["address"])
    await world.admin.call("PUT", "/v1/bgp", {"asn": 64512})

    async def announced():
        return (await world.admin.call("GET", "/v1/bgp"))["hosts"][0]["announced"]

    assert await announced() == []
    await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "address": "2001:DB8:0::1", "host": "h1"})
    assert await announced() == [six["address"]]
    await world.admin.call("POST", "/v1/bgp/peers", PEER)
    assert await announced() == [made["address"], six["address"]]
    for name, address in (("lan", "192.0.2.70"), ("lan6", "2001:db8:0:1::70")):
        await world.admin.call("POST", "/v1/pools", {"name": name, "range": address})
        body = {"container": "shop", "pool": name}
        assert (await world.admin.call("POST", "/v1/floating", body))["address"] == address
    assert await announced() == [made["address"], "192.0.2.70", "2001:db8:0:1::70", six["address"]]
    for address in ("192.0.2.70", "2001:db8:0:1::70"):
        await world.admin.call("DELETE", f"/v1/floating/{address}")
    with pytest.raises(Conflict, match="host h1 has this peer already"):
        await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "address": "2001:db8::1"})
    listed = (await world.admin.call("GET", "/v1/bgp/peers"))["items"]
    assert [peer["address"] for peer in listed] == ["192.0.2.254", "2001:db8::1"]
    await world.admin.call("DELETE", "/v1/bgp/peers/192.0.2.254")
    assert await announced() == [six["address"]]
    await world.admin.call("DELETE", "/v1/bgp/peers/2001:db8::1", params={"host": "h1"})
    assert await announced() == []


async def test_what_a_host_has_to_announce_is_seen(world):
    front = await world.admin.call("POST", "/v1/networks", {"name": "front", "routed": True})
    made = await attach(world.h1, front, 1)
    await attach(world.h1, world.web, 2)
    await world.admin.call("PUT", "/v1/bgp", {"asn": 64512})
    await world.admin.call("POST", "/v1/bgp/peers", {**PEER, "host": "h1"})
    status = {"running": True, "sessions": [{"peer": PEER["address"], "established": True, "since": 1.0}]}
    await world.h1.call("PUT", "/v1/hosts/h1/report", {"version": "1", "bgp": status})
    h1, h2 = (await world.h1.call("GET", "/v1/bgp"))["hosts"]
    assert (h1["announced"], h1["status"]["sessions"][0]["established"]) == ([made["address"]], True)
    assert (h2["announced"], h2.get("status")) == ([], None)
    world.clock.ahead += 60
    h1, _ = (await world.admin.call("GET", "/v1/bgp"))["hosts"]
    assert (h1["silent"], h1.get("status")) == (True, None), "what it said last is not so any more"
