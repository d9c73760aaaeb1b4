"""IPv6 between a lab's hosts and the machine outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.world import World

LAN = "2001:db8:19::/64"
WORLD = "2001:db8:19::ff"


@asynccontextmanager
async def outside6(world: World) -> AsyncIterator[list[str]]:
    """Give the machine outside and the hosts IPv6, and hosts their default route to it; yield the hosts' addresses."""
    links = [(world.lab.fabric, "mgmt", WORLD)]
    links += [(host.machine, "eth0", f"2001:db8:19::{number}") for number, host in enumerate(world.hosts, start=1)]
    routes = [(machine, f"-6 route {{}} default via {WORLD}") for machine, link, _ in links if link == "eth0"]
    for machine, link, address in links:
        await machine.run("ip", "address", "add", f"{address}/64", "dev", link, "nodad")
    for machine, route in routes:
        await machine.run("ip", *route.format("add").split())
    try:
        yield [address for _, link, address in links if link == "eth0"]
    finally:
        for machine, route in routes:
            await machine.run("ip", *route.format("del").split())
        for machine, link, address in links:
            await machine.run("ip", "address", "del", f"{address}/64", "dev", link)
