"""How large containers' packets may be. Pure."""

from __future__ import annotations

from collections.abc import Iterable

TUNNEL_OVERHEAD = 58
"""Geneve over IPv4 with OVN's option: what an underlay packet has besides the container's."""
FALLBACK = 1442
"""Of an underlay with Ethernet's 1500 bytes, where nothing is known."""
LEAST = 576
"""Every IPv4 host takes packets of that size; containers never have less."""
LEAST6 = 1280
"""IPv6 is not possible with less: the kernel takes it off a link."""


def fitting(underlay: int) -> int:
    """Return the MTU of containers whose packets fit into an underlay, with the tunnel's headers around them."""
    return max(underlay - TUNNEL_OVERHEAD, LEAST)


def common(underlays: Iterable[int]) -> int | None:
    """Return the MTU of all containers: it fits into every host's underlay. 0 is an underlay that is not known.

    None where none is known.
    """
    known = [underlay for underlay in underlays if underlay]
    return fitting(min(known)) if known else None
