"""What a change of policies would mean for the endpoints of the moment, found out aside from the event loop."""

from __future__ import annotations

from collections.abc import Sequence
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
        tried = {(item.network, item.name) for item in self.items}
        told = warnings(self.after, [policy for policy in self.after.policies if (policy.network, policy.name) in tried])
        return wire.PolicyPlan(
            items=self.items,
            allowed=_shown(found.allowed),
            denied=_shown(found.denied),
            warnings=[str(one) for one in told],
        )


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
