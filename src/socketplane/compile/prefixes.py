"""Addresses as prefixes: what blocks mean once their excepts, and the pool where it isn't meant, are taken out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, summarize_address_range

from socketplane.model.spec import Block
from socketplane.model.types import LINK_LOCAL6, Subnet

Range = tuple[int, int]
"""First and last."""


def prefixes(blocks: Iterable[Block], pool: Subnet | None, version: int = 4) -> list[Subnet]:
    """Return the fewest prefixes that hold exactly the addresses of a version that the blocks mean."""
    found: list[Range] = []
    for block in blocks:
        if block.cidr.version == version:
            holes: list[Subnet] = [hole for hole in block.excepts if hole.version == version]
            holes += [] if block.pool or pool is None else [pool]
            holes += [LINK_LOCAL6] if version == 6 else []
            found += _without(_range(block.cidr), holes)
    return _summarized(merged(found), version)


def all_but(networks: Iterable[Subnet], version: int = 4) -> list[Subnet]:
    """Return the fewest prefixes that hold every other address of a version."""
    return _summarized(_without((0, (1 << (32 if version == 4 else 128)) - 1), networks), version)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Return the same as sorted ranges that neither overlap nor touch."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _without(whole: Range, holes: Iterable[Subnet]) -> Iterator[Range]:
    start, end = whole
    for first, last in merged(map(_range, holes)):
        if last < start or first > end:
            continue
        if first > start:
            yield start, first - 1
        start = last + 1
    if start <= end:
        yield start, end


def _range(network: Subnet) -> Range:
    return int(network.network_address), int(network.broadcast_address)


def _summarized(ranges: Iterable[Range], version: int) -> list[Subnet]:
    found: list[Subnet] = []
    for first, last in ranges:
        if version == 4:
            found += summarize_address_range(IPv4Address(first), IPv4Address(last))
        else:
            found += summarize_address_range(IPv6Address(first), IPv6Address(last))
    return found
