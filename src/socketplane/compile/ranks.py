"""The order of ClusterNetworkPolicies within their tiers."""

from __future__ import annotations

from bisect import bisect_left, insort

from socketplane.compile.segment import PolicyKey
from socketplane.model.spec import ClusterSpec, Policy, Tier

_Place = tuple[int, int, str]
"""Priority, number, name."""


class Ranks:
    """ClusterNetworkPolicies in the order in which they are asked, densely numbered from 0 in each tier."""

    def __init__(self) -> None:
        self._order: dict[Tier, list[_Place]] = {tier: [] for tier in Tier}

    def put(self, policy: Policy, spec: ClusterSpec) -> list[PolicyKey]:
        """Note a policy; return those behind it, whose rank is another now."""
        place = _place(policy, spec)
        insort(self._order[spec.tier], place)
        return self._behind(spec.tier, place)

    def remove(self, policy: Policy, spec: ClusterSpec) -> list[PolicyKey]:
        """Forget a policy; return those behind it."""
        place = _place(policy, spec)
        behind = self._behind(spec.tier, place)
        self._order[spec.tier].remove(place)
        return behind

    def rank(self, policy: Policy, spec: ClusterSpec) -> int:
        """Return how many of its tier are asked before a policy."""
        return bisect_left(self._order[spec.tier], _place(policy, spec))

    def any_of(self, tier: Tier) -> bool:
        """Return whether a tier has any policy."""
        return bool(self._order[tier])

    def _behind(self, tier: Tier, place: _Place) -> list[PolicyKey]:
        order = self._order[tier]
        return [("", name) for _, _, name in order[bisect_left(order, place) + 1 :]]


def _place(policy: Policy, spec: ClusterSpec) -> _Place:
    return spec.priority, policy.number, policy.name
