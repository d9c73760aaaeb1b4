"""What decides about connections, known by a revision: when it changes, hosts look at the connections that are open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

import orjson

from socketplane.controller.store import Change
from socketplane.model.spec import Policy
from socketplane.model.types import Endpoint, Host, Network

_BYTES = 16


class Ruleset:
    """Policies, and labels of networks and hosts; and labels that change under an open connection.

    `current` is the revision of what is committed: of equal content, it is equal in every controller. `written` is
    that of what is in the northbound, with the count of writes there by which hosts tell when they have it.
    """

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._sum = 0
        self._relabelled = 0
        self.written: tuple[str, int] = ("", 0)
        self.counted: tuple[str, int] | None = None
        """Revision and count at the last write that was counted."""
        self.on_written: Callable[[], None] | None = None

    @property
    def current(self) -> str:
        """The revision of what is committed."""
        tail = f"-{self._epoch}.{self._relabelled}" if self._relabelled else ""
        return f"{self._sum:0{2 * _BYTES}x}{tail}"

    def take(self, changes: Sequence[Change]) -> None:
        """Follow committed changes. A container that comes or goes has no connections to look at: it changes nothing."""
        for change in changes:
            for item in (change.old, change.new):
                self._sum ^= _fingerprint(item)
            self._relabelled += _is_relabelled(change)

    def settle(self, revision: str, count: int) -> None:
        """Note that the northbound holds what was `current` under that revision; its count may be others' doing too."""
        self.counted = self.counted or (revision, count)
        written = revision, self.counted[1]
        if written != self.written:
            self.written = written
            if self.on_written is not None:
                self.on_written()


def _fingerprint(item: object) -> int:
    """Return a number for what a value contributes to decisions; the sum of all, without carry, knows no order."""
    if isinstance(item, Policy):
        text = f"policy {item.network}/{item.name} {item.number} {item.document}"
    elif isinstance(item, Network | Host) and item.labels:
        what = f"network {item.id}" if isinstance(item, Network) else f"host {item.name}"
        text = f"{what} {orjson.dumps(dict(item.labels), option=orjson.OPT_SORT_KEYS).decode()}"
    else:
        return 0
    return int.from_bytes(blake2b(text.encode(), digest_size=_BYTES).digest())


def _is_relabelled(change: Change) -> bool:
    old, new = change.old, change.new
    if not isinstance(old, Endpoint) or not isinstance(new, Endpoint) or not old.known:
        return False  # who was unknown was cut off: being known allows more, and forbids nothing
    return (old.name, old.labels) != (new.name, new.labels)
