"""ACLs: bands, and the columns of each kind.

Conntrack decides about replies, so an ACL only ever judges the first packet's direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.rows import Output, Value
from socketplane.model.spec import Direction, Tier


class Band(NamedTuple):
    """Where an ACL stands: the first that matches decides. Tiers where the server has them, else priorities do."""

    tier: int
    priority: int


# From the strongest: see docs/northbound.md. Gaps are for what comes.
LINK_LOCAL_DROP = Band(0, 31000)
UNKNOWN_DROP = Band(0, 30000)
ASKING_ALLOW = Band(0, 31000)
ASKING_DROP = Band(0, 30900)
OWN_HOST_ALLOW = Band(0, 20000)
MEMBERSHIP_ALLOW = Band(0, 20000)
RESOLVER_ALLOW = Band(1, 11500)
POLICY_ALLOW = Band(1, 11000)
POLICY_DROP = Band(1, 10000)
AUDIT_ISOLATION = Band(1, 9200)
AUDIT_ALLOW = Band(1, 9100)
AUDIT_DENY = Band(1, 9000)
BASE_ALLOW = Band(3, 1100)
BASE_DROP = Band(3, 1000)

RULES_EACH = 25
"""Rules of a ClusterNetworkPolicy in one direction, and so the priorities that it gets."""
CLUSTER_BANDS: Mapping[Tier, tuple[Band, int]] = {Tier.ADMIN: (Band(0, 19999), 320), Tier.BASELINE: (Band(2, 8999), 280)}
"""Of the tiers of ClusterNetworkPolicies: where the first rule of the first policy stands, and how many policies fit."""

Stage = Literal["from-lport", "to-lport"]
STAGES: dict[Direction, Stage] = {Direction.EGRESS: "from-lport", Direction.INGRESS: "to-lport"}


def allow(direction: Direction, band: Band, match: str, *, name: str, label: int = 0) -> dict[str, Value]:
    """Return an ACL that lets connections through, replies and related ICMP included."""
    return _acl(direction, band, match, "allow-related", name=name, label=label)


def drop(direction: Direction, band: Band, match: str, *, name: str, meter: str = names.METER) -> dict[str, Value]:
    """Return an ACL that drops and logs."""
    return logged(_acl(direction, band, match, "drop", name=name), meter)


def reject(direction: Direction, band: Band, match: str, *, name: str) -> dict[str, Value]:
    """Return an ACL that refuses at once: with a reset, or as unreachable."""
    return _acl(direction, band, match, "reject", name=name)


def pass_on(direction: Direction, band: Band, match: str, *, name: str) -> dict[str, Value]:
    """Return an ACL that leaves the decision to the next tier; only for servers that have tiers."""
    return _acl(direction, band, match, "pass", name=name)


def tier_ends(subjects: Mapping[Direction, str]) -> dict[str, dict[str, Value]]:
    """Return ACLs by which no tier but the last is left without a match; only for servers that have tiers.

    Seen with 25.03: in a tier in which nothing matches, a connection that was cut is let through, and is whole again. Every
    second packet of what a policy had come to forbid got through, until the sender paused.
    """
    ends = ((tier, direction) for tier in range(BASE_DROP.tier) for direction in subjects)
    return {
        f"tier-{tier}/{direction}": pass_on(direction, Band(tier, 0), subjects[direction], name="base")
        for tier, direction in ends
    }


def logged(columns: dict[str, Value], meter: str = names.METER) -> dict[str, Value]:
    """Return the ACL so that it logs what it matches."""
    return {**columns, "log": True, "severity": "info", "meter": meter}


def cluster_band(tier: Tier, rank: int, place: int) -> Band | None:
    """Return the band of a ClusterNetworkPolicy's rule: of the policy's rank in its tier and the rule's place, from 0.

    None where there is no room; `limits` refuses that before.
    """
    first, fit = CLUSTER_BANDS[tier]
    if rank >= fit or place >= RULES_EACH:
        return None
    return Band(first.tier, first.priority - rank * RULES_EACH - place)


def add(output: Output, group: UUID, key: str, columns: dict[str, Value], notes: Mapping[str, str] | None = None) -> None:
    """Add an ACL to a port group."""
    if not output.features.acl_tier:
        del columns["tier"]
    output.edge("Port_Group", group, "acls", output.row("ACL", key, columns, notes))


def _acl(direction: Direction, band: Band, match: str, action: str, *, name: str, label: int = 0) -> dict[str, Value]:
    return {
        "name": name,
        "tier": band.tier,
        "priority": band.priority,
        "direction": STAGES[direction],
        "match": match,
        "action": action,
        "log": False,
        # 23.03 makes a meter in the southbound for every ACL that names a fair one, logging or not.
        "meter": None,
        "severity": None,
        "label": label,
        # What is sent to a published port is judged as what is sent to the container behind it.
        "options": {"apply-after-lb": "true"} if direction is Direction.EGRESS else {},
    }
