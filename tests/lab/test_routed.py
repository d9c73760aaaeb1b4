"""Routed networks on real engines: a machine outside with a route, both ways, and what stays closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from socketplane.lab.machine import Machine
from support.world import Host, World, allow, eventually

pytestmark = pytest.mark.lab

# Tells each client its address.
WHO = ("socat", "TCP-LISTEN:80,fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR")


async def seen(where: Host | Machine, address: str, port: int = 80, inside: str = "") -> str:
    """Return as whom a server is reached from a host, a machine or a container; empty where it is not."""
    command = ("socat", "-u", "-T2", f"TCP:{address}:{port},connect-timeout=1", "-")
    machine = where.machine if isinstance(where, Host) else where
    within = ("docker", "exec", inside) if inside else ()
    return (await machine.run(*within, *command, check=False)).out.strip()


@asynccontextmanager
async def route(machine: Machine, subnet: str, via: Machine) -> AsyncIterator[None]:
    """Have a machine outside send what is for a subnet to hosts."""
    await machine.network(f"route add {subnet} via {via.management}")
    try:
        yield
    finally:
        await machine.network(f"route del {subnet}")


async def subnet_of(host: Host, network: str) -> str:
    return str((await host.read("network", "inspect", network))[0]["subnet"])


async def test_the_outside_meets_containers_at_their_own_addresses(world: World) -> None:
    h1, h2, h3 = world.hosts
    fabric = world.lab.fabric
    outside = str(fabric.management)
    await asyncio.gather(world.network("front", "--routed"), world.network("plain"))
    near, far, plain = await asyncio.gather(
        h1.run("near", "front", "--label", "app=near", command=WHO),
        h2.run("far", "front", command=WHO),
        h1.run("plain", "plain", command=WHO),
    )
    await h1.docker("run", "-d", "--name", "bridged", "socketplane/lab", "sleep", "600")
    bridged = json.loads((await h1.docker("inspect", "bridged")).out)[0]["NetworkSettings"]["IPAddress"]
    server = ("timeout", "60", "socat", "TCP-LISTEN:8099,fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR")
    serving = [asyncio.create_task(machine.run(*server, check=False)) for machine in (fabric, h3.machine)]
    async with route(fabric, await subnet_of(h1, "front"), h1.machine), route(fabric, f"{plain}/32", h1.machine):

        async def reached() -> bool:
            return await seen(fabric, near) == outside

        await eventually("the network is open", reached)
        asked = {
            "by another host than the container's": (seen(fabric, far), outside),
            "docker0's containers": (seen(h1, near, inside="bridged"), bridged),
            "the own host": (seen(h1, near), str((await h1.read("host", "inspect", "h1"))[0]["gateway"])),
            "a network that is not routed": (seen(fabric, plain), ""),
            "another network's container": (seen(h1, near, inside="plain"), ""),
            "outwards": (seen(h1, outside, 8099, inside="near"), near),
            "outwards from another host": (seen(h2, outside, 8099, inside="far"), far),
            "outwards, not routed": (seen(h1, outside, 8099, inside="plain"), str(h1.machine.management)),
            "another host's own services": (
                seen(h1, str(h3.machine.underlay), 8099, inside="near"),
                str(h1.machine.underlay),
            ),
        }
        answers = dict(zip(asked, await asyncio.gather(*(ask for ask, _ in asked.values())), strict=True))
        assert answers == {what: wanted for what, (_, wanted) in asked.items()}
        for task in serving:
            task.cancel()
        await asyncio.wait(serving)

        policy = json.loads(allow("near", "front", "near", "nobody"))
        await world.policy(json.dumps(policy))

        async def closed() -> bool:
            return await seen(fabric, near) == ""

        await eventually("policy closes it", closed)
        policy["spec"]["ingress"] = [{"from": [{"ipBlock": {"cidr": f"{outside}/32"}}]}]
        await world.policy(json.dumps(policy))
        await eventually("policy judges by the client's own address", reached)
        await h1.cli("network", "update", "front", "--no-routed")
        await eventually("closed again", closed)
