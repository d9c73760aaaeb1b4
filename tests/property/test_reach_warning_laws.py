"""What a warning calls useless is: without it, nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given

from socketplane.model.reach import difference
from socketplane.model.selection import View, rules_of
from socketplane.model.spec import ClusterRule, ClusterSpec, Direction, Policy, Rule
from socketplane.model.types import Endpoint
from socketplane.model.warnings import warnings
from support.intent import host
from support.policies import views

USELESS = ("is pointless", "is never asked", "allows nothing beyond", "every endpoint that it selects", "changes nothing")


@given(views())
def test_without_what_is_called_useless_nothing_changes(cluster: tuple[View, list[Endpoint]]) -> None:
    view = replace(cluster[0], endpoints=[end for end in cluster[1] if end.known], hosts=[host(1), host(2)])
    policies = {policy.title: policy for policy in view.policies}
    for warning in warnings(view, view.policies):
        if not warning.message.startswith(USELESS):
            continue
        others = [policy for policy in view.policies if policy.title != warning.policy]
        without = replace(view, policies=[*others, *less(policies[warning.policy], warning.rule)])
        _, gained, lost = difference(view, without)
        assert (gained, lost) == ([], []), str(warning)


def less(policy: Policy, rule: str) -> list[Policy]:
    """Return a policy without a rule, without a direction's rules, or nothing of it."""
    if not rule:
        return []
    direction, _, index = rule.rstrip("]").partition("[")
    rules: Sequence[Rule | ClusterRule] = rules_of(policy, Direction(direction))
    kept = tuple(one for at, one in enumerate(rules) if index and str(at) != index)
    assert index or isinstance(policy.spec, ClusterSpec)
    return [replace(policy, spec=replace(policy.spec, **{direction: kept}))]  # type: ignore[arg-type]
