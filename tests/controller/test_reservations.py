"""Addresses that are kept for containers by name."""

from __future__ import annotations

import secrets

import pytest

from socketplane.errors import AddressInUse, Conflict, Forbidden, InvalidInput, NotFound

FIFTY = "10.192.0.50"


async def lease(client, network, **body):
    return await client.call("POST", f"/v1/networks/{network}/leases", {"request": secrets.token_hex(8), **body})


async def attach(client, network, address, name, *, known=True):
    key = secrets.token_hex(32)
    mac = "02:53:" + ":".join(f"{int(part):02x}" for part in address.split("."))
    body = {"network": network, "address": address, "mac": mac, "name": name, "known": known}
    return (await client.call("PUT", f"/v1/endpoints/{key}", body))["id"]


async def reserve(world, address, container, network="web"):
    return await world.admin.call("PUT", f"/v1/networks/{network}/reservations/{address}", {"container": container})


async def test_a_reserved_address_is_its_container_s_on_whatever_host(world):
    web = world.web["id"]
    assert (await reserve(world, FIFTY, "db"))["reserved"] == {FIFTY: "db"}
    assert (await reserve(world, FIFTY, "db"))["reserved"] == {FIFTY: "db"}
    assert (await lease(world.h1, web, address=FIFTY))["address"] == FIFTY  # Docker before 29 tells no name yet
    with pytest.raises(AddressInUse, match="reserved for container db: this is app"):
        await attach(world.h1, web, FIFTY, "app")
    with pytest.raises(AddressInUse, match="Docker did not tell in time"):
        await attach(world.h1, web, FIFTY, "", known=False)
    key = await attach(world.h1, web, FIFTY, "db")
    with pytest.raises(AddressInUse, match="held by container db on host h1"):
        await lease(world.h2, web, address=FIFTY)
    await world.h1.call("DELETE", f"/v1/endpoints/{key}", params={"release": "true"})
    # Docker 29 does: no address has to be named, and the other host has it at once.
    with pytest.raises(AddressInUse, match="reserved for container db: this is app"):
        await lease(world.h2, web, address=FIFTY, container="app")
    assert (await lease(world.h2, web, container="db"))["address"] == FIFTY
    await attach(world.h2, web, FIFTY, "db")
    # The host died with it: an administrator says so, and the address is free.
    with pytest.raises(AddressInUse, match="on host h2") as refused:
        await lease(world.h1, web, container="db")
    assert "host rm --force h2" in refused.value.remedy
    await world.admin.call("DELETE", "/v1/hosts/h2", params={"force": "true"})
    assert (await lease(world.h1, web, container="db"))["address"] == FIFTY


async def test_nobody_gets_a_reserved_address_unasked_also_after_a_restart_of_the_controller(world):
    await world.admin.call("POST", "/v1/networks", {"name": "tiny", "subnet": "10.200.0.0/29"})
    tiny = (await world.admin.call("GET", "/v1/networks/tiny"))["id"]
    await reserve(world, "10.200.0.3", "db", "tiny")
    given = {(await lease(world.h1, tiny))["address"] for _ in range(4)}
    assert given == {f"10.200.0.{number}" for number in (2, 4, 5, 6)}
    key = await lease(world.h1, tiny, address="10.200.0.3")
    await world.h1.call("DELETE", f"/v1/networks/{tiny}/leases/{key['address']}")
    with pytest.raises(Exception, match="in use"):
        await lease(world.h1, tiny)
    await world.admin.call("DELETE", "/v1/networks/tiny/reservations/10.200.0.3")
    await world.admin.call("DELETE", "/v1/networks/tiny/reservations/10.200.0.3")
    assert (await world.admin.call("GET", "/v1/networks/tiny"))["reserved"] == {}


async def test_what_can_t_be_reserved(world):
    web = world.web["id"]
    await reserve(world, FIFTY, "db")
    with pytest.raises(AddressInUse, match="reserved for db"):
        await reserve(world, FIFTY, "app")
    with pytest.raises(Conflict, match=f"db has {FIFTY} reserved"):
        await reserve(world, "10.192.0.51", "db")
    with pytest.raises(AddressInUse, match="gateway"):
        await reserve(world, "10.192.0.1", "x")
    for address, message in (
        ("10.192.0.0", "network or broadcast"),
        ("10.99.0.1", "not on network"),
        ("fd00::1", "not on"),
    ):
        with pytest.raises(InvalidInput, match=message):
            await reserve(world, address, "x")
    with pytest.raises(InvalidInput):
        await reserve(world, "10.192.0.60", "a/b")
    with pytest.raises(NotFound):
        await reserve(world, "10.192.0.60", "x", "nowhere")
    with pytest.raises(Forbidden):
        await world.h1.call("PUT", "/v1/networks/web/reservations/10.192.0.60", {"container": "x"})
    held = (await lease(world.h1, web))["address"]
    with pytest.raises(AddressInUse, match="held by host h1"):
        await reserve(world, held, "one")
    await attach(world.h1, web, held, "one")
    with pytest.raises(AddressInUse, match="container one on host h1"):
        await reserve(world, held, "two")
    assert (await reserve(world, held, "one"))["reserved"] == {FIFTY: "db", held: "one"}
