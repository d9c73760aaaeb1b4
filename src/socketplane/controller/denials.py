"""What hosts say that policy refused there, or would have refused. In memory only: a new controller begins anew."""

from __future__ import annotations

from collections import Counter

from socketplane import wire
from socketplane.model.denials import Denied, Seen, Tally

PER_HOST = 500
"""Kinds of packets that are remembered of one host."""
_RULES = 10_000


class Denials:
    """Refused packets by host."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._requests: dict[str, str] = {}
        self.by_rule: Counter[str] = Counter()
        """Packets that each rule refused since this controller's turn began."""

    def put(self, host: str, batch: wire.DenialBatch) -> None:
        """Take in what a host's agent saw; the same batch again (its answer was lost) counts once."""
        if batch.request and self._requests.get(host) == batch.request:
            return
        self._requests[host] = batch.request
        tally = self._tallies.setdefault(host, Tally(PER_HOST))
        tally.add((_kind_of(item), Seen(item.count, item.first, item.last)) for item in batch.items)
        for item in batch.items:
            if item.rule in self.by_rule or len(self.by_rule) < _RULES:
                self.by_rule[item.rule] += item.count

    def forget(self, host: str) -> None:
        """Forget a host that left."""
        self._tallies.pop(host, None)
        self._requests.pop(host, None)

    def list(self) -> list[wire.Denial]:
        """Return all that is remembered, the latest first."""
        found = [
            wire.Denial(host=host, **denied._asdict(), count=seen.count, first=seen.first, last=seen.last)
            for host, tally in self._tallies.items()
            for denied, seen in tally
        ]
        return sorted(found, key=lambda denial: denial.last, reverse=True)


def _kind_of(item: wire.DenialReport) -> Denied:
    return Denied(item.rule, item.source, item.destination, item.protocol, item.port)
