"""Subnets of networks: the next free one of the pool, or one that was asked for, of IPv4 and of IPv6. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeVar

from socketplane.errors import Exhausted, InvalidInput, SubnetOverlap
from socketplane.model.ipam import ends_of
from socketplane.model.types import Address, Cluster, Network, Subnet, is_inside

PREFIX6 = 64
"""Of an IPv6 subnet that nobody chose."""
SMALLEST = 2
"""Bits of the smallest subnet: it has a gateway and one container."""
S = TypeVar("S", IPv4Network, IPv6Network)


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


def plan6(
    cluster: Cluster,
    networks: Iterable[Network],
    *,
    subnet: IPv6Network | None = None,
    gateway: IPv6Address | None = None,
) -> tuple[IPv6Network, IPv6Address]:
    """Return the IPv6 subnet and gateway of a network, likewise."""
    if subnet is None:
        if gateway is not None:
            raise InvalidInput(
                f"{gateway} needs a subnet that it is in", field="gateway6", remedy="give an IPv6 subnet too"
            )
        reserved = [cluster.services6] if cluster.services6 else []
        subnet = _next(cluster.pool6, PREFIX6, [*(there.subnet6 for there in networks if there.subnet6), *reserved])
    else:
        check_subnet(cluster, networks, subnet)
    chosen = subnet.network_address + 1 if gateway is None else gateway
    check_gateway(subnet, chosen)
    return subnet, chosen


def next_subnet(cluster: Cluster, networks: Iterable[Network]) -> IPv4Network:
    """Return the first free subnet of the pool, of the cluster's prefix length."""
    reserved = [cluster.hosts, *([cluster.services] if cluster.services else [])]
    return _next(cluster.pool, cluster.prefix, [*(network.subnet for network in networks), *reserved])


def _next(pool: S, prefix: int, others: Iterable[S]) -> S:
    size = 1 << (pool.max_prefixlen - prefix)
    start, end = int(pool.network_address), int(pool.broadcast_address)
    for taken in sorted(others):
        first, last = int(taken.network_address), int(taken.broadcast_address)
        if last < start:
            continue
        if first >= start + size:
            break
        start = (last // size + 1) * size
    if start + size - 1 > end:
        raise Exhausted(
            f"no /{prefix} is left in the pool {pool}",
            field="subnet",
            remedy="remove networks that are no longer used, or give a smaller subnet that is free",
        )
    return type(pool)((start, prefix))


def check_subnet(cluster: Cluster, networks: Iterable[Network], subnet: Subnet) -> None:
    """Raise unless the subnet lies in the pool, is large enough, and overlaps no other."""
    smallest = subnet.max_prefixlen - SMALLEST
    if subnet.prefixlen > smallest:
        raise InvalidInput(
            f"{subnet} has no room for a gateway and a container",
            field="subnet",
            remedy=f"choose a prefix length of {smallest} or less",
        )
    pool = cluster.pool_of(subnet.version)
    if not is_inside(subnet, pool):
        raise InvalidInput(
            f"{subnet} is not in the cluster's pool {pool}",
            field="subnet",
            remedy=f"choose a subnet of {pool}, or leave it out to get the next free one",
        )
    for network in networks:
        for other in network.subnets:
            if other.overlaps(subnet):
                raise SubnetOverlap(
                    f"{subnet} overlaps {other} of network {network.name or network.id}",
                    field="subnet",
                    remedy="choose another subnet, or leave it out to get the next free one",
                )
    reserved: list[tuple[Subnet | None, str]] = [
        (cluster.hosts, "the hosts' own ports"),
        *((block, "the services' addresses") for block in (cluster.services, cluster.services6)),
    ]
    for block, whose in reserved:
        if block is not None and subnet.overlaps(block):
            raise SubnetOverlap(f"{subnet} overlaps {block}, {whose}", field="subnet", remedy="choose another subnet")


def check_gateway(subnet: Subnet, gateway: Address) -> None:
    """Raise unless the gateway is a usable address of the subnet."""
    remedy = f"choose one in {subnet}, or leave it out to get {subnet.network_address + 1}"
    if gateway not in subnet:
        raise InvalidInput(f"{gateway} is not in the subnet {subnet}", field="gateway", remedy=remedy)
    if gateway in (subnet.network_address, subnet.broadcast_address):
        raise InvalidInput(f"{gateway} is the subnet's {ends_of(subnet)} address", field="gateway", remedy=remedy)
