"""What policy means, said a second time and independently of what is compiled: for `explain`, and to test against OVN.

Order, as a packet meets it: unknown ends, the source's egress policies, the way between networks, the destination's
ingress policies, the defaults. Answers are not judged: conntrack lets them pass where the first packet passed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from uuid import UUID

from socketplane.errors import InvalidInput
from socketplane.model.rules import ISOLATION, drop_id, numbered_rules, rule_id, unknown_id
from socketplane.model.spec import Direction, Members, Policy, Protocol, Rule, Selector
from socketplane.model.types import Cluster, Endpoint, Host, Network, effective_labels

Party = Endpoint | Host | IPv4Address
"""An end: a container, a host's own stack, or any other address."""

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class View:
    """What a verdict depends on, beside the two ends."""

    cluster: Cluster
    networks: Mapping[UUID, Network]
    policies: Collection[Policy]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a new connection (or a single packet) passes, and why.

    `direction` is which side decided: ingress, egress, isolation or default. `policy` (NETWORK/NAME) and `rule` are
    empty where none decided. Where several rules allow, the first of the policy with the lowest number is named; the
    packet may carry the label of any of them.
    """

    allow: bool
    direction: str
    reason: str
    policy: str = ""
    rule: str = ""
    steps: tuple[str, ...] = ()


@dataclass(slots=True)
class _Packet:
    view: View
    source: Party
    destination: Party
    protocol: Protocol | None
    port: int | None
    steps: list[str] = field(default_factory=list)

    def decide(self, allow: bool, direction: str, reason: str, *, policy: str = "", rule: str = "") -> Verdict:
        return Verdict(allow, direction, reason, policy, rule, (*self.steps, reason))


def verdict(view: View, source: Party, destination: Party, protocol: Protocol | None, port: int | None) -> Verdict:
    """Judge a packet from source to destination. Without a protocol it is one that has no ports, such as a ping."""
    if not isinstance(source, Endpoint) and not isinstance(destination, Endpoint):
        raise InvalidInput("neither end is a container", remedy="name a container on one side")
    packet = _Packet(view, source, destination, protocol, port)
    if isinstance(source, Endpoint) and isinstance(destination, Endpoint) and source.id == destination.id:
        return packet.decide(True, DEFAULT, "a container always reaches itself: the packet never leaves it")
    for check in (_unknown, _egress, _way, _ingress):
        found = check(packet)
        if found is not None:
            return found
    return packet.decide(True, DEFAULT, "nothing forbids it")


def name_of(party: Party, networks: Mapping[UUID, Network]) -> str:
    """Return an end for people."""
    if isinstance(party, Endpoint):
        network = networks.get(party.network)
        return f"{(network and network.name) or party.network}/{party.name or party.address}"
    return f"host {party.name}" if isinstance(party, Host) else str(party)


def _unknown(packet: _Packet) -> Verdict | None:
    for direction, end in ((Direction.EGRESS, packet.source), (Direction.INGRESS, packet.destination)):
        if isinstance(end, Endpoint) and not end.known and _policies(packet.view, end):
            name = name_of(end, packet.view.networks)
            reason = f"{name} is cut off: its network has policies, and Docker has not told its labels yet"
            return packet.decide(False, direction, reason, rule=unknown_id(direction))
    return None


def _egress(packet: _Packet) -> Verdict | None:
    """Deny what the source's policies don't let out."""
    if not isinstance(packet.source, Endpoint):
        return None
    found = _judge(packet, Direction.EGRESS, packet.source, packet.destination)
    return None if found is None or found.allow else found


def _way(packet: _Packet) -> Verdict | None:
    """Deny what no route joins, or the hosts' firewalls stop."""
    networks = packet.view.networks
    ends = [networks.get(end.network) for end in (packet.source, packet.destination) if isinstance(end, Endpoint)]
    if len(ends) == 2 and ends[0] is not None and ends[0] == ends[1]:
        packet.steps.append("both are on one network")
        return None
    for network in ends:
        if network is None:
            return packet.decide(False, ISOLATION, "its network does not exist", rule=ISOLATION)
        if network.internal:
            reason = f"network {network.name or network.id} is internal: nothing leads in or out"
            return packet.decide(False, ISOLATION, reason, rule=ISOLATION)
    if isinstance(packet.destination, IPv4Address):
        return _to_address(packet, packet.destination)
    if isinstance(packet.source, IPv4Address):
        reason = "hosts let nothing in from outside that no container asked for"
        return packet.decide(False, ISOLATION, reason, rule=ISOLATION)
    packet.steps.append("the router joins the two ends")
    return None


def _to_address(packet: _Packet, address: IPv4Address) -> Verdict | None:
    """Judge the way to an address that is no container's."""
    if any(network.gateway == address and not network.internal for network in packet.view.networks.values()):
        allow, reason = packet.protocol is None, "the router answers pings at a network's gateway, and nothing else"
        return packet.decide(allow, DEFAULT if allow else ISOLATION, reason, rule="" if allow else ISOLATION)
    if address in packet.view.cluster.pool:
        return packet.decide(False, ISOLATION, f"no container has the address {address}", rule=ISOLATION)
    return None


def _ingress(packet: _Packet) -> Verdict | None:
    """Judge by the destination's policies, then by the defaults."""
    source, destination = packet.source, packet.destination
    if not isinstance(destination, Endpoint):
        return packet.decide(True, DEFAULT, "it leaves through the container's own host")
    if isinstance(source, Host) and source.name == destination.host:
        return packet.decide(True, DEFAULT, "a host always reaches its own containers")
    found = _judge(packet, Direction.INGRESS, destination, source)
    if found is not None:
        return found
    if isinstance(source, Host):
        return packet.decide(True, DEFAULT, "hosts reach containers that no ingress policy selects")
    if isinstance(source, Endpoint) and source.network == destination.network:
        return packet.decide(True, DEFAULT, "free inside a network: no ingress policy selects the destination")
    reason = "networks are isolated unless an ingress policy of the target allows it"
    return packet.decide(False, ISOLATION, reason, rule=ISOLATION)


def _judge(packet: _Packet, direction: Direction, end: Endpoint, peer: Party) -> Verdict | None:
    """Judge by the policies that isolate an end in a direction; None where none does."""
    view = packet.view
    labels = _labels(view, end)
    isolating: list[Policy] = []
    allowing: list[tuple[Policy, str]] = []
    for policy in sorted(_policies(view, end), key=lambda policy: policy.number):
        rules = policy.spec.ingress if direction is Direction.INGRESS else policy.spec.egress
        if rules is None or not policy.spec.subject.matches(labels):
            continue
        isolating.append(policy)
        packet.steps.append(f"policy {policy.network}/{policy.name} selects {name_of(end, view.networks)} for {direction}")
        for way, index, rule in numbered_rules(policy.spec):
            if way is not direction or not _has_peer(view, rule, end, peer):
                continue
            if not _has_port(rule, packet.protocol, packet.port):
                packet.steps.append(f"rule {rule_id(policy.number, index)} is for {_ports(rule)} only")
                continue
            allowing.append((policy, rule_id(policy.number, index)))
    if not isolating:
        packet.steps.append(f"no {direction} policy selects {name_of(end, view.networks)}")
        return None
    if not allowing:
        first = isolating[0]
        reason = f"no {direction} rule allows it"
        rule_name = drop_id(first.number, direction)
        return packet.decide(False, direction, reason, policy=f"{first.network}/{first.name}", rule=rule_name)
    chosen, name = allowing[0]
    packet.steps += [f"rule {other} of policy {policy.network}/{policy.name} allows it" for policy, other in allowing]
    reason = f"{direction} rule {name} of policy {chosen.network}/{chosen.name} allows it"
    return packet.decide(True, direction, reason, policy=f"{chosen.network}/{chosen.name}", rule=name)


def _policies(view: View, endpoint: Endpoint) -> list[Policy]:
    network = view.networks.get(endpoint.network)
    name = network.name if network else None
    return [policy for policy in view.policies if name and policy.network == name]


def _labels(view: View, endpoint: Endpoint) -> Mapping[str, str]:
    network = view.networks.get(endpoint.network)
    return effective_labels(endpoint, network.name if network else None)


def _has_peer(view: View, rule: Rule, end: Endpoint, peer: Party) -> bool:
    if rule.peers is None:
        return True
    if not isinstance(peer, Endpoint) or peer.network != end.network:
        return False
    labels = _labels(view, peer)
    return any(isinstance(peer, Members) and _selects(peer.endpoints, labels) for peer in rule.peers)


def _selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    return all(key in labels and labels[key] == value for key, value in selector.match_labels)


def _has_port(rule: Rule, protocol: Protocol | None, port: int | None) -> bool:
    if rule.ports is None:
        return True
    return any(wanted.includes(protocol, port) for wanted in rule.ports)


def _ports(rule: Rule) -> str:
    return ", ".join(map(str, rule.ports or ()))
