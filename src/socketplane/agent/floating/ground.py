"""The host as floating addresses need it: the kernel, the LAN and the firewall, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from ipaddress import IPv4Address

from pyroute2 import IPRoute

from socketplane.agent.floating import arp, kernel
from socketplane.agent.floating.kernel import BY_ROUTES, Nowhere, Place
from socketplane.agent.floating.rules import Claim
from socketplane.agent.hostport import NAME as SP0
from socketplane.agent.netlink import Netlink
from socketplane.agent.surroundings import find_exits
from socketplane.errors import Unavailable


class Ground:
    """What a host can do for addresses. `lead` has the firewall lead them to containers."""

    def __init__(self, netlink: Netlink, lead: Callable[[Collection[Claim]], Awaitable[None]]) -> None:
        self._netlink = netlink
        self.lead = lead

    async def held(self) -> frozenset[IPv4Address]:
        """Return the addresses that the kernel answers for."""
        return await self._netlink.call(kernel.held)

    async def places(self, addresses: Collection[IPv4Address]) -> dict[IPv4Address, Place | Nowhere]:
        """Return where addresses are at home."""

        def look(ipr: IPRoute) -> dict[IPv4Address, Place | Nowhere]:
            return kernel.places(ipr, addresses, find_exits(ipr, SP0))

        return await self._netlink.call(look)

    async def hold(self, addresses: Mapping[IPv4Address, Place]) -> None:
        """Answer for addresses, and tell the LAN. Unavailable: the LAN can't be told."""
        await self._netlink.call(partial(kernel.hold, addresses=list(addresses)))
        await self.announce(addresses)

    async def release(self, addresses: Collection[IPv4Address]) -> None:
        """Answer for addresses no longer."""
        await self._netlink.call(partial(kernel.release, addresses=addresses))

    async def taken(self, addresses: Mapping[IPv4Address, Place]) -> dict[IPv4Address, str]:
        """Return which of these addresses can't be taken, and why: others have them, or the LAN can't be asked."""
        answers = await asyncio.gather(*(_ask(place, on) for place, on in _by_place(addresses).items()))
        return {address: reason for answer in answers for address, reason in answer.items()}

    async def announce(self, addresses: Mapping[IPv4Address, Place]) -> None:
        """Tell the LAN that addresses are here. Unavailable: it can't be told."""
        for place, on in _by_place(addresses).items():
            try:
                await asyncio.to_thread(arp.announce, place, on)
            except OSError as error:
                raise Unavailable(f"no ARP on {place.name}: {error.strerror or error}") from None


async def _ask(place: Place, addresses: Collection[IPv4Address]) -> dict[IPv4Address, str]:
    try:
        others = await asyncio.to_thread(arp.taken, place, addresses)
    except OSError as error:
        return dict.fromkeys(addresses, f"no ARP on {place.name}: {error.strerror or error}")
    return {address: f"{mac} on {place.name} has it" for address, mac in others.items()}


def _by_place(addresses: Mapping[IPv4Address, Place]) -> dict[Place, list[IPv4Address]]:
    """Return addresses by the link that they are at home on; nobody is asked or told of those that are on none."""
    found: dict[Place, list[IPv4Address]] = {}
    for address, place in addresses.items():
        if place != BY_ROUTES:
            found.setdefault(place, []).append(address)
    return found
