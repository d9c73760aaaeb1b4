"""Sets of services: ports of each protocol, and ping, which stands for everything without ports. Exact algebra.

A service is a number: the port plus 65536 times the protocol's place, and one number beyond for ping. A set is a sorted
tuple of intervals of such numbers that neither overlap nor touch, so that equal sets are equal values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from socketplane.model.spec import Port, Protocol

Interval = tuple[int, int]
"""First and last number."""
_SPAN = 65536
_BASE = {protocol: place * _SPAN for place, protocol in enumerate(Protocol)}
_PING = (len(_BASE) + 1) * _SPAN
PING = "ping"
ANY = "any"


@dataclass(frozen=True, slots=True)
class PortSet:
    """Services. `str` is for people: tcp/80, tcp/8000-8080, udp/any, ping; any, any but tcp/22, empty for none."""

    intervals: tuple[Interval, ...] = ()

    def __or__(self, other: PortSet) -> PortSet:
        if not other.intervals or self is EVERYTHING or self == other:
            return self
        return _merged(sorted((*self.intervals, *other.intervals))) if self.intervals else other

    def __and__(self, other: PortSet) -> PortSet:
        if self is EVERYTHING or not other.intervals:
            return other
        if other is EVERYTHING or not self.intervals:
            return self
        found = []
        mine, theirs = iter(self.intervals), iter(other.intervals)
        a, b = next(mine, None), next(theirs, None)
        while a and b:
            first, last = max(a[0], b[0]), min(a[1], b[1])
            if first <= last:
                found.append((first, last))
            if a[1] < b[1]:
                a = next(mine, None)
            else:
                b = next(theirs, None)
        return PortSet(tuple(found))

    def __sub__(self, other: PortSet) -> PortSet:
        return self & other.complement() if other.intervals and self.intervals else self

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def complement(self) -> PortSet:
        """Return all services that are not in it."""
        found = []
        for first, last in EVERYTHING.intervals:
            start = first
            for low, high in self.intervals:
                if high < start or low > last:
                    continue
                if low > start:
                    found.append((start, low - 1))
                start = high + 1
            if start <= last:
                found.append((start, last))
        return PortSet(tuple(found))

    def includes(self, protocol: Protocol | None, port: int | None) -> bool:
        """Return whether a packet is of these services; without a protocol it is a ping."""
        number = _PING if protocol is None else _BASE[protocol] + (port or 0)
        return any(first <= number <= last for first, last in self.intervals)

    def ports(self) -> Iterator[Port]:
        """Yield ports and ranges, in order."""
        for first, last in self.intervals:
            for protocol, base in _BASE.items():
                if base < first < base + _SPAN:
                    port, end = first - base, last - base
                    yield (
                        Port(protocol)
                        if (port, end) == (1, _SPAN - 1)
                        else Port(protocol, port, end if end > port else None)
                    )

    @property
    def ping(self) -> bool:
        """Whether what has no ports is in it."""
        return self.includes(None, None)

    def names(self) -> list[str]:
        """Return it in parts: tcp/80, udp/any, ping; `any` alone for all."""
        if self == EVERYTHING:
            return [ANY]
        return [*map(str, self.ports()), *([PING] if self.ping else [])]

    def __str__(self) -> str:
        names, missing = self.names(), self.complement().names()
        return f"{ANY} but {', '.join(missing)}" if 0 < len(missing) < len(names) else ", ".join(names)


def of_ports(ports: Iterable[Port] | None) -> PortSet:
    """Return what a rule's ports mean: without them everything, ping included."""
    if ports is None:
        return EVERYTHING
    found = []
    for port in ports:
        base = _BASE[port.protocol]
        first, last = (1, _SPAN - 1) if port.port is None else (port.port, port.end or port.port)
        found.append((base + first, base + last))
    return _merged(sorted(found))


def _merged(intervals: Iterable[Interval]) -> PortSet:
    """Return the set of sorted intervals."""
    found: list[Interval] = []
    for first, last in intervals:
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return EVERYTHING if tuple(found) == EVERYTHING.intervals else PortSet(tuple(found))


NOTHING = PortSet()
EVERYTHING = PortSet((*((base + 1, base + _SPAN - 1) for base in _BASE.values()), (_PING, _PING)))
PING_ONLY = PortSet(((_PING, _PING),))
