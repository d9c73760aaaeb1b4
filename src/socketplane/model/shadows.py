"""Rules that decide nothing: because something before them decides it all, or because another says the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from socketplane.model.cells import Mask, bits
from socketplane.model.portset import PortSet, of_ports
from socketplane.model.reach import Reach
from socketplane.model.selection import rules_of
from socketplane.model.sides import Partition, Places, Side, product
from socketplane.model.spec import (
    Block,
    Cidr,
    ClusterRule,
    ClusterSpec,
    Direction,
    Hosts,
    Peer,
    Policy,
    PolicySpec,
    Rule,
    Tier,
)

Found = tuple[str, str, str]
"""Which rule (ingress[0], or empty for all of the policy), what is said, and what to do."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One direction of a policy among all: where it stands, and between which policies its subjects find it."""

    policy: Policy
    direction: Direction
    side: Side
    place: int
    selections: frozenset[Places]


def pointless(reach: Reach, policy: Policy) -> Iterator[Found]:
    """Yield what of a policy decides nothing for the endpoints that exist now, and would if it stood elsewhere."""
    for direction, side in ((Direction.INGRESS, reach.ingress), (Direction.EGRESS, reach.egress)):
        place = side.place_of(policy)
        if place is None:
            continue
        selections = frozenset(side.places(cell) for cell in bits(reach.cells.subjects(policy)))
        if selections:
            yield from _pointless(_Part(policy, direction, side, place, selections))


def _pointless(part: _Part) -> Iterator[Found]:
    policies = part.side.policies
    spec = part.policy.spec
    if isinstance(spec, ClusterSpec) and spec.tier is Tier.BASELINE:
        asked = [
            places for places in part.selections if not any(isinstance(policies[at].spec, PolicySpec) for at in places)
        ]
        if not asked:
            message = f"every endpoint that it selects has NetworkPolicies for {part.direction}: Baseline is not asked"
            yield str(part.direction), message, "put what has to hold for them into the Admin tier, or remove it"
            return
    coming = [part.side.coming(places, part.place) for places in part.selections]
    for index, (peers, rule) in enumerate(part.side.parts(part.place)):
        if any(ports for _, ports in peers) and not any(_meets(left, peers) for left in coming):
            yield f"{part.direction}[{index}]", *_why(part, peers)
        elif isinstance(rule, ClusterRule):
            coming = [product(left, peers, PortSet.__sub__) for left in coming]


def _meets(left: Partition[PortSet], peers: Partition[PortSet]) -> bool:
    """Return whether anything that is left is a rule's."""
    return any(ports for mask, ports in product(left, peers, PortSet.__and__) if mask)


def _why(part: _Part, peers: Partition[PortSet]) -> tuple[str, str]:
    """Return what is said of a rule that nothing comes to."""
    deciding: set[str] = set()
    allowed = False
    for places in part.selections:
        for at in places:
            other = part.side.policies[at]
            if other == part.policy or not isinstance(other.spec, ClusterSpec) or not _before(other.spec, part.policy):
                continue
            decided = product(part.side.tier((at,), other.spec.tier), peers, lambda tried, ports: (tried, ports))
            if any(ports - tried.rest or ports & tried.passed for _, (tried, ports) in decided):
                deciding.add(f"{other.spec.tier} policy {other.title}")
                allowed = allowed or any(ports & tried.allowed for _, (tried, ports) in decided)
    if not deciding:
        return "is never asked: earlier rules of its policy decide all that it is for", "move it before them, or remove it"
    verb = "decides" if allowed else "denies"
    remedy = "remove it, or give what it is for to a rule that passes (action: Pass) before the denial"
    return f"is pointless: {', '.join(sorted(deciding))} {verb} all that it is for", remedy


def _before(spec: ClusterSpec, policy: Policy) -> bool:
    """Return whether a ClusterNetworkPolicy's tier is asked before a policy, or is its own."""
    return spec.tier is Tier.ADMIN or (isinstance(policy.spec, ClusterSpec) and policy.spec.tier is Tier.BASELINE)


def changes_nothing(reach: Reach, policy: Policy) -> bool:
    """Return whether all would be the same without a policy, for the ends that exist now."""
    if reach.cuts_off(policy):
        return False
    for side, ways in ((reach.ingress, reach.ways_in), (reach.egress, reach.ways_out)):
        place = side.place_of(policy)
        seen = set()
        for cell in bits(reach.cells.subjects(policy)) if place is not None else ():
            question = (side.places(cell), side.default(cell), ways(cell))
            if question not in seen and _differ(side, question, place):
                return False
            seen.add(question)
    return True


def _differ(side: Side, question: tuple[Places, Mask, Mask], place: int | None) -> bool:
    """Return whether what comes to some policies meets another answer without one of them."""
    places, free, ways = question
    one, other = side.judge(places, free), side.judge(tuple(at for at in places if at != place), free)
    return any(not same and mask & ways for mask, same in product(one, other, PortSet.__eq__))


def covered(policy: Policy) -> Iterator[Found]:
    """Yield rules that say nothing which another rule of the policy does not say, whoever exists.

    Of a ClusterNetworkPolicy, only earlier rules count: the first that matches decides.
    """
    ordered = isinstance(policy.spec, ClusterSpec)
    for direction in Direction:
        rules = rules_of(policy, direction)
        for index, rule in enumerate(rules):
            for at, other in enumerate(rules[:index] if ordered else rules):
                if at != index and _covers(other, rule) and (at < index or not _covers(rule, other)):
                    said = "is never asked: all that it is for meets" if ordered else "allows nothing beyond"
                    yield f"{direction}[{index}]", f"{said} {direction}[{at}]", "remove it"
                    break


def _covers(rule: Rule | ClusterRule, other: Rule | ClusterRule) -> bool:
    if of_ports(other.ports) - of_ports(rule.ports):
        return False
    if rule.peers is None or other.peers is None:
        return rule.peers is None
    return all(any(_includes(peer, inner) for peer in rule.peers) for inner in other.peers)


def _includes(peer: Peer, inner: Peer) -> bool:
    if isinstance(peer, Block):
        if not isinstance(inner, Block) or peer.pool is not inner.pool or not _within(inner.cidr, peer.cidr):
            return False
        return all(
            not hole.overlaps(inner.cidr) or any(_within(hole, other) for other in inner.excepts) for hole in peer.excepts
        )
    if isinstance(peer, Hosts):
        return isinstance(inner, Hosts) and (peer.selector == inner.selector or peer.selector.everything)
    if isinstance(inner, Block | Hosts):
        return False
    everywhere = peer.networks == inner.networks or (peer.networks is not None and peer.networks.everything)
    return everywhere and (peer.endpoints == inner.endpoints or peer.endpoints.everything)


def _within(inner: Cidr, outer: Cidr) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
