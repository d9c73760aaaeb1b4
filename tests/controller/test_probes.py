"""Connections that hosts are told to try: who may ask, what is told to whom, and what becomes of the answers."""

import asyncio
import contextlib
import json

import pytest

from socketplane.errors import Conflict, Forbidden, InvalidInput, NotFound
from support.steps import attach, endpoint_id, lease
from support.world import allow


@pytest.fixture
async def site(world):
    """Endpoints 1 and 2 on h1, 3 on h2, each of a container of its own; and hosts that answer as they are told to."""
    for number, host in ((1, world.h1), (2, world.h1), (3, world.h2)):
        await attach(host, world.web, number, container=f"c{number}", name=f"n{number}", labels={"app": f"a{number}"})
    world.active.probes.grace = 0.3
    orders = asyncio.Queue()
    async with contextlib.AsyncExitStack() as stack:

        async def read(client):
            async for change in client.watch():
                if change.type in ("snapshot", "probe"):
                    orders.put_nowait((client, change.probe))

        async def follow(client):
            stack.callback(asyncio.create_task(read(client)).cancel)
            assert await next_order() == (client, None)

        async def next_order():
            async with asyncio.timeout(8):
                return await orders.get()

        world.follow, world.next_order = follow, next_order
        yield world


async def ask(world, *wanted, version=4, **more):
    keys = ("source", "destination", "protocol", "port", "version")
    items = [
        dict(zip(keys, (endpoint_id(source), endpoint_id(destination), kind, port, version), strict=True))
        for source, destination, kind, port in wanted
    ]
    return (await world.admin.call("POST", "/v1/probes", {"items": items, "wait": 0.1, **more}))["items"]


async def answer(client, host, order, *outcomes):
    seen = [{"outcome": outcome} for outcome in outcomes]
    await client.call("POST", f"/v1/hosts/{host}/probes", {"order": order, "seen": seen})


async def test_each_host_is_told_what_begins_there(site):
    await site.follow(site.h1)
    await site.follow(site.h2)
    await site.admin.call("POST", "/v1/policies", {"documents": [json.loads(allow("only", "web", "a2", "a1", 80))]})
    wanted = [(1, 2, "tcp", 80), (3, 2, "tcp", 80), (1, 2, "tcp", 81), (1, 3, "udp", 53), (1, 2, "icmp", None)]
    asked = asyncio.create_task(ask(site, *wanted))
    orders = dict([await site.next_order(), await site.next_order()])
    mine, other = orders[site.h1], orders[site.h2]
    addresses = {each["id"]: each["address"] for each in (await site.admin.call("GET", "/v1/endpoints"))["items"]}
    assert [(item.endpoint, item.container, str(item.destination), item.protocol, item.port) for item in mine.items] == [
        (endpoint_id(1), "c1", addresses[endpoint_id(destination)], kind, port)
        for source, destination, kind, port in wanted
        if source == 1
    ]
    assert [(item.endpoint, str(item.source)) for item in other.items] == [(endpoint_id(3), addresses[endpoint_id(3)])]
    await answer(site.h2, "h2", other.id, "refused")
    await answer(site.h1, "h1", mine.id, "timeout", "timeout", "timeout", "timeout")
    assert [(item["expected"], item["outcome"], item["agrees"]) for item in await asked] == [
        ("allow", "timeout", False),
        ("deny", "refused", False),
        ("deny", "timeout", True),
        ("allow", "timeout", None),  # nobody may listen
        ("deny", "timeout", True),
    ]


async def test_an_agent_that_says_nothing(site):
    silent = {"outcome": "skipped", "detail": "the agent of h1 does not answer", "expected": "allow", "agrees": None}
    wanted = (1, 3, "tcp", 80)
    (found,) = await ask(site, wanted)
    assert {key: found[key] for key in silent} == silent, "it does not even listen"
    await site.follow(site.h1)
    (found,) = await ask(site, wanted)
    assert {key: found[key] for key in silent} == silent
    _, late = await site.next_order()
    await answer(site.h1, "h1", late.id, "open")  # nobody waits for it any more
    asked = asyncio.create_task(ask(site, wanted))
    _, order = await site.next_order()
    await answer(site.h2, "h2", order.id, "open")  # another host's order
    await answer(site.h1, "h1", late.id, "open")
    await answer(site.h1, "h1", order.id, "open", "open")  # more than was asked for
    (found,) = await asked
    assert {key: found[key] for key in silent} == silent


async def test_what_changes_meanwhile_is_not_held_against_anybody(site):
    await site.follow(site.h1)
    asked = asyncio.create_task(ask(site, (1, 3, "tcp", 80), (1, 2, "tcp", 80), (1, 2, "tcp", 81)))
    _, order = await site.next_order()
    await site.admin.call("POST", "/v1/policies", {"documents": [json.loads(allow("only", "web", "a2", "a1", 80))]})
    await site.h2.call("DELETE", f"/v1/endpoints/{endpoint_id(3)}")
    await answer(site.h1, "h1", order.id, "timeout", "open", "timeout")
    assert [(item["expected"], item["outcome"], item["detail"], item["agrees"]) for item in await asked] == [
        (None, "skipped", "the container is gone", None),
        ("allow", "open", "", True),
        ("deny", "skipped", "the policies changed meanwhile", None),
    ]
    (found,) = await ask(site, (3, 1, "tcp", 80))
    assert (found["outcome"], found["expected"]) == ("skipped", None), "it is not even told"


async def test_one_request_at_a_time(site):
    await site.follow(site.h1)
    site.active.probes.grace, site.active.probes.patience = 8, 0.1
    first = asyncio.create_task(ask(site, (1, 3, "tcp", 80)))
    _, order = await site.next_order()
    with pytest.raises(Conflict, match="other connections are being tried"):
        await ask(site, (1, 3, "tcp", 80))
    await answer(site.h1, "h1", order.id, "open")
    assert (await first)[0]["agrees"]
    again = asyncio.create_task(ask(site, (1, 3, "tcp", 80)))
    _, order = await site.next_order()
    await answer(site.h1, "h1", order.id, "open")
    assert (await again)[0]["agrees"]


async def test_who_may(site):
    one = (1, 2, "tcp", 80)
    item = {"source": endpoint_id(1), "destination": endpoint_id(2), "protocol": "tcp", "port": 80}
    with pytest.raises(Forbidden):
        await site.h1.call("POST", "/v1/probes", {"items": [item]})
    with pytest.raises(Forbidden):
        await answer(site.h1, "h2", "x", "open")
    with pytest.raises(Forbidden):
        await answer(site.admin, "h1", "x", "open")
    with pytest.raises(InvalidInput, match=r"items\[1\]: a container reaches itself"):
        await ask(site, one, (1, 1, "tcp", 80))
    await attach(site.h1, site.web, 4, container="c1")
    with pytest.raises(InvalidInput, match=r"items\[0\]: a container reaches itself"):
        await ask(site, (4, 1, "tcp", 80))
    with pytest.raises(InvalidInput, match="64"):
        await ask(site, *[one] * 65)
    with pytest.raises(InvalidInput, match="wait"):
        await ask(site, one, wait=60)
    with pytest.raises(InvalidInput, match="protocol"):
        await ask(site, (1, 2, "sctp", 80))
    await site.follow(site.h1)
    assert (await ask(site, one))[0]["outcome"] == "skipped", "what is refused lets others in"


async def test_with_ipv6(site):
    six = await site.admin.call("POST", "/v1/networks", {"name": "six", "ipv6": True})
    for number in (5, 6):
        other = (await lease(site.h1, six, f"six{number}", version=6))["address"]
        await attach(site.h1, six, number, container=f"c{number}", address6=other)
    found = (await site.admin.call("GET", "/v1/reach/samples", params={"version": 6}))["items"]
    assert {end for item in found for end in (item["source"], item["destination"])} == {endpoint_id(5), endpoint_id(6)}
    assert {item["version"] for item in found} == {6}
    await site.follow(site.h1)
    asked = asyncio.create_task(ask(site, (5, 6, "tcp", 80), version=6))
    _, order = await site.next_order()
    assert [(item.source.version, item.destination.version) for item in order.items] == [(6, 6)]
    await answer(site.h1, "h1", order.id, "open")
    assert (await asked)[0]["agrees"]
    with pytest.raises(InvalidInput, match="not both ends have an IPv6 address"):
        await ask(site, (5, 1, "tcp", 80), version=6)


async def test_samples(site):
    await site.admin.call("POST", "/v1/policies", {"documents": [json.loads(allow("only", "web", "a2", "a1", 80))]})
    found = await site.h1.call("GET", "/v1/reach/samples", params={"network": "web", "by": ["app"]})
    assert found["complete"]
    shown = {
        (item["source_name"], item["destination_name"], item["protocol"], item["port"]): item["expected"]
        for item in found["items"]
    }
    assert shown["web/n1", "web/n2", "tcp", 80] == "allow"
    assert shown["web/n1", "web/n2", "tcp", 81] == shown["web/n3", "web/n2", "icmp", None] == "deny"
    (item,) = [item for item in found["items"] if item["source_name"] == "web/n3" and item["port"] == 80][:1]
    assert (item["source"], item["source_group"]) == (endpoint_id(3), "web/app=a3")
    few = await site.admin.call("GET", "/v1/reach/samples", params={"limit": 2})
    assert len(few["items"]) == 2 and not few["complete"]
    with pytest.raises(NotFound):
        await site.admin.call("GET", "/v1/reach/samples", params={"network": "nowhere"})
    with pytest.raises(InvalidInput, match="limit"):
        await site.admin.call("GET", "/v1/reach/samples", params={"limit": 0})
