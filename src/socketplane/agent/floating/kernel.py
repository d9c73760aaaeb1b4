"""What this host answers for: floating addresses among the kernel's own, and the link that each belongs to.

Those of IPv4 are on the loopback link, where no network manager and no link that goes down takes them away, with the scope
of the host: the kernel answers ARP for them on every link, also probes for duplicates, and chooses none as its own source.
Their label says that they are ours. For IPv6 it answers on the link alone that has the address, so they are there, and
those that only routers know on the loopback link; deprecated, which keeps the host from choosing them. What made them says
that they are ours: the kernel remembers it.
Functions here block: run them through `Netlink.call`.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, IFA_F_NOPREFIXROUTE

from socketplane.agent import sysctl
from socketplane.agent.netlink import Link, find_link, ignoring
from socketplane.model.types import Address

LABEL = "lo:sp"
ORIGIN = 83
"""What `ip address` shows as `proto`."""
_LOOPBACK = 1
_HOST_SCOPE = 254
_LINK_SCOPE = 253


@dataclass(frozen=True, slots=True)
class Held:
    """An address that this host answers for, and the link that has it."""

    address: Address
    index: int


@dataclass(frozen=True, slots=True)
class Place:
    """A link on which an address is at home."""

    name: str
    index: int
    mac: str

    def holding(self, address: Address) -> Held:
        """Return the address where the kernel has to have it."""
        return Held(address, self.index if address.version == 6 and self.index else _LOOPBACK)


BY_ROUTES = Place("", 0, "")
"""On no link: routers know the way, by BGP."""


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Why an address can't be claimed on this host."""

    reason: str


NO_LINK = Nowhere("no link of this host is in its subnet, and no router is told of it by BGP")
NO_ORIGINS = Nowhere("the kernel does not remember who made an address: floating addresses of IPv6 need Linux 5.18")


def held(ipr: IPRoute) -> frozenset[Held]:
    """Return the addresses that this host answers for."""
    four = ipr.get_addr(family=AF_INET, index=_LOOPBACK, label=LABEL)
    found = [*four, *(ipr.get_addr(family=AF_INET6) if sysctl.has_ipv6() else ())]
    return frozenset(Held(_address(message), message["index"]) for message in found if _is_ours(message))


def hold(ipr: IPRoute, addresses: Mapping[Address, Place]) -> None:
    """Answer for these addresses from now on."""
    for address, place in addresses.items():
        entry = _entry(place.holding(address)) | (
            {"scope": _HOST_SCOPE}
            if address.version == 4
            else {"proto": ORIGIN, "flags": IFA_F_NODAD | IFA_F_NOPREFIXROUTE, "preferred": 0}
        )
        ignoring(errno.EEXIST, function=lambda entry=entry: ipr.addr("add", **entry))  # type: ignore[misc]


def release(ipr: IPRoute, addresses: Collection[Held]) -> None:
    """Answer for these no longer."""
    for each in addresses:
        entry = _entry(each)
        gone = (errno.EADDRNOTAVAIL, errno.ENODEV)
        ignoring(*gone, function=lambda entry=entry: ipr.addr("del", **entry))  # type: ignore[misc]


def release_all(ipr: IPRoute) -> None:
    """Answer for none any longer."""
    release(ipr, held(ipr))


def places(
    ipr: IPRoute, addresses: Collection[Address], links: Collection[str], family: int = AF_INET
) -> dict[Address, Place | Nowhere]:
    """Return where these addresses of a family are at home, of the links by which containers' packets may leave."""
    messages = list(ipr.get_addr(family=family))
    if family == AF_INET6 and not any(message.get("proto") for message in messages):  # the kernel's own have one, too
        return dict.fromkeys(addresses, NO_ORIGINS)
    there = [(ip_interface(f"{_address(m)}/{m['prefixlen']}"), m["index"]) for m in _others(messages)]
    named = {name: link for name in links if (link := find_link(ipr, ifname=name)) is not None}
    home = {link["index"]: name for name, link in named.items()}
    return {address: _place(address, there, home, named) for address in addresses}


def _place(
    address: Address,
    there: list[tuple[IPv4Interface | IPv6Interface, int]],
    home: dict[int, str],
    named: dict[str, Link],
) -> Place | Nowhere:
    if any(own.ip == address for own, _ in there):
        return Nowhere("it is an address of this host itself")
    around = [(own.network, home[index]) for own, index in there if index in home and address in own.network]
    if not around:
        return NO_LINK
    subnet, name = max(around, key=lambda found: found[0].prefixlen)
    if subnet.prefixlen < subnet.max_prefixlen - 1 and address in (subnet.network_address, subnet.broadcast_address):
        return Nowhere(f"nobody can have it: it is the first or last address of {subnet}")
    if address.version == 4 and any(sysctl.get_ipv4(where, "arp_ignore") not in ("0", None) for where in ("all", name)):
        return Nowhere(f"this host does not answer ARP on {name} for it: net.ipv4.conf.{name}.arp_ignore is set")
    return Place(name, named[name]["index"], str(named[name].get("address") or ""))


def _entry(each: Held) -> dict[str, Any]:
    """Return what tells the kernel which address is meant."""
    entry = {"index": each.index, "address": str(each.address), "prefixlen": each.address.max_prefixlen}
    return entry | ({"label": LABEL} if each.address.version == 4 else {"family": AF_INET6})


def _is_ours(message: Link) -> bool:
    return bool(message.get("label") == LABEL if message["family"] == AF_INET else message.get("proto") == ORIGIN)


def _address(message: Link) -> Address:
    return ip_address(message.get("local") or message.get("address"))


def _others(messages: Collection[Link]) -> Iterator[Link]:
    """Yield the host's addresses, but ours, and those of IPv6 that every link has."""
    for message in messages:
        if not _is_ours(message) and (message["family"], message["scope"]) != (AF_INET6, _LINK_SCOPE):
            yield message
