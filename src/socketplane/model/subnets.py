"""Subnets of networks: the next free one of the pool, or one that was asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from socketplane.errors import Exhausted, InvalidInput, SubnetOverlap
from socketplane.model.types import Cluster, Network

MAX_PREFIX = 30
"""The smallest subnet has a gateway and one container."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The addresses of a new network."""

    subnet: IPv4Network
    gateway: IPv4Address
    ip_range: IPv4Network | None


def plan(
    cluster: Cluster,
    networks: Iterable[Network],
    *,
    subnet: IPv4Network | None = None,
    gateway: IPv4Address | None = None,
    ip_range: IPv4Network | None = None,
) -> Plan:
    """Return the addresses of a network beside those that exist, or say what is wrong with what was asked for."""
    if subnet is None:
        for field, value in (("gateway", gateway), ("ip_range", ip_range)):
            if value is not None:
                raise InvalidInput(f"{value} needs a subnet that it is in", field=field, remedy="give a subnet too")
        subnet = next_subnet(cluster, networks)
    else:
        check_subnet(cluster, networks, subnet)
    chosen = subnet.network_address + 1 if gateway is None else gateway
    check_gateway(subnet, chosen)
    if ip_range is not None and not ip_range.subnet_of(subnet):
        raise InvalidInput(
            f"{ip_range} is not in the subnet {subnet}", field="ip_range", remedy=f"choose a part of {subnet}"
        )
    return Plan(subnet, chosen, ip_range)


def next_subnet(cluster: Cluster, networks: Iterable[Network]) -> IPv4Network:
    """Return the first free subnet of the pool, of the cluster's prefix length."""
    size = 1 << (32 - cluster.prefix)
    start, end = int(cluster.pool.network_address), int(cluster.pool.broadcast_address)
    for taken in sorted([*(network.subnet for network in networks), cluster.hosts]):
        first, last = int(taken.network_address), int(taken.broadcast_address)
        if last < start:
            continue
        if first >= start + size:
            break
        start = (last // size + 1) * size
    if start + size - 1 > end:
        raise Exhausted(
            f"no /{cluster.prefix} is left in the pool {cluster.pool}",
            field="subnet",
            remedy="remove networks that are no longer used, or give a smaller subnet that is free",
        )
    return IPv4Network((start, cluster.prefix))


def check_subnet(cluster: Cluster, networks: Iterable[Network], subnet: IPv4Network) -> None:
    """Raise unless the subnet lies in the pool, is large enough, and overlaps no other."""
    if subnet.prefixlen > MAX_PREFIX:
        raise InvalidInput(
            f"{subnet} has no room for a gateway and a container",
            field="subnet",
            remedy=f"choose a prefix length of {MAX_PREFIX} or less",
        )
    if not subnet.subnet_of(cluster.pool):
        raise InvalidInput(
            f"{subnet} is not in the cluster's pool {cluster.pool}",
            field="subnet",
            remedy=f"choose a subnet of {cluster.pool}, or leave it out to get the next free one",
        )
    for network in networks:
        if network.subnet.overlaps(subnet):
            raise SubnetOverlap(
                f"{subnet} overlaps {network.subnet} of network {network.name or network.id}",
                field="subnet",
                remedy="choose another subnet, or leave it out to get the next free one",
            )
    if subnet.overlaps(cluster.hosts):
        raise SubnetOverlap(
            f"{subnet} overlaps {cluster.hosts}, the hosts' own ports", field="subnet", remedy="choose another subnet"
        )


def check_gateway(subnet: IPv4Network, gateway: IPv4Address) -> None:
    """Raise unless the gateway is a usable address of the subnet."""
    remedy = f"choose one in {subnet}, or leave it out to get {subnet.network_address + 1}"
    if gateway not in subnet:
        raise InvalidInput(f"{gateway} is not in the subnet {subnet}", field="gateway", remedy=remedy)
    if gateway in (subnet.network_address, subnet.broadcast_address):
        raise InvalidInput(f"{gateway} is the subnet's network or broadcast address", field="gateway", remedy=remedy)
