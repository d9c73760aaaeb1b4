"""Who answers at a published port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from socketplane.model.portset import EVERYTHING, PortSet, of_ports
from socketplane.model.published import ANY, ANY6, Published
from socketplane.model.selection import Party, View
from socketplane.model.spec import Port, Protocol
from socketplane.model.types import Address, Endpoint, Host, Network


def addresses(host: Host, published: Published) -> tuple[Address, ...]:
    """Return the addresses at which containers of all hosts reach a published port; none if it is for its host alone."""
    if published.local:
        return ()
    if published.address == ANY6:
        return (host.gateway6,)
    return (IPv4Address(host.address), host.gateway) if published.address == ANY else (published.address,)


def behind(
    view: View, destination: Party, protocol: Protocol | None, port: int | None, version: int = 4
) -> tuple[Endpoint, Published] | None:
    """Return the container that answers at a port of a host or of one of its addresses; None where none does.

    A host means all of its addresses: what it publishes to others first, then what it publishes to itself alone.
    `version` of IP, where the destination is no address.
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
            if isinstance(destination, Host):
                there = destination == host and published.address.version == version
            else:
                there = destination in addresses(host, published)
            if there:
                found.append((endpoint, published))
    return min(found, key=lambda pair: (pair[1].local, pair[1]), default=None)


def holder(view: View, destination: Party) -> Endpoint | None:
    """Return the container that has a floating address, unless nothing leads to it (that the view knows)."""
    held = next((each.holder for each in view.floating if each.address == destination), "")
    return next((endpoint for endpoint in view.endpoints if held and endpoint.id == held), None)


def floats(view: View, endpoint: Endpoint) -> list[Address]:
    """Return the addresses of the outside that lead to a container, whatever is sent there."""
    return [each.address for each in view.floating if each.holder == endpoint.id]


def let_in(endpoint: Endpoint, protocol: Protocol | None, port: int | None, version: int = 4) -> Iterator[Published]:
    """Yield by which of a container's published ports a packet from outside comes to this port of it."""
    for published in endpoint.published:
        of_version = published.address.version == version and not published.local
        if of_version and (published.protocol, published.port) == (protocol, port):
            yield published


def way_in(
    network: Network,
    endpoint: Endpoint,
    protocol: Protocol | None,
    port: int | None,
    floating: Iterable[Address] = (),
    version: int = 4,
) -> str | None:
    """Return how a packet from outside comes to an endpoint's port, for people; None where there is no way.

    `floating` are the addresses that lead to it.
    """
    if network.routed:
        return f"network {network.name or network.id} is routed"
    for address in floating:
        if address.version == version:
            return f"{address} leads to it"
    published = next(let_in(endpoint, protocol, port, version), None)
    return f"its host publishes {published}" if published else None


def opened(network: Network, endpoint: Endpoint, *, floating: bool, version: int = 4) -> PortSet:
    """Return the ports of an endpoint to which a packet from outside comes (`way_in`, of all ports at once).

    `floating` tells whether an address of that version leads to it.
    """
    if network.routed or floating:
        return EVERYTHING
    ports = (each for each in endpoint.published if not each.local and each.address.version == version)
    return of_ports(Port(each.protocol, each.port) for each in ports)
