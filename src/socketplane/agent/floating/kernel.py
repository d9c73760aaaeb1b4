"""What this host answers for: floating addresses among the kernel's own, and the link that each belongs to.

On the loopback link, where no network manager and no link that goes down takes them away, with the scope of the host:
the kernel answers ARP for them on every link, also probes for duplicates, and chooses none as its own source. Their
label says that they are ours. Functions here block: run them through `Netlink.call`.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from socket import AF_INET

from pyroute2 import IPRoute

from socketplane.agent import sysctl
from socketplane.agent.netlink import Link, find_link, ignoring

LABEL = "lo:sp"
_LOOPBACK = 1
_HOST_SCOPE = 254


@dataclass(frozen=True, slots=True)
class Place:
    """A link on which an address is at home."""

    name: str
    index: int
    mac: str


BY_ROUTES = Place("", 0, "")
"""On no link: routers know the way, by BGP."""


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Why an address can't be claimed on this host."""

    reason: str


NO_LINK = Nowhere("no link of this host is in its subnet, and no router is told of it by BGP")


def held(ipr: IPRoute) -> frozenset[IPv4Address]:
    """Return the addresses that this host answers for."""
    found = ipr.get_addr(family=AF_INET, index=_LOOPBACK, label=LABEL)
    return frozenset(IPv4Address(message.get("local")) for message in found if message.get("label") == LABEL)


def hold(ipr: IPRoute, addresses: Collection[IPv4Address]) -> None:
    """Answer for these addresses from now on."""
    for address in addresses:
        entry = {"index": _LOOPBACK, "address": str(address), "prefixlen": 32, "label": LABEL, "scope": _HOST_SCOPE}
        ignoring(errno.EEXIST, function=lambda entry=entry: ipr.addr("add", **entry))  # type: ignore[misc]


def release(ipr: IPRoute, addresses: Collection[IPv4Address]) -> None:
    """Answer for these no longer."""
    for address in addresses:
        entry = {"index": _LOOPBACK, "address": str(address), "prefixlen": 32, "label": LABEL}
        ignoring(errno.EADDRNOTAVAIL, function=lambda entry=entry: ipr.addr("del", **entry))  # type: ignore[misc]


def release_all(ipr: IPRoute) -> None:
    """Answer for none any longer."""
    release(ipr, held(ipr))


def places(ipr: IPRoute, addresses: Collection[IPv4Address], links: Collection[str]) -> dict[IPv4Address, Place | Nowhere]:
    """Return where these addresses are at home, of the links by which containers' packets may leave."""
    there = [(IPv4Interface(f"{m.get('local')}/{m['prefixlen']}"), m["index"]) for m in _others(ipr)]
    named = {name: link for name in links if (link := find_link(ipr, ifname=name)) is not None}
    home = {link["index"]: name for name, link in named.items()}
    return {address: _place(address, there, home, named) for address in addresses}


def _place(
    address: IPv4Address, there: list[tuple[IPv4Interface, int]], home: dict[int, str], named: dict[str, Link]
) -> Place | Nowhere:
    if any(own.ip == address for own, _ in there):
        return Nowhere("it is an address of this host itself")
    around = [(own.network, home[index]) for own, index in there if index in home and address in own.network]
    if not around:
        return NO_LINK
    subnet, name = max(around, key=lambda found: found[0].prefixlen)
    if subnet.prefixlen < subnet.max_prefixlen - 1 and address in (subnet.network_address, subnet.broadcast_address):
        return Nowhere(f"nobody can have it: it is the first or last address of {subnet}")
    if any(sysctl.get_ipv4(where, "arp_ignore") not in ("0", None) for where in ("all", name)):
        return Nowhere(f"this host does not answer ARP on {name} for it: net.ipv4.conf.{name}.arp_ignore is set")
    return Place(name, named[name]["index"], str(named[name].get("address") or ""))


def _others(ipr: IPRoute) -> Iterator[Link]:
    """Yield the host's IPv4 addresses, but ours."""
    yield from (message for message in ipr.get_addr(family=AF_INET) if message.get("label") != LABEL)
