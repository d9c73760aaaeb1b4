"""Who answers at a published port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from socketplane.model.portset import EVERYTHING, PortSet, of_ports
from socketplane.model.published import ANY, Published
from socketplane.model.selection import Party, View
from socketplane.model.spec import Port, Protocol
from socketplane.model.types import Address, Endpoint, Host, Network


def addresses(host: Host, published: Published) -> tuple[IPv4Address, ...]:
    """Return the addresses at which containers of all hosts reach a published port; none if it is for its host alone."""
    if published.local:
        return ()
    return (IPv4Address(host.address), host.gateway) if published.address == ANY else (published.address,)


def behind(
    view: View, destination: Party, protocol: Protocol | None, port: int | None
) -> tuple[Endpoint, Published] | None:
    """Return the container that answers at a port of a host or of one of its addresses; None where none does.

    A host means all of its addresses: what it publishes to others first, then what it publishes to itself alone.
    """
    if isinstance(destination, Endpoint) or protocol is None:
        return None
    hosts = {host.name: host for host in view.hosts}
    found = []
    for endpoint in view.endpoints:
        for published in endpoint.published:
            if (published.protocol, published.host_port) != (protocol, port) or endpoint.host not in hosts:
                continue
            host = hosts[endpoint.host]
            there = destination == host if isinstance(destination, Host) else destination in addresses(host, published)
            if there:
                found.append((endpoint, published))
    return min(found, key=lambda pair: (pair[1].local, pair[1].address), default=None)


def holder(view: View, destination: Party) -> Endpoint | None:
    """Return the container that has a floating address, unless nothing leads to it (that the view knows)."""
    held = next((each.holder for each in view.floating if each.address == destination), "")
    return next((endpoint for endpoint in view.endpoints if held and endpoint.id == held), None)


def floats(view: View, endpoint: Endpoint) -> list[Address]:
    """Return the addresses of the outside that lead to a container, whatever is sent there."""
    return [each.address for each in view.floating if each.holder == endpoint.id]


def let_in(endpoint: Endpoint, protocol: Protocol | None, port: int | None) -> Iterator[Published]:
    """Yield by which of a container's published ports a packet from outside comes to this port of it."""
    for published in endpoint.published:
        if (published.protocol, published.port) == (protocol, port) and not published.local:
            yield published


def way_in(
    network: Network,
    endpoint: Endpoint,
    protocol: Protocol | None,
    port: int | None,
    floating: Iterable[Address] = (),
) -> str | None:
    """Return how a packet from outside comes to an endpoint's port, for people; None where there is no way.

    `floating` are the addresses that lead to it.
    """
    if network.routed:
        return f"network {network.name or network.id} is routed"
    for address in floating:
        return f"{address} leads to it"
    published = next(let_in(endpoint, protocol, port), None)
    return f"its host publishes {published}" if published else None


def opened(network: Network, endpoint: Endpoint, *, floating: bool) -> PortSet:
    """Return the ports of an endpoint to which a packet from outside comes (`way_in`, of all ports at once).

    `floating` tells whether an address leads to it.
    """
    if network.routed or floating:
        return EVERYTHING
    return of_ports(Port(each.protocol, each.port) for each in endpoint.published if not each.local)
