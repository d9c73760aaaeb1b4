"""Encryption of what hosts send one another, by WireGuard: what the cluster decides about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

DEVICE = "sp-wg0"
"""The link of every host by which its tunnels leave and come in."""
OVERHEAD = 60
"""What a packet of WireGuard over IPv4 has besides the packet that is in it."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """Every host has an address of `network` at its device, and WireGuard listens at `port` of its underlay address."""

    network: IPv4Network = IPv4Network("169.254.208.0/20")
    """Link-local, as the range of hosts' own ports is, and beside it."""
    port: int = 51820

    def address(self, gateway: IPv4Address, hosts: IPv4Network) -> IPv4Address:
        """Return a host's address: it has the number that its own port has in `hosts`."""
        return self.network[int(gateway) - int(hosts.network_address)]
