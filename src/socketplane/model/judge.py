"""What the policies of one end say of a packet, tier by tier: Admin, NetworkPolicies, Baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from socketplane.model.resolver import asks_resolver
from socketplane.model.rules import audit_id, drop_id, numbered_rules, rule_id
from socketplane.model.selection import Party, View, has_peer, has_port, is_member, subject_of
from socketplane.model.spec import Action, ClusterSpec, Direction, Policy, PolicySpec, Port, Protocol, Tier
from socketplane.model.types import Endpoint, Host, Network


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a new connection (or a single packet) passes, and why.

    `direction` is which side decided: ingress, egress, isolation or default. `policy` (its title) and `rule` are
    empty where none decided. Where several rules of NetworkPolicies allow, the first of the policy with the lowest
    number is named; the packet may carry the label of any of them.
    """

    allow: bool
    direction: str
    reason: str
    policy: str = ""
    rule: str = ""
    steps: tuple[str, ...] = ()
    would_deny: str = ""
    """Id of the denial that policies in audit mode would add to what passes now; the egress side's before the other."""


@dataclass(slots=True)
class Packet:
    """A packet under judgement, and what was found on the way."""

    view: View
    source: Party
    destination: Party
    protocol: Protocol | None
    port: int | None
    version: int = 4
    """Of IP."""
    steps: list[str] = field(default_factory=list)
    egress: Verdict | None = None
    """How the source's policies let it out, where any decided."""
    would_deny: str = ""

    def decide(self, allow: bool, direction: str, reason: str, *, policy: str = "", rule: str = "") -> Verdict:
        """Return the verdict: the reason is its last step."""
        return Verdict(allow, direction, reason, policy, rule, (*self.steps, reason), self.would_deny if allow else "")


def name_of(party: Party, networks: Mapping[UUID, Network]) -> str:
    """Return an end for people."""
    if isinstance(party, Endpoint):
        network = networks.get(party.network)
        return f"{(network and network.name) or party.network}/{party.name or party.address}"
    return f"host {party.name}" if isinstance(party, Host) else str(party)


def judge(packet: Packet, direction: Direction, end: Endpoint, peer: Party) -> Verdict | None:
    """Judge by one end's policies in a direction; None where none decides and the defaults hold."""
    found = (
        _cluster_tier(packet, Tier.ADMIN, direction, end, peer)
        or _resolver(packet, direction, end, peer)
        or _network_policies(packet, direction, end, peer)
        or _cluster_tier(packet, Tier.BASELINE, direction, end, peer)
    )
    if found is None:
        packet.steps.append(f"no {direction} policy decides for {name_of(end, packet.view.networks)}")
    return found


def _resolver(packet: Packet, direction: Direction, end: Endpoint, peer: Party) -> Verdict | None:
    """Allow what asks for names: below the Admin tier no policy isolates from the resolver."""
    if direction is not Direction.EGRESS or end.network not in packet.view.networks:
        return None
    if not asks_resolver(packet.view.hosts, end, peer, packet.protocol, packet.port):
        return None
    return packet.decide(True, "default", "a container reaches its host's resolver, unless an Admin policy denies it")


def _cluster_tier(packet: Packet, tier: Tier, direction: Direction, end: Endpoint, peer: Party) -> Verdict | None:
    """Judge by the first rule of a tier that matches; None where none does, or where it passes the packet on."""
    view = packet.view
    for policy, spec in _of_tier(view, tier):
        rules = [(index, rule) for way, index, rule in numbered_rules(spec) if way is direction]
        if not rules or not is_member(view, spec.subject, policy.network, end):
            continue
        kind = f"{tier} policy {policy.title} of priority {spec.priority}"
        packet.steps.append(f"{kind} selects {name_of(end, view.networks)} for {direction}")
        for index, rule in rules:
            if not has_peer(view, rule.peers, policy.network, peer, packet.version):
                continue
            name = rule_id(policy.number, index)
            if not has_port(rule.ports, packet.protocol, packet.port):
                packet.steps.append(f"rule {name} is for {_ports(rule.ports)} only")
                continue
            called = f"{name} ({rule.name})" if rule.name else name
            if rule.action is Action.PASS:
                packet.steps.append(f"rule {called} passes it on: the {tier} tier decides nothing")
                return None
            allow = rule.action is Action.ACCEPT
            reason = f"{direction} rule {called} of {tier} policy {policy.title} {'accepts' if allow else 'denies'} it"
            return packet.decide(allow, direction, reason, policy=policy.title, rule=name)
    return None


def _of_tier(view: View, tier: Tier) -> list[tuple[Policy, ClusterSpec]]:
    """Return a tier's policies in the order in which they are asked."""
    found = [(policy, policy.spec) for policy in view.policies if isinstance(policy.spec, ClusterSpec)]
    return sorted(
        ((policy, spec) for policy, spec in found if spec.tier is tier), key=lambda it: (it[1].priority, it[0].number)
    )


def _network_policies(packet: Packet, direction: Direction, end: Endpoint, peer: Party) -> Verdict | None:
    """Judge by the NetworkPolicies that isolate an end; None where none does.

    Those in audit mode decide nothing. Where only they isolate, and none of them allows, the denial is noted.
    """
    isolating: list[Policy] = []
    audited: list[Policy] = []
    allowing: list[tuple[Policy, str]] = []
    audit_allows = False
    for policy, spec in _isolating(packet.view, direction, end):
        mode = " (audit: it decides nothing)" if spec.audit else ""
        packet.steps.append(f"policy {policy.title}{mode} selects {name_of(end, packet.view.networks)} for {direction}")
        rules = _allowing(packet, policy, spec, direction, peer)
        if spec.audit:
            audited.append(policy)
            audit_allows = audit_allows or bool(rules)
        else:
            isolating.append(policy)
            allowing += [(policy, rule) for rule in rules]
    if not isolating:
        if audited and not audit_allows:
            _note_audit(packet, audited[0], direction)
        return None
    if not allowing:
        first = isolating[0]
        reason = f"no {direction} rule allows it"
        return packet.decide(False, direction, reason, policy=first.title, rule=drop_id(first.number, direction))
    packet.steps += [f"rule {rule} of policy {policy.title} allows it" for policy, rule in allowing]
    chosen, name = allowing[0]
    reason = f"{direction} rule {name} of policy {chosen.title} allows it"
    return packet.decide(True, direction, reason, policy=chosen.title, rule=name)


def _isolating(view: View, direction: Direction, end: Endpoint) -> list[tuple[Policy, PolicySpec]]:
    """Return the NetworkPolicies that isolate an end in a direction, the oldest first."""
    found = []
    for policy in sorted(view.policies, key=lambda policy: policy.number):
        spec = policy.spec
        if not isinstance(spec, PolicySpec):
            continue
        rules = spec.ingress if direction is Direction.INGRESS else spec.egress
        if rules is not None and is_member(view, subject_of(policy), policy.network, end):
            found.append((policy, spec))
    return found


def _allowing(packet: Packet, policy: Policy, spec: PolicySpec, direction: Direction, peer: Party) -> list[str]:
    """Return the ids of a policy's rules that allow the packet."""
    found = []
    for way, index, rule in numbered_rules(spec):
        if way is not direction or not has_peer(packet.view, rule.peers, policy.network, peer, packet.version):
            continue
        name = rule_id(policy.number, index)
        if has_port(rule.ports, packet.protocol, packet.port):
            found.append(name)
        else:
            packet.steps.append(f"rule {name} is for {_ports(rule.ports)} only")
    return found


def _note_audit(packet: Packet, policy: Policy, direction: Direction) -> None:
    denial = audit_id(policy.number, direction)
    packet.steps.append(f"no {direction} rule allows it: enforced, policy {policy.title} would deny it ({denial})")
    packet.would_deny = packet.would_deny or denial


def _ports(ports: tuple[Port, ...] | None) -> str:
    return ", ".join(map(str, ports or ()))
