"""BGP between a host and a router of the LAN, over IPv4 and over IPv6: what arrives are routes that lead to containers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
import topology
from datapath_site import OUTSIDE, UPLINK, Start
from machine import Machine, Namespace
from traffic import seen_from

from socketplane.agent.bgp import sessions
from socketplane.agent.bgp.settings import Neighbor, Settings, commands, parse
from socketplane.agent.bgp.vty import Vty
from socketplane.agent.gateway import Gateway
from socketplane.errors import Unavailable
from support.frr import frr

UPLINK6, OUTSIDE6 = "2001:db8:9::1", "2001:db8:9::9"
HOSTS, ROUTERS = 64512, 64600
ALONE = ("-S", "-Z", "-n", "-P", "0")
ROUTER = f"""router bgp {ROUTERS}
bgp router-id {OUTSIDE}
no bgp ebgp-requires-policy
no bgp network import-check
neighbor {UPLINK} remote-as {HOSTS}
neighbor {UPLINK6} remote-as {HOSTS}
neighbor {UPLINK6} password geheim
address-family ipv4 unicast
network 203.0.113.0/24
exit-address-family
address-family ipv6 unicast
neighbor {UPLINK} activate
neighbor {UPLINK6} activate
network 2001:db8:77::/64
"""
OWN = {"0.0.0.0", "::"}


@pytest.fixture
def six(machine: Machine, outside: Namespace) -> Iterator[None]:
    """The LAN has IPv6; without a route to the pool."""
    machine.run("ip", "address", "add", f"{UPLINK6}/64", "dev", "eth0", "nodad")
    outside.run("ip", "address", "add", f"{OUTSIDE6}/64", "dev", "lan", "nodad")
    yield
    machine.run("ip", "address", "del", f"{UPLINK6}/64", "dev", "eth0")
    outside.run("ip", "address", "del", f"{OUTSIDE6}/64", "dev", "lan")


@contextlib.asynccontextmanager
async def bgpd(where: Namespace, folder: Path, *options: str) -> AsyncIterator[Vty]:
    """Run one; it ends with the test."""
    process = await asyncio.to_thread(_launched, where, folder, options)
    try:
        vty = await _opened(folder / "bgpd.vty")
        yield vty
        vty.close()
    finally:
        process.kill()
        process.wait()


def _launched(where: Namespace, folder: Path, options: tuple[str, ...]) -> subprocess.Popen[bytes]:
    folder.mkdir()
    files = ("-i", str(folder / "pid"), "--vty_socket", str(folder))
    return where.popen(str(frr() / "bgpd"), *ALONE, *files, *options, stdout=subprocess.DEVNULL)


async def _opened(path: Path) -> Vty:
    for _ in range(200):
        with contextlib.suppress(Unavailable):
            return await Vty.open(path)
        await asyncio.sleep(0.05)
    raise AssertionError("bgpd does not answer")


async def routes(router: Vty) -> dict[str, str]:
    """Return which routes one has learned, and where it sends what is for them."""
    found = {}
    for version in (4, 6):
        told = json.loads(await router.run(f"show bgp ipv{version} unicast json"))["routes"]
        found |= {prefix: paths[0]["nexthops"][0]["ip"] for prefix, paths in told.items()}
    return {prefix: hop for prefix, hop in found.items() if hop not in OWN}


async def learned(router: Vty, wanted: dict[str, str]) -> None:
    """Return once a router has exactly these routes."""
    found: dict[str, str] = {}
    for _ in range(300):
        if (found := await routes(router)) == wanted:
            return
        await asyncio.sleep(0.05)
    assert found == wanted


async def test_each_version_of_ip_has_its_own_next_hop(
    start: Start, machine: Machine, outside: Namespace, six: None, gateway: Gateway, tmp_path: Path
) -> None:
    shop = await start()
    await gateway.set_pool6(topology.POOL6)
    await gateway.set_routed([topology.WEB, topology.WEB6], [])
    peers = {ip_address(OUTSIDE): Neighbor(ROUTERS), ip_address(OUTSIDE6): Neighbor(ROUTERS, "geheim")}
    both = frozenset({IPv4Address(shop.address), IPv6Address(shop.address6)})
    want = Settings(HOSTS, IPv4Address(UPLINK), peers, both)
    (tmp_path / "conf").write_text(ROUTER)
    theirs = bgpd(outside, tmp_path / "theirs", "-f", str(tmp_path / "conf"))
    ours = bgpd(machine, tmp_path / "ours", "-f", "/dev/null", "-p", "0")
    async with theirs as router, ours as host:
        told = commands(Settings(), want)
        await host.configure(told[: told.index("address-family ipv6 unicast")])  # by who ends before the rest
        await host.configure(commands(parse(await host.run("show running-config")), want))
        assert parse(await host.run("show running-config")) == want, "it says what it was told"
        prefix, prefix6 = f"{shop.address}/32", f"{shop.address6}/128"
        await learned(router, {prefix: UPLINK, prefix6: UPLINK6})
        assert await routes(host) == {}, "hosts tell and don't listen"
        open_ones = sessions.parse(await host.run("show bgp neighbors json"))
        assert [(str(each.peer), each.established) for each in open_ones] == [(OUTSIDE, True), (OUTSIDE6, True)]
        outside.run("ip", "route", "add", prefix6, "via", (await routes(router))[prefix6])
        try:
            assert seen_from(outside, shop.namespace, shop.address6, 8000) == OUTSIDE6
            assert seen_from(shop.namespace, outside, OUTSIDE6, 8000) == shop.address6
        finally:
            outside.run("ip", "route", "del", prefix6)
        fewer = replace(want, addresses=frozenset({IPv4Address(shop.address)}))
        await host.configure(commands(want, fewer))
        await learned(router, {prefix: UPLINK})
        await host.configure(commands(fewer, want))
        await learned(router, {prefix: UPLINK, prefix6: UPLINK6})
        alone = Settings(HOSTS, want.router, {ip_address(OUTSIDE6): peers[ip_address(OUTSIDE6)]}, frozenset())
        alone = replace(alone, addresses=frozenset({IPv6Address(shop.address6)}))
        await host.configure(commands(want, alone))
        await learned(router, {prefix6: UPLINK6})
    await gateway.set_routed([], [])
