"""The host as floating addresses need it: the kernel, the LAN and the firewall, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6

from pyroute2 import IPRoute

from socketplane.agent.floating import arp, kernel, nd
from socketplane.agent.floating.kernel import BY_ROUTES, Held, Nowhere, Place
from socketplane.agent.floating.rules import Claim
from socketplane.agent.hostport import NAME as SP0
from socketplane.agent.netlink import Netlink
from socketplane.agent.surroundings import find_exits
from socketplane.errors import Unavailable
from socketplane.model.types import Address

_FAMILIES = {4: AF_INET, 6: AF_INET6}


class Ground:
    """What a host can do for addresses. `lead` has the firewall lead them to containers."""

    def __init__(self, netlink: Netlink, lead: Callable[[Collection[Claim]], Awaitable[None]]) -> None:
        self._netlink = netlink
        self.lead = lead

    async def held(self) -> frozenset[Held]:
        """Return the addresses that the kernel answers for."""
        return await self._netlink.call(kernel.held)

    async def places(self, addresses: Collection[Address]) -> dict[Address, Place | Nowhere]:
        """Return where addresses are at home."""

        def look(ipr: IPRoute) -> dict[Address, Place | Nowhere]:
            found: dict[Address, Place | Nowhere] = {}
            for version, family in _FAMILIES.items():
                if some := [address for address in addresses if address.version == version]:
                    found |= kernel.places(ipr, some, find_exits(ipr, SP0, family), family)
            return found

        return await self._netlink.call(look)

    async def hold(self, addresses: Mapping[Address, Place]) -> None:
        """Answer for addresses, and tell the LAN. Unavailable: the LAN can't be told."""
        await self._netlink.call(partial(kernel.hold, addresses=addresses))
        await self.announce(addresses)

    async def release(self, addresses: Collection[Held]) -> None:
        """Answer for addresses no longer."""
        await self._netlink.call(partial(kernel.release, addresses=addresses))

    async def taken(self, addresses: Mapping[Address, Place]) -> dict[Address, str]:
        """Return which of these addresses can't be taken, and why: others have them, or the LAN can't be asked."""
        answers = await asyncio.gather(*(asyncio.to_thread(_ask, *each) for each in _by_place(addresses)))
        return {address: reason for answer in answers for address, reason in answer.items()}

    async def announce(self, addresses: Mapping[Address, Place]) -> None:
        """Tell the LAN that addresses are here. Unavailable: it can't be told."""
        for place, four, six in _by_place(addresses):
            try:
                await asyncio.to_thread(_tell, place, four, six)
            except OSError as error:
                raise Unavailable(f"nothing can be told on {place.name}: {error.strerror or error}") from None


_Asked = tuple[Place, list[IPv4Address], list[IPv6Address]]


def _ask(place: Place, four: list[IPv4Address], six: list[IPv6Address]) -> dict[Address, str]:
    try:
        found = [*(arp.taken(place, four).items() if four else ()), *(nd.taken(place, six).items() if six else ())]
    except OSError as error:
        return dict.fromkeys([*four, *six], f"nobody can be asked on {place.name}: {error.strerror or error}")
    return {address: f"{mac} on {place.name} has it" for address, mac in found}


def _tell(place: Place, four: list[IPv4Address], six: list[IPv6Address]) -> None:
    if four:
        arp.announce(place, four)
    if six:
        nd.announce(place, six)


def _by_place(addresses: Mapping[Address, Place]) -> list[_Asked]:
    """Return addresses by the link that they are at home on; nobody is asked or told of those that are on none."""
    found: dict[Place, _Asked] = {}
    for address, place in addresses.items():
        if place != BY_ROUTES:
            _, four, six = found.setdefault(place, (place, [], []))
            if isinstance(address, IPv4Address):
                four.append(address)
            else:
                six.append(address)
    return list(found.values())
