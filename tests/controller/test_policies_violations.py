"""Violations by name, and the schemas of documents."""

import time

import pytest

from socketplane.errors import InvalidInput, NotFound
from support.steps import attach


def denial(rule, source="10.192.0.2", destination="10.192.0.3", ago=0.0, **more):
    last = time.time() - ago
    return {
        "rule": rule,
        "source": source,
        "destination": destination,
        "protocol": "tcp",
        "port": 80,
        "count": 2,
        "first": last - 1,
        "last": last,
        **more,
    }


async def test_violations_have_names_where_it_is_clear_who_is_meant(world):
    await attach(world.h1, world.web, 1, name="front")
    await attach(world.h2, world.web, 2, name="back")
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": {}}}
    policy["metadata"] = {"name": "p", "namespace": "web"}
    guard = {"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy"}
    guard |= {"metadata": {"name": "guard"}, "spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}}}
    await world.admin.call("POST", "/v1/policies", {"documents": [policy, guard]})
    items = [
        denial("a1.ingress"),
        denial("r2.0", "169.254.192.2", ago=10),
        denial("d9.egress", "10.192.0.77", ago=20),
        denial("isolation", ago=30, protocol="icmp", port=None),
        denial("d1.ingress", ago=3600),
    ]
    await world.h2.call("POST", "/v1/hosts/h2/denials", {"items": items})

    async def found(**params):
        return (await world.h1.call("GET", "/v1/policies/violations", params=params))["items"]

    facts = ("rule", "mode", "policy", "source_name", "destination_name", "host")
    assert [[item[fact] for fact in facts] for item in await found()] == [
        ["a1.ingress", "audit", "web/p", "web/front", "web/back", "h2"],
        ["r2.0", "enforce", "guard", "host h1", "web/back", "h2"],
        ["d9.egress", "enforce", "", "", "web/back", "h2"],
        ["isolation", "enforce", "", "web/front", "web/back", "h2"],
        ["d1.ingress", "enforce", "web/p", "", "", "h2"],
    ], "an hour ago the addresses were not theirs yet"
    assert [item["rule"] for item in await found(policy="web/p")] == ["a1.ingress", "d1.ingress"]
    assert [item["rule"] for item in await found(policy="web/p", since=60)] == ["a1.ingress"]
    assert [item["rule"] for item in await found(policy="guard")] == ["r2.0"]
    with pytest.raises(NotFound, match="no policy web/none"):
        await found(policy="web/none")
    with pytest.raises(InvalidInput, match="since"):
        await found(since=0)


async def test_schemas_are_served(world):
    one = await world.h1.call("GET", "/v1/schemas/ClusterNetworkPolicy")
    assert one["properties"]["kind"] == {"const": "ClusterNetworkPolicy"}
    assert (await world.h1.call("GET", "/v1/schemas"))["properties"]["kind"]["enum"][0] == "NetworkPolicy"
    with pytest.raises(NotFound, match="kind: no schema of 'Ingress'"):
        await world.h1.call("GET", "/v1/schemas/Ingress")
