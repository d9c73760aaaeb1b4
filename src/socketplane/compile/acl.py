"""ACLs: priority bands, rule ids, and what each kind of rule becomes.

Conntrack decides about replies, so an ACL only ever judges the first packet's direction. One set on one field per
ACL: anything richer makes ovn-controller recompute all of its flows when the set changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.rows import Output, Value
from socketplane.model.rules import drop_id, label_of, numbered_rules, rule_id
from socketplane.model.spec import Direction, Policy, Port, Protocol, Rule, Selector

# Bands, from the strongest: see docs/northbound.md. Gaps are for what comes.
UNKNOWN_DROP = 30000
OWN_HOST_ALLOW = 20000
POLICY_ALLOW = 11000
POLICY_DROP = 10000
BASE_ALLOW = 1100
BASE_DROP = 1000

Stage = Literal["from-lport", "to-lport"]
STAGES: dict[Direction, Stage] = {Direction.EGRESS: "from-lport", Direction.INGRESS: "to-lport"}


def subject(direction: Direction, group: str) -> str:
    """Return the match for packets whose end of that direction is in the port group."""
    return f"{'inport' if direction is Direction.EGRESS else 'outport'} == @{group}"


def allow(direction: Direction, priority: int, match: str, *, name: str, label: int = 0) -> dict[str, Value]:
    """Return an ACL that lets connections through, replies and related ICMP included."""
    return _acl(direction, priority, match, "allow-related", name=name, label=label)


def drop(direction: Direction, priority: int, match: str, *, name: str, meter: str = names.METER) -> dict[str, Value]:
    """Return an ACL that drops and logs."""
    return {**_acl(direction, priority, match, "drop", name=name), "log": True, "severity": "info", "meter": meter}


def _acl(direction: Direction, priority: int, match: str, action: str, *, name: str, label: int = 0) -> dict[str, Value]:
    return {
        "name": name,
        "priority": priority,
        "direction": STAGES[direction],
        "match": match,
        "action": action,
        "log": False,
        # 23.03 makes a meter in the southbound for every ACL that names a fair one, logging or not.
        "meter": None,
        "severity": None,
        "label": label,
    }


def policy_acls(output: Output, policy: Policy, network: UUID, group: UUID) -> None:
    """Add the allowing ACLs of a policy on one network to the port group of its subject."""
    target = names.segment_group(network, policy.spec.subject)
    for direction, index, rule in numbered_rules(policy.spec):
        rule_name = rule_id(policy.number, index)
        for part, match in _matches(direction, rule, network):
            columns = allow(
                direction,
                POLICY_ALLOW,
                f"{subject(direction, target)} && {match}",
                name=rule_name,
                label=label_of(policy.number, index),
            )
            key = f"{network}/{policy.name}/{index}/{direction}/{part}"
            acl = output.row("ACL", f"policy/{key}", columns, {"policy": f"{policy.network}/{policy.name}"})
            output.edge("Port_Group", group, "acls", acl)


def _matches(direction: Direction, rule: Rule, network: UUID) -> Iterator[tuple[str, str]]:
    """Yield one match for every peer and protocol of a rule, with what names it within the rule."""
    field = "ip4.dst" if direction is Direction.EGRESS else "ip4.src"
    peers = [("*", "ip4")]
    if rule.peers is not None:
        groups = [names.segment_group(network, selector) for selector in sorted({peer.endpoints for peer in rule.peers})]
        peers = [(group, f"{field} == ${group}_ip4") for group in groups]
    for peer_name, peer in peers:
        for port_name, ports in _port_matches(rule.ports):
            yield f"{peer_name}/{port_name}", f"{peer} && {ports}" if ports else peer


def _port_matches(ports: tuple[Port, ...] | None) -> Iterator[tuple[str, str]]:
    """Yield one match per protocol, its ports merged."""
    if ports is None:
        yield "*", ""
        return
    for protocol in Protocol:
        wanted = {port.port for port in ports if port.protocol is protocol}
        numbers = sorted(number for number in wanted if number is not None)
        if None in wanted:
            yield protocol, str(protocol)
        elif len(numbers) == 1:
            yield protocol, f"{protocol}.dst == {numbers[0]}"
        elif numbers:
            yield protocol, f"{protocol}.dst == {{{', '.join(map(str, numbers))}}}"


def isolation_drop(direction: Direction, network: UUID, selector: Selector, number: int) -> dict[str, Value]:
    """Return the ACL that drops what no rule allows; `number` is the lowest of the policies that isolate."""
    match = f"{subject(direction, names.segment_group(network, selector))} && ip"
    return drop(direction, POLICY_DROP, match, name=drop_id(number, direction))
