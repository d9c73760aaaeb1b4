"""Which networks' unknown endpoints are cut off: those of which a policy speaks that might mean them."""

from __future__ import annotations

from collections.abc import Iterator

from socketplane.model.spec import Action, ClusterSpec, Labels, Members, Policy, Selector


class Cuts:
    """Selectors of networks by which ClusterNetworkPolicies cut off unknown endpoints.

    They may be the subject, or peers that are denied: who is not known to be none of them might be one.
    """

    def __init__(self) -> None:
        self._users: dict[Selector, set[str]] = {}

    def replace(self, old: Policy | None, new: Policy | None) -> set[Selector]:
        """Note one policy in the place of another of its name; return the selectors that came or went."""
        had, wants = set(_selectors(old)), set(_selectors(new))
        changed = set()
        for selector in had - wants:
            self._users[selector].discard(old.name if old else "")
            if not self._users[selector]:
                del self._users[selector]
                changed.add(selector)
        for selector in wants - had:
            if selector not in self._users:
                changed.add(selector)
            self._users.setdefault(selector, set()).add(new.name if new else "")
        return changed

    def any_of(self, labels: Labels) -> bool:
        """Return whether unknown endpoints of a network with these labels are cut off."""
        return any(selector.matches(labels) for selector in self._users)


def _selectors(policy: Policy | None) -> Iterator[Selector]:
    if policy is None or not isinstance(policy.spec, ClusterSpec):
        return
    rules = (*policy.spec.ingress, *policy.spec.egress)
    denied = (peer for rule in rules if rule.action is Action.DENY for peer in rule.peers)
    for members in (policy.spec.subject, *denied):
        if isinstance(members, Members) and members.networks is not None:
            yield members.networks
