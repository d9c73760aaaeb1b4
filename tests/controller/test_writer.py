"""Gathering: what one request does to the others of its batch."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address
from uuid import UUID

import pytest

from socketplane.errors import Conflict, InUse, SocketPlaneError, Unavailable
from socketplane.model.types import Endpoint, Host, mac_of
from socketplane.ovsdb import Client, by_uuid, delete, update
from support.steps import attach, endpoint_id, lease


def host(number):
    return Host(f"x{number}", f"s{number}", f"127.0.9.{number}", IPv4Address("169.254.200.0") + number)


async def test_what_the_database_refuses_fails_alone(world):
    """No plan of ours asks for this; a plan with a fault would, and must not take others with it."""
    orphan = Endpoint(
        "0" * 64, UUID(world.web["id"]), "nobody", IPv4Address("10.192.0.50"), mac_of(IPv4Address("10.192.0.50"))
    )
    twin = replace(host(5), gateway=IPv4Address("169.254.192.2"))
    plans = [
        lambda draft: draft.put(host(1)),
        lambda draft: draft.put(orphan),
        lambda draft: draft.put(host(2)),
        lambda draft: draft.put(twin),
        lambda draft: 1 / 0,
        lambda draft: draft.put(host(3)),
    ]
    results = await asyncio.gather(*map(world.active.writer.submit, plans), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), InUse, type(None), Conflict, ZeroDivisionError, type(None)]
    assert {"x1", "x2", "x3"} <= set(world.active.store.committed.hosts)
    assert world.active.store.working.hosts == world.active.store.committed.hosts
    assert orphan.id not in world.active.store.working.endpoints


async def test_a_refused_plan_leaves_no_trace(world):
    def half(draft):
        draft.put(host(1))
        address = draft.addresses.allocate(draft.intent.network("web"), draft.now)
        raise Conflict(f"changed my mind about {address}")

    before = world.active.writer.transactions
    with pytest.raises(Conflict, match="changed my mind"):
        await world.active.writer.submit(half)
    assert "x1" not in world.active.store.working.hosts
    assert world.active.writer.transactions == before


async def test_a_thousand_in_one_go_are_few_transactions(world):
    before = world.active.writer.transactions
    plans = [lambda draft, number=number: draft.put(host(number)) for number in range(1, 1001)]
    await asyncio.gather(*map(world.active.writer.submit, plans))
    assert world.active.writer.transactions - before <= 3
    assert len(world.active.store.committed.hosts) == 1002


async def test_a_request_that_nobody_waits_for_any_more_is_left_out(world):
    task = asyncio.create_task(world.active.writer.submit(lambda draft: draft.put(host(1))))
    await asyncio.sleep(0)
    task.cancel()
    await world.active.writer.submit(lambda draft: draft.put(host(2)))
    assert "x1" not in world.active.store.committed.hosts


async def test_an_edit_of_the_intent_by_hand_is_followed(world, databases):
    await attach(world.h1, world.web, 1)
    async with Client([databases.intent.remote], "SocketPlane") as client:
        rows = await client.monitor({"Endpoint": None})
        await client.transact(*(delete("Endpoint", by_uuid(uuid)) for uuid in rows["Endpoint"]))
    await world.until(lambda: not world.active.store.committed.endpoints)
    assert not world.active.store.working.endpoints
    await world.settled()
    assert (await attach(world.h1, world.web, 1))["address"] == "10.192.0.2", "the lease stood"


async def test_a_database_that_stays_away_is_named_in_time(world, databases, monkeypatch):
    monkeypatch.setattr("socketplane.controller.writer.PATIENCE", 0.3)
    await databases.intent.stop()
    with pytest.raises(Unavailable, match="database does not answer"):
        await lease(world.h1, world.web, "r")
    assert (await world.h1.call("GET", "/v1/networks/web"))["name"] == "web", "reading goes on"
    await databases.intent.start()
    await world.until(lambda: world.active.store.fence._lock.held)
    assert (await lease(world.h1, world.web, "r"))["address"] == "10.192.0.2"


async def test_a_database_that_hangs_is_given_up(world, databases, monkeypatch):
    monkeypatch.setattr("socketplane.controller.active.WRITTEN_SECONDS", 0.3)
    monkeypatch.setattr("socketplane.controller.api.context.WRITTEN_SECONDS", 0.3)
    held = await lease(world.h1, world.web, "r")
    body = {"network": world.web["id"], "address": held["address"], "mac": "02:00:00:00:00:01"}
    databases.northbound.pause()
    try:
        with pytest.raises(SocketPlaneError, match="northbound database does not take the change"):
            await world.h1.call("PUT", f"/v1/endpoints/{endpoint_id(1)}", body)
    finally:
        databases.northbound.resume()
    await world.settled()
    assert (await world.h1.call("PUT", f"/v1/endpoints/{endpoint_id(1)}", body))["address"] == held["address"]


async def test_a_policy_that_can_not_be_understood_closes_its_network(world, databases):
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "web"},
        "spec": {"podSelector": {}, "ingress": [{}]},
    }
    await attach(world.h1, world.web, 1, name="a")
    await attach(world.h1, world.web, 2, name="b")
    await world.admin.call("POST", "/v1/policies", {"documents": [document]})
    params = {"src": "a", "dst": "b", "port": 80}
    assert (await world.h1.call("GET", "/v1/explain", params=params))["verdict"] == "allow"
    async with Client([databases.intent.remote], "SocketPlane") as client:
        rows = await client.monitor({"Policy": None})
        ((uuid, good),) = rows["Policy"].items()
        await client.transact(update("Policy", by_uuid(uuid), {"document": "{oops"}))
        await world.until(lambda: world.active.store.not_understood)
        await world.settled()
        assert (await world.h1.call("GET", "/v1/explain", params=params))["verdict"] == "deny"
        (alarm,) = (await world.admin.call("GET", "/v1/status"))["alarms"]
        assert "a row of Policy in the intent database can't be understood" in alarm
        assert (await world.admin.call("GET", "/v1/policies/web/p"))["document"] == {}
        await client.transact(update("Policy", by_uuid(uuid), {"document": good["document"]}))
        await world.until(lambda: not world.active.store.not_understood)
    assert (await world.h1.call("GET", "/v1/explain", params=params))["verdict"] == "allow"
