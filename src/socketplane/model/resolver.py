"""How containers reach the resolver of their own host, whatever NetworkPolicies say, and from internal networks too."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address

from socketplane.model.spec import Protocol
from socketplane.model.types import Endpoint, Host

RESOLVER_PORT = 53
RESOLVER_PROTOCOLS = (Protocol.TCP, Protocol.UDP)


def asks_resolver(
    hosts: Collection[Host], source: Endpoint, destination: object, protocol: Protocol | None, port: int | None
) -> bool:
    """Return whether a packet asks for names: its own host leads it to the resolver, wherever it is sent."""
    if protocol not in RESOLVER_PROTOCOLS or port != RESOLVER_PORT or not isinstance(destination, IPv4Address):
        return False
    return any(host.name == source.host and destination in host.resolvers for host in hosts)
