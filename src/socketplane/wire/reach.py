"""Who reaches whom."""

from __future__ import annotations

from socketplane.wire.base import Wire


class ReachEnds(Wire):
    """Ends under one name: NETWORK/LABELS, NETWORK/*, */*, hosts, outside, or a prefix of addresses outside."""

    name: str
    size: int
    """How many of the `total` are meant; addresses are not counted."""
    total: int
    example: str = ""
    """Id of one endpoint of them."""


class ReachLine(Wire):
    """All of the sources reach all of the destinations on these ports. A container by itself is nobody's destination."""

    sources: list[ReachEnds]
    destinations: list[ReachEnds]
    ports: list[str]
    """Each tcp/80, tcp/8000-8080, udp/any or ping; `any` alone for everything."""
    summary: str
    """The ports in few words: any but tcp/22."""


class Reach(Wire):
    """Who reaches whom. A group of endpoints that is no line's destination is reached by nobody but its hosts."""

    groups: list[ReachEnds]
    lines: list[ReachLine]
