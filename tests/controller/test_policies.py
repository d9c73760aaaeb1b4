"""Policies through the API, and what they mean."""

import pytest

from socketplane.errors import Forbidden, InvalidInput, NotFound, Unsupported
from support.steps import attach


def policy(name, subject, rules=(), namespace="web", **more):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "spec": {"podSelector": {"matchLabels": subject}, "ingress": list(rules), **more},
    }


def from_(labels, port):
    return {"from": [{"podSelector": {"matchLabels": labels}}], "ports": [{"port": port}]}


async def apply(controller, *documents, **more):
    applied = await controller.admin.call("POST", "/v1/policies", {"documents": list(documents), **more})
    return [one["change"] for one in applied["items"]]


async def test_policies_are_made_changed_and_removed(world):
    await attach(world.h1, world.web, 1, labels={"app": "a"})
    documents = [policy("p", {"app": "a"}), policy("q", {}, namespace=None)]
    assert await apply(world, *documents, network="web") == ["created", "created"]
    assert await apply(world, *documents, network="web") == ["unchanged", "unchanged"]
    assert await apply(world, policy("p", {"app": "a"}, [from_({"app": "b"}, 80)])) == ["configured"]
    first, second = (await world.h1.call("GET", "/v1/policies"))["items"]
    assert (first["number"], second["number"], first["subjects"], second["subjects"]) == (1, 2, 1, 1)
    await world.admin.call("DELETE", "/v1/policies/web/p")
    with pytest.raises(NotFound, match="no policy web/p"):
        await world.admin.call("DELETE", "/v1/policies/web/p")
    assert await apply(world, policy("p", {"app": "a"})) == ["created"]
    assert (await world.h1.call("GET", "/v1/policies/web/p"))["number"] == 3, "a number is never used again"
    with pytest.raises(Forbidden):
        await world.h1.call("POST", "/v1/policies", {"documents": documents})


async def test_a_policy_outlives_its_network(world):
    assert await apply(world, policy("p", {}, namespace="later")) == ["created"]
    assert not (await world.admin.call("GET", "/v1/policies/later/p"))["network_exists"]
    await world.admin.call("POST", "/v1/networks", {"name": "later"})
    assert (await world.admin.call("GET", "/v1/policies/later/p"))["network_exists"]


async def test_all_or_nothing_and_the_field_is_named(world):
    for bad, kind, message in (
        (
            policy("q", {}, [{"ports": [{"port": "http"}]}]),
            Unsupported,
            r"documents\[1\].spec.ingress\[0\].ports\[0\].port",
        ),
        (policy("q", {}, [{"prots": []}]), InvalidInput, r"documents\[1\].spec.ingress\[0\].*prots"),
        ({}, InvalidInput, r"documents\[1\]: the document is empty"),
        (policy("p", {}), InvalidInput, r"documents\[1\]: policy web/p is there twice"),
    ):
        with pytest.raises(kind, match=message):
            await apply(world, policy("p", {}), bad)
        assert world.active.store.committed.policies == {}


async def test_explain(world):
    other = await world.admin.call("POST", "/v1/networks", {"name": "db"})
    await attach(world.h1, world.web, 1, name="front", labels={"app": "a"})
    await attach(world.h2, world.web, 2, name="back", labels={"app": "b"})
    await attach(world.h2, other, 3, name="back", labels={"app": "b"})
    await attach(world.h2, other, 4, name="twin")
    await attach(world.h1, other, 5, name="twin")
    await apply(world, policy("p", {"app": "b"}, [from_({"app": "a"}, 80)]))

    async def explain(**params):
        return await world.h1.call("GET", "/v1/explain", params=params)

    allowed = await explain(src="front", dst="back", port=80)
    assert (allowed["verdict"], allowed["policy"], allowed["rule"]) == ("allow", "web/p", "r1.0")
    assert (allowed["source"], allowed["destination"]) == ("web/front", "web/back"), "the network that both are on"
    assert (await explain(src="front", dst="back", port=81))["verdict"] == "deny"
    assert (await explain(src="10.192.0.2", dst="web/back", port=80))["verdict"] == "allow"
    assert (await explain(src="front", dst="web/10.192.0.3", protocol="icmp"))["verdict"] == "deny"
    isolated = await explain(src="front", dst="db/back", port=80)
    assert (isolated["verdict"], isolated["direction"]) == ("deny", "isolation")
    assert (await explain(src="h2", dst="web/back", port=80))["verdict"] == "allow", "a host reaches its own"
    with pytest.raises(
        InvalidInput, match=r"dst: twin is ambiguous: db/twin \(10.192.4.3 on h2\), db/twin \(10.192.4.4 on h1\)"
    ):
        await explain(src="front", dst="twin")
    with pytest.raises(NotFound, match="src: no container 'nobody'"):
        await explain(src="nobody", dst="front")
    with pytest.raises(InvalidInput, match="neither end is a container"):
        await explain(src="h1", dst="h2")
