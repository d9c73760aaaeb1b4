"""BGP: how hosts tell routers which containers they have."""

from __future__ import annotations

from dataclasses import dataclass, field

from socketplane.model.types import Address, order

ALL_HOSTS = ""


@dataclass(frozen=True, slots=True)
class Bgp:
    """What all hosts share."""

    asn: int
    """The number of the autonomous system that the hosts are."""


@dataclass(frozen=True, slots=True)
class BgpPeer:
    """A router that hosts tell their containers' addresses."""

    address: Address
    """By IPv4 it is told of IPv4, by IPv6 of IPv6."""
    asn: int
    host: str = ALL_HOSTS
    """The one host that has this peer, or ALL_HOSTS."""
    password: str = field(default="", repr=False)
    """Of TCP MD5 (RFC 2385); empty for none."""

    @property
    def place(self) -> tuple[int, int, str]:
        """What peers are sorted by."""
        return *order(self.address), self.host

    def is_of(self, host: str) -> bool:
        """Return whether a host has this peer."""
        return self.host in (ALL_HOSTS, host)
