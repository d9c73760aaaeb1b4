"""What bgpd has to be set to, what it is set to, and the commands from one to the other. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address

from socketplane.model.types import Address, order

_NOTHING = "socketplane-nothing"
NOTHING_COMES_IN = f"route-map {_NOTHING} deny 10"
"""Hosts tell, they don't listen: routers' tables are of no use here."""
_AS = re.compile(r"router bgp (\d+)")
_NEIGHBOR = re.compile(r"neighbor (\S+) (remote-as|password|route-map) (\S+)(?: in)?")
_NETWORK = re.compile(r"network (\S+)/(?:32|128)")
_IN_PART = 0
"""An AS number that no router has."""
_FAMILIES, _FAMILY_ENDS = (4, 6), "exit-address-family"


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A router."""

    asn: int
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Of bgpd: what it is, whom it tells, and what. Without an AS number it is nothing yet."""

    asn: int | None = None
    router: IPv4Address | None = None
    """Its id."""
    neighbors: Mapping[Address, Neighbor] = field(default_factory=dict)
    addresses: frozenset[Address] = frozenset()

    @property
    def versions(self) -> frozenset[int]:
        """Of IP: those by which it has somebody to tell."""
        return frozenset(address.version for address in self.neighbors)


def parse(running: str) -> Settings:
    """Return what `show running-config` says. A neighbor that was told in part only is one that nobody wants."""
    asn, router = None, None
    told: dict[Address, dict[str, str]] = {}
    addresses: set[Address] = set()
    for line in map(str.strip, running.splitlines()):
        if found := _AS.fullmatch(line):
            asn = int(found[1])
        elif line.startswith("bgp router-id "):
            router = IPv4Address(line.split()[2])
        elif found := _NEIGHBOR.fullmatch(line):
            told.setdefault(ip_address(found[1]), {})[found[2]] = found[3]
        elif found := _NETWORK.fullmatch(line):
            addresses.add(ip_address(found[1]))
    neighbors = {
        address: Neighbor(int(about["remote-as"]) if "route-map" in about else _IN_PART, about.get("password", ""))
        for address, about in told.items()
        if "remote-as" in about
    }
    return Settings(asn, router, neighbors, frozenset(addresses))


def commands(have: Settings, want: Settings) -> list[str]:
    """Return what makes bgpd so, in configuration mode; nothing where it is so already."""
    found: list[str] = []
    if have.asn is not None and (have.asn, have.router) != (want.asn, want.router):
        found.append(f"no router bgp {have.asn}")
        have = Settings()
    if want.asn is None or have == want:
        return found
    if have.asn is None:
        found.append(NOTHING_COMES_IN)
    return [*found, f"router bgp {want.asn}", *_within(have, want)]


def _within(have: Settings, want: Settings) -> Iterator[str]:
    if have.asn is None:
        yield from _begin(want)
    changed = {address: neighbor for address, neighbor in want.neighbors.items() if have.neighbors.get(address) != neighbor}
    for address in sorted(have.neighbors, key=order):
        if address in changed or address not in want.neighbors:
            yield f"no neighbor {address}"
    for address in sorted(changed, key=order):
        neighbor = changed[address]
        yield f"neighbor {address} remote-as {neighbor.asn}"
        if neighbor.password:
            yield f"neighbor {address} password {neighbor.password}"
        yield f"neighbor {address} timers connect 5"
    for version in _FAMILIES:
        if lines := [*_spoken(changed, version), *_networks(have.addresses, want.addresses, version)]:
            yield f"address-family ipv{version} unicast"
            yield from lines
            yield _FAMILY_ENDS


def _begin(want: Settings) -> Iterator[str]:
    yield "bgp log-neighbor-changes"
    yield "no bgp ebgp-requires-policy"
    yield "no bgp network import-check"  # the addresses are in no table: containers are behind Open vSwitch
    yield "bgp graceful-restart-disable"  # who is gone has no containers to reach
    yield "timers bgp 3 9"
    yield f"bgp router-id {want.router}"  # last: without it, all is told anew


def _spoken(neighbors: Collection[Address], version: int) -> Iterator[str]:
    """Have each told of its own version of IP alone: the session's own address is the next hop then."""
    for address in sorted(neighbors, key=order):
        if address.version == version:
            yield f"neighbor {address} activate"
            yield f"neighbor {address} route-map {_NOTHING} in"  # last: without it, all of this one is told anew
        elif version == 4:  # the one that bgpd takes for granted
            yield f"no neighbor {address} activate"


def _networks(have: Collection[Address], want: Collection[Address], version: int) -> Iterator[str]:
    for prefix, addresses in (("no ", set(have) - set(want)), ("", set(want) - set(have))):
        of_version = [address for address in addresses if address.version == version]
        yield from (f"{prefix}network {address}/{address.max_prefixlen}" for address in sorted(of_version, key=order))
