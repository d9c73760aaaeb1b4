"""An underlay whose MTU changes, with real dockerd: everything that containers send goes on fitting into the tunnels."""

from __future__ import annotations

import asyncio
import json

import pytest

from support.world import Host, World, eventually

pytestmark = pytest.mark.lab
SERVERS = "socat TCP-LISTEN:7,fork,reuseaddr EXEC:cat & exec socat -b 65536 UDP-RECVFROM:7,fork EXEC:'cat'"
MEGABYTE = 1_000_000


async def _mtu(host: Host, name: str) -> int:
    shown = await host.inside(name, "cat", "/sys/class/net/eth0/mtu", check=True)
    return int(shown.out)


async def _pushes(host: Host, name: str, address: str) -> bool:
    """Return whether a megabyte comes back from an echo server."""
    command = f"head -c {MEGABYTE} /dev/zero | socat -t 10 - TCP:{address}:7,connect-timeout=5 | wc -c"

    async def back() -> bool:
        return (await host.inside(name, "sh", "-c", command)).out.strip() == str(MEGABYTE)

    return bool(await eventually(f"a megabyte from {name} to {address}", back))


async def _datagram(host: Host, name: str, address: str, size: int) -> bool:
    """Return whether one datagram that fills a packet comes back."""
    command = f"head -c {size - 28} /dev/zero | socat -b 65536 -t 0.5 - UDP:{address}:7 | wc -c"

    async def back() -> bool:
        return (await host.inside(name, "sh", "-c", command)).out.strip() == str(size - 28)

    return bool(await eventually(f"{size} bytes from {name} to {address}", back))


async def _underlay(world: World, mtu: int) -> None:
    await asyncio.gather(*(host.machine.run("ip", "link", "set", "eth1", "mtu", str(mtu)) for host in world))


async def _have(world: World, mtu: int, *containers: tuple[Host, str]) -> None:
    async def have() -> bool:
        inside = await asyncio.gather(*(_mtu(host, name) for host, name in containers))
        shown = [host["report"]["mtu"] for host in (await world.first.read("status"))["hosts"]]
        return {*inside, *shown} == {mtu}

    await eventually(f"MTU {mtu} everywhere", have)


async def test_an_underlay_of_1400_bytes_is_followed_down_and_up(world: World) -> None:
    h1, h2, h3 = world.hosts
    await world.network("web")
    one, two = await asyncio.gather(
        h1.run("one", "web", command=("sh", "-c", SERVERS)), h2.run("two", "web", command=("sh", "-c", SERVERS))
    )
    assert await _mtu(h1, "one") == 1442
    assert await _datagram(h1, "one", two, 1442)
    # On all hosts, as one segment has to have it: TCP between hosts does not hear of another's link.
    await _underlay(world, 1400)
    try:
        await _have(world, 1342, (h1, "one"), (h2, "two"))
        status = await world.first.read("status")
        assert status["mtu"] == 1342
        assert {host["underlay_mtu"] for host in status["hosts"]} == {1400}
        three = await h3.run("three", "web", command=("sh", "-c", SERVERS))
        assert await _mtu(h3, "three") == 1342
        for host, name, address in ((h1, "one", two), (h2, "two", one), (h2, "two", three), (h3, "three", two)):
            assert await _pushes(host, name, address)
            assert await _datagram(host, name, address, 1342)
        link = json.loads((await h1.machine.run("ip", "-j", "link", "show", "sp0")).out)
        assert link[0]["mtu"] == 1342
        assert "MTU 1342" in (await world.first.cli("status")).out
    finally:
        await _underlay(world, 1500)
    await _have(world, 1442, (h1, "one"), (h2, "two"), (h3, "three"))
    assert await _datagram(h2, "two", three, 1442)
