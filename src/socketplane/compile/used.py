"""Which selectors policies use: each is there while at least one policy has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from socketplane.model.spec import Policy, Selector


class Used:
    """Selectors, and the ClusterNetworkPolicies that use them, by name."""

    def __init__(self) -> None:
        self._users: dict[Selector, set[str]] = {}

    def __contains__(self, selector: object) -> bool:
        return selector in self._users

    def __iter__(self) -> Iterator[Selector]:
        return iter(self._users)

    def replace(
        self, old: Policy | None, had: Iterable[Selector], new: Policy | None, wants: Iterable[Selector]
    ) -> set[Selector]:
        """Note one policy in the place of another of its name, with what they use; return what came or went."""
        before, after = set(had), set(wants)
        changed = set()
        for selector in before - after:
            self._users[selector].discard(old.name if old else "")
            if not self._users[selector]:
                del self._users[selector]
                changed.add(selector)
        for selector in after - before:
            if selector not in self._users:
                changed.add(selector)
            self._users.setdefault(selector, set()).add(new.name if new else "")
        return changed
