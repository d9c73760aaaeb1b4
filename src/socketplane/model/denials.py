"""Packets that a rule refused, counted by what they were: a log line each would say the same thing over and over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from socketplane.model.types import Address


class Denied(NamedTuple):
    """A kind of packet that a rule refused, or would have refused (a policy in audit mode)."""

    rule: str
    """As `model.rules` names it."""
    source: Address
    destination: Address
    protocol: str
    port: int | None
    """Of the destination; None where the protocol has none."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How often, and when first and last (seconds since the epoch)."""

    count: int
    first: float
    last: float

    def __add__(self, other: Seen) -> Seen:
        """Return both together."""
        return Seen(self.count + other.count, min(self.first, other.first), max(self.last, other.last))


class Tally:
    """What was refused, by kind; of more than `limit` kinds, those that were told of longest ago are forgotten."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: dict[Denied, Seen] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[tuple[Denied, Seen]]:
        """Iterate, what was told of last at the end."""
        return iter(self._seen.items())

    def add(self, items: Iterable[tuple[Denied, Seen]]) -> None:
        """Count more."""
        for denied, seen in items:
            before = self._seen.pop(denied, None)
            self._seen[denied] = before + seen if before else seen
            if len(self._seen) > self._limit:
                del self._seen[next(iter(self._seen))]
