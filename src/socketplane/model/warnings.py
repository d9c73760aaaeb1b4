"""What is probably not meant: policies and rules that are valid, and have no effect or not the one that they seem to have.

All of it is about the endpoints, networks and policies that exist now; none of it is an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from ipaddress import IPv4Network
from json import loads

from socketplane.model.cells import Cells, Mask, bits
from socketplane.model.reach import Reach
from socketplane.model.selection import View, labels_of, rules_of, subject_of
from socketplane.model.shadows import Found, changes_nothing, covered, pointless
from socketplane.model.spec import Block, ClusterSpec, Direction, Hosts, Labels, Members, Policy, PolicySpec, Selector
from socketplane.model.types import host_labels, network_labels
from socketplane.model.unreachable import unentered, unreachable

MANY = 200
"""Names among which a near one is looked for at most."""
Known = Mapping[str, set[str]]
"""Values of labels by key."""


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - it is nothing else
    """Something to look at. `rule` is its place in the document: ingress[0], or empty for the whole policy."""

    policy: str
    """Its title."""
    rule: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.policy}: {self.rule}" if self.rule else self.policy
        return f"{where}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")


def warnings(view: View, policies: Collection[Policy]) -> list[Warning]:
    """Return what to look at in these policies, which stand beside those of the view, or in their place."""
    titles = {policy.title for policy in policies}
    every = [*(policy for policy in view.policies if policy.title not in titles), *policies]
    reader = _Reader(replace(view, policies=every))
    return [Warning(policy.title, *found) for policy in policies for found in reader.look_at(policy)]


class _Reader:
    """Reads policies knowing all that exists."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._cells = Cells(view, view.policies, lambda _: "")
        self._reach = Reach(view, self._cells)
        self._networks = {network.name for network in view.networks.values() if network.name}
        self._network_labels = _known(network_labels(network) for network in view.networks.values())
        self._labels = _known(labels_of(view, endpoint) for endpoint in view.endpoints if endpoint.known)
        self._host_labels = _known(host_labels(host) for host in view.hosts)
        self._peers = self._by_rank()

    def _by_rank(self) -> Mapping[tuple[str, int], list[Policy]]:
        found: defaultdict[tuple[str, int], list[Policy]] = defaultdict(list)
        for policy in self._view.policies:
            if isinstance(policy.spec, ClusterSpec):
                found[policy.spec.tier, policy.spec.priority].append(policy)
        return found

    def look_at(self, policy: Policy) -> list[Found]:
        """Return what there is to say of a policy."""
        twins = list(covered(policy))
        found = [*_left_out(policy), *self._absent(policy), *twins]
        found += unreachable(self._view, policy)
        found += unentered(self._view, policy, lambda version: self._reach if version == 4 else self._reach6)
        if self._cells.subjects(policy):
            told = {rule for rule, _, _ in twins}
            found += [one for one in pointless(self._reach, policy) if one[0] not in told]
            found += self._same_rank(policy)
            # ClusterNetworkPolicies are guard rails: they may well stand there for what is to come.
            enforced = isinstance(policy.spec, PolicySpec) and not policy.spec.audit
            if enforced and not found and changes_nothing(self._reach, policy):
                message = "changes nothing now: all would be allowed and denied alike without it"
                found.append(("", message, "remove it, unless it is for what is to come"))
        return found

    @cached_property
    def _reach6(self) -> Reach:
        return Reach(self._view, Cells(self._view, self._view.policies, lambda _: "", 6))

    def _absent(self, policy: Policy) -> Iterator[Found]:
        """Yield what a policy names and nothing is."""
        if policy.network and policy.network not in self._networks:
            message = f"there is no network {policy.network}: the policy holds from when there is one"
            yield "", message, _near(policy.network, self._networks)
            return
        subject = subject_of(policy)
        if not self._cells.members(subject, policy.network):
            yield "", f"selects no endpoint now: {self._nobody(subject)}", self._instead(subject)
        for direction in Direction:
            field = "from" if direction is Direction.INGRESS else "to"
            for index, rule in enumerate(rules_of(policy, direction)):
                for at, peer in enumerate(rule.peers or ()):
                    if isinstance(peer, Block):
                        if why := self._nowhere(peer, direction, self._cells.subjects(policy)):
                            yield f"{direction}[{index}]", f"{field}[{at}] {why[0]}", why[1]
                    elif isinstance(peer, Hosts):
                        if not self._cells.hosts_of(peer):
                            message = f"{field}[{at}] matches no host now: none is {peer.selector}"
                            yield f"{direction}[{index}]", message, _other_label(peer.selector, self._host_labels)
                    elif not self._cells.members(peer, policy.network):
                        message = f"{field}[{at}] matches no endpoint now: {self._nobody(peer)}"
                        yield f"{direction}[{index}]", message, self._instead(peer)

    def _nowhere(self, block: Block, direction: Direction, subjects: Mask) -> tuple[str, str] | None:
        """Return why a block means no address that there could be, and what to do."""
        cluster, cidr = self._view.cluster, block.cidr
        if block.pool or not isinstance(cidr, IPv4Network):
            return None
        if cidr.subnet_of(cluster.pool):
            why = f"means nobody: {cidr} is in the cluster's pool {cluster.pool}, and ipBlock never means containers"
            return why, "select them with podSelector or namespaceSelector"
        enters = any(self._cells.opened[index] for index in bits(subjects))
        if direction is Direction.INGRESS and subjects and not enters and not cidr.overlaps(cluster.hosts):
            why = f"means nobody now: {cidr} has no hosts, and from outside nobody comes in to what publishes no port"
            return why, f"hosts are in {cluster.hosts}; docker run -p publishes ports"
        return None

    def _nobody(self, members: Members) -> str:
        """Return why nobody is meant."""
        if members.networks is not None and not self._meant(members.networks):
            return f"no network is {members.networks}"
        if members.endpoints.everything:
            return "there is none on the network" if members.networks is None else "there is none on those networks"
        return f"none is {members.endpoints}"

    def _meant(self, networks: Selector) -> bool:
        return any(networks.matches(network_labels(network)) for network in self._view.networks.values())

    def _instead(self, members: Members) -> str:
        """Return a label that was probably meant."""
        if members.networks is not None and not self._meant(members.networks):
            return _other_label(members.networks, self._network_labels)
        return _other_label(members.endpoints, self._labels)

    def _same_rank(self, policy: Policy) -> Iterator[Found]:
        """Yield ClusterNetworkPolicies that are asked before or after this one for their age alone."""
        spec = policy.spec
        if not isinstance(spec, ClusterSpec):
            return
        for other in self._peers[spec.tier, spec.priority]:
            both_ways = (spec.ingress and other.spec.ingress) or (spec.egress and other.spec.egress)
            if other is policy or not both_ways or not self._cells.subjects(policy) & self._cells.subjects(other):
                continue
            first = "this" if policy.number < other.number else "that"
            message = f"{other.title} has the same tier and priority and selects some of the same endpoints"
            yield "", message, f"give them different priorities: {first} one is asked first only because it is older"


def _left_out(policy: Policy) -> Iterator[Found]:
    """Yield directions that a NetworkPolicy has rules for, and that its policyTypes leave out."""
    if not isinstance(policy.spec, PolicySpec) or not policy.document:
        return
    written = loads(policy.document).get("spec") or {}
    for direction in Direction:
        left_alone = (policy.spec.ingress if direction is Direction.INGRESS else policy.spec.egress) is None
        if left_alone and written.get(direction):
            name = direction.capitalize()
            yield (
                str(direction),
                f"has no effect: policyTypes leaves out {name}",
                f"add {name} to it, or remove these rules",
            )


def _known(labels: Iterable[Labels]) -> Known:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for some in labels:
        for key, value in some.items():
            found[key].add(value)
    return found


def _other_label(selector: Selector, known: Known) -> str:
    """Return a remedy where a label that is asked for is nobody's, and a like one is somebody's."""
    for key, value in selector.match_labels:
        if key not in known:
            return _near(key, known)
        if value not in known[key]:
            return _near(value, known[key], f"{key}=")
    return ""


def _near(name: str, known: Collection[str], prefix: str = "") -> str:
    if len(known) > MANY:
        return ""
    found = get_close_matches(name[:100], known, n=1, cutoff=0.6)
    return f"did you mean {prefix}{found[0]}?" if found else ""
