"""Virtual addresses: from a range inside the cluster's pool that no subnet gets. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from socketplane.errors import AddressInUse, Exhausted, InvalidInput
from socketplane.model.types import Cluster, Network

WIDEST = 20
"""Bits of the range: room for some four thousand services."""
NARROWEST = 28


def choose(cluster: Cluster, networks: Iterable[Network]) -> IPv4Network:
    """Return the range of a cluster that has none yet: as high in the pool as nothing of it is anybody's.

    Raises:
        Exhausted: nowhere in the pool is room for even a small one.
    """
    taken = sorted([*(network.subnet for network in networks), cluster.hosts], reverse=True)
    first = min(max(WIDEST, cluster.pool.prefixlen + 4), NARROWEST)
    for prefix in range(first, max(first, NARROWEST) + 1, 2):
        if (found := _highest(cluster.pool, prefix, taken)) is not None:
            return found
    raise Exhausted(
        f"the pool {cluster.pool} has no room left for services' addresses",
        field="spec.clusterIP",
        remedy="write clusterIP: None, or remove networks that are no longer used",
    )


def choose6(cluster: Cluster, networks: Iterable[Network]) -> IPv6Network:
    """Return the range of IPv6: the last /64 of the pool that is nobody's (networks get theirs from the other end)."""
    taken = {network.subnet6 for network in networks if network.subnet6 is not None}
    start, size = int(cluster.pool6.broadcast_address) + 1, 1 << 64
    while True:
        start -= size
        found = IPv6Network((start, 64))
        if not any(found.overlaps(other) for other in taken):
            return found


def _highest(pool: IPv4Network, prefix: int, taken: Collection[IPv4Network]) -> IPv4Network | None:
    size = 1 << (32 - prefix)
    start = int(pool.broadcast_address) + 1 - size
    while start >= int(pool.network_address):
        found = IPv4Network((start, prefix))
        other = next((other for other in taken if other.overlaps(found)), None)
        if other is None:
            return found
        start = min(start, int(other.network_address) // size * size) - size
    return None


def allocate(block: IPv4Network, taken: Collection[IPv4Address], title: str) -> IPv4Address:
    """Return a free address of the range: for a service of that title mostly the same, whenever it is asked.

    Raises:
        Exhausted: none is free.
    """
    count = block.num_addresses - 2
    start = int.from_bytes(blake2b(title.encode(), digest_size=8).digest()) % count
    for step in range(count):
        address = block.network_address + 1 + (start + step) % count
        if address not in taken:
            return address
    raise Exhausted(f"{block} has no address left for another service", field="spec.clusterIP", remedy="remove some")


def check(block: IPv4Network, taken: Collection[IPv4Address], address: IPv4Address) -> None:
    """Raise unless a service may have this very address."""
    first, last = block.network_address + 1, block.broadcast_address - 1
    remedy = f"choose one from {first} to {last}, or leave it out"
    if not first <= address <= last:
        raise InvalidInput(f"{address} is not in the range for services", field="spec.clusterIP", remedy=remedy)
    if address in taken:
        raise AddressInUse(f"{address} is another service's", field="spec.clusterIP", remedy=remedy)
