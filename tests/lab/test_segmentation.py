"""Micro-segmentation by label, on whatever host a container runs."""

from __future__ import annotations

import asyncio
import json

import pytest

from support.world import SERVE, Host, World, allow

pytestmark = pytest.mark.lab


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


async def test_a_removed_allow_cuts_an_open_connection_and_the_first_policy_does_not(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    stream = ("socat", "TCP-LISTEN:9,fork,reuseaddr", "SYSTEM:while echo tick; do sleep 0.1; done")
    address = await h2.run("server", "web", "--label", "app=server", command=stream)
    await h1.run(
        "client",
        "web",
        "--label",
        "app=client",
        command=("sh", "-c", f"socat -u TCP:{address}:9,retry=20,interval=0.2 CREATE:/tmp/got"),
    )
    await _grows(h1, "client")
    await world.policy(allow("only-clients", "web", "server", "client"))
    await _grows(h1, "client")
    await world.policy(allow("only-clients", "web", "server", "nobody"))
    await _stops(h1, "client")


async def _size(host: Host, name: str) -> int:
    out = (await host.inside(name, "sh", "-c", "wc -c < /tmp/got")).out.strip()
    return int(out) if out.isdigit() else 0


async def _grows(host: Host, name: str) -> None:
    before = await _size(host, name)
    for _ in range(50):
        if await _size(host, name) > before:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"nothing more arrives at {name}")


async def _stops(host: Host, name: str) -> None:
    last, still = -1, 0
    for _ in range(100):
        now = await _size(host, name)
        still = still + 1 if now == last else 0
        if still >= 10:  # ten looks in a row at a server that speaks ten times a second
            return
        last = now
        await asyncio.sleep(0.1)
    pytest.fail(f"{name} still receives")
