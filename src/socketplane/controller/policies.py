"""Changing policies: with a history, and with a way back for who is locked out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import structlog

from socketplane import wire
from socketplane.compile import Features, unmarkable, unsupported
from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.controller.plans import history, policies
from socketplane.controller.plans.history import Author
from socketplane.controller.policyrows import Document, Revision
from socketplane.controller.reach import snapshot
from socketplane.controller.store import Change, Store
from socketplane.controller.trial import Trial, warnings_of
from socketplane.controller.writer import Writer
from socketplane.errors import SocketPlaneError
from socketplane.model.policy import Parsed

RETRY_SECONDS = 1.0
_log = structlog.get_logger()


class Policies:
    """The one way to change policies. `run` takes back what nobody confirmed in time.

    What a northbound with these features can't hold is refused before anything is changed.
    """

    def __init__(self, store: Store, writer: Writer, features: Features, clock: Callable[[], float]) -> None:
        self._store = store
        self._writer = writer
        self._features = features
        self._clock = clock
        self._planning = asyncio.Lock()
        self._news = asyncio.Event()
        store.listen(self._hear)

    async def apply(self, who: str, wanted: Sequence[Parsed], confirm_within: float | None = None) -> wire.PolicyOutcome:
        """Create or replace policies, all or none."""

        def plan(draft: Draft) -> wire.PolicyOutcome:
            author = Author(who, "apply")
            items, revision = history.revise(
                draft, author, lambda draft: policies.apply(draft, wanted), confirm_within=confirm_within
            )
            self._refuse_unsupported(draft.intent, _keys(revision))
            return _outcome(draft, items, revision)

        return await self._writer.submit(plan)

    async def plan(self, wanted: Sequence[Parsed], by: Sequence[str]) -> wire.PolicyPlan:
        """Return what applying would do; endpoints are grouped by these keys of labels. One plan is made at a time."""
        async with self._planning:
            trial = await self._writer.submit(lambda draft: self._try(draft, wanted))
            return await asyncio.to_thread(trial.compare, by)

    def _try(self, draft: Draft, wanted: Sequence[Parsed]) -> Trial:
        """Apply, look, and undo: what is refused then is refused now."""
        mark, before = draft.mark(), snapshot(draft.intent)
        try:
            items = policies.apply(draft, wanted)
            changed = {(item.network, item.name) for item in items if item.change != "unchanged"}
            self._refuse_unsupported(draft.intent, changed)
            return Trial(items, before, replace(before, policies=list(draft.intent.policies.values())))
        finally:
            draft.undo(mark)

    async def remove(self, who: str, titles: Collection[str]) -> wire.PolicyOutcome:
        """Remove those of these policies that there are, as one change: nothing in between is ever in force."""

        def plan(draft: Draft) -> wire.PolicyOutcome:
            items, revision = history.revise(draft, Author(who, "remove"), lambda draft: policies.remove(draft, titles))
            return _outcome(draft, items, revision)

        return await self._writer.submit(plan)

    async def rollback(self, who: str, number: int) -> wire.PolicyOutcome:
        """Bring back the state right after a revision."""

        def plan(draft: Draft) -> wire.PolicyOutcome:
            author = Author(who, "rollback", number)
            done, revision = history.revise(draft, author, lambda draft: history.rollback(draft, number))
            self._refuse_unsupported(draft.intent, _keys(revision))
            items = [policies.applied(draft.intent, item, effect) for item, effect in done if isinstance(item, Document)]
            return _outcome(draft, items, revision)

        return await self._writer.submit(plan)

    async def confirm(self, number: int | None) -> Revision:
        """Keep the change that waits."""
        return await self._writer.submit(lambda draft: history.confirm(draft, number))

    async def with_warnings(self, outcome: wire.PolicyOutcome) -> wire.PolicyOutcome:
        """Return what applying did with what to look at in its policies; for want of that it has not failed."""
        async with self._planning:
            view = snapshot(self._store.committed)
            try:
                found = await asyncio.to_thread(warnings_of, view, outcome.items)
            except Exception:
                _log.exception("policies.no_warnings")
                return outcome
        return outcome.model_copy(update={"warnings": found})

    async def take_back_overdue(self) -> None:
        """Take back what nobody confirmed while no controller ran; before the writer does."""
        held = history.waiting(self._store.committed)
        if held is not None and (held.deadline or 0.0) <= self._clock():
            _tell(await self._writer.first(lambda draft: history.expire(draft, held.number)))

    async def run(self) -> None:
        """Take back, at its time, a change that nobody confirms; until cancelled."""
        while True:
            self._news.clear()
            held = history.waiting(self._store.committed)
            try:
                async with asyncio.timeout(None if held is None else max(0.0, (held.deadline or 0.0) - self._clock())):
                    await self._news.wait()
                continue
            except TimeoutError:
                await self._take_back(held)

    def _refuse_unsupported(self, intent: Intent, changed: Collection[policies.Key]) -> None:
        """Refuse what can't be compiled. What was there before can: only with its like is it asked about again."""
        asked = [policy for key, policy in intent.policies.items() if key in changed or policies.counts_together(policy)]
        error = unsupported(self._features, asked) if changed else None
        if error is None and any(key in intent.traffic for key in changed):
            error = unmarkable(intent.traffic.values())
        if error is not None:
            raise error

    async def _take_back(self, held: Revision | None) -> None:
        if held is None:
            return
        try:
            _tell(await self._writer.submit(lambda draft: history.expire(draft, held.number)))
        except SocketPlaneError as error:
            _log.warning("policies.not_taken_back", revision=held.number, reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    def _hear(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change.new or change.old, Revision) for change in changes):
            self._news.set()


def _outcome(draft: Draft, items: list[wire.PolicyApplied], revision: Revision | None) -> wire.PolicyOutcome:
    held = history.waiting(draft.intent)
    return wire.PolicyOutcome(
        items=items, revision=revision.number if revision else None, confirm_by=held.deadline if held else None
    )


def _keys(revision: Revision | None) -> set[policies.Key]:
    return {(item.network, item.name) for item in revision.changes} if revision else set()


def _tell(revision: Revision | None) -> None:
    if revision is not None:
        _log.warning("policies.taken_back", revision=revision.number, policies=len(revision.changes))
