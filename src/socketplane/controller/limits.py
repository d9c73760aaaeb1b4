"""How much each endpoint may send and get, kept as policies, endpoints and networks change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from socketplane.compile.index import Index
from socketplane.compile.lookup import Selecting, alternatives, traits_of
from socketplane.controller.store import Change
from socketplane.model.traffic import NO_LIMITS, Limits, TrafficPolicy, effective
from socketplane.model.types import Endpoint, Network

Key = tuple[str, str]
Told = dict[str, dict[str, Limits]]
"""By host and endpoint."""


class LimitBook:
    """The limits of all endpoints. `index` is the compiler's, and has every change before it comes here.

    A change costs what it affects: an endpoint looks only at policies that may select it, a policy at what it selects.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._policies: dict[Key, TrafficPolicy] = {}
        self._on: dict[str, Selecting[Key]] = {}
        self._held: dict[str, Limits] = {}

    def of(self, endpoint: str) -> Limits:
        """Return what holds for an endpoint."""
        return self._held.get(endpoint, NO_LIMITS)

    def all_of(self, endpoints: Iterable[str]) -> dict[str, Limits]:
        """Return the limits of those of these endpoints that have any."""
        return {key: self._held[key] for key in endpoints if key in self._held}

    def take(self, changes: Sequence[Change]) -> Told:
        """Take in committed changes; return whose limits are others now."""
        affected: dict[str, None] = {}
        for change in changes:
            some = change.new or change.old
            if isinstance(some, TrafficPolicy):
                affected.update(dict.fromkeys(self._replace(change)))
            elif isinstance(some, Endpoint):
                affected[some.id] = None
            elif isinstance(some, Network) and getattr(change.old, "name", None) != getattr(change.new, "name", None):
                affected.update(dict.fromkeys(self._index.endpoints_by_network.get(some.id, ())))
        told: Told = {}
        for key in affected:
            endpoint = self._index.endpoints.get(key)
            before, now = self._held.pop(key, NO_LIMITS), self._compute(endpoint)
            if now:
                self._held[key] = now
            if endpoint is not None and before != now:
                told.setdefault(endpoint.host, {})[key] = now
        return told

    def _replace(self, change: Change) -> Iterator[str]:
        """Take in a policy in the place of another; yield the endpoints that either selects."""
        for policy, comes in ((change.old, False), (change.new, True)):
            if not isinstance(policy, TrafficPolicy) or not policy.spec.limits:
                continue
            key = (policy.network, policy.name)
            on = self._on.setdefault(policy.network, Selecting())
            if comes:
                self._policies[key] = policy
                on.add(key, alternatives("endpoint", policy.spec.subject))
            elif self._policies.pop(key, None) is not None:
                on.discard(key)
            if not on:
                del self._on[policy.network]
            yield from self._selected(policy)

    def _selected(self, policy: TrafficPolicy) -> Iterator[str]:
        for network in self._index.networks_named(policy.network):
            if policy.spec.subject.everything:  # of those, too, whose labels nobody knows yet
                yield from self._index.endpoints_by_network.get(network.id, ())
            else:
                yield from self._index.members((network.id, policy.spec.subject))

    def _compute(self, endpoint: Endpoint | None) -> Limits:
        if endpoint is None:
            return NO_LIMITS
        network = self._index.networks.get(endpoint.network)
        on = self._on.get(network.name) if network and network.name else None
        return effective(self._selecting(on, endpoint) if on else (), endpoint.rate)

    def _selecting(self, on: Selecting[Key], endpoint: Endpoint) -> Iterator[TrafficPolicy]:
        labels = self._index.labels_of(endpoint) if endpoint.known else None
        for key in on.candidates(traits_of("endpoint", labels or {})):
            subject = self._policies[key].spec.subject
            if subject.everything or (labels is not None and subject.matches(labels)):
                yield self._policies[key]
