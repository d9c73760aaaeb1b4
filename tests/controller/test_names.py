"""Names on their way to hosts: each is told those of the networks that it has containers on, and no others."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from support.steps import attach, endpoint_id


@pytest.fixture
async def told(world):
    """Return what a host's agent holds by name after following the stream: {network name: {name: address}}."""
    async with contextlib.AsyncExitStack() as stack:

        async def follow(name):
            held, lines = {}, []
            ready = asyncio.Event()

            async def read():
                async for change in getattr(world, name).watch():
                    if change.type == "snapshot":
                        held.clear()
                    for network, names in (change.names or {}).items():
                        lines.append((change.type, names))
                        known = held.setdefault(str(network), {})
                        if names.whole:
                            known.clear()
                        for key in names.gone:
                            known.pop(key, None)
                        known.update({item.id: item for item in names.put})
                        if not known:
                            del held[str(network)]
                    ready.set()

            task = asyncio.create_task(read())

            async def end():
                task.cancel()
                await asyncio.wait([task])

            stack.push_async_callback(end)
            await asyncio.wait_for(ready.wait(), 8)
            return held, lines

        yield follow


def names(held, network):
    return {name: str(item.address) for item in held.get(network["id"], {}).values() for name in item.names}


async def test_a_host_is_told_of_the_networks_that_it_is_on(world, told, monkeypatch):
    data = await world.admin.call("POST", "/v1/networks", {"name": "data"})
    web = world.web
    db = await attach(world.h2, data, 1, name="db")
    api = await attach(world.h2, web, 2, name="api", labels={"com.docker.compose.service": "Backend"})
    held, lines = await told("h1")
    assert held == {}
    mine = await attach(world.h1, web, 3, name="mine")
    await world.until(lambda: "mine" in names(held, web))
    assert names(held, web) == {"api": api["address"], "backend": api["address"], "mine": mine["address"]}
    assert lines[-1][1].whole, "all of the network, with its first container here"
    more = await attach(world.h2, web, 4, name="more", aliases=["b", "a", "b"])
    await world.until(lambda: "more" in names(held, web))
    assert [item.names for item in lines[-1][1].put] == [["more", "a", "b"]], "one change, its own size"
    await attach(world.h2, data, 5, name="far")
    await world.h2.call("DELETE", f"/v1/endpoints/{endpoint_id(2)}")
    await world.until(lambda: "api" not in names(held, web))
    assert set(names(held, web)) == {"mine", "more", "a", "b"}
    assert data["id"] not in held
    count = len(lines)
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(3)}")
    await world.until(lambda: web["id"] not in held)
    await attach(world.h2, web, 6, name="late")
    await world.until(lambda: "late" in {each.name for each in world.active.store.committed.endpoints.values()})
    assert len(lines) == count + 1
    assert (db["aliases"], more["aliases"]) == ([], ["a", "b"])


async def test_a_stream_begins_with_all_that_there_is(world, told):
    await attach(world.h1, world.web, 1, name="one")
    await attach(world.h2, world.web, 2, name="two")
    held, lines = await told("h2")
    assert set(names(held, world.web)) == {"one", "two"}
    assert [kind for kind, _ in lines] == ["snapshot"]
    async for change in world.admin.watch():
        assert change.names is None, "an administrator asks for endpoints"
        break


async def test_a_host_that_left_takes_its_names_along(world, told):
    await attach(world.h1, world.web, 1, name="one")
    await attach(world.h2, world.web, 2, name="two")
    held, _ = await told("h1")
    await world.admin.call("DELETE", "/v1/hosts/h2", params={"force": "true"})
    await world.until(lambda: set(names(held, world.web)) == {"one"})


async def test_a_host_that_is_not_heard_is_called_silent(world, lines):
    first = await lines()
    assert [host.silent for host in first.hosts] == [False, False]
    world.clock.ahead += 26
    seen = {change.host.name: change.host.silent for change in [await lines(), await lines()]}
    assert seen == {"h1": True, "h2": True}, "those too that this controller never heard"
    await world.h2.call("PUT", "/v1/hosts/h2/report", {"version": "1"})
    back = await lines()
    assert (back.host.name, back.host.silent) == ("h2", False)


async def test_where_a_hosts_resolver_is_asked_is_intent(world):
    report = {"version": "1", "resolvers": ["192.0.2.53", "169.254.53.53", "10.192.0.9", "169.254.192.9"]}
    before = world.active.writer.transactions
    for _ in range(2):
        await world.h2.call("PUT", "/v1/hosts/h2/report", report)
    assert world.active.writer.transactions == before + 1
    (found,) = [host for host in world.active.store.committed.hosts.values() if host.name == "h2"]
    assert list(map(str, found.resolvers)) == ["169.254.53.53", "192.0.2.53"], "no container and no host is one"
    explained = {"src": "one", "dst": "192.0.2.53", "port": 53, "protocol": "udp"}
    await attach(world.h2, world.web, 1, name="one")
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "web"}}
    await world.admin.call(
        "POST", "/v1/policies", {"documents": [{**head, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}}]}
    )
    said = await world.admin.call("GET", "/v1/explain", params=explained)
    assert (said["verdict"], "its host's resolver" in said["reason"]) == ("allow", True)
    said = await world.admin.call("GET", "/v1/explain", params={**explained, "port": 54})
    assert said["verdict"] == "deny"


async def test_metrics_tell_what_became_of_queries(world):
    resolver = {"names": 1, "servers": ["192.0.2.1"], "queries": {"answered": 7, "forwarded": 2}}
    await world.h2.call("PUT", "/v1/hosts/h2/report", {"version": "1", "resolver": resolver})
    text = (await _metrics(world)).decode()
    assert 'socketplane_resolver_queries_total{host="h2",result="answered"} 7.0' in text


async def _metrics(world):
    reader, writer = await asyncio.open_unix_connection(str(world.unix))
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    async with asyncio.timeout(8):
        answer = await reader.read()
    writer.close()
    return answer


def service(name, **spec):
    body = {"selector": {"app": "shop"}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "web"}, "spec": body}


async def test_services_are_found_by_name_and_headless_ones_are_what_is_ready(world, told):
    async def running(client, host, number):
        await client.call(
            "POST", f"/v1/hosts/{host}/conditions", {"items": {endpoint_id(number): {"container": "running"}}}
        )

    one = await attach(world.h1, world.web, 1, name="one", labels={"app": "shop"})
    documents = [service("shop"), service("shops", clusterIP="None")]
    answer = await world.admin.call("POST", "/v1/services", {"documents": documents})
    address = answer["items"][0]["address"]
    held, _ = await told("h1")
    assert names(held, world.web) == {"one": one["address"], "shop": address}
    await running(world.h1, "h1", 1)
    await world.until(lambda: names(held, world.web).get("shops") == one["address"])
    two = await attach(world.h2, world.web, 2, name="two", labels={"app": "shop"})
    await running(world.h2, "h2", 2)

    def bearers(name):
        return {str(item.address) for item in held[world.web["id"]].values() if name in item.names}

    await world.until(lambda: bearers("shops") == {one["address"], two["address"]})
    assert bearers("shop") == {address}
    late, _ = await told("h2")
    assert late == held
    await world.admin.call("PUT", f"/v1/endpoints/{endpoint_id(1)}/drain", {"draining": True})
    await world.until(lambda: bearers("shops") == {two["address"]})
    await world.admin.call("DELETE", "/v1/services/web/shop")
    await world.until(lambda: not bearers("shop"))
    await world.admin.call("DELETE", "/v1/services/web/shops")
    await world.until(lambda: not bearers("shops") and bearers("two"))


async def test_an_author_is_told_that_a_container_has_the_name(world):
    await attach(world.h1, world.web, 1, name="shop-1", labels={"app": "shop", "com.docker.compose.service": "shop"})
    told = await world.admin.call("POST", "/v1/services", {"documents": [service("shop")]})
    assert [warning.partition(":")[0] for warning in told["warnings"]] == ["web/shop"]
    assert "shop-1 is called shop, too" in told["warnings"][0]
