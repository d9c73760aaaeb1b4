"""Plans: what applying would change, found out without changing anything."""

import asyncio

import pytest

from socketplane.errors import Forbidden, InvalidInput, Unsupported
from support import controller as support
from support.steps import attach


def document(name, subject, peer=None, port=80, network="web"):
    rule = {"from": [{"podSelector": {"matchLabels": {"app": peer}}}], "ports": [{"port": port}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": network},
        "spec": {"podSelector": {"matchLabels": {"app": subject}}, "ingress": [rule] if peer else []},
    }


async def plan(controller, *documents, **more):
    return await controller.admin.call("POST", "/v1/policies/plan", {"documents": list(documents), **more})


async def apply(controller, *documents, **more):
    return await controller.admin.call("POST", "/v1/policies", {"documents": list(documents), **more})


def lines(changes):
    return [(item["source"], item["destination"], item["ports"]) for item in changes]


async def test_a_plan_says_what_applying_would_do_and_does_not(world):
    for number, app in enumerate(("front", "front", "db", "other"), start=1):
        await attach(world.h1, world.web, number, name=f"c{number}", labels={"app": app})
    wanted = document("db", "db", "front")
    planned = await plan(world, wanted)
    assert [item["change"] for item in planned["items"]] == ["created"]
    assert planned["allowed"] == []
    assert lines(planned["denied"]) == [
        ("web/app=front", "web/app=db", "any but tcp/80"),
        ("web/app=other, hosts", "web/app=db", "any"),
    ]
    assert world.active.store.committed.policies == world.active.store.working.policies == {}
    assert world.active.store.working.cluster.next_policy == 1
    assert (await apply(world, wanted))["items"] == planned["items"]
    assert world.active.store.committed.policies["web", "db"].number == 1
    again = await plan(world, wanted)
    assert (again["items"][0]["change"], again["allowed"], again["denied"]) == ("unchanged", [], [])
    wider = await plan(world, document("db", "db", "other", 443), document("more", "front", network="later"))
    assert [item["change"] for item in wider["items"]] == ["configured", "created"]
    assert [item["network_exists"] for item in wider["items"]] == [True, False]
    assert lines(wider["allowed"]) == [("web/app=other", "web/app=db", "tcp/443")]
    assert lines(wider["denied"]) == [("web/app=front", "web/app=db", "tcp/80")]
    assert [(item["sources"], item["destinations"]) for item in wider["denied"]] == [(2, 1)]
    assert len((await world.admin.call("GET", "/v1/policies/history"))["items"]) == 1


async def test_groups_are_by_the_labels_that_are_asked_for(world):
    await attach(world.h1, world.web, 1, labels={"app": "db", "tier": "inner"})
    await attach(world.h1, world.web, 2, labels={"app": "front", "tier": "outer"})
    planned = await plan(world, document("db", "db"), by=["tier"])
    assert lines(planned["denied"]) == [("web/tier=outer, hosts", "web/tier=inner", "any")]


async def test_what_is_probably_not_meant_is_said(world):
    await attach(world.h1, world.web, 1, labels={"app": "front"})
    await attach(world.h1, world.web, 2, labels={"app": "db"})
    wanted = document("db", "db", "frond"), document("p", "db", network="wbe")
    warnings = (await plan(world, *wanted))["warnings"]
    assert [text.split(";")[0] for text in warnings] == [
        "web/db: ingress[0]: from[0] matches no endpoint now: none is app=frond",
        "wbe/p: there is no network wbe: the policy holds from when there is one",
    ]
    assert "did you mean app=front?" in warnings[0]
    assert (await apply(world, *wanted))["warnings"] == warnings
    assert (await apply(world, document("db", "db", "front")))["warnings"] == []


async def test_a_policy_is_applied_even_if_nothing_can_be_said_of_it(world, monkeypatch):
    def broken(*_):
        raise RuntimeError("out of order")

    monkeypatch.setattr("socketplane.controller.policies.warnings_of", broken)
    outcome = await apply(world, document("db", "db"))
    assert (outcome["revision"], outcome["warnings"]) == (1, [])


@pytest.mark.parametrize("schema", [support.northbound_schema(tiers=False)], indirect=True, ids=["no tiers"])
async def test_what_applying_would_refuse_is_refused(world):
    guard = {"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy"}
    rule = {"action": "Pass", "from": [{"namespaces": {}}]}
    guard["metadata"] = {"name": "guard"}
    guard["spec"] = {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "ingress": [rule]}
    with pytest.raises(Unsupported, match="Pass, in policy guard, needs tiers"):
        await plan(world, guard)
    assert world.active.store.working.policies == {}
    with pytest.raises(InvalidInput, match=r"documents\[0\].spec"):
        await plan(world, {**guard, "spec": {}})
    with pytest.raises(Forbidden):
        await world.h1.call("POST", "/v1/policies/plan", {"documents": [document("db", "db")]})


async def test_a_plan_while_a_change_waits_and_others_are_made(world):
    await apply(world, document("db", "db"), confirm_within=60)
    planned = await plan(world, document("db", "db", "front"))
    assert planned["items"][0]["change"] == "configured"
    await world.admin.call("POST", "/v1/policies/confirm", {})
    plans = [plan(world, document(f"p{number}", "db")) for number in range(5)]
    changes = [apply(world, document(f"q{number}", "db")) for number in range(5)]
    await asyncio.gather(*plans, *changes)
    assert sorted(name for _, name in world.active.store.committed.policies) == ["db", *(f"q{n}" for n in range(5))]
    assert world.active.store.working.policies == world.active.store.committed.policies
