"""TrafficPolicies through the API: the limits that each endpoint has, and who is told of them."""

import pytest

from socketplane.errors import Conflict, InvalidInput, NotFound
from support import controller as support
from support.steps import attach, endpoint_id

MBIT = 1_000_000


def traffic(name, subject=None, namespace="web", **spec):
    return {
        "apiVersion": "socketplane.io/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**({} if subject is None else {"podSelector": {"matchLabels": subject}}), **spec},
    }


def rates(egress=None, ingress=None):
    return {way: {"rate": f"{rate}Mbit"} for way, rate in (("egress", egress), ("ingress", ingress)) if rate}


def limits(egress=None, ingress=None):
    """As the API shows them."""
    return {way: rate and {"rate": rate * MBIT, "burst": None} for way, rate in (("egress", egress), ("ingress", ingress))}


async def apply(world, *documents):
    return await world.admin.call("POST", "/v1/policies", {"documents": list(documents)})


async def shown(world, number):
    return (await world.h2.call("GET", f"/v1/endpoints/{endpoint_id(number)}"))["limits"]


async def news(lines):
    """What the next line about limits says: egress and ingress, in Mbit, by the endpoint's number."""
    while (change := await lines()).kind != "limits":
        pass
    return {
        int(key, 16): tuple(side and side.rate // MBIT for side in (found.egress, found.ingress))
        for key, found in change.limits.items()
    }


async def test_an_endpoint_is_told_its_limits_in_the_answer(world):
    await apply(world, traffic("slow", {"app": "a"}, **rates(10, 20)), traffic("slower", **rates(egress=5)))
    one = await attach(world.h1, world.web, 1, labels={"app": "a"})
    two = await attach(world.h1, world.web, 2, labels={"app": "b"})
    assert (one["limits"], two["limits"]) == (limits(5, 20), limits(egress=5))
    other = await world.admin.call("POST", "/v1/networks", {"name": "other"})
    assert (await attach(world.h1, other, 3, labels={"app": "a"}))["limits"] is None


async def test_what_an_endpoint_asks_for_itself(world):
    one = await attach(world.h1, world.web, 1, rate=10 * MBIT)
    assert (one["rate"], one["limits"]) == (10 * MBIT, limits(10, 10))
    await apply(world, traffic("less", **rates(egress=2)), traffic("more", **rates(ingress=50)))
    assert await shown(world, 1) == limits(2, 10)
    with pytest.raises(InvalidInput, match="rate"):
        await attach(world.h1, world.web, 2, rate=1)


async def test_who_is_not_known_has_only_the_limits_of_all(world):
    await apply(world, traffic("all", **rates(egress=50)), traffic("some", {"app": "a"}, **rates(egress=1)))
    unknown = await attach(world.h1, world.web, 1, known=False)
    assert unknown["limits"] == limits(egress=50)
    known = await attach(world.h1, world.web, 1, labels={"app": "a"})
    assert known["limits"] == limits(egress=1)


async def test_the_host_of_an_endpoint_hears_what_changes_and_no_other_does(world, lines):
    for number in (1, 2):
        await attach(world.h1, world.web, number, labels={"app": "a"})
    await attach(world.h2, world.web, 3, labels={"app": "a"})
    assert (await lines()).limits == {}
    await apply(world, traffic("slow", {"app": "a"}, **rates(10, 20)))
    assert await news(lines) == {1: (10, 20), 2: (10, 20)}
    await apply(world, traffic("slow", {"app": "a"}, **rates(10, 30)))
    assert await news(lines) == {1: (10, 30), 2: (10, 30)}
    await apply(world, traffic("fast", {"app": "a"}, **rates(100)))  # changes nothing, so that nobody is told
    await attach(world.h1, world.web, 2, labels={"app": "b"})
    assert await news(lines) == {2: (None, None)}
    await world.admin.call("DELETE", "/v1/policies/web/slow")
    assert await news(lines) == {1: (100, None)}
    await world.admin.call("DELETE", "/v1/policies/web/fast")
    assert await news(lines) == {1: (None, None)}


async def test_a_snapshot_holds_the_limits_of_ones_own_endpoints(world):
    await apply(world, traffic("slow", **rates(10)))
    await attach(world.h1, world.web, 1)
    await attach(world.h2, world.web, 2)
    async for change in world.h1.watch():
        assert {int(key, 16): found.egress.rate for key, found in change.limits.items()} == {1: 10 * MBIT}
        break


async def test_a_policy_waits_for_its_network_and_outlives_it(world, lines):
    await lines()
    await apply(world, traffic("slow", namespace="later", **rates(10)))
    pending = await world.h1.call("POST", "/v1/networks", {"request": "p"})
    assert (await attach(world.h1, pending, 1))["limits"] is None
    await world.h1.call("PATCH", f"/v1/networks/{pending['id']}", {"name": "later"})
    assert await news(lines) == {1: (10, None)}
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(1)}")
    await world.admin.call("DELETE", "/v1/networks/later")
    assert not (await world.admin.call("GET", "/v1/policies/later/slow"))["network_exists"]


async def test_it_is_listed_shown_and_removed_like_any_policy(world):
    await attach(world.h1, world.web, 1, labels={"app": "a"})
    applied = await apply(world, traffic("slow", {"app": "a"}, **rates(10)))
    assert [(item["kind"], item["change"]) for item in applied["items"]] == [("TrafficPolicy", "created")]
    (listed,) = (await world.h1.call("GET", "/v1/policies"))["items"]
    assert (listed["kind"], listed["network"], listed["name"], listed["subjects"]) == ("TrafficPolicy", "web", "slow", 1)
    assert listed["document"]["spec"]["egress"] == {"rate": "10Mbit"}
    assert (await world.admin.call("GET", "/v1/status"))["policies"] == 1
    await world.admin.call("DELETE", "/v1/policies/web/slow")
    with pytest.raises(NotFound):
        await world.admin.call("GET", "/v1/policies/web/slow")


async def test_one_name_on_a_network_is_one_documents(world):
    await apply(world, traffic("p", **rates(10)))
    other = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "web"},
        "spec": {},
    }
    with pytest.raises(Conflict, match=r"there is a TrafficPolicy web/p already, so that no NetworkPolicy"):
        await apply(world, other)
    await world.admin.call("DELETE", "/v1/policies/web/p")
    await apply(world, other)
    with pytest.raises(Conflict, match=r"there is a NetworkPolicy web/p already"):
        await apply(world, traffic("p", **rates(10)))


async def test_it_is_part_of_the_history(world):
    await attach(world.h1, world.web, 1)
    await apply(world, traffic("slow", **rates(10)))
    await apply(world, traffic("slow", **rates(20)))
    assert await shown(world, 1) == limits(egress=20)
    back = await world.admin.call("POST", "/v1/policies/rollback", {"revision": 1})
    assert [(item["kind"], item["change"]) for item in back["items"]] == [("TrafficPolicy", "configured")]
    assert await shown(world, 1) == limits(egress=10)
    plan = await world.admin.call("POST", "/v1/policies/plan", {"documents": [traffic("slow", **rates(30))]})
    assert [item["change"] for item in plan["items"]] == ["configured"]
    assert (plan["allowed"], plan["denied"]) == ([], [])
    assert await shown(world, 1) == limits(egress=10)


async def test_it_survives_the_controller(databases, keys, world):
    await apply(world, traffic("slow", {"app": "a"}, **rates(10)))
    await attach(world.h1, world.web, 1, labels={"app": "a"}, rate=20 * MBIT)
    async with support.controller(databases, keys, name="second", active=False) as second:
        world.service.require().store.fence.depose()
        await second.until(lambda: second.service.active)
        found = await second.admin.call("GET", f"/v1/endpoints/{endpoint_id(1)}")
        assert (found["rate"], found["limits"]) == (20 * MBIT, limits(10, 20))
        assert (await second.admin.call("GET", "/v1/policies/web/slow"))["number"] == 1
