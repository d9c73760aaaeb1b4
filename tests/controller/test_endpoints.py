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


def published(host_port, port=80, **more):
    return {"protocol": "tcp", "address": "0.0.0.0", "host_port": host_port, "port": port, **more}


async def test_published_ports_are_kept_shown_and_in_the_northbound(world):
    made = await attach(world.h1, world.web, 1, name="web1", published=[published(8080), published(53, protocol="udp")])
    assert [(port["protocol"], port["host_port"]) for port in made["published"]] == [("tcp", 8080), ("udp", 53)]
    assert await world.h1.call("GET", f"/v1/endpoints/{endpoint_id(1)}") == made
    assert (await world.h1.call("GET", "/v1/status"))["published"] == 2
    replica = world.active.reconciler.northbound.replica
    balancers = {row["name"]: set(row["vips"].values()) for row in replica["Load_Balancer"].values()}
    assert balancers == {
        f"sp-{endpoint_id(1)}-tcp": {f"{made['address']}:80"},
        f"sp-{endpoint_id(1)}-udp": {f"{made['address']}:80"},
    }
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(1)}")
    assert replica["Load_Balancer"] == {}


async def test_a_host_port_belongs_to_who_had_it_last(world):
    await attach(world.h1, world.web, 1, published=[published(8080), published(8081)])
    await attach(world.h2, world.web, 2, published=[published(8080)])
    await attach(world.h1, world.web, 3, published=[published(8080)])
    items = (await world.h1.call("GET", "/v1/endpoints"))["items"]
    ports = {item["id"]: [port["host_port"] for port in item["published"]] for item in items}
    assert ports == {endpoint_id(1): [8081], endpoint_id(2): [8080], endpoint_id(3): [8080]}


async def test_explain_knows_published_ports(world):
    await attach(world.h1, world.web, 1, name="web1", published=[published(8080)])
    address = (await world.h1.call("GET", "/v1/hosts/h1"))["address"]
    for destination, port, verdict in (
        ("web1", 80, "allow"),
        ("web1", 81, "deny"),
        (address, 8080, "allow"),
        ("h1", 8080, "allow"),
    ):
        asked = {"src": "198.51.100.7", "dst": destination, "port": port, "protocol": "tcp"}
        assert (await world.h1.call("GET", "/v1/explain", params=asked))["verdict"] == verdict, destination
