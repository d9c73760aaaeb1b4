"""From Docker's names to the journal that the resolver reads, on this host and from others."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address

import pytest

from socketplane.agent.names.journal import Reader


@pytest.fixture
async def web(world, h1, h2, until):
    made = await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: all("web" in host.engine.names() for host in (h1, h2)))
    return made


class Journal:
    """What a host's resolver would know now."""

    def __init__(self, host):
        self._host = host
        self._reader = Reader(host.paths.names, host.name)

    async def table(self):
        self._reader.take(*await asyncio.to_thread(self._reader.fetch))
        return self._reader.table

    async def ask(self, source, name):
        table = await self.table()
        networks = table.sees(IPv4Address(source))
        found = None if networks is None else table.addresses(networks, name)
        return None if found is None else sorted(map(str, found))


def address_of(box):
    (place,) = box.places.values()
    return place.address.partition("/")[0]


@pytest.fixture
async def pair(web, h1, h2):
    """Return an asker on h1, a service's container on h2, and what h1's resolver knows."""
    asker = await h1.engine.run("asker", "web")
    labels = {"com.docker.compose.service": "api"}
    server = await h2.engine.run("server", "web", labels=labels, aliases=["front", "Shop.Example"])
    return asker, server, Journal(h1)


async def found(until, journal, asker, name, address):
    await until(lambda: _is(journal, asker, name, address))


async def _is(journal, asker, name, address):
    return await journal.ask(address_of(asker), name) == ([address] if address else None)


async def test_names_aliases_service_and_id_of_a_container_elsewhere(pair, until):
    asker, server, journal = pair
    for name in ("server", "front", "shop.example", "api", server.id[:12], "front.web"):
        await found(until, journal, asker, name, address_of(server))
    table = await journal.table()
    assert table.name_at(table.sees(IPv4Address(address_of(asker))), IPv4Address(address_of(server))) == "server.web"


async def test_aliases_are_asked_for_once_and_outlive_the_agent(pair, world, h2, until):
    _, server, _ = pair
    await until(lambda: _aliases(world))
    assert await _aliases(world) == ["Shop.Example", "front"]
    await h2.stop()
    await h2.start()
    await until(lambda: h2.agent.link.synced and h2.agent.inventory.connected)
    h2.engine.requests.clear()
    await h2.agent.reconciler.reconcile()
    assert await _aliases(world) == ["Shop.Example", "front"]
    assert not [request for request in h2.engine.requests if f"/containers/{server.id}/json" in request]
    assert h2.engine.deadlocks == []


async def _aliases(world):
    return (await world.endpoints())["server"]["aliases"]


async def test_a_container_without_aliases_costs_no_second_request(world, web, h1, until):
    box = await h1.engine.run("plain", "web", labels={"com.docker.compose.service": "api"}, aliases=["api", "plain"])
    (place,) = box.places.values()
    await until(lambda: h1.agent.state.endpoints[place.endpoint].aliases == ())
    assert (await world.endpoints())["plain"]["aliases"] == []


async def test_an_agent_that_was_away_at_the_connection_learns_them(pair, world, h2, until):
    await h2.stop(crash=True)
    state = h2.paths.state / "agent.json"
    text = await asyncio.to_thread(state.read_text)
    await asyncio.to_thread(state.write_text, text.replace('"aliases": [', '"was": ['))
    (endpoint,) = await world.items("/v1/endpoints", host="h2")
    keep = ("network", "address", "mac", "container", "name", "labels")
    async with world.controller.client("h2") as client:
        await client.call("PUT", f"/v1/endpoints/{endpoint['id']}", {key: endpoint[key] for key in keep})
    assert await _aliases(world) == []
    await h2.start()
    await until(lambda: _aliases(world))


async def test_a_renamed_container_has_its_new_name(pair, h2, until):
    asker, server, journal = pair
    await found(until, journal, asker, "server", address_of(server))
    await h2.engine.rename(server, "renamed")
    await found(until, journal, asker, "renamed", address_of(server))
    await found(until, journal, asker, "server", None)
    await found(until, journal, asker, "front", address_of(server))


async def test_a_name_goes_with_its_container(pair, h2, until):
    asker, server, journal = pair
    await found(until, journal, asker, "front", address_of(server))
    await h2.engine.stop(server)
    await found(until, journal, asker, "front", None)


async def test_without_a_controller_names_stay_and_those_of_here_go(pair, world, h1, until):
    asker, server, journal = pair
    other = await h1.engine.run("other", "web")
    await found(until, journal, asker, "front", address_of(server))
    await found(until, journal, asker, "other", address_of(other))
    await world.stop()
    await h1.stop()
    await found(until, journal, asker, "front", address_of(server))
    await h1.start()
    await until(lambda: h1.agent.inventory.connected)
    await h1.engine.stop(other)
    await found(until, journal, asker, "other", None)
    await found(until, journal, asker, "front", address_of(server))
    await world.start()


async def test_what_changed_while_the_agent_was_away_is_made_good(pair, h1, h2, until):
    asker, server, journal = pair
    address = address_of(server)
    await found(until, journal, asker, "front", address)
    await h1.stop()
    await h2.engine.stop(server)
    new = await h2.engine.run("new", "web")
    assert await journal.ask(address_of(asker), "front") == [address], "as it was"
    await h1.start()
    await found(until, journal, asker, "new", address_of(new))
    await found(until, journal, asker, "front", None)


async def test_a_network_without_containers_here_is_forgotten(pair, h1, until):
    asker, server, journal = pair
    await found(until, journal, asker, "front", address_of(server))
    await h1.engine.stop(asker)

    async def empty():
        return len(await journal.table()) == 0

    await until(empty)


@pytest.fixture
async def inner(world, h1, h2, until):
    made = await world.admin.call("POST", "/v1/networks", {"name": "inner", "internal": True})
    await until(lambda: all("inner" in host.engine.names() for host in (h1, h2)))
    return made


async def test_an_internal_network_asks_from_before_its_first_container_until_after_its_last(inner, h1, h2, until):
    assert h1.asking == set()
    box = await h1.engine.run("one", "inner")
    assert h1.asking == {inner["subnet"]}
    (place,) = box.places.values()
    assert place.gateway == inner["gateway"]
    assert h2.asking == set()
    await h1.stop(crash=True)
    h1.asking = {"what was there before"}
    await h1.start()
    await until(lambda: h1.asking == {inner["subnet"]})
    await h1.engine.stop(box)
    await until(lambda: not h1.asking)


async def test_who_is_on_internal_networks_only_is_told_so(inner, h1, until):
    box = await h1.engine.run("one", "inner")
    journal = Journal(h1)
    await found(until, journal, box, "one", address_of(box))
    table = await journal.table()
    assert table.closed(table.sees(IPv4Address(address_of(box))))


async def test_a_container_starts_where_nobody_can_be_asked_and_asks_later(inner, h1, until):
    h1.unaskable = "Open vSwitch's database does not answer"
    await h1.engine.run("one", "inner")
    assert any("Open vSwitch's database" in alarm for alarm in h1.agent.inner.alarms)
    h1.unaskable = ""
    await h1.engine.run("two", "inner")
    assert h1.asking == {inner["subnet"]}
    assert h1.agent.inner.alarms == []


async def test_ports_of_an_internal_network_are_not_published(inner, h1):
    await h1.engine.run("one", "inner", portmap=[{"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 0}])
    assert h1.forwards == {}
