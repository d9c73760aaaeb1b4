"""Addresses that a set of blocks cannot tell apart: each belongs to the longest prefix around it that is in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from socketplane.model.spec import Block, Cidr
from socketplane.model.types import Cluster

EVERYWHERE = IPv4Network("0.0.0.0/0")


class Prefixes:
    """The prefixes in use: those of the blocks, the pool, the hosts' own ports, and everywhere."""

    def __init__(self, cluster: Cluster, blocks: Iterable[Block]) -> None:
        self._pool = cluster.pool
        known = {EVERYWHERE, cluster.pool, cluster.hosts}
        for block in blocks:
            known |= set(self._telling(block))
        self._known = {(int(prefix.network_address), prefix.prefixlen): prefix for prefix in sorted(known)}
        self._lengths = sorted({prefix.prefixlen for prefix in known}, reverse=True)
        self._inside: dict[Cidr, set[IPv4Network]] = {prefix: set() for prefix in known}
        self._room = {prefix: prefix.num_addresses for prefix in known}
        for prefix in known:
            around = list(self._around(int(prefix.network_address), prefix.prefixlen))
            for outer in around:
                self._inside[outer].add(prefix)
            for parent in around[1:2]:
                self._room[parent] -= prefix.num_addresses
        self._reserved = self._inside[cluster.pool] | self._inside[cluster.hosts]

    def _telling(self, block: Block) -> Iterator[IPv4Network]:
        """Yield a block's prefixes that tell addresses apart: inside the pool only where the pool is meant."""
        for cidr in (block.cidr, *block.excepts):
            if isinstance(cidr, IPv4Network) and (block.pool or not cidr.subnet_of(self._pool)):
                yield cidr

    def _around(self, number: int, longest: int) -> Iterator[IPv4Network]:
        """Yield the prefixes that hold an address and are no longer than that, the longest first."""
        for length in self._lengths:
            if length <= longest:
                found = self._known.get((number >> (32 - length) << (32 - length), length))
                if found is not None:
                    yield found

    def __iter__(self) -> Iterator[IPv4Network]:
        return iter(self._known.values())

    def of(self, address: IPv4Address) -> IPv4Network:
        """Return the prefix that an address belongs to."""
        return next(self._around(int(address), 32))

    def outside(self) -> list[IPv4Network]:
        """Return the prefixes to which any address belongs that is neither the pool's nor a host's own, sorted."""
        return [prefix for prefix in self if prefix not in self._reserved and self._room[prefix]]

    def meant(self, block: Block) -> set[IPv4Network]:
        """Return the prefixes whose addresses a block means."""
        empty: set[IPv4Network] = set()
        excepts = [self._inside.get(cidr, empty) for cidr in block.excepts]
        return self._inside.get(block.cidr, empty).difference(*excepts, empty if block.pool else self._inside[self._pool])
