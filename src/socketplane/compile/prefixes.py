"""Addresses as prefixes: what blocks mean once their excepts, and the pool where it isn't meant, are taken out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, summarize_address_range

from socketplane.model.spec import Block

Range = tuple[int, int]
"""First and last."""


def prefixes(blocks: Iterable[Block], pool: IPv4Network) -> list[IPv4Network]:
    """Return the fewest prefixes that hold exactly what the blocks mean; IPv6 means nothing while networks have none."""
    found: list[Range] = []
    for block in blocks:
        holes = [hole for hole in block.excepts if isinstance(hole, IPv4Network)]
        if isinstance(block.cidr, IPv4Network):
            found += _without(_range(block.cidr), holes if block.pool else [*holes, pool])
    return _summarized(merged(found))


def all_but(networks: Iterable[IPv4Network]) -> list[IPv4Network]:
    """Return the fewest prefixes that hold every other address."""
    return _summarized(_without((0, 2**32 - 1), networks))


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Return the same as sorted ranges that neither overlap nor touch."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _without(whole: Range, holes: Iterable[IPv4Network]) -> Iterator[Range]:
    start, end = whole
    for first, last in merged(map(_range, holes)):
        if last < start or first > end:
            continue
        if first > start:
            yield start, first - 1
        start = last + 1
    if start <= end:
        yield start, end


def _range(network: IPv4Network) -> Range:
    return int(network.network_address), int(network.broadcast_address)


def _summarized(ranges: Iterable[Range]) -> list[IPv4Network]:
    return [prefix for first, last in ranges for prefix in summarize_address_range(IPv4Address(first), IPv4Address(last))]
