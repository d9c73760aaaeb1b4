"""`reach --probe`: what policies say is held against connections out of real containers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.world import SERVE, World, allow, eventually

pytestmark = pytest.mark.lab

Seen = dict[tuple[str, str, str], tuple[str, str]]
"""By containers and service: what was expected, and how it ended."""


async def probed(world: World, *options: str, code: int = 0) -> Seen:
    """Try what `shop` has to do with, and check the exit code."""
    answer = await world.first.cli("reach", "--network", "shop", "--probe", "-o", "json", *options, check=False)
    assert answer.code == code, (answer.out, answer.err)
    return {
        (item["source_name"], item["destination_name"], _service(item)): (item["expected"], item["outcome"])
        for item in json.loads(answer.out)["items"]
    }


def _service(item: dict[str, Any]) -> str:
    return f"{item['protocol']}/{item['port']}" if item["port"] else "ping"


async def test_expected_beside_observed(world: World) -> None:
    h1, h2, h3 = world.hosts
    await world.network("shop", "--ipv6")
    await world.network("stage")
    await h1.run("web", "shop", "--label", "app=web", command=SERVE)
    await h2.run("db", "shop", "--label", "app=db", command=SERVE)
    await h3.run("far", "stage", "--label", "app=web", command=SERVE)
    await world.policy(allow("db", "shop", "db", "web", 8080))

    async def installed() -> bool:  # on the other hosts a moment later
        return (await world.first.cli("reach", "--network", "shop", "--probe", check=False)).code == 0

    await eventually("what is expected is seen", installed)
    seen = await probed(world)
    assert seen["shop/web", "shop/db", "tcp/8080"] == ("allow", "open")
    assert seen["shop/web", "shop/db", "tcp/8081"] == ("deny", "timeout")
    assert seen["shop/web", "shop/db", "ping"] == ("deny", "timeout")
    assert seen["shop/db", "shop/web", "tcp/80"] == ("allow", "refused")
    assert seen["shop/db", "shop/web", "udp/65535"] == ("allow", "refused")
    assert seen["shop/db", "shop/web", "ping"] == ("allow", "open")
    assert seen["stage/far", "shop/web", "tcp/80"] == seen["shop/web", "stage/far", "ping"] == ("deny", "timeout")
    seen6 = await probed(world, "--ipv6")
    assert seen6["shop/web", "shop/db", "tcp/8080"] == seen6["shop/db", "shop/web", "ping"] == ("allow", "open")
    assert seen6["shop/web", "shop/db", "tcp/8081"] == seen6["shop/web", "shop/db", "ping"] == ("deny", "timeout")
    assert seen6["shop/db", "shop/web", "tcp/80"] == ("allow", "refused")
    # A container that refuses what policy allows: that is seen, and is a failure.
    pid = (await h2.docker("inspect", "-f", "{{.State.Pid}}", "db")).out.strip()
    firewall = "table inet t { chain c { type filter hook input priority 0; tcp dport 8080 drop; }; }"
    await h2.machine.run("nsenter", "--target", pid, "--net", "nft", "-f", "-", stdin=firewall)
    wrong = await probed(world, code=1)
    assert {key: wrong[key] for key in seen if wrong[key] != seen[key]} == {
        ("shop/web", "shop/db", "tcp/8080"): ("allow", "timeout")
    }
