"""What others do to the northbound, and what a restart of anything leaves behind."""

import asyncio
from ipaddress import IPv4Address
from uuid import UUID, uuid4

import pytest

from socketplane.compile import names
from socketplane.controller.recompute import KEY
from socketplane.controller.schema import SCHEMA_FILE
from socketplane.errors import Unavailable
from socketplane.model.types import mac_of
from socketplane.ovsdb import Client, by_uuid, delete, insert, mutate, update
from support import controller as support
from support.ovsdb_server import OvsdbServer
from support.steps import attach, endpoint_id, lease, ports


@pytest.fixture
async def operator(databases):
    """Somebody with ovn-nbctl."""
    async with Client([databases.northbound.remote], "OVN_Northbound") as client:
        client.rows = await client.monitor(
            {"Logical_Switch": None, "Logical_Switch_Port": None, "Port_Group": None, "ACL": None}
        )
        yield client


async def uuid_of(operator, table, name):
    def find(rows):
        return [uuid for uuid, row in rows[table].items() if row["name"] == name]

    return (await operator.rows.wait_for(find, 5))[0]


async def test_rows_of_others_survive(world, operator):
    foreign = uuid4()
    web = await uuid_of(operator, "Logical_Switch", f"sp-{world.web['id']}")
    await operator.transact(
        insert("Logical_Switch", {"name": "theirs", "external_ids": {"by": "hand"}}, uuid=foreign),
        insert("Logical_Switch_Port", {"name": "their-port"}, uuid=uuid4()),
        mutate("Logical_Switch", by_uuid(web), [("external_ids", "insert", {"note": "mine"})]),
    )
    port = uuid4()
    await operator.transact(
        insert("Logical_Switch_Port", {"name": "their-port"}, uuid=port),
        mutate("Logical_Switch", by_uuid(web), [("ports", "insert", frozenset({port}))]),
    )
    await attach(world.h1, world.web, 1)
    world.active.reconciler.demand_full_pass()
    await attach(world.h1, world.web, 2)
    assert operator.rows["Logical_Switch"][foreign]["external_ids"] == {"by": "hand"}
    assert port in operator.rows["Logical_Switch"][web]["ports"]
    assert operator.rows["Logical_Switch"][web]["external_ids"]["note"] == "mine"
    assert world.active.reconciler.repairs == 0
    assert world.active.reconciler.gap() == []


async def test_what_somebody_changed_by_hand_comes_back(world, operator):
    made = await attach(world.h1, world.web, 1)
    port = await uuid_of(operator, "Logical_Switch_Port", f"sp-{endpoint_id(1)}")
    web = await uuid_of(operator, "Logical_Switch", f"sp-{world.web['id']}")
    group = await uuid_of(operator, "Port_Group", names.network_group(UUID(world.web["id"])))
    (acl, *_) = operator.rows["Port_Group"][group]["acls"]
    stray = uuid4()
    ours = dict(operator.rows["Logical_Switch"][web]["external_ids"])
    for edit in (
        [update("Logical_Switch_Port", by_uuid(port), {"addresses": frozenset({"unknown"}), "port_security": frozenset()})],
        [mutate("Logical_Switch", by_uuid(web), [("ports", "delete", frozenset({port}))])],
        [delete("Logical_Switch", by_uuid(web))],
        [mutate("Port_Group", by_uuid(group), [("ports", "delete", frozenset({port}))])],
        [mutate("Port_Group", by_uuid(group), [("acls", "delete", frozenset({acl}))])],
        [update("ACL", by_uuid(acl), {"action": "reject"})],
        [update("Logical_Switch", by_uuid(web), {"external_ids": {}})],
        [insert("Logical_Switch", {"name": "stray", "external_ids": ours}, uuid=stray)],
    ):
        repairs = world.active.reconciler.repairs
        await operator.transact(*edit)
        await world.until(lambda repairs=repairs: world.active.reconciler.repairs > repairs, 3)
        assert world.active.reconciler.gap() == []
    assert ports(world)[f"sp-{endpoint_id(1)}"]["addresses"] == {f"{made['mac']} {made['address']}"}
    assert stray not in operator.rows["Logical_Switch"]


async def test_a_northbound_restored_from_an_older_copy_is_brought_up_to_date(world, operator):
    await attach(world.h1, world.web, 1)
    marker = next(iter(world.active.reconciler.northbound.replica["Address_Set"]))
    await operator.transact(
        *(delete("Logical_Switch", by_uuid(row)) for row in operator.rows["Logical_Switch"]),
        delete("Address_Set", by_uuid(marker)),
    )
    await world.until(lambda: world.active.reconciler.repairs, 3)
    await attach(world.h1, world.web, 2)
    assert len(ports(world)) == 2
    assert world.active.reconciler.gap() == []


async def test_a_full_pass_finds_nothing_after_any_of_this(world):
    other = await world.admin.call("POST", "/v1/networks", {"name": "db"})
    for number in range(6):
        await attach(
            (world.h1, world.h2)[number % 2], (world.web, other)[number % 3 == 0], number, labels={"app": str(number % 2)}
        )
    await world.admin.call("POST", "/v1/policies", {"documents": [policy("web", "p", "1"), policy("db", "q", "0")]})
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(0)}")
    await world.admin.call("DELETE", "/v1/policies/db/q")
    await world.h2.call("PUT", f"/v1/endpoints/{endpoint_id(1)}", {**await body_of(world, 1), "labels": {"app": "0"}})
    await world.settled()
    assert world.active.reconciler.gap() == []
    before = world.active.reconciler.northbound.transactions
    await world.active.reconciler._full_pass(repair=True)
    assert world.active.reconciler.northbound.transactions == before


def policy(network, name, app):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": network},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, "ingress": [{"ports": [{"port": 80}]}]},
    }


async def body_of(world, number):
    there = await world.admin.call("GET", f"/v1/endpoints/{endpoint_id(number)}")
    return {key: there[key] for key in ("network", "address", "mac", "name", "container")}


async def test_without_the_northbound_nothing_is_attached_and_all_is_detached(world, databases):
    await attach(world.h1, world.web, 1)
    held = await lease(world.h1, world.web, "r2")
    await databases.northbound.stop()
    await world.until(lambda: not world.active.reconciler.northbound.connected)
    body = {"network": world.web["id"], "address": held["address"], "mac": mac_of(IPv4Address(held["address"]))}
    with pytest.raises(Unavailable, match="northbound database does not answer; nothing was changed"):
        await world.h1.call("PUT", f"/v1/endpoints/{endpoint_id(2)}", body)
    assert endpoint_id(2) not in world.active.store.committed.endpoints
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(1)}")
    assert "OVN's northbound database does not answer" in (await world.admin.call("GET", "/v1/status"))["alarms"]
    await databases.northbound.start()
    await world.until(lambda: world.active.reconciler.northbound.connected and ports(world) == {})
    await world.h1.call("PUT", f"/v1/endpoints/{endpoint_id(2)}", body)
    assert list(ports(world)) == [f"sp-{endpoint_id(2)}"]


@pytest.mark.parametrize("which", ["intent", "northbound"])
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_restart_of_a_database_in_the_middle_loses_nothing(world, databases, which, how):
    server = getattr(databases, which)

    async def restart():
        await getattr(server, how)()
        await server.start()

    async def patient(number):
        async with asyncio.timeout(20):
            while True:
                try:
                    return await attach((world.h1, world.h2)[number % 2], world.web, number)
                except Unavailable:
                    await asyncio.sleep(0.05)  # an agent tries again, too

    restarting = asyncio.create_task(restart())
    made = await asyncio.gather(*(patient(number) for number in range(40)))
    await restarting
    assert len({endpoint["address"] for endpoint in made}) == 40
    assert len((await world.admin.call("GET", "/v1/endpoints"))["items"]) == 40
    await world.until(lambda: world.active.reconciler.northbound.connected)
    await world.settled()
    assert len(ports(world)) == 40
    assert world.active.reconciler.gap() == []


async def test_a_restart_of_the_controller_in_the_middle_loses_nothing(databases, keys):
    async with support.controller(databases, keys) as first:
        web = await prepare(first)
        async with first.client("h1") as host:
            results = await asyncio.gather(*(attach(host, web, n) for n in range(10)))
            attaching = [asyncio.create_task(attach(host, web, n)) for n in range(10, 30)]
            await asyncio.sleep(0)
    done = await asyncio.gather(*attaching, return_exceptions=True)
    answered = {*(made["id"] for made in results), *(made["id"] for made in done if isinstance(made, dict))}
    async with support.controller(databases, keys) as second, second.client("h1") as host:
        assert answered <= set(second.active.store.committed.endpoints)
        assert second.active.reconciler.gap() == []
        made = await asyncio.gather(*(attach(host, web, n) for n in range(30)))
        assert len({endpoint["address"] for endpoint in made}) == 30
        assert second.active.store.epoch == 2


async def prepare(controller):
    await controller.admin.call("PUT", "/v1/hosts/h1", {"system_id": "system-h1", "address": "127.0.0.1"})
    return await controller.admin.call("POST", "/v1/networks", {"name": "web"})


async def test_a_second_controller_waits_and_takes_over(databases, keys):
    async with support.controller(databases, keys) as first:
        web = await prepare(first)
        async with support.controller(databases, keys, name="second", active=False) as second:
            await first.until(lambda: "active controller to stop" in second.service.waiting_for)
            assert (await second.admin.call("GET", "/v1/version"))["api"] == "v1"
            with pytest.raises(Unavailable, match="waits for the active controller to stop"):
                await second.admin.call("GET", "/v1/networks")
            # The lock is stolen, as by a server of a RAFT cluster that was cut off.
            await second.until(lambda: second.service.active is None)
            first.service.active.reconciler.northbound.fence.depose()
            await second.until(lambda: second.service.active)
            await first.until(lambda: first.service.active is None)
            assert (await second.admin.call("GET", "/v1/networks/web"))["id"] == web["id"]
            assert second.active.store.epoch == 2


async def test_a_former_controller_can_not_write(world, databases):
    """It still believes that it holds the lock, but its epoch is over."""
    active = world.active
    async with Client([databases.intent.remote], "SocketPlane") as thief:
        rows = await thief.monitor({"Cluster": None})
        (cluster,) = rows["Cluster"]
        await thief.transact(update("Cluster", by_uuid(cluster), {"epoch": 7}))
    await world.until(lambda: active.store.fence.deposed)
    with pytest.raises(Unavailable):
        await active.writer.submit(lambda draft: draft.put(next(iter(draft.intent.hosts.values()))))
    await world.until(lambda: world.service.active not in (None, active))
    assert world.active.store.epoch == 8


async def test_a_new_cluster_clears_what_a_former_one_left(tmp_path, keys, databases, operator):
    foreign = uuid4()
    await operator.transact(insert("Logical_Switch", {"name": "theirs", "external_ids": {"owner": "me"}}, uuid=foreign))
    async with support.controller(databases, keys) as first:
        web = await prepare(first)
        async with first.client("h1") as host:
            await attach(host, web, 1)
    async with OvsdbServer(SCHEMA_FILE, tmp_path / "another") as intent:  # as after `down --purge` and `up`
        fresh = support.Databases(tmp_path, intent, databases.northbound)
        async with support.controller(fresh, keys) as second:
            assert ports(second) == {}
            web = await prepare(second)
            async with second.client("h1") as host:
                await attach(host, web, 1)
            assert second.active.reconciler.gap() == []
            await operator.rows.wait_for(lambda rows: len(rows["Logical_Switch"]) == 3, 5)
            assert foreign in operator.rows["Logical_Switch"]


async def test_what_the_northbound_refuses_does_not_hold_up_the_rest(world, operator, monkeypatch):
    monkeypatch.setattr("socketplane.controller.reconciler.REFUSED_SECONDS", 0.3)
    switch, port = uuid4(), uuid4()
    await operator.transact(
        insert("Logical_Switch_Port", {"name": f"sp-{endpoint_id(7)}"}, uuid=port),
        insert("Logical_Switch", {"name": "theirs", "ports": frozenset({port})}, uuid=switch),
    )
    with pytest.raises(Unavailable, match=f"northbound refuses endpoint/{endpoint_id(7)}: constraint violation"):
        await attach(world.h1, world.web, 7)
    assert (await attach(world.h1, world.web, 8))["address"] == "10.192.0.3"
    other = await world.admin.call("POST", "/v1/networks", {"name": "db"})
    await attach(world.h2, other, 9)
    (alarm,) = (await world.admin.call("GET", "/v1/status"))["alarms"]
    assert f"refuses endpoint/{endpoint_id(7)}" in alarm
    assert operator.rows["Logical_Switch"][switch]["ports"] == {port}
    await operator.transact(delete("Logical_Switch", by_uuid(switch)))
    await world.until(lambda: world.active.reconciler.alarm is None, 5)
    assert len(ports(world)) == 3
    assert world.active.reconciler.gap() == []


@pytest.mark.parametrize(
    "schema",
    [support.northbound_schema(tiers=True, incremental=True), support.northbound_schema(tiers=False, incremental=False)],
    indirect=True,
    ids=["incremental", "not"],
)
async def test_a_start_has_an_incremental_northd_compute_everything_anew(controller, schema):
    reconciler = controller.active.reconciler

    def done():
        rows = reconciler.northbound.replica["Logical_Switch"].values()
        return reconciler._recompute.due is None and any(KEY in row["external_ids"] for row in rows)

    if "options" in schema["tables"]["DNS"]["columns"]:
        await controller.until(done)
    assert reconciler._recompute.due is None
