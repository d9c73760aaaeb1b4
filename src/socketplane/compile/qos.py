"""Marks: QoS rows on the switches of the networks whose endpoints they are about.

Of several that match a packet the one with the highest priority counts, which is the first mark of the oldest policy.
The subject is matched by its addresses, which port security vouches for: a port group that nobody is in can't be named in a
row on a switch, as it can in an ACL of its own, while a set of addresses may be empty.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from operator import attrgetter
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.acl import STAGES
from socketplane.compile.match import BOTH, IPV4, rule_matches
from socketplane.compile.rows import Output, identity
from socketplane.compile.segment import SegmentKey, segment_of
from socketplane.errors import Exhausted, SocketPlaneError
from socketplane.model.spec import Direction, Members
from socketplane.model.traffic import Mark, TrafficPolicy
from socketplane.model.types import Cluster, Network

STRONGEST = 32_000
"""Priority of the first mark on a network; each further one stands below."""
_age = attrgetter("number", "name")
Key = tuple[str, str]


class Marks:
    """Policies that mark, by their network's name and age, and the place of each one's marks among all of its network."""

    def __init__(self) -> None:
        self._policies: dict[Key, TrafficPolicy] = {}
        self._on: dict[str, list[TrafficPolicy]] = {}
        self._before: dict[Key, int] = {}

    def get(self, key: Key) -> TrafficPolicy | None:
        """Return the policy of that network and name, if it marks anything."""
        return self._policies.get(key)

    def on(self, network: str | None) -> list[TrafficPolicy]:
        """Return the policies of a network, the oldest first."""
        return self._on.get(network or "", [])

    def before(self, policy: TrafficPolicy) -> int:
        """Return how many marks of its network are stronger than a policy's first."""
        return self._before[policy.network, policy.name]

    def replace(self, old: TrafficPolicy | None, new: TrafficPolicy | None) -> list[Key]:
        """Put a policy that marks in the place of another; return it, and those whose place is another now."""
        if old is not None:
            found = self._on[old.network]
            del found[bisect_left(found, _age(old), key=_age)]
            del self._policies[old.network, old.name]
        if new is not None:
            insort(self._on.setdefault(new.network, []), new, key=_age)
            self._policies[new.network, new.name] = new
        some = new or old
        if some is None:
            return []
        key, places, count = (some.network, some.name), {}, 0
        for policy in self.on(some.network):
            places[policy.network, policy.name] = count
            count += len(policy.spec.marks)
        moved = [other for other, place in places.items() if self._before.get(other) != place]
        if not places:
            self._on.pop(some.network, None)
        self._before.pop(key, None)
        self._before |= places
        return [key, *moved]


def segments_of(policy: TrafficPolicy, network: UUID) -> set[SegmentKey]:
    """Return all segments that a policy's marks need."""
    if not policy.spec.marks:
        return set()
    peers = (peer for mark in policy.spec.marks for peer in mark.peers or () if isinstance(peer, Members))
    return {(network, policy.spec.subject), *(segment_of(peer, network) for peer in peers)}


def compile_marks(output: Output, policy: TrafficPolicy, network: Network, cluster: Cluster, before: int) -> None:
    """Add the rows of a policy's marks on one network, where `before` marks are stronger."""
    target = names.segment_group(network.id, policy.spec.subject)
    switch = identity(output.cluster, "Logical_Switch", str(network.id))
    for index, mark in enumerate(policy.spec.marks):
        priority = STRONGEST - before - index
        if priority < 0:  # `unmarkable` refuses that before
            return
        for version, part, match in _matches(mark, network, cluster):
            row = output.row(
                "QoS",
                f"mark/{network.id}/{policy.title}/{index}/{part}",
                {
                    "priority": priority,
                    "direction": STAGES[Direction.EGRESS],
                    "match": f"ip{version}.src == ${target}_ip{version} && {match}",
                    "action": {"dscp": mark.dscp},
                },
                {"policy": policy.title},
            )
            output.edge("Logical_Switch", switch, "qos_rules", row)


def same_marks(old: TrafficPolicy | None, new: TrafficPolicy | None) -> bool:
    """Return whether two policies' rows are the same."""
    return _of(old) == _of(new)


def _of(policy: TrafficPolicy | None) -> object:
    return policy and (policy.number, policy.spec.subject, policy.spec.marks)


def _matches(mark: Mark, network: Network, cluster: Cluster) -> Iterator[tuple[int, str, str]]:
    """Yield a mark's matches, each with its version of IP."""
    for version in BOTH if network.subnet6 else IPV4:
        matches = rule_matches(
            Direction.EGRESS, mark.peers, mark.ports, network=network.id, cluster=cluster, versions=[version]
        )
        for part, match in matches:
            yield version, part, match


def unmarkable(policies: Iterable[TrafficPolicy]) -> SocketPlaneError | None:
    """Return why these policies, all that there are, can't all be compiled; None where they can."""
    return next(_crowded(policies), None)


def _crowded(policies: Iterable[TrafficPolicy]) -> Iterator[SocketPlaneError]:
    count: dict[str, int] = {}
    for policy in policies:
        count[policy.network] = found = count.get(policy.network, 0) + len(policy.spec.marks)
        if found > STRONGEST:
            message = f"the TrafficPolicies of network {policy.network} have more than {STRONGEST} marks"
            yield Exhausted(message, field="spec.mark", remedy="remove some")
