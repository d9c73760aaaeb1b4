"""Addresses that a set of blocks cannot tell apart: each belongs to the longest prefix around it that is in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from socketplane.model.spec import Block
from socketplane.model.types import LINK_LOCAL6, Address, Cluster, Subnet, is_inside

EVERYWHERE: Mapping[int, Subnet] = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


class Prefixes:
    """The prefixes of a version of IP in use: those of the blocks, the pool, the hosts' own ports, and everywhere."""

    def __init__(self, cluster: Cluster, blocks: Iterable[Block], version: int = 4) -> None:
        self._pool = cluster.pool_of(version)
        self._bits = self._pool.max_prefixlen
        reserved: set[Subnet] = {self._pool, cluster.hosts_of(version), *([LINK_LOCAL6] if version == 6 else [])}
        known = {EVERYWHERE[version], *reserved}
        for block in blocks:
            known |= set(self._telling(block))
        self._known = {(int(prefix.network_address), prefix.prefixlen): prefix for prefix in sorted(known)}
        self._lengths = sorted({prefix.prefixlen for prefix in known}, reverse=True)
        self._inside: dict[Subnet, set[Subnet]] = {prefix: set() for prefix in known}
        self._room = {prefix: prefix.num_addresses for prefix in known}
        for prefix in known:
            around = list(self._around(int(prefix.network_address), prefix.prefixlen))
            for outer in around:
                self._inside[outer].add(prefix)
            for parent in around[1:2]:
                self._room[parent] -= prefix.num_addresses
        self._reserved = {inner for prefix in reserved for inner in self._inside[prefix]}

    def _telling(self, block: Block) -> Iterator[Subnet]:
        """Yield a block's prefixes that tell addresses apart: inside the pool only where the pool is meant."""
        for cidr in (block.cidr, *block.excepts):
            if cidr.version == self._pool.version and (block.pool or not is_inside(cidr, self._pool)):
                yield cidr

    def _around(self, number: int, longest: int) -> Iterator[Subnet]:
        """Yield the prefixes that hold an address and are no longer than that, the longest first."""
        for length in self._lengths:
            if length <= longest:
                found = self._known.get((number >> (self._bits - length) << (self._bits - length), length))
                if found is not None:
                    yield found

    def __iter__(self) -> Iterator[Subnet]:
        return iter(self._known.values())

    def of(self, address: Address) -> Subnet:
        """Return the prefix that an address belongs to."""
        return next(self._around(int(address), self._bits))

    def outside(self) -> list[Subnet]:
        """Return the prefixes to which any address belongs that is neither the pool's nor a host's own, sorted."""
        return [prefix for prefix in self if prefix not in self._reserved and self._room[prefix]]

    def meant(self, block: Block) -> set[Subnet]:
        """Return the prefixes whose addresses a block means."""
        empty: set[Subnet] = set()
        excepts = [self._inside.get(cidr, empty) for cidr in block.excepts]
        return self._inside.get(block.cidr, empty).difference(*excepts, empty if block.pool else self._inside[self._pool])
