"""Segments: what a selector of a policy selects on one network, as a port group; and the index that finds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from socketplane.compile import acl, names
from socketplane.compile.rows import Output, identity
from socketplane.model.spec import Direction, Labels, Selector

PolicyKey = tuple[str, str]
Pair = tuple[str, str]


@dataclass(slots=True, eq=False)
class Segment:
    """A selector on a network, as long as a policy uses it."""

    network: UUID
    selector: Selector
    group: UUID
    """Row of the port group."""
    users: set[PolicyKey] = field(default_factory=set)
    isolates: dict[Direction, dict[PolicyKey, int]] = field(default_factory=lambda: {way: {} for way in Direction})
    """Policies whose subject this is, with their numbers, by the direction that they isolate."""


class Segments:
    """All segments, found by one label of their selector."""

    def __init__(self, cluster: UUID) -> None:
        self._cluster = cluster
        self._by_selector: dict[tuple[UUID, Selector], Segment] = {}
        self._by_pair: dict[UUID, dict[Pair, set[Segment]]] = {}
        self._pair_of: dict[Segment, Pair] = {}

    def get(self, network: UUID, selector: Selector) -> Segment | None:
        """Return a segment that is in use."""
        return self._by_selector.get((network, selector))

    def add(self, network: UUID, selector: Selector) -> Segment:
        """Make a segment."""
        name = names.segment_group(network, selector)
        segment = Segment(network, selector, identity(self._cluster, "Port_Group", name))
        self._by_selector[network, selector] = segment
        if selector.match_labels:
            buckets = self._by_pair.setdefault(network, {})
            # The label that fewest segments are found by: common labels would make every endpoint look at all.
            pair = min(selector.match_labels, key=lambda pair: len(buckets.get(pair, ())))
            buckets.setdefault(pair, set()).add(segment)
            self._pair_of[segment] = pair
        return segment

    def discard(self, segment: Segment) -> None:
        """Forget a segment."""
        del self._by_selector[segment.network, segment.selector]
        pair = self._pair_of.pop(segment, None)
        if pair is None:
            return
        buckets = self._by_pair[segment.network]
        buckets[pair].discard(segment)
        if not buckets[pair]:
            del buckets[pair]
        if not buckets:
            del self._by_pair[segment.network]

    def matching(self, network: UUID, labels: Labels) -> list[Segment]:
        """Return the segments with a selector of their own (the empty one is the network's group) for these labels."""
        buckets = self._by_pair.get(network)
        if not buckets:
            return []
        candidates = (segment for pair in labels.items() for segment in buckets.get(pair, ()))
        return [segment for segment in candidates if segment.selector.matches(labels)]


def compile_segment(output: Output, segment: Segment) -> None:
    """Add a segment's port group, and the drops of the policies whose subject it is."""
    if segment.selector.match_labels:
        name = names.segment_group(segment.network, segment.selector)
        output.row("Port_Group", name, {"name": name}, {"selector": str(segment.selector)})
    for direction, policies in segment.isolates.items():
        if policies:
            columns = acl.isolation_drop(direction, segment.network, segment.selector, min(policies.values()))
            row = output.row("ACL", f"drop/{segment.group}/{direction}", columns)
            output.edge("Port_Group", segment.group, "acls", row)
