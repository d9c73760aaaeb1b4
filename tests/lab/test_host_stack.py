"""The hosts' own stacks are no way around isolation, on real engines: Docker's bridges, internal networks, hosts' ports."""

from __future__ import annotations

import asyncio

import pytest

from socketplane.config import REST_PORT
from support.world import SERVE, Host, World, eventually

pytestmark = pytest.mark.lab
BRIDGE = "host-stack"
_FLUSHED = "iptables -D FORWARD -j SOCKETPLANE; nft delete table inet socketplane"


async def opens(host: Host, address: str, port: int) -> bool:
    """Return whether the host itself opens a connection."""
    probe = ("socat", "-u", "OPEN:/dev/null", f"TCP:{address}:{port},connect-timeout=1")
    return (await host.machine.run(*probe, check=False)).code == 0


async def test_neither_dockers_bridges_nor_internal_networks_come_by_a_hosts_stack(world: World) -> None:
    h1, h2, _ = world.hosts
    a1 = str(h1.machine.underlay)
    await world.network("web")
    await world.network("inner", "--internal")
    (first,) = await h1.read("host", "inspect", h1.name)
    await h1.docker("network", "create", BRIDGE)
    try:
        shop, inner, far_inner, _ = await asyncio.gather(
            h1.run("shop", "web", "-p", "8080:8080", command=SERVE),
            h1.run("inner", "inner", command=SERVE),
            h2.run("far-inner", "inner", command=SERVE),
            h1.docker("run", "-d", "--name", "bridged", "--network", BRIDGE, "socketplane/lab", "sleep", "600"),
        )

        async def served() -> bool:
            return await h1.connects("bridged", a1, 8080) and await h1.connects("inner", far_inner)

        await eventually("the published port answers, and the internal network's", served)
        gateway = str(first["gateway"])
        tries = {
            "a bridge's container, by address": h1.connects("bridged", shop, timeout=1),
            "a bridge's container, to an internal network": h1.connects("bridged", inner, timeout=1),
            "a bridge's container, to sp0": h1.connects("bridged", gateway, REST_PORT, timeout=1),
            "an internal network, to a published port": h1.connects("inner", a1, timeout=1),
            "an internal network, to its host": h1.connects("inner", a1, REST_PORT, timeout=1),
            "an internal network, to its host's sp0": h1.connects("inner", gateway, REST_PORT, timeout=1),
            "an internal network, to another host": h2.connects("far-inner", a1, REST_PORT, timeout=1),
            "an internal network, to another network": h1.connects("inner", shop, timeout=1),
            "a host, to an internal network": opens(h1, inner, 8080),
            "another host, to an internal network": opens(h2, inner, 8080),
        }
        passed = dict(zip(tries, await asyncio.gather(*tries.values()), strict=True))
        assert [what for what, passes in passed.items() if passes] == []

        await h1.machine.run("sh", "-c", _FLUSHED)
        assert not await h1.connects("bridged", inner, timeout=1)
        await eventually("open again after a flush", served)
        assert not await h1.connects("bridged", shop, timeout=1)
    finally:
        await h1.docker("rm", "-f", "bridged")
        await h1.docker("network", "rm", BRIDGE)
