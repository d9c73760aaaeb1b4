"""The history of policies: each change of them is a revision, written in the transaction that makes the change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import orjson

from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.controller.policyrows import Act, Changed, Effect, Revision, closed_policy, kind_of
from socketplane.controller.rows import KINDS, Item, Key, same
from socketplane.errors import Conflict, NotFound, SocketPlaneError
from socketplane.model.spec import Policy
from socketplane.model.traffic import TrafficPolicy
from socketplane.wire import PolicyKind

R = TypeVar("R")
KEPT = 200
"""Revisions that are kept, at most."""
KEPT_BYTES = 32 << 20
"""What their former documents take, at most; the latest is kept whatever it takes."""
RECORDED: Mapping[type[Item], Callable[[Any], PolicyKind]] = {
    Policy: kind_of,
    TrafficPolicy: kind_of,
}
"""What the history is of, and the kind of an item's document. Its key is network and name, its row is JSON."""
MODELS: Mapping[PolicyKind, type[Item]] = {
    "NetworkPolicy": Policy,
    "ClusterNetworkPolicy": Policy,
    "TrafficPolicy": TrafficPolicy,
}
CONTROLLER = "controller"
"""Who takes back what nobody confirmed."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes policies, and what for. `target` is the revision whose state is brought back."""

    who: str
    action: Act
    target: int | None = None


def revise(
    draft: Draft, author: Author, change: Callable[[Draft], R], *, confirm_within: float | None = None
) -> tuple[R, Revision | None]:
    """Make a change and note it; return what it returned, and its revision, None where it changed nothing.

    Raises:
        Conflict: another change waits to be confirmed; going back is possible nevertheless.
    """
    mark = draft.mark()
    result = change(draft)
    held, back = waiting(draft.intent), author.action in ("rollback", "expire")
    changes, former = _differences(draft, mark)
    if not changes and not (held and back):
        return result, None
    if held and not back:
        raise Conflict(
            f"revision {held.number} waits until {moment(held.deadline)} to be confirmed",
            remedy=f"`socketplane policy confirm` keeps it, `socketplane policy rollback {held.number - 1}` takes it back",
        )
    revision = Revision(
        number=max(draft.intent.revisions, default=0) + 1,
        time=draft.now,
        who=author.who,
        action=author.action,
        changes=tuple(changes),
        former=orjson.dumps(former).decode(),
        target=author.target,
        deadline=None if confirm_within is None else round(draft.now + confirm_within, 3),
    )
    draft.put(revision)
    _prune(draft)
    return result, revision


def waiting(intent: Intent) -> Revision | None:
    """Return the change that is taken back unless it is confirmed; None where none is."""
    latest = intent.revisions.get(max(intent.revisions, default=0))
    return latest if latest and latest.deadline is not None and latest.confirmed is None else None


def rollback(draft: Draft, number: int, *, anyhow: bool = False) -> list[tuple[Item, Effect]]:
    """Bring back the state right after a revision (0: before the first); return what that changed.

    A document of that time that this release does not understand is refused; `anyhow` it stands, and closes.

    Raises:
        NotFound: there is no such revision, or what followed it is not kept any more.
        Conflict: it is the latest one and waits to be confirmed, or a document of it can't be understood.
    """
    revisions = draft.intent.revisions
    first, last = min(revisions, default=1), max(revisions, default=0)
    if not first - 1 <= number <= last:
        kept = f"kept are {first - 1} to {last}" if revisions else "policies were never changed"
        raise NotFound(f"no revision {number}: {kept}", field="revision", remedy="`socketplane policy history` lists them")
    held = waiting(draft.intent)
    if held and held.number == number:
        raise Conflict(f"revision {number} is what stands, and waits", remedy="keep it with `socketplane policy confirm`")
    former = _former(draft.intent, number)
    return [done for model, key, row in former if (done := _restore(draft, model, key, row, anyhow))]


def confirm(draft: Draft, number: int | None) -> Revision:
    """Keep the change that waits; confirmed again it is no error.

    Raises:
        NotFound: there is no such revision.
        Conflict: it does not wait, or its time is over.
    """
    revisions = draft.intent.revisions
    latest = max(revisions, default=0)
    revision = revisions.get(latest if number is None else number)
    if revision is None and number is not None:
        raise NotFound(f"no revision {number}", field="revision", remedy="`socketplane policy history` lists them")
    if revision is not None and revision.confirmed is not None:
        return revision
    if revision is None or revision.deadline is None:
        if revision is not None and revision.action == "expire":
            message = f"nobody confirmed in time: revision {revision.number} took the change back"
            raise Conflict(message, remedy="apply it again")
        remedy = "`socketplane policy history` lists the changes"
        raise Conflict("no change of policies waits to be confirmed", remedy=remedy)
    if revision.number != latest or revision.deadline <= draft.now:
        raise Conflict(
            f"revision {revision.number} was to be confirmed until {moment(revision.deadline)}: it is taken back",
            remedy="apply it again",
        )
    confirmed = replace(revision, confirmed=draft.now)
    draft.put(confirmed)
    return confirmed


def expire(draft: Draft, number: int) -> Revision | None:
    """Take back the change of that number if it still waits; return the revision that does."""
    held = waiting(draft.intent)
    if held is None or held.number != number:
        return None
    author = Author(CONTROLLER, "expire", number - 1)
    return revise(draft, author, lambda draft: rollback(draft, number - 1, anyhow=True))[1]


def moment(seconds: float | None) -> str:
    """Return a point in time as text."""
    return datetime.fromtimestamp(seconds or 0.0, UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def _differences(draft: Draft, mark: int) -> tuple[list[Changed], list[Any]]:
    changes: list[Changed] = []
    former: list[Any] = []
    for (model, key), old in draft.replaced(mark).items():
        new: Any = draft.intent.get(model, key)
        if model in RECORDED and not same(old, new):
            network, name = cast("tuple[str, str]", key)
            changes.append(Changed(RECORDED[model](new or old), network, name, _effect(old, new)))
            former.append(None if old is None else KINDS[model].to_row(old))
    return changes, former


def _effect(old: Item | None, new: Item | None) -> Effect:
    if old is None:
        return "created"
    return "removed" if new is None else "configured"


def _prune(draft: Draft) -> None:
    """Forget the oldest revisions. Those that are kept have no gap: going back needs each one on the way."""
    size = 0
    for count, number in enumerate(sorted(draft.intent.revisions, reverse=True)):
        revision = draft.intent.revisions[number]
        size += len(revision.former)
        if count and (count >= KEPT or size > KEPT_BYTES):
            draft.remove(revision)


def _former(intent: Intent, number: int) -> list[tuple[type[Item], Key, Any]]:
    """Return what stood right after a revision wherever something was changed since."""
    found: dict[tuple[type[Item], Key], Any] = {}
    for later in sorted((key for key in intent.revisions if key > number), reverse=True):
        revision = intent.revisions[later]
        for changed, row in zip(revision.changes, orjson.loads(revision.former), strict=True):
            found[MODELS[changed.kind], (changed.network, changed.name)] = row
    return [(model, key, row) for (model, key), row in found.items()]


def _restore(draft: Draft, model: type[Item], key: Key, row: Any, anyhow: bool) -> tuple[Item, Effect] | None:
    there = draft.intent.get(model, key)
    if row is None:
        if there is None:
            return None
        draft.remove(there)
        return there, "removed"
    try:
        item: Item = KINDS[model].from_row(UUID(int=0), row, {})
    except (ValueError, KeyError, SocketPlaneError) as error:
        if not anyhow:
            raise Conflict(f"a document of that time is not understood any more: {error}") from None
        if model is not Policy:
            return None
        item = replace(closed_policy(row), document=row["document"])
    if same(there, item):
        return None
    draft.put(item)
    return item, "configured" if there else "created"
