"""Micro-segmentation by label, on whatever host a container runs."""

from __future__ import annotations

import asyncio
import json

import pytest

from support.world import SERVE, Host, World, allow

pytestmark = [pytest.mark.lab, pytest.mark.smoke]


async def _matrix(world: World, placed: dict[str, Host], addresses: dict[str, str]) -> set[tuple[str, str]]:
    """Return the pairs that connect, by trying each."""
    pairs = [(a, b) for a in placed for b in placed if a != b]
    tried = await asyncio.gather(*(placed[a].connects(a, addresses[b], timeout=2) for a, b in pairs))
    return {pair for pair, connected in zip(pairs, tried, strict=True) if connected}


async def test_a_policy_cuts_exactly_what_it_should(world: World) -> None:
    h1, h2, h3 = world.hosts
    await world.network("shop")
    placed = {"web1": h1, "web2": h2, "app1": h2, "app2": h3, "db1": h3}
    addresses = {}
    for name, host in placed.items():
        addresses[name] = await host.run(name, "shop", "--label", f"app={name[:-1]}", command=SERVE)
    every = {(a, b) for a in placed for b in placed if a != b}
    assert await _matrix(world, placed, addresses) == every
    await world.policy(allow("web", "shop", "web", None))
    await world.policy(allow("app", "shop", "app", "web", 8080))
    await world.policy(allow("db", "shop", "db", "app", 8080))
    expected = {(a, b) for a, b in every if (a[:-1], b[:-1]) in {("web", "app"), ("app", "db")}}
    assert await _matrix(world, placed, addresses) == expected
    # What `explain` says is what packets do.
    for a, b in sorted(every):
        said = await h1.cli("explain", f"shop/{a}", f"shop/{b}:8080/tcp", "-o", "json", check=False)
        assert (said.code == 0) == ((a, b) in expected), said.out
        assert json.loads(said.out)["verdict"] == ("allow" if (a, b) in expected else "deny")
    await h1.cli("policy", "rm", "shop/web")
    await h1.cli("policy", "rm", "shop/app")
    await h1.cli("policy", "rm", "shop/db")
    assert await _matrix(world, placed, addresses) == every


async def test_a_container_made_anew_with_another_label_is_judged_anew(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    address = await h2.run("server", "web", "--label", "app=server", command=SERVE)
    await world.policy(allow("only-clients", "web", "server", "client", 8080))
    await h1.run("one", "web", "--label", "app=stranger")
    assert not await h1.connects("one", address, timeout=1)
    await h1.docker("rm", "-f", "one")
    await h1.run("one", "web", "--label", "app=client")
    assert await h1.connects("one", address)
