"""What a change of policies would mean for the endpoints of the moment, found out aside from the event loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from socketplane import wire
from socketplane.model import reach
from socketplane.model.selection import View
from socketplane.model.warnings import warnings


@dataclass(frozen=True, slots=True)
class Trial:
    """A change that was tried: what became of each policy, and what was before and after it."""

    items: list[wire.PolicyApplied]
    before: View
    after: View

    def compare(self, by: Sequence[str]) -> wire.PolicyPlan:
        """Return what is newly allowed and denied, by groups of endpoints. It takes its time: call it in a thread."""
        found = reach.changes(self.before, self.after, by)
        return wire.PolicyPlan(
            items=self.items,
            allowed=_shown(found.allowed),
            denied=_shown(found.denied),
            warnings=warnings_of(self.after, self.items),
        )


def warnings_of(view: View, items: Collection[wire.PolicyApplied]) -> list[str]:
    """Return what to look at in these policies of a view. It takes its time, too."""
    meant = {(item.network, item.name) for item in items}
    return [str(found) for found in warnings(view, [one for one in view.policies if (one.network, one.name) in meant])]


def _shown(changes: Sequence[reach.Change]) -> list[wire.ReachChange]:
    return [
        wire.ReachChange(
            source=change.source,
            destination=change.destination,
            ports=change.ports,
            sources=change.sources,
            destinations=change.destinations,
        )
        for change in changes
    ]
