"""What is under `spec` of a NetworkPolicy (networking.k8s.io/v1).

Absent, empty and null mean what they mean there. Ports by name are refused, as nothing in Docker names ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socketplane.errors import InvalidInput
from socketplane.model.fields import Fields, choice, number
from socketplane.model.parts import MAX_PORT, cidr, optional_selector, port
from socketplane.model.rules import MAX_RULES
from socketplane.model.spec import Block, Cidr, Direction, Members, Peer, PolicySpec, Port, Protocol, Rule, Selector

MODE = "socketplane.io/mode"
"""Annotation: whether the policy is enforced, or only records what it would deny."""
AUDIT, ENFORCE = "audit", "enforce"

TYPES = {str(way).capitalize(): way for way in Direction}
PROTOCOLS = {protocol.upper(): protocol for protocol in Protocol}


def read(value: Any, annotations: Mapping[str, str]) -> PolicySpec:
    """Return the meaning of a NetworkPolicy's spec."""
    fields = Fields(value, "spec")
    subject = optional_selector(fields.take("podSelector"), "spec.podSelector") or Selector()
    types = _types(fields)
    rules = {
        Direction.INGRESS: _rules(fields, "ingress", "from"),
        Direction.EGRESS: _rules(fields, "egress", "to"),
    }
    fields.finish()
    if sum(map(len, rules.values())) > MAX_RULES:
        raise InvalidInput(f"has more than {MAX_RULES} rules", field="spec", remedy="split it into several policies")
    if types is None:
        # As in Kubernetes: ingress always, egress only where there is at least one rule for it.
        types = {Direction.INGRESS, *([Direction.EGRESS] if rules[Direction.EGRESS] else [])}
    meaning = {way: found if way in types else None for way, found in rules.items()}
    return PolicySpec(subject, meaning[Direction.INGRESS], meaning[Direction.EGRESS], audit=_audit(annotations))


def _audit(annotations: Mapping[str, str]) -> bool:
    path = f"metadata.annotations[{MODE}]"
    return choice(annotations.get(MODE, ENFORCE), path, "mode", (AUDIT, ENFORCE)) == AUDIT


def _types(fields: Fields) -> set[Direction] | None:
    """Return the directions that are named; None where none is."""
    types = {TYPES[choice(value, path, "policy type", TYPES)] for value, path in fields.items("policyTypes") or ()}
    return types or None


def _rules(fields: Fields, name: str, peers_name: str) -> tuple[Rule, ...]:
    return tuple(_rule(value, path, peers_name) for value, path in fields.items(name) or ())


def _rule(value: object, path: str, peers_name: str) -> Rule:
    fields = Fields(value, path)
    peers = tuple(read_peer(peer, at) for peer, at in fields.items(peers_name) or ())
    ports = tuple(read_port(port, at) for port, at in fields.items("ports") or ())
    fields.finish()
    # Empty as well as absent is anyone, or anything.
    return Rule(tuple(dict.fromkeys(peers)) or None, tuple(dict.fromkeys(ports)) or None)


def read_peer(value: object, path: str) -> Peer:
    """Return one end of a rule."""
    fields = Fields(value, path)
    endpoints = optional_selector(fields.take("podSelector"), fields.at("podSelector"))
    networks = optional_selector(fields.take("namespaceSelector"), fields.at("namespaceSelector"))
    block = fields.take("ipBlock")
    fields.finish()
    if block is not None:
        if endpoints is not None or networks is not None:
            remedy = "make it a peer of its own: start it with -"
            raise InvalidInput("can't be combined with selectors", field=fields.at("ipBlock"), remedy=remedy)
        return _block(block, fields.at("ipBlock"))
    if endpoints is None and networks is None:
        raise InvalidInput("selects nobody", field=path, remedy="write podSelector: {} for every container of the network")
    return Members(endpoints or Selector(), networks)


def _block(value: object, path: str) -> Block:
    fields = Fields(value, path)
    whole = cidr(fields.required("cidr", "write the addresses that are meant: cidr: 192.0.2.0/24"), fields.at("cidr"))
    excepts = [_except(item, at, whole) for item, at in fields.items("except") or ()]
    fields.finish()
    return Block(whole, tuple(dict.fromkeys(excepts)))


def _except(value: object, path: str, whole: Cidr) -> Cidr:
    found = cidr(value, path)
    # Compared as text's families first: subnet_of refuses to compare IPv4 with IPv6.
    if found.version != whole.version or found == whole or not found.subnet_of(whole):  # type: ignore[arg-type]
        raise InvalidInput(f"has to be a part of {whole}, and less than all of it", field=path)
    return found


def read_port(value: object, path: str) -> Port:
    """Return a protocol, and of it a port, a range of ports or all."""
    fields = Fields(value, path)
    name, first, last = fields.take("protocol"), fields.take("port"), fields.take("endPort")
    fields.finish()
    protocol = PROTOCOLS[choice("TCP" if name is None else name, fields.at("protocol"), "protocol", PROTOCOLS)]
    if first is None:
        if last is not None:
            raise InvalidInput("needs a port to begin with", field=fields.at("endPort"), remedy="write port: too")
        return Port(protocol)
    start = port(first, fields.at("port"))
    end = start if last is None else number(last, fields.at("endPort"), 1, MAX_PORT)
    if end < start:
        raise InvalidInput(f"is less than port, {start}", field=fields.at("endPort"), remedy="exchange the two")
    return Port(protocol, start, end if end > start else None)
