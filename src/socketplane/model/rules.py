"""Ids of rules: as conntrack labels (numbers), and as text in drop logs, `explain` and the northbound.

| id | what |
|---|---|
| `r<number>.<index>` | a rule of the policy with that number: ingress rules first, then egress, as in the document |
| `d<number>.ingress`, `d<number>.egress` | no rule allowed it; the oldest (lowest) of the policies that isolate |
| `unknown.ingress`, `unknown.egress` | the container's labels are not known yet, and its network has policies |
| `a<number>.ingress`, `a<number>.egress` | a policy in audit mode would deny it: the oldest that isolates |
| `isolation` | from another network, which no policy of the target allowed |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

from socketplane.model.spec import ClusterRule, ClusterSpec, Direction, PolicySpec, Rule

MAX_NUMBER = 2**20 - 1
MAX_RULES = 2**12
"""Rules of one policy, both directions together: what fits a label."""
ISOLATION = "isolation"


@overload
def numbered_rules(spec: PolicySpec) -> Iterator[tuple[Direction, int, Rule]]: ...


@overload
def numbered_rules(spec: ClusterSpec) -> Iterator[tuple[Direction, int, ClusterRule]]: ...


@overload
def numbered_rules(spec: PolicySpec | ClusterSpec) -> Iterator[tuple[Direction, int, Rule | ClusterRule]]: ...


def numbered_rules(spec: PolicySpec | ClusterSpec) -> Iterator[tuple[Direction, int, Rule | ClusterRule]]:
    """Yield a policy's rules with their direction and index."""
    ingress: tuple[Rule | ClusterRule, ...] = spec.ingress or ()
    egress: tuple[Rule | ClusterRule, ...] = spec.egress or ()
    for index, rule in enumerate(ingress):
        yield Direction.INGRESS, index, rule
    for index, rule in enumerate(egress, start=len(ingress)):
        yield Direction.EGRESS, index, rule


def label_of(number: int, index: int) -> int:
    """Return the conntrack label (32 bits) of a rule."""
    return number << 12 | index


def rule_id(number: int, index: int) -> str:
    """Return a rule's id."""
    return f"r{number}.{index}"


def drop_id(number: int, direction: Direction) -> str:
    """Return the id of a policy's implicit denial."""
    return f"d{number}.{direction}"


def audit_id(number: int, direction: Direction) -> str:
    """Return the id of what a policy in audit mode would deny."""
    return f"a{number}.{direction}"


def unknown_id(direction: Direction) -> str:
    """Return the id of the denial of endpoints whose identity is not known."""
    return f"unknown.{direction}"
