"""Attaching and detaching through the API, down to the northbound."""

import asyncio

from support.steps import attach, endpoint_id, ports


async def test_an_endpoint_is_in_the_northbound_when_it_is_answered(world):
    made = await attach(world.h1, world.web, 1, name="web1", labels={"app": "web", "odd label!": "ünïcode"})
    assert (made["host"], made["network_name"], made["name"]) == ("h1", "web", "web1")
    port = ports(world)[f"sp-{endpoint_id(1)}"]
    assert port["addresses"] == {f"{made['mac']} {made['address']}"}
    assert port["options"] == {"requested-chassis": "system-h1", "iface-id-ver": endpoint_id(1)}
    again = await world.h1.call("GET", f"/v1/endpoints/{endpoint_id(1)}")
    assert again == made
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(1)}", params={"release": "true"})
    assert ports(world) == {}
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(1)}")
    assert (await world.h1.call("GET", "/v1/leases", params={"host": "h1"})) == {"items": []}


async def test_lists_find_endpoints_by_the_labels_that_policies_see(world):
    await attach(world.h1, world.web, 1, name="web1", labels={"app": "web", "socketplane.io/container": "other"})
    await attach(world.h1, world.web, 2, name="web2", labels={"app": "web"})

    async def found(*labels):
        answer = await world.h1.call("GET", "/v1/endpoints", params={"label": list(labels)})
        return [endpoint["name"] for endpoint in answer["items"]]

    assert await found("app=web") == ["web1", "web2"]
    assert await found("socketplane.io/container=web1") == ["web1"]
    assert await found("socketplane.io/container=other") == []
    assert await found("socketplane.io/network=web", "socketplane.io/container=web2") == ["web2"]
    assert await found("app=web", "tier=front") == []


async def test_a_hundred_at_once_have_unique_addresses_and_few_transactions(world):
    before = world.active.writer.transactions, world.active.reconciler.northbound.transactions
    made = await asyncio.gather(*(attach((world.h1, world.h2)[n % 2], world.web, n) for n in range(1, 101)))
    assert len({endpoint["address"] for endpoint in made}) == 100
    assert len(ports(world)) == 100
    after = world.active.writer.transactions, world.active.reconciler.northbound.transactions
    assert after[0] - before[0] < 100, "200 requests"
    assert after[1] - before[1] < 60, "100 endpoints"
