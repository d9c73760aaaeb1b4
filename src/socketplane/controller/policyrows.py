"""Policies and the revisions of their history, as rows of the intent database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import Any, Literal

import orjson

from socketplane.errors import InvalidInput
from socketplane.model.policy import parse
from socketplane.model.spec import (
    Action,
    Block,
    ClusterRule,
    ClusterSpec,
    Members,
    Policy,
    PolicySpec,
    Selector,
    Tier,
)
from socketplane.model.traffic import TrafficPolicy
from socketplane.wire import PolicyKind

Row = Mapping[str, Any]
Document = Policy | TrafficPolicy
"""What a document that was applied became. One name on a network is one document's, whatever its kind."""
Act = Literal["apply", "remove", "rollback", "expire"]
Effect = Literal["created", "configured", "removed"]


@dataclass(frozen=True, slots=True)
class Changed:
    """One document that a revision changed, by what names it, and how."""

    kind: PolicyKind
    network: str
    name: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of policies. `former` is what `changes` replaced: a JSON list of rows, null where there was none.

    One with a deadline waits for a confirmation while it is the latest; a later one took it back, or it was confirmed.
    """

    number: int
    time: float
    who: str
    action: Act
    changes: tuple[Changed, ...]
    former: str
    target: int | None = None
    """Number of the revision whose state it brought back."""
    deadline: float | None = None
    confirmed: float | None = None


def kind_of(policy: Document) -> PolicyKind:
    """Return the kind of the document that a policy was applied as."""
    if isinstance(policy, TrafficPolicy):
        return "TrafficPolicy"
    return "ClusterNetworkPolicy" if isinstance(policy.spec, ClusterSpec) else "NetworkPolicy"


def policy_row(policy: Document) -> Row:
    """Return a policy's row."""
    return {"network_name": policy.network, "name": policy.name, "number": policy.number, "document": policy.document}


def policy(row: Row) -> Policy:
    """Return the policy of a row.

    Raises:
        SocketPlaneError, ValueError: its document can't be understood.
    """
    found = _document(row)
    if not isinstance(found, Policy):
        raise InvalidInput(f"{found.title} is no policy of who may talk to whom")
    return found


def traffic(row: Row) -> TrafficPolicy:
    """Return the TrafficPolicy of a row; raises as `policy` does."""
    found = _document(row)
    if not isinstance(found, TrafficPolicy):
        raise InvalidInput(f"{found.title} is no TrafficPolicy")
    return found


def _document(row: Row) -> Document:
    return replace(parse(orjson.loads(row["document"])).numbered(row["number"]), document=row["document"])


def closed_policy(row: Row) -> Policy:
    """Return what stands for a policy whose document can't be understood.

    Nothing passes on its network; and where it was for all networks, nothing passes at all.
    """
    network = row["network_name"]
    return Policy(network, row["name"], row["number"], PolicySpec(Selector(), (), ()) if network else _CLOSED, "{}")


_ANYONE = Members(Selector(), Selector())
_DENY = ClusterRule(Action.DENY, (_ANYONE, Block(IPv4Network("0.0.0.0/0"), pool=True)))
_CLOSED = ClusterSpec(Tier.ADMIN, 0, _ANYONE, (_DENY,), (_DENY,))


def revision_row(revision: Revision) -> Row:
    """Return a revision's row."""
    return {
        "number": revision.number,
        "time": revision.time,
        "who": revision.who,
        "action": revision.action,
        "target": revision.target,
        "changes": orjson.dumps(revision.changes).decode(),
        "former": revision.former,
        "deadline": revision.deadline,
        "confirmed": revision.confirmed,
    }


def revision(row: Row) -> Revision:
    """Return the revision of a row."""
    return Revision(
        number=row["number"],
        time=row["time"],
        who=row["who"],
        action=row["action"],
        changes=tuple(Changed(**item) for item in orjson.loads(row["changes"])),
        former=row["former"],
        target=row["target"],
        deadline=row["deadline"],
        confirmed=row["confirmed"],
    )
