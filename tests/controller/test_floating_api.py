"""Pools, floating addresses and who has them, on real databases."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Any

import pytest

from socketplane.errors import (
    AddressInUse,
    Conflict,
    Exhausted,
    Forbidden,
    InUse,
    InvalidInput,
    NameInUse,
    NotFound,
    SocketPlaneError,
    SubnetOverlap,
)
from support.eventually import eventually
from support.steps import attach, endpoint_id, lease

A = "192.0.2.70"


async def pool(world: Any, name: str = "lan", text: str = "192.0.2.70-192.0.2.72") -> Any:
    return await world.admin.call("POST", "/v1/pools", {"name": name, "range": text})


async def expose(world: Any, **body: Any) -> Any:
    return await world.admin.call("POST", "/v1/floating", body)


async def held_by(world: Any, address: str, number: int | None) -> None:
    """Wait until an endpoint has an address (None: nobody), in the northbound too."""
    wanted = "" if number is None else f"{number:x}"
    vips = {address: True} if number is not None else {}

    def northbound() -> dict[str, bool]:
        balancers = world.active.reconciler.northbound.replica["Load_Balancer"].values()
        return {vip: row["name"] == f"sp-{endpoint_id(number or 0)}-floating" for row in balancers for vip in row["vips"]}

    def holder() -> str:
        return str(world.active.store.committed.floating[ip_address(address)].holder[-1:])

    await eventually(lambda: (holder(), northbound()) == (wanted, vips))


async def test_an_address_is_given_shown_and_taken_back(world: Any) -> None:
    made = await pool(world)
    assert (made["first"], made["last"], made["size"], made["used"]) == (A, "192.0.2.72", 3, [])
    assert await pool(world) == made, "the same again is the same"
    end = await attach(world.h1, world.web, 1, name="web-1")
    given = await expose(world, container="web-1")
    assert {key: given[key] for key in ("address", "pool", "network", "subject", "state", "container", "host")} == {
        "address": A,
        "pool": "lan",
        "network": "web",
        "subject": "web-1",
        "state": "pending",
        "container": "web-1",
        "host": "h1",
    }
    assert await expose(world, container="web-1") == given
    assert await expose(world, container="web-1", address=A, network="web") == given
    assert (await world.h1.call("GET", f"/v1/endpoints/{endpoint_id(1)}"))["floating"] == [A]
    assert (await world.h1.call("GET", "/v1/pools/lan"))["used"] == [A]
    (balancer,) = world.active.reconciler.northbound.replica["Load_Balancer"].values()
    assert (balancer["vips"], balancer["protocol"]) == ({A: end["address"]}, None)
    for source, destination in (("198.51.100.7", "web-1"), ("198.51.100.7", A)):
        asked = {"src": source, "dst": destination, "port": 80, "protocol": "tcp"}
        assert (await world.h1.call("GET", "/v1/explain", params=asked))["verdict"] == "allow"
    asked = {"src": A, "dst": "203.0.113.1", "protocol": "icmp"}
    assert (await world.h1.call("GET", "/v1/explain", params=asked))["source"] == "web/web-1"

    report = {"version": "1", "floating": [{"address": A, "link": "eth0"}]}
    await world.h1.call("PUT", "/v1/hosts/h1/report", report)
    (shown,) = (await world.h1.call("GET", "/v1/floating"))["items"]
    assert (shown["state"], shown["link"]) == ("claimed", "eth0")
    assert (await world.h1.call("GET", "/v1/status"))["floating"] == 1
    report["floating"][0] |= {"link": "", "problem": "somebody has it"}  # type: ignore[index]
    await world.h1.call("PUT", "/v1/hosts/h1/report", report)
    (shown,) = (await world.h1.call("GET", "/v1/floating"))["items"]
    assert (shown["state"], shown["problem"]) == ("refused", "somebody has it")

    with pytest.raises(InUse, match="1 address"):
        await world.admin.call("DELETE", "/v1/pools/lan")
    await world.admin.call("DELETE", f"/v1/floating/{A}")
    assert world.active.reconciler.northbound.replica["Load_Balancer"] == {}
    await world.admin.call("DELETE", "/v1/pools/lan")
    assert (await world.admin.call("GET", "/v1/pools"))["items"] == []


async def test_it_moves_when_its_holder_goes_and_stays_otherwise(world: Any) -> None:
    await pool(world)
    for number in (1, 2):
        await attach(world.h1 if number == 1 else world.h2, world.web, number, labels={"app": "shop"})
    await expose(world, labels={"app": "shop"}, address=A)
    await held_by(world, A, 1)
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(1)}")
    await held_by(world, A, 2)
    await attach(world.h1, world.web, 3, labels={"app": "shop"})
    await attach(world.h1, world.web, 4, labels={"app": "other"}, known=False)
    await held_by(world, A, 2)
    await attach(world.h2, world.web, 2, labels={"app": "other"})
    await held_by(world, A, 3)
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(3)}")
    await held_by(world, A, None)
    assert (await world.admin.call("GET", "/v1/floating"))["items"][0]["state"] == "vacant"
    await attach(world.h2, world.web, 5, labels={"app": "shop"})
    await held_by(world, A, 5)


async def test_a_silent_host_loses_its_addresses_to_others_and_gets_none_back(world: Any) -> None:
    await pool(world)
    report = {"version": "1"}
    await world.h2.call("PUT", "/v1/hosts/h2/report", report)
    await attach(world.h1, world.web, 1, labels={"app": "shop"})
    await expose(world, labels={"app": "shop"}, address=A)
    world.active.reports._since -= 100  # h1 was never heard
    await asyncio.sleep(1.1)  # the look at who is silent comes once a second
    await held_by(world, A, 1)
    await attach(world.h2, world.web, 2, labels={"app": "shop"})
    world.active.floating.look_at(world.active.store.committed.floating)
    await held_by(world, A, 2)
    await world.h1.call("PUT", "/v1/hosts/h1/report", report)
    await held_by(world, A, 2)


async def test_a_host_is_told_what_its_endpoints_hold(world: Any, lines: Any) -> None:
    await pool(world)
    assert (await lines()).floating == {}
    await attach(world.h1, world.web, 1, name="one")
    await expose(world, container="one", address=A)
    while (change := await lines()).kind != "floating":
        pass
    assert {str(address): holder for address, holder in change.floating.items()} == {A: endpoint_id(1)}
    await world.admin.call("DELETE", f"/v1/floating/{A}")
    while (change := await lines()).kind != "floating":
        pass
    assert change.floating == {}


REFUSED: list[tuple[dict[str, Any], type[SocketPlaneError], str]] = [
    ({"container": "nobody"}, NotFound, "no container 'nobody' is attached"),
    ({"labels": {"app": "nobody"}}, NotFound, "no container 'app=nobody' is attached"),
    ({"container": "one", "network": "nowhere"}, NotFound, "no network nowhere"),
    ({"container": "both"}, InvalidInput, "both is on data, web"),
    ({"container": "inner"}, Conflict, "closed is internal"),
    ({"container": "one", "address": "192.0.2.99"}, InvalidInput, "of no pool"),
    ({"container": "one", "address": "198.51.100.1", "pool": "lan"}, InvalidInput, "not of pool lan"),
    ({"container": "one", "pool": "none"}, NotFound, "no pool none"),
    ({"container": "one", "address": A}, AddressInUse, "given to two of network web"),
    ({"container": "one", "address": "127.0.0.1"}, InvalidInput, "of no pool"),
    ({"container": "one", "address": "192.0.2.72"}, AddressInUse, "is host h9's"),
    ({"container": "one", "pool": "small"}, Exhausted, "no address left"),
    ({"container": "one"}, InvalidInput, "several pools"),
    ({}, InvalidInput, "either a container or labels"),
    ({"container": "one", "labels": {"app": "x"}}, InvalidInput, "either a container or labels"),
    ({"container": "one", "address": "x"}, InvalidInput, "address"),
]


async def test_what_cannot_be_given(world: Any) -> None:
    data, closed = [
        await world.admin.call("POST", "/v1/networks", {"name": name, "internal": name == "closed"})
        for name in ("data", "closed")
    ]
    await world.admin.call("PUT", "/v1/hosts/h9", {"system_id": "system-h9", "address": "192.0.2.72"})
    await pool(world)
    await pool(world, "small", "198.51.100.1")
    for number, (name, network) in enumerate(
        (("one", world.web), ("two", world.web), ("both", world.web), ("both", data), ("inner", closed)), start=1
    ):
        await attach(world.h1, network, number, name=name)
    await expose(world, container="two", address=A)
    await expose(world, container="two", address="198.51.100.1")
    before = (await world.admin.call("GET", "/v1/floating"))["items"]
    for body, error, words in REFUSED:
        with pytest.raises(error, match=words) as caught:
            await expose(world, **body)
        assert caught.value.remedy or error is InvalidInput
        assert (await world.admin.call("GET", "/v1/floating"))["items"] == before


async def test_what_is_no_pool(world: Any) -> None:
    await pool(world)
    refused = {
        "192.0.2.72-192.0.2.80": SubnetOverlap,
        "10.200.0.0/24": SubnetOverlap,
        "169.254.0.0/16": SubnetOverlap,
        "2001:db8::/48": InvalidInput,
        "fd47:14ad:c79c::/64": SubnetOverlap,
        "fe80::/64": InvalidInput,
        "192.0.2.1/24": InvalidInput,
    }
    for text, error in refused.items():
        with pytest.raises(error):
            await pool(world, "other", text)
    with pytest.raises(NameInUse):
        await pool(world, "lan", "192.0.2.80")
    with pytest.raises(Forbidden):
        await world.h1.call("POST", "/v1/pools", {"name": "x", "range": "192.0.2.99"})
    assert len((await world.admin.call("GET", "/v1/pools"))["items"]) == 1
    with pytest.raises(NotFound):
        await world.admin.call("DELETE", "/v1/floating/192.0.2.70")


async def test_addresses_of_ipv6_need_containers_with_ipv6(world: Any) -> None:
    six = await world.admin.call("POST", "/v1/networks", {"name": "six", "ipv6": True})
    made = await pool(world, "lan6", "2001:db8::/64")
    assert (made["first"], made["size"]) == ("2001:db8::1", (1 << 64) - 2)
    await attach(world.h1, world.web, 1, name="one")
    await attach(world.h1, six, 2, labels={"app": "shop"})
    for body in ({"container": "one"}, {"labels": {"app": "shop"}, "address": "2001:db8::7"}):
        with pytest.raises(Conflict, match="has no IPv6 on") as caught:
            await expose(world, **body)
        assert (caught.value.field, "--ipv6" in caught.value.remedy) == ("network", True)
    with pytest.raises(Conflict, match="has no IPv6 on web"):
        await expose(world, container="one", network="web", pool="lan6")
    assert (await world.admin.call("GET", "/v1/floating"))["items"] == []
    other = (await lease(world.h2, six, "six3", version=6))["address"]
    await attach(world.h2, six, 3, name="one", labels={"app": "shop"}, address6=other)
    given = await expose(world, container="one")
    assert (given["address"], given["network"], given["host"]) == ("2001:db8::1", "six", "h2"), "where it has IPv6"
    shared = await expose(world, labels={"app": "shop"}, address="2001:DB8::7")
    assert (shared["address"], shared["host"]) == ("2001:db8::7", "h2"), "the older one has no IPv6"
    (balancer,) = world.active.reconciler.northbound.replica["Load_Balancer"].values()
    assert balancer["vips"] == {"2001:db8::1": other, "2001:db8::7": other}
    await pool(world)
    four = await expose(world, labels={"app": "shop"}, pool="lan")
    assert (four["address"], four["host"]) == (A, "h1")
    for source, destination in (("2001:db8:5::1", "2001:db8::7"), ("2001:db8:5::1", other)):
        asked = {"src": source, "dst": destination, "port": 80, "protocol": "tcp"}
        assert (await world.h1.call("GET", "/v1/explain", params=asked))["verdict"] == "allow"
    asked = {"src": "2001:db8::1", "dst": "2001:db8:5::1", "protocol": "icmp"}
    assert (await world.h1.call("GET", "/v1/explain", params=asked))["source"] == "six/one"
    await world.admin.call("DELETE", "/v1/floating/2001:db8::7")
    with pytest.raises(InUse):
        await world.admin.call("DELETE", "/v1/pools/lan6")
