"""What the policies of one end leave of its traffic, for all peers at once: the same meaning as `verdict`, over sets.

A partition is a list of disjoint sets of peers, each with what holds for it. All cells are in one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from socketplane.model.cells import Cells, Mask, bits
from socketplane.model.portset import EVERYTHING, NOTHING, PortSet, of_ports
from socketplane.model.selection import View
from socketplane.model.spec import Action, ClusterRule, ClusterSpec, Direction, Policy, PolicySpec, Rule, Tier

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
Partition = list[tuple[Mask, A]]


@dataclass(frozen=True, slots=True)
class _Tried:
    """What a tier decided for some peers: allowed, still undecided, and passed on to the next tier."""

    allowed: PortSet = NOTHING
    undecided: PortSet = EVERYTHING
    passed: PortSet = NOTHING

    @property
    def rest(self) -> PortSet:
        """What the next tier decides."""
        return self.undecided | self.passed

    def tried(self, ports: PortSet, action: Action) -> _Tried:
        """Return it after a rule for these ports."""
        hit = self.undecided & ports
        if not hit:
            return self
        allowed = self.allowed | hit if action is Action.ACCEPT else self.allowed
        passed = self.passed | hit if action is Action.PASS else self.passed
        return _Tried(allowed, self.undecided - hit, passed)


class Side:
    """One direction of a view's policies: who is selected by which, and what that leaves.

    `default` tells, for a cell that no policy decides about, which peers are free.
    """

    def __init__(self, cells: Cells, view: View, direction: Direction, default: Callable[[int], Mask]) -> None:
        self._cells = cells
        self._direction = direction
        self._default = default
        self._policies = sorted(filter(self._has_part, view.policies), key=_order)
        self._of: defaultdict[int, list[int]] = defaultdict(list)
        """The places, among the policies, of those that select a cell."""
        self._tried: dict[int, Partition[_Tried]] = {}
        self._allowing: dict[int, Partition[PortSet]] = {}
        self._found: dict[object, Partition[PortSet]] = {}
        for place, policy in enumerate(self._policies):
            for cell in bits(cells.subjects(policy)):
                self._of[cell].append(place)

    def _rules(self, policy: Policy) -> tuple[Rule, ...] | tuple[ClusterRule, ...] | None:
        return policy.spec.ingress if self._direction is Direction.INGRESS else policy.spec.egress

    def _has_part(self, policy: Policy) -> bool:
        if isinstance(policy.spec, ClusterSpec):
            return bool(self._rules(policy))
        return self._rules(policy) is not None and not policy.spec.audit

    def allowed(self, cell: int) -> Partition[PortSet]:
        """Return what a cell's policies, and the defaults, let through, by peer."""
        places, default = self._of.get(cell, []), self._default(cell)
        key = (default, *places)
        if key not in self._found:
            self._found[key] = _joined(self._judge(places, default))
        return self._found[key]

    def _judge(self, places: Sequence[int], default: Mask) -> Partition[PortSet]:
        everyone = self._cells.everyone
        networks = [place for place in places if isinstance(self._policies[place].spec, PolicySpec)]
        if networks:
            rest: Partition[PortSet] = [(everyone, NOTHING)]
            for place in networks:
                rest = _joined(product(rest, self._network_policy(place), PortSet.__or__))
        else:
            free = _parted(everyone, default, EVERYTHING, NOTHING)
            rest = product(self._tier(places, Tier.BASELINE), free, _then)
        return product(self._tier(places, Tier.ADMIN), rest, _then)

    def _tier(self, places: Sequence[int], tier: Tier) -> Partition[_Tried]:
        found: Partition[_Tried] = [(self._cells.everyone, _Tried())]
        for place in places:
            spec = self._policies[place].spec
            if isinstance(spec, ClusterSpec) and spec.tier is tier:
                found = _joined(product(found, self._cluster_policy(place), _after))
        return found

    def _network_policy(self, place: int) -> Partition[PortSet]:
        """Return what a NetworkPolicy's rules allow."""
        if place not in self._allowing:
            found: Partition[PortSet] = [(self._cells.everyone, NOTHING)]
            for part, _ in self._parts(place):
                found = _joined(product(found, part, PortSet.__or__))
            self._allowing[place] = found
        return self._allowing[place]

    def _cluster_policy(self, place: int) -> Partition[_Tried]:
        """Return what a ClusterNetworkPolicy decides of what comes to it whole."""
        if place not in self._tried:
            found: Partition[_Tried] = [(self._cells.everyone, _Tried())]
            for part, rule in self._parts(place):
                action = rule.action if isinstance(rule, ClusterRule) else Action.ACCEPT
                found = _joined(product(found, part, partial(_Tried.tried, action=action)))
            self._tried[place] = found
        return self._tried[place]

    def _parts(self, place: int) -> Iterator[tuple[Partition[PortSet], Rule | ClusterRule]]:
        """Yield a policy's rules with the ports that they are for, by peer."""
        policy, everyone = self._policies[place], self._cells.everyone
        for rule in self._rules(policy) or ():
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


def _then(tried: _Tried, rest: PortSet) -> PortSet:
    return tried.allowed | (tried.rest & rest)


def _after(first: _Tried, second: _Tried) -> _Tried:
    """Return what two policies of a tier decide, one after the other."""
    left = first.undecided
    return _Tried(first.allowed | (left & second.allowed), left & second.undecided, first.passed | (left & second.passed))


def _order(policy: Policy) -> tuple[int, int]:
    """Return a policy's place among those of its tier."""
    return (policy.spec.priority if isinstance(policy.spec, ClusterSpec) else 0), policy.number
