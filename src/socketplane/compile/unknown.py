"""Which networks' unknown endpoints are cut off: those of which a policy speaks that might mean them."""

from __future__ import annotations

from collections.abc import Iterator

from socketplane.compile.used import Used
from socketplane.model.spec import Action, ClusterSpec, Labels, Members, Policy, Selector


class Cuts:
    """Selectors of networks by which ClusterNetworkPolicies cut off unknown endpoints.

    They may be the subject, or peers that are denied: who is not known to be none of them might be one.
    """

    def __init__(self) -> None:
        self._used = Used()

    def replace(self, old: Policy | None, new: Policy | None) -> set[Selector]:
        """Note one policy in the place of another of its name; return the selectors that came or went."""
        return self._used.replace(old, _selectors(old), new, _selectors(new))

    def any_of(self, labels: Labels) -> bool:
        """Return whether unknown endpoints of a network with these labels are cut off."""
        return any(selector.matches(labels) for selector in self._used)


def _selectors(policy: Policy | None) -> Iterator[Selector]:
    if policy is None or not isinstance(policy.spec, ClusterSpec):
        return
    rules = (*policy.spec.ingress, *policy.spec.egress)
    denied = (peer for rule in rules if rule.action is Action.DENY for peer in rule.peers)
    for members in (policy.spec.subject, *denied):
        if isinstance(members, Members) and members.networks is not None:
            yield members.networks
