"""Reach through the API."""

import pytest

from socketplane.errors import InvalidInput, NotFound
from support.steps import attach


def policy(name, subject, peer, port):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "web"},
        "spec": {
            "podSelector": {"matchLabels": subject},
            "ingress": [{"from": [{"podSelector": {"matchLabels": peer}}], "ports": [{"port": port}]}],
        },
    }


def said(found):
    return [
        (
            [(end["name"], end["size"]) for end in line["sources"]],
            [(end["name"], end["size"]) for end in line["destinations"]],
            line["ports"],
        )
        for line in found["lines"]
    ]


async def test_reach(world):
    front = await attach(world.h1, world.web, 1, labels={"app": "front"})
    await attach(world.h2, world.web, 2, labels={"app": "front"})
    await attach(world.h2, world.web, 3, labels={"app": "db"})
    other = await world.admin.call("POST", "/v1/networks", {"name": "lab", "internal": True})
    await attach(world.h2, other, 4, labels={"team": "x"})
    await world.admin.call("POST", "/v1/policies", {"documents": [policy("db", {"app": "db"}, {"app": "front"}, 5432)]})

    found = await world.h1.call("GET", "/v1/reach", params={"network": "web"})
    assert ([("web/app=front", 2)], [("web/app=db", 1)], ["tcp/5432"]) in said(found)
    assert {group["name"] for group in found["groups"]} == {"web/app=front", "web/app=db"}
    line = next(line for line in found["lines"] if line["ports"] == ["tcp/5432"])
    assert line["sources"][0]["example"] == front["id"]

    whole = await world.admin.call("GET", "/v1/reach", params={"by": ["team", "service"]})
    assert {group["name"] for group in whole["groups"]} == {"lab/team=x,!service", "web/!team,!service"}

    with pytest.raises(NotFound, match="no network nowhere"):
        await world.admin.call("GET", "/v1/reach", params={"network": "nowhere"})
    with pytest.raises(InvalidInput, match="by"):
        await world.admin.call("GET", "/v1/reach", params={"by": ["a"] * 11})


async def test_a_plan_warns_of_what_is_probably_not_meant(world):
    await attach(world.h1, world.web, 1, labels={"app": "front"})
    await attach(world.h1, world.web, 2, labels={"app": "db"})
    documents = [policy("db", {"app": "db"}, {"app": "fornt"}, 5432), policy("ok", {"app": "db"}, {"app": "front"}, 80)]
    planned = await world.admin.call("POST", "/v1/policies/plan", {"documents": documents})
    assert planned["warnings"] == [
        "web/db: ingress[0]: from[0] matches no endpoint now: none is app=fornt; did you mean app=front?",
    ]
