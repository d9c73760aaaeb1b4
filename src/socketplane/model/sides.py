"""What the policies of one end leave of its traffic, for all peers at once: the same meaning as `verdict`, over sets.

A partition is a list of disjoint sets of peers, each with what holds for it. All cells are in one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from socketplane.model.cells import Cells, Mask, bits
from socketplane.model.portset import EVERYTHING, NOTHING, PortSet, of_ports
from socketplane.model.selection import View, rules_of
from socketplane.model.spec import Action, ClusterRule, ClusterSpec, Direction, Policy, PolicySpec, Rule, Tier

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
Partition = list[tuple[Mask, A]]
Places = tuple[int, ...]
"""Policies of a side, by their places among all of it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a tier decided for some peers: allowed, still undecided, and passed on to the next tier."""

    allowed: PortSet = NOTHING
    undecided: PortSet = EVERYTHING
    passed: PortSet = NOTHING

    @property
    def rest(self) -> PortSet:
        """What the next tier decides."""
        return self.undecided | self.passed

    def tried(self, ports: PortSet, action: Action) -> Tried:
        """Return it after a rule for these ports."""
        hit = self.undecided & ports
        if not hit:
            return self
        allowed = self.allowed | hit if action is Action.ACCEPT else self.allowed
        passed = self.passed | hit if action is Action.PASS else self.passed
        return Tried(allowed, self.undecided - hit, passed)


class Side:
    """One direction of a view's policies: who is selected by which, and what that leaves.

    `default` tells, for a cell that no policy decides about, which peers are free.
    """

    def __init__(self, cells: Cells, view: View, direction: Direction, default: Callable[[int], Mask]) -> None:
        self._cells = cells
        self._direction = direction
        self.default = default
        self.policies = sorted(filter(self._has_part, view.policies), key=_order)
        self._place_of = {policy.title: place for place, policy in enumerate(self.policies)}
        self._of: defaultdict[int, list[int]] = defaultdict(list)
        """The places, among the policies, of those that select a cell."""
        self._tried: dict[int, Partition[Tried]] = {}
        self._allowing: dict[int, Partition[PortSet]] = {}
        self._found: dict[object, Partition[PortSet]] = {}
        for place, policy in enumerate(self.policies):
            for cell in bits(cells.subjects(policy)):
                self._of[cell].append(place)

    def _has_part(self, policy: Policy) -> bool:
        if isinstance(policy.spec, ClusterSpec):
            return bool(rules_of(policy, self._direction))
        rules = policy.spec.ingress if self._direction is Direction.INGRESS else policy.spec.egress
        return rules is not None and not policy.spec.audit

    def allowed(self, cell: int) -> Partition[PortSet]:
        """Return what a cell's policies, and the defaults, let through, by peer."""
        return self.judge(self.places(cell), self.default(cell))

    def place_of(self, policy: Policy) -> int | None:
        """Return a policy's place; None where it has no part in this."""
        return self._place_of.get(policy.title)

    def places(self, cell: int) -> Places:
        """Return which policies select a cell, in the order in which they are asked, by their places in `policies`."""
        return tuple(self._of.get(cell, ()))

    def judge(self, places: Places, default: Mask) -> Partition[PortSet]:
        """Return what these policies let through; `default` are the peers that are free where none decides."""
        key = (default, *places)
        if key not in self._found:
            self._found[key] = _joined(self._judge(places, default))
        return self._found[key]

    def coming(self, places: Places, place: int) -> Partition[PortSet]:
        """Return what one of these policies is asked about: what those before it leave."""
        spec = self.policies[place].spec
        before = places[: places.index(place)]
        if isinstance(spec, ClusterSpec) and spec.tier is Tier.ADMIN:
            return [(mask, tried.undecided) for mask, tried in self.tier(before, Tier.ADMIN)]
        left = [(mask, tried.rest) for mask, tried in self.tier(places, Tier.ADMIN)]
        if isinstance(spec, PolicySpec):
            return left
        if any(isinstance(self.policies[other].spec, PolicySpec) for other in places):
            return [(self._cells.everyone, NOTHING)]
        return product(self.tier(before, Tier.BASELINE), left, lambda tried, rest: tried.undecided & rest)

    def _judge(self, places: Places, default: Mask) -> Partition[PortSet]:
        everyone = self._cells.everyone
        networks = [place for place in places if isinstance(self.policies[place].spec, PolicySpec)]
        if networks:
            rest: Partition[PortSet] = [(everyone, NOTHING)]
            for place in networks:
                rest = _joined(product(rest, self._network_policy(place), PortSet.__or__))
        else:
            free = _parted(everyone, default, EVERYTHING, NOTHING)
            rest = product(self.tier(places, Tier.BASELINE), free, _then)
        return product(self.tier(places, Tier.ADMIN), rest, _then)

    def tier(self, places: Places, tier: Tier) -> Partition[Tried]:
        """Return what the policies of a tier decide."""
        found: Partition[Tried] = [(self._cells.everyone, Tried())]
        for place in places:
            spec = self.policies[place].spec
            if isinstance(spec, ClusterSpec) and spec.tier is tier:
                found = _joined(product(found, self._cluster_policy(place), _after))
        return found

    def _network_policy(self, place: int) -> Partition[PortSet]:
        """Return what a NetworkPolicy's rules allow."""
        if place not in self._allowing:
            found: Partition[PortSet] = [(self._cells.everyone, NOTHING)]
            for part, _ in self.parts(place):
                found = _joined(product(found, part, PortSet.__or__))
            self._allowing[place] = found
        return self._allowing[place]

    def _cluster_policy(self, place: int) -> Partition[Tried]:
        """Return what a ClusterNetworkPolicy decides of what comes to it whole."""
        if place not in self._tried:
            found: Partition[Tried] = [(self._cells.everyone, Tried())]
            for part, rule in self.parts(place):
                action = rule.action if isinstance(rule, ClusterRule) else Action.ACCEPT
                found = _joined(product(found, part, partial(Tried.tried, action=action)))
            self._tried[place] = found
        return self._tried[place]

    def parts(self, place: int) -> Iterator[tuple[Partition[PortSet], Rule | ClusterRule]]:
        """Yield a policy's rules with the ports that they are for, by peer."""
        policy, everyone = self.policies[place], self._cells.everyone
        for rule in rules_of(policy, self._direction):
            peers = self._cells.peers(rule.peers, policy.network)
            yield _parted(everyone, peers, of_ports(rule.ports), NOTHING), rule


def product(one: Partition[A], other: Partition[B], combine: Callable[[A, B], C]) -> Partition[C]:
    """Return the partition that is as fine as both."""
    if len(other) == 1:
        return [(mask, combine(a, other[0][1])) for mask, a in one]
    found = []
    for mask, a in one:
        for also, b in other:
            both = mask & also
            if both:
                found.append((both, combine(a, b)))
    return found


def _joined(partition: Partition[A]) -> Partition[A]:
    """Return it with sets of one value made one, so that it does not grow."""
    found: dict[A, Mask] = {}
    for mask, value in partition:
        found[value] = found.get(value, 0) | mask
    return [(mask, value) for value, mask in found.items()]


def _parted(everyone: Mask, mask: Mask, inside: A, outside: A) -> Partition[A]:
    return [(part, value) for part, value in ((mask & everyone, inside), (everyone & ~mask, outside)) if part]


def _then(tried: Tried, rest: PortSet) -> PortSet:
    return tried.allowed | (tried.rest & rest)


def _after(first: Tried, second: Tried) -> Tried:
    """Return what two policies of a tier decide, one after the other."""
    left = first.undecided
    return Tried(first.allowed | (left & second.allowed), left & second.undecided, first.passed | (left & second.passed))


def _order(policy: Policy) -> tuple[int, int]:
    """Return a policy's place among those of its tier."""
    return (policy.spec.priority if isinstance(policy.spec, ClusterSpec) else 0), policy.number
