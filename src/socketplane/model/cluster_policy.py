"""What is under `spec` of a ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2).

The standard channel whole; of the experimental one `nodes`, and each other field is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from socketplane.errors import InvalidInput, Unsupported
from socketplane.model.fields import Fields, choice, elements, number, text
from socketplane.model.network_policy import MODE
from socketplane.model.parts import MAX_PORT, cidr, optional_selector, port, selector
from socketplane.model.spec import (
    Action,
    Block,
    ClusterRule,
    ClusterSpec,
    Direction,
    Hosts,
    Members,
    Peer,
    Port,
    Protocol,
    Selector,
    Tier,
)

MAX_RULES = 25
"""Of each direction; the standard's bound, as all below."""
MAX_PEERS = 25
MAX_PROTOCOLS = 25
MAX_CIDRS = 25
MAX_PRIORITY = 1000
MAX_RULE_NAME = 100

TIERS = tuple(str(tier) for tier in Tier)
ACTIONS = tuple(str(action) for action in Action)
_ACTIONS_ELSEWHERE = {
    **dict.fromkeys(("allow", "permit"), "Accept"),
    **dict.fromkeys(("drop", "reject", "block", "refuse"), "Deny"),
    **dict.fromkeys(("delegate", "continue", "next"), "Pass"),
}
_PEERS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


def read(value: Any, annotations: Mapping[str, str]) -> ClusterSpec:
    """Return the meaning of a ClusterNetworkPolicy's spec."""
    if MODE in annotations:
        remedy = "remove it: only a NetworkPolicy can be in audit mode"
        raise Unsupported("a ClusterNetworkPolicy is always enforced", field=f"metadata.annotations[{MODE}]", remedy=remedy)
    fields = Fields(value, "spec")
    tier = fields.required("tier", "write Admin (before all NetworkPolicies) or Baseline (after them)")
    priority = fields.required("priority", f"write a number from 0 (asked first) to {MAX_PRIORITY}")
    subject = fields.required("subject", "write subject: {namespaces: {}} for all containers on all networks")
    spec = ClusterSpec(
        Tier(choice(tier, "spec.tier", "tier", TIERS)),
        number(priority, "spec.priority", 0, MAX_PRIORITY),
        _members(subject, "spec.subject"),
        tuple(_rules(fields, Direction.INGRESS)),
        tuple(_rules(fields, Direction.EGRESS)),
    )
    fields.finish()
    return spec


def _members(value: object, path: str) -> Members:
    fields = Fields(value, path)
    name, found = _one(fields, ("namespaces", "pods"))
    return _selected(name, found, fields.at(name))


def _one(fields: Fields, names: tuple[str, ...]) -> tuple[str, Any]:
    """Return the one field that is there, of those of which exactly one has to be, and its value."""
    found = {name: value for name in names if (value := fields.take(name)) is not None}
    fields.finish(
        podSelector="pods", namespaceSelector="namespaces", **({"ipBlock": "networks"} if "networks" in names else {})
    )
    if len(found) != 1:
        problem = f"has {' and '.join(found)}" if found else "is empty"
        raise InvalidInput(f"{problem}, and needs exactly one of {', '.join(names)}", field=fields.path)
    return next(iter(found.items()))


def _selected(name: str, value: object, path: str) -> Members:
    """Return who is meant by `namespaces` or `pods`."""
    if name == "namespaces":
        return Members(Selector(), selector(value, path))
    fields = Fields(value, path)
    networks = optional_selector(fields.take("namespaceSelector"), fields.at("namespaceSelector"))
    endpoints = fields.required("podSelector", "write podSelector: {} for every container of these networks")
    fields.finish()
    return Members(selector(endpoints, fields.at("podSelector")), networks or Selector())


def _rules(fields: Fields, direction: Direction) -> Iterator[ClusterRule]:
    path = fields.at(direction)
    remedy = "split it into several policies of neighbouring priorities"
    found = fields.take(direction)
    items = [] if found is None else _bounded(found, path, 0, MAX_RULES, remedy)
    return (_rule(value, at, direction) for value, at in items)


def _bounded(value: object, path: str, low: int, high: int, remedy: str) -> list[tuple[Any, str]]:
    items = list(elements(value, path))
    if not low <= len(items) <= high:
        raise InvalidInput(f"has more than {high} elements" if items else "is empty", field=path, remedy=remedy)
    return items


def _rule(value: object, path: str, direction: Direction) -> ClusterRule:
    fields = Fields(value, path)
    name = fields.take("name")
    action = fields.required("action", f"write one of {', '.join(ACTIONS)}")
    peers = fields.required(_PEERS[direction], "name who is meant; [{namespaces: {}}] means all networks")
    protocols = fields.take("protocols")
    fields.finish(ports="protocols")
    return ClusterRule(
        Action(choice(action, fields.at("action"), "action", ACTIONS, _ACTIONS_ELSEWHERE)),
        _peers(peers, fields.at(_PEERS[direction]), direction),
        None if protocols is None else _protocols(protocols, fields.at("protocols")),
        "" if name is None else _name(name, fields.at("name")),
    )


def _name(value: object, path: str) -> str:
    name = text(value, path)
    if len(name) > MAX_RULE_NAME:
        raise InvalidInput(f"is longer than {MAX_RULE_NAME} characters", field=path, remedy="shorten it")
    return name


def _peers(value: object, path: str, direction: Direction) -> tuple[Peer, ...]:
    items = _bounded(value, path, 1, MAX_PEERS, f"list one to {MAX_PEERS} peers")
    return tuple(dict.fromkeys(peer for item, at in items for peer in _peer(item, at, direction)))


def _peer(value: object, path: str, direction: Direction) -> Sequence[Peer]:
    """Return what one peer stands for: each block of addresses is a peer of its own for us."""
    fields = Fields(value, path)
    fields.refuse(domainNames="write their addresses as networks of an egress rule")
    for name, what in (("networks", "addresses"), ("nodes", "hosts")):
        if direction is Direction.INGRESS and fields.has(name):
            remedy = "select who may come in with namespaces or pods"
            raise InvalidInput(f"{what} can be peers of egress rules only", field=fields.at(name), remedy=remedy)
    name, found = _one(fields, ("namespaces", "pods", *(["networks", "nodes"] if direction is Direction.EGRESS else [])))
    at = fields.at(name)
    if name == "nodes":
        return [Hosts(selector(found, at))]
    if name != "networks":
        return [_selected(name, found, at)]
    blocks = _bounded(found, at, 1, MAX_CIDRS, f"list one to {MAX_CIDRS} of them, and more as a further peer")
    return [Block(cidr(item, where), pool=True) for item, where in blocks]


def _protocols(value: object, path: str) -> tuple[Port, ...]:
    items = _bounded(value, path, 1, MAX_PROTOCOLS, f"list one to {MAX_PROTOCOLS}, or leave it out to mean anything")
    return tuple(dict.fromkeys(_protocol(item, at) for item, at in items))


def _protocol(value: object, path: str) -> Port:
    fields = Fields(value, path)
    fields.refuse(destinationNamedPort="write the port's number: Docker's images do not name ports")
    name, found = _one(fields, tuple(map(str, Protocol)))
    inner = Fields(found, fields.at(name))
    remedy = f"for all ports write range: {{start: 1, end: {MAX_PORT}}}"
    destination = Fields(inner.required("destinationPort", remedy), inner.at("destinationPort"))
    inner.finish()
    form, numbers = _one(destination, ("number", "range"))
    if form == "number":
        return Port(Protocol(name), port(numbers, destination.at(form)))
    return _range(Protocol(name), numbers, destination.at(form))


def _range(protocol: Protocol, value: object, path: str) -> Port:
    fields = Fields(value, path)
    first, last = (
        number(fields.required(name, "write both start and end"), fields.at(name), 1, MAX_PORT) for name in ("start", "end")
    )
    fields.finish()
    if first >= last:
        remedy = "exchange the two" if first > last else "write number: for a single port"
        raise InvalidInput("start has to be less than end", field=path, remedy=remedy)
    return Port(protocol, first, last)
