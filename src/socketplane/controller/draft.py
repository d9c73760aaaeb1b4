"""A batch of changes in the making: applied to the working intent, undone or turned into one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from socketplane.controller.addresses import Addresses
from socketplane.controller.intent import Intent
from socketplane.controller.rows import KINDS, Item, Key
from socketplane.ovsdb import Operation, by_uuid, delete, insert, update


class _Step(NamedTuple):
    model: type[Item]
    key: Key
    old: Item | None


class Draft:
    """What plans read and write. `intent` shows what is committed plus what this batch did so far; `now` is the time."""

    def __init__(self, intent: Intent, addresses: Addresses, now: float) -> None:
        self.intent = intent
        self.addresses = addresses
        self.now = now
        self._steps: list[_Step] = []

    def put(self, item: Item) -> None:
        """Add or replace a value."""
        model = type(item)
        old = self.intent.put(item)
        self._steps.append(_Step(model, KINDS[model].key(item), old))
        self.addresses.follow(old, item)

    def remove(self, item: Item) -> None:
        """Remove a value; one that is not there is no error."""
        model = type(item)
        key = KINDS[model].key(item)
        old = self.intent.discard(model, key)
        if old is not None:
            self._steps.append(_Step(model, key, old))
            self.addresses.follow(old, None)

    def mark(self) -> int:
        """Return a point to come back to with `undo`."""
        return len(self._steps)

    def undo(self, mark: int = 0) -> None:
        """Take back what was done since the mark."""
        while len(self._steps) > mark:
            model, key, old = self._steps.pop()
            now = self.intent.get(model, key)
            if old is None:
                self.intent.discard(model, key)
            else:
                self.intent.put(old)
            self.addresses.follow(now, old)

    def replaced(self, mark: int) -> dict[tuple[type[Item], Key], Item | None]:
        """Return what stood at the mark where something was changed since; None where nothing did."""
        found: dict[tuple[type[Item], Key], Item | None] = {}
        for step in self._steps[mark:]:
            found.setdefault((step.model, step.key), step.old)
        return found

    def touched(self) -> Iterable[tuple[type[Item], Key]]:
        """Return type and key of all that was changed, once each."""
        return dict.fromkeys((step.model, step.key) for step in self._steps)

    def operations(self, committed: Intent) -> list[Operation]:
        """Return what makes the database equal to the draft; nothing where both agree already."""
        operations: list[Operation] = []
        for model, key in self.touched():
            operations += _difference(committed.get(model, key), self.intent.get(model, key))
        return operations


def _difference(old: Item | None, new: Item | None) -> list[Operation]:
    if old is None and new is None:
        return []
    kind = KINDS[type(new or old)]
    uuid = kind.uuid(new or old)
    if new is None:
        return [delete(kind.table, by_uuid(uuid))]
    row = kind.to_row(new)
    if old is None:
        return [insert(kind.table, row, uuid=uuid)]
    before = kind.to_row(old)
    changed = {column: value for column, value in row.items() if before[column] != value}
    return [update(kind.table, by_uuid(uuid), changed)] if changed else []
