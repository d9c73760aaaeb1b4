"""Another host, as encryption knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Self

from socketplane import wire


@dataclass(frozen=True, slots=True)
class Peer:
    """Another host: its key, where WireGuard listens there, and where its tunnels end."""

    host: str
    key: str
    endpoint: IPv4Address
    tunnel: IPv4Address

    @classmethod
    def of(cls, host: wire.Host) -> Self:
        """Return what the controller tells of a host that has told its key."""
        return cls(host.name, host.public_key, IPv4Address(host.address), IPv4Address(host.tunnel or ""))

    @classmethod
    def read(cls, stored: Mapping[str, str]) -> Self:
        """Return what `stored` had."""
        return cls(stored["host"], stored["key"], IPv4Address(stored["endpoint"]), IPv4Address(stored["tunnel"]))

    def stored(self) -> dict[str, str]:
        """Return it for the state file."""
        return {"host": self.host, "key": self.key, "endpoint": str(self.endpoint), "tunnel": str(self.tunnel)}

    @property
    def allowed(self) -> frozenset[str]:
        """The addresses that it may send from: its own at its device."""
        return frozenset({f"{self.tunnel}/32"})
