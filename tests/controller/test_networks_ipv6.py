"""Networks with IPv6 beside IPv4: subnets, leases and endpoints of both."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from uuid import UUID

import pytest

from socketplane.compile import names
from socketplane.errors import AddressInUse, Conflict, InUse, InvalidInput
from support.steps import endpoint_id


@pytest.fixture
async def six(world):
    """Network `six`, as the API shows it."""
    return await world.admin.call("POST", "/v1/networks", {"name": "six", "ipv6": True})


async def lease(client, network, request, **body):
    path = f"/v1/networks/{network['id']}/leases"
    return (await client.call("POST", path, {"request": request, **body}))["address"]


def rows(world, table):
    return list(world.active.reconciler.northbound.replica[table].values())


async def test_a_network_has_ipv6_if_asked(world, six):
    pool = world.active.store.committed.cluster.cluster.pool6
    subnet = IPv6Network(six["subnet6"])
    assert (subnet.prefixlen, subnet.subnet_of(pool), six["gateway6"]) == (64, True, str(subnet[1]))
    assert (world.web["subnet6"], world.web["gateway6"]) == (None, None)
    chosen = {
        "name": "own",
        "subnet6": str(IPv6Network((int(pool[0]) + (9 << 64), 80))),
        "gateway6": str(pool[(9 << 64) + 5]),
    }
    own = await world.admin.call("POST", "/v1/networks", chosen)
    assert own.items() >= chosen.items()
    (port,) = (row for row in rows(world, "Logical_Router_Port") if row["name"] == names.router_port(UUID(six["id"])))
    assert port["networks"] == {f"{six['gateway']}/22", f"{six['gateway6']}/64"}
    with pytest.raises(InvalidInput, match="not in the cluster's pool"):
        await world.admin.call("POST", "/v1/networks", {"name": "no", "subnet6": "fd00::/64"})


async def test_an_endpoint_has_a_lease_of_both_and_gives_both_back(world, six):
    four, other = [await lease(world.h1, six, f"r{version}", version=version) for version in (4, 6)]
    assert (IPv4Address(four), IPv6Address(other)) == (IPv4Address(six["gateway"]) + 1, IPv6Address(six["gateway6"]) + 1)
    body = {"network": six["id"], "address": four, "address6": other, "mac": "02:aa:00:00:00:01", "name": "one"}
    with pytest.raises(Conflict, match="holds no lease"):
        await world.h1.call("PUT", f"/v1/endpoints/{endpoint_id(1)}", {**body, "address6": six["gateway6"]})
    made = await world.h1.call("PUT", f"/v1/endpoints/{endpoint_id(1)}", body)
    assert (made["address"], made["address6"]) == (four, other)
    (port,) = (row for row in rows(world, "Logical_Switch_Port") if row["name"] == f"sp-{endpoint_id(1)}")
    assert port["port_security"] == port["addresses"] == {f"{body['mac']} {four} {other}"}
    with pytest.raises(AddressInUse, match=f"endpoint {endpoint_id(1)} has {other}"):
        await world.h1.call(
            "PUT",
            f"/v1/endpoints/{endpoint_id(2)}",
            {**body, "address": await lease(world.h1, six, "r"), "mac": "02:aa:00:00:00:02"},
        )
    with pytest.raises(InUse):
        await world.h1.call("DELETE", f"/v1/networks/{six['id']}/leases/{other}")
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(1)}?release=true")
    held = {item["address"] for item in (await world.admin.call("GET", "/v1/leases", params={"host": "h1"}))["items"]}
    assert not held & {four, other}


async def test_a_named_address_is_held_and_the_gateway_is_shared(world, six):
    wanted = str(IPv6Network(six["subnet6"])[0xDEADBEEF])
    assert await lease(world.h1, six, "a", address=wanted) == wanted
    with pytest.raises(AddressInUse, match="held by host h1"):
        await lease(world.h2, six, "b", address=wanted)
    for client in (world.h1, world.h2):
        assert await lease(client, six, "g", kind="gateway", version=6) == six["gateway6"]
    with pytest.raises(Conflict, match="has no IPv6"):
        await lease(world.h1, world.web, "c", version=6)


async def test_a_pending_network_gets_ipv6_later_and_one_with_endpoints_does_not(world):
    pending = await world.h1.call("POST", "/v1/networks", {"request": "p"})
    path = f"/v1/networks/{pending['id']}"
    given = await world.h1.call("PATCH", path, {"ipv6": True})
    assert given["subnet6"] and given["gateway6"]
    assert await world.h1.call("PATCH", path, {"ipv6": True}) == given
    gateway = str(IPv6Network(given["subnet6"])[77])
    moved = await world.h1.call("PATCH", path, {"gateway6": gateway})
    assert moved == {**given, "gateway6": gateway}
    assert await lease(world.h1, given, "g", kind="gateway", version=6) == gateway
    assert await lease(world.h1, given, "e", address=given["gateway6"]) == given["gateway6"]
    with pytest.raises(Conflict, match="IPv6 subnet is"):
        await world.h1.call("PATCH", path, {"subnet6": "fd00::/64"})
    four = await lease(world.h1, world.web, "w")
    body = {"network": world.web["id"], "address": four, "mac": "02:aa:00:00:00:01"}
    await world.h1.call("PUT", f"/v1/endpoints/{endpoint_id(1)}", body)
    with pytest.raises(InUse):
        await world.admin.call("PATCH", f"/v1/networks/{world.web['id']}", {"ipv6": True})
