"""Segments: what a selector of a policy selects, on one network or on all that another selects, as a port group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.lookup import Selecting, alternatives, take, traits_of
from socketplane.compile.rows import identity
from socketplane.model.spec import Direction, Labels, Members, Policy, PolicySpec, Selector

PolicyKey = tuple[str, str]
Scope: TypeAlias = UUID | Selector
"""One network, or the networks that a selector selects."""
SegmentKey = tuple[Scope, Selector]
User = tuple[UUID | None, PolicyKey]
"""A policy, and the network on which it stands (a ClusterNetworkPolicy on none)."""


@dataclass(slots=True, eq=False)
class Segment:
    """A selector in a scope, as long as a policy uses it."""

    scope: Scope
    selector: Selector
    group: UUID
    """Row of the port group."""
    users: set[User] = field(default_factory=set)
    isolates: dict[Direction, dict[PolicyKey, int]] = field(default_factory=lambda: {way: {} for way in Direction})
    """Policies whose subject this is, with their numbers, by the direction that they isolate."""
    audits: dict[Direction, dict[PolicyKey, int]] = field(default_factory=lambda: {way: {} for way in Direction})
    """The same of policies in audit mode."""

    @property
    def key(self) -> SegmentKey:
        """What identifies it."""
        return self.scope, self.selector

    @property
    def name(self) -> str:
        """Name of its port group."""
        return names.segment_group(self.scope, self.selector)

    @property
    def own_group(self) -> bool:
        """Whether it has a group of its own: one network's empty selector means the network's group."""
        return isinstance(self.scope, Selector) or not self.selector.everything


def segment_of(members: Members, network: UUID | None) -> SegmentKey:
    """Return the segment of members, for a policy on that network."""
    scope = network if members.networks is None else members.networks
    if scope is None:
        raise ValueError("members without networks, of a policy that belongs to none")
    return scope, members.endpoints


def subject_of(policy: Policy, network: UUID | None) -> SegmentKey:
    """Return the segment that a policy is about."""
    subject = policy.spec.subject
    return segment_of(subject if isinstance(subject, Members) else Members(subject), network)


def segments_of(policy: Policy, network: UUID | None) -> set[SegmentKey]:
    """Return all segments that a policy needs."""
    spec = policy.spec
    rules = (*(spec.ingress or ()), *(spec.egress or ()))
    peers = (peer for rule in rules for peer in rule.peers or () if isinstance(peer, Members))
    return {subject_of(policy, network), *(segment_of(peer, network) for peer in peers)}


def isolation_of(spec: PolicySpec) -> dict[Direction, bool]:
    """Return which directions of its subject a NetworkPolicy isolates."""
    return {Direction.INGRESS: spec.ingress is not None, Direction.EGRESS: spec.egress is not None}


class Segments:
    """All segments, found by what their selectors want."""

    def __init__(self, cluster: UUID) -> None:
        self._cluster = cluster
        self._segments: dict[SegmentKey, Segment] = {}
        self._of_network: dict[UUID, Selecting[Segment]] = {}
        self._of_all: Selecting[Segment] = Selecting()
        self._by_scope: dict[Selector, set[SegmentKey]] = {}

    def __getitem__(self, key: SegmentKey) -> Segment:
        return self._segments[key]

    def get(self, key: SegmentKey) -> Segment | None:
        """Return a segment that is in use."""
        return self._segments.get(key)

    def add(self, key: SegmentKey) -> Segment:
        """Make a segment."""
        scope, selector = key
        segment = Segment(scope, selector, identity(self._cluster, "Port_Group", names.segment_group(scope, selector)))
        self._segments[key] = segment
        if isinstance(scope, Selector):
            self._by_scope.setdefault(scope, set()).add(key)
            self._of_all.add(segment, (*alternatives("endpoint", selector), *alternatives("network", scope)))
        elif segment.own_group:
            self._of_network.setdefault(scope, Selecting()).add(segment, alternatives("endpoint", selector))
        return segment

    def discard(self, segment: Segment) -> None:
        """Forget a segment."""
        del self._segments[segment.key]
        if isinstance(segment.scope, Selector):
            take(self._by_scope, segment.scope, segment.key)
            self._of_all.discard(segment)
        elif segment.own_group:
            kept = self._of_network[segment.scope]
            kept.discard(segment)
            if not kept:
                del self._of_network[segment.scope]

    def reaching(self, of_network: Labels) -> Iterator[SegmentKey]:
        """Yield the segments that span a network with these labels, and maybe others."""
        for scope, keys in self._by_scope.items():
            if scope.matches(of_network):
                yield from keys

    def matching(self, network: UUID, of_network: Labels, labels: Labels) -> list[Segment]:
        """Return the segments with a group of their own that select an endpoint with these labels on a network."""
        traits = traits_of("endpoint", labels)
        found: list[Segment] = []
        if (own := self._of_network.get(network)) is not None:
            found += [segment for segment in own.candidates(traits) if segment.selector.matches(labels)]
        if self._of_all:
            for segment in self._of_all.candidates((*traits, *traits_of("network", of_network))):
                scope = segment.scope
                if isinstance(scope, Selector) and segment.selector.matches(labels) and scope.matches(of_network):
                    found.append(segment)
        return found
