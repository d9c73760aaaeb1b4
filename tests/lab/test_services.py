"""Services on real engines: who is led where, who is ready, and a replacement that nobody notices."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from support.world import SERVE, Host, World, eventually

pytestmark = [pytest.mark.lab, pytest.mark.smoke]

WHO = ("socat", "TCP-LISTEN:8080,fork,reuseaddr", "SYSTEM:echo $HOSTNAME")


def document(name: str = "shop", network: str = "web", **spec: Any) -> str:
    body = {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
    metadata = {"name": name, "namespace": network}
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body})


async def apply(world: World, text: str) -> str:
    """Apply a service; return its address."""
    told = await world.first.cli("service", "apply", "-o", "json", "-f", "-", stdin=text)
    return str(json.loads(told.out)["items"][0]["address"])


async def backends(world: World, name: str = "web/shop") -> dict[str, str]:
    """Return a service's backends, and why each is not ready."""
    (found,) = await world.first.read("service", "inspect", name)
    return {each["name"]: each["reason"] for each in found["backends"]}


async def ready(world: World, *names: str) -> None:
    async def so() -> bool:
        return dict.fromkeys(names, "") == {name: why for name, why in (await backends(world)).items() if not why}

    await eventually(f"{names} are ready", so, timeout=30.0)


async def answers(where: Host, address: str, inside: str = "", count: int = 1) -> set[str]:
    """Return who answers at port 80 in so many connections; `refused` and `silence` where nobody does."""
    once = f"socat -u -T2 TCP:{address}:80,connect-timeout=2 - 2>&1"
    script = f"for i in $(seq {count}); do {once}; done"
    done = await (
        where.inside(inside, "sh", "-c", script) if inside else where.machine.run("sh", "-c", script, check=False)
    )
    words = {"refused": "refused", "timed out": "silence", "Temporary failure": "no such name"}
    lines = done.out.splitlines()
    return {next((short for long, short in words.items() if long in line), line) for line in lines}


async def test_a_service_leads_to_what_is_ready_wherever_it_runs(world: World) -> None:
    h1, h2, h3 = world.hosts
    await asyncio.gather(world.network("web"), world.network("other"))
    address = await apply(world, document())
    label = ("--label", "app=shop")
    sick = ("--health-cmd", "test -e /well", "--health-interval", "1s", "--health-retries", "1")
    await asyncio.gather(
        h1.run("one", "web", "--hostname", "one", *label, command=WHO),
        h2.run("two", "web", "--hostname", "two", *label, command=WHO),
        h2.run("sick", "web", "--hostname", "sick", *label, *sick, command=WHO),
        h3.run("asker", "web", "--label", "app=asker"),
        h3.run("stranger", "other"),
    )
    await ready(world, "one", "two")
    assert "HEALTHCHECK" in (await backends(world))["sick"]

    async def spread() -> bool:
        return await answers(h3, address, "asker", 12) == {"one", "two"}

    await eventually("both answer", spread)
    assert await answers(h1, address, count=12) == {"one", "two"}, "a host reaches it"
    assert await answers(h1, address, "one", 12) == {"one", "two"}, "and a backend itself, too"
    assert await answers(h3, address, "stranger") == {"silence"}
    assert (await h1.cli("explain", "asker", "shop:80")).code == 0
    assert (await h1.cli("explain", "stranger", f"{address}:80", check=False)).code == 3

    async def named() -> bool:
        return await answers(h3, "shop", "asker", 3) <= {"one", "two"}

    await eventually("found by name", named)
    await h2.inside("sick", "touch", "/well")
    await ready(world, "one", "two", "sick")
    await h1.cli("service", "rm", "web/shop")
    address = await apply(world, document(sessionAffinity="ClientIP"))

    async def reached() -> bool:
        return await answers(h3, address) <= {"one", "two", "sick"}

    await eventually("its host reaches it", reached)
    first = await answers(h3, address, "asker", 8)
    assert len(first) == 1, "a client stays with its backend, from its first packet on"
    (mine,) = first
    await next(host for name, host in (("one", h1), ("two", h2), ("sick", h2)) if name == mine).docker("kill", mine)

    async def gone() -> bool:
        return mine not in await backends(world)

    await eventually("the dead one is out", gone, timeout=5.0)

    async def others() -> bool:
        return await answers(h3, address, "asker", 3) <= {"one", "two", "sick"} - {mine}

    await eventually("another answers", others)
    await asyncio.gather(h1.docker("rm", "-f", "one"), h2.docker("rm", "-f", "two", "sick"))

    async def refused() -> bool:
        return await answers(h3, address, "asker") == {"refused"}

    await eventually("without a backend who connects is told at once", refused)


async def test_three_backends_are_replaced_under_load_without_a_failed_request(world: World) -> None:
    h1, h2, h3 = world.hosts
    await world.network("web")
    await apply(world, document(readinessProbe={"httpGet": {"port": 8080, "path": "/index.html"}, "periodSeconds": 1}))
    hosts = {"1": h1, "2": h2, "3": h3}
    # A new one serves only a while after it has started.
    slow = ("sh", "-c", f"sleep 0.5; exec {' '.join(SERVE)}")
    await asyncio.gather(*(at.run(f"old-{key}", "web", "--label", "app=shop", command=SERVE) for key, at in hosts.items()))
    load = (
        "ask() { while [ ! -e /stop ]; do"
        " curl -sf -m 5 -o /dev/null http://shop/index.html && echo >> /good-$1 || echo $? >> /bad-$1; done; };"
        " for n in 1 2 3; do ask $n & done; wait"
    )
    await ready(world, "old-1", "old-2", "old-3")
    await h3.run("asker", "web")

    async def named() -> bool:
        return (await h3.inside("asker", "curl", "-sf", "-m", "3", "http://shop/index.html")).code == 0

    await eventually("it is found and answers", named)
    await h3.docker("exec", "-d", "asker", "sh", "-c", load)
    for key, at in hosts.items():
        await at.run(f"new-{key}", "web", "--label", "app=shop", command=slow)

        async def entered(name: str = f"new-{key}") -> bool:
            return (await backends(world)).get(name) == ""

        await eventually(f"new-{key} is ready", entered, timeout=30.0)
        await h1.cli("endpoint", "drain", "--wait", f"old-{key}")
        await at.docker("kill", f"old-{key}")  # at once: the hosts have led nobody there since
    await ready(world, "new-1", "new-2", "new-3")
    await h3.inside("asker", "touch", "/stop")
    count = "cat /good-* | wc -l; cat /bad-* 2>/dev/null | sort | uniq -c"
    good, *bad = (await h3.inside("asker", "sh", "-c", count)).out.split()
    assert bad == [], f"exit codes of curl, among {good} good requests"
    assert int(good) > 50
