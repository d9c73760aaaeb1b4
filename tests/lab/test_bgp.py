"""BGP with a second FRR as the router outside: routes appear, follow containers, and go with them, and with their host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from socketplane.agent.bgp.vty import Vty
from socketplane.errors import Unavailable
from socketplane.lab.machine import Machine
from support.frr import VARIABLE, frr
from support.outside6 import LAN, WORLD, outside6
from support.world import Host, World, eventually

pytestmark = pytest.mark.lab

HOSTS, ROUTERS = 64512, 64600
CLIENT = "203.0.113.7"
"""At IPv6 addresses it is WORLD."""
SECRET = "a!b#c?d"
SERVE = "socat {0}-LISTEN:80,fork,reuseaddr{1} 'SYSTEM:echo $SOCAT_PEERADDR'"
WHO = ("sh", "-c", f"{SERVE.format('TCP6', ',ipv6only')} & exec {SERVE.format('TCP4', '')}")
FOLDER = "/run/router"


@dataclass
class Router:
    """The router outside, and a client behind it."""

    machine: Machine

    async def routes(self) -> dict[str, str]:
        """Return where it sends what is for containers; and do so, as its kernel would."""
        vty = await Vty.open(self.machine.path(f"{FOLDER}/bgpd.vty"))
        try:
            found = [json.loads(await vty.run(f"show bgp {family} unicast json"))["routes"] for family in ("ipv4", "ipv6")]
        finally:
            vty.close()
        return {prefix: paths[0]["nexthops"][0]["ip"] for told in found for prefix, paths in told.items()}

    async def reaches(self, address: str) -> str:
        """Return as whom the client reaches a container by the route that was learned; empty where it does not."""
        six = ":" in address
        hop = (await self.routes()).get(single(address))
        if hop is None:
            return ""
        route = f"route {{}} {single(address)} via {hop}"
        await self.machine.network(route.format("replace"))
        place, client = (f"TCP6:[{address}]", WORLD) if six else (f"TCP4:{address}", CLIENT)
        command = ("socat", "-u", "-T2", f"{place}:80,connect-timeout=1,bind={f'[{client}]' if six else client}", "-")
        try:
            told = (await self.machine.run(*command, check=False)).out.strip()
            return str(ip_address(told.strip("[]"))) if told else ""
        finally:
            await self.machine.network(route.format("del"))


def single(address: str) -> str:
    """Return the route to one address."""
    return str(ip_network(address))


@asynccontextmanager
async def router(world: World, programs: Path) -> AsyncIterator[Router]:
    """Run bgpd outside, for all hosts on the management network."""
    fabric = world.lab.fabric
    lines = [
        f"router bgp {ROUTERS}",
        f"bgp router-id {fabric.management}",
        "no bgp ebgp-requires-policy",
        "neighbor hosts peer-group",
        f"neighbor hosts remote-as {HOSTS}",
        f"neighbor hosts password {SECRET}",
        "bgp listen range 198.18.0.0/24 peer-group hosts",
        f"bgp listen range {LAN} peer-group hosts",
        "address-family ipv6 unicast",
        "neighbor hosts activate",
    ]
    fabric.path(FOLDER).mkdir()
    fabric.path(f"{FOLDER}/conf").write_text("\n".join(lines) + "\n")
    files = ("-f", f"{FOLDER}/conf", "-i", f"{FOLDER}/pid", "--vty_socket", FOLDER, "--log", "stdout")
    running = asyncio.create_task(fabric.run(f"{programs}/bgpd", "-S", "-Z", "-n", "-P", "0", *files, timeout=120))
    await fabric.network(f"address add {CLIENT}/32 dev lo")
    for host in world.hosts:
        await host.machine.network(f"route add {CLIENT}/32 via {fabric.management}")
    try:
        yield Router(fabric)
    finally:
        for host in world.hosts:
            await host.machine.network(f"route del {CLIENT}/32")
        await fabric.network(f"address del {CLIENT}/32 dev lo")
        running.cancel()
        await asyncio.wait([running])
        await fabric.run("rm", "-r", FOLDER)


@asynccontextmanager
async def speaking(world: World, programs: Path) -> AsyncIterator[None]:
    """Have `socketplane up` start bgpd on every host, as it does where FRR is installed; and end it."""
    await asyncio.gather(*(started(host, programs) for host in world.hosts))
    try:
        yield
    finally:
        for peer in await world.first.read("bgp", "peer", "ls"):
            options = ("--host", peer["host"]) if peer["host"] else ()
            await world.first.cli("bgp", "peer", "rm", peer["address"], *options)
        for host in world.hosts:
            await ended(host)


async def started(host: Host, programs: Path) -> None:
    await host.machine.run("env", f"{VARIABLE}={programs}", "socketplane", "up", timeout=60)


async def ended(host: Host) -> None:
    await host.machine.run("sh", "-c", "kill -KILL $(cat /run/socketplane/bgp/bgpd.pid)", check=False)


@asynccontextmanager
async def exposed(host: Host, name: str) -> AsyncIterator[str]:
    """Have a container reached at an IPv6 address of no link's subnet."""
    await host.cli("pool", "create", "far6", "2001:db8:77::7-2001:db8:77::7")
    try:
        yield (await host.cli("expose", name, "--pool", "far6")).out.strip()
    finally:
        await host.cli("expose", "rm", "2001:db8:77::7", check=False)
        await host.cli("pool", "rm", "far6")


async def everywhere(host: Host) -> bool:
    """Return whether all three hosts have a session, as a host is told."""
    told = [entry["status"] for entry in (await host.read("bgp", "status"))["hosts"]]
    return [session["established"] for status in told if status for session in status["sessions"]] == [True] * 3


async def test_routes_follow_containers(world: World) -> None:
    programs = await asyncio.to_thread(frr)
    h1, _, h3 = world.hosts
    gateway = str(world.lab.fabric.management)
    h1.machine.path("/tmp/secret").write_text(SECRET + "\n")
    h1.machine.path("/tmp/secret").chmod(0o600)
    await h1.cli("bgp", "set", "--asn", str(HOSTS))
    added = ("bgp", "peer", "add", gateway, "--asn", str(ROUTERS), "--password-file", "/tmp/secret")
    await h1.cli(*added)

    async def says_package() -> bool:
        return "install the package frr" in (await h1.cli("status")).out

    await eventually("without FRR, its package is named", says_package)
    async with router(world, programs) as outside, speaking(world, programs):
        await world.network("front", "--routed", "--ipv6")
        one = await h1.run("one", "front", command=WHO)

        async def routes(expected: dict[str, str]) -> bool:
            with suppress(Unavailable):
                return await outside.routes() == expected
            return False

        async def routed(**wanted: Host) -> bool:
            return await routes({single(address): str(host.machine.management) for address, host in wanted.items()})

        await eventually("a route to the container's host", lambda: routed(**{one: h1}), timeout=30)
        assert await outside.reaches(one) == CLIENT
        await eventually("all hosts have sessions", lambda: everywhere(h1))
        assert SECRET not in (await h1.cli("bgp", "peer", "ls", "-o", "json")).out

        two = await h3.run("two", "front", command=WHO)
        await eventually("a route to each", lambda: routed(**{one: h1, two: h3}))
        await h1.docker("rm", "-f", "one")
        await eventually("moved", lambda: routed(**{two: h3}))
        assert await outside.reaches(two) == CLIENT

        await h3.machine.run("sh", "-c", "kill -KILL $(cat /run/socketplane/agent.pid)")
        assert await outside.reaches(two) == CLIENT, "what is announced needs no agent"
        await ended(h3)
        await eventually("withdrawn with the process", lambda: routed())
        await started(h3, programs)
        await eventually("announced again", lambda: routed(**{two: h3}), timeout=30)

        async with outside6(world) as lan:
            await h1.cli("bgp", "peer", "add", WORLD, *added[4:])
            two6 = (await h1.read("endpoint", "inspect", "two"))[0]["address6"]
            both = {single(two): str(h3.machine.management), single(two6): lan[2]}
            await eventually("IPv6 by a session of its own", lambda: routes(both), timeout=30)
            assert await outside.reaches(two6) == WORLD
            async with exposed(h1, "two") as floating:
                await eventually("a floating address too", lambda: routes(both | {single(floating): lan[2]}))
                assert await outside.reaches(floating) == WORLD
            await h1.cli("bgp", "peer", "rm", WORLD)
            await eventually("withdrawn with it", lambda: routed(**{two: h3}))

        await h1.cli("bgp", "peer", "rm", gateway)
        await eventually("withdrawn with the peer", lambda: routed())
        await h1.cli("bgp", "peer", "add", gateway, "--asn", "64999", "--host", "h2", "--password-file", "/tmp/secret")

        async def refused() -> bool:
            return (
                f"BGP: no session with {gateway}: to the router: OPEN Message Error/Bad Peer AS"
                in (await h1.cli("status")).out
            )

        await eventually("a router of another AS is an alarm with the reason", refused, timeout=40)
    log = h1.machine.path("/var/log/socketplane").glob("*.log")
    assert not [file.name for file in log if SECRET in file.read_text()]
