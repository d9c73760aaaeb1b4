"""What can't be compiled: known before anything is written, so that it changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from socketplane.compile.acl import CLUSTER_BANDS, RULES_EACH
from socketplane.compile.features import Features
from socketplane.compile.match import BOTH
from socketplane.compile.prefixes import prefixes
from socketplane.errors import Exhausted, InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.rules import MAX_RULES, numbered_rules
from socketplane.model.spec import Action, Block, ClusterSpec, Direction, Policy, PolicySpec, Tier

TIERS_SINCE = "OVN 23.06"
MAX_PREFIXES = 2048
"""Prefixes that a rule's blocks may come to."""


def unsupported(features: Features, policies: Iterable[Policy]) -> SocketPlaneError | None:
    """Return why a server with these features can't hold all these policies together, or None where it can."""
    together = sorted(policies, key=lambda policy: (policy.network, policy.name))
    faults = (fault for policy in together for fault in _faults(features, policy))
    return next(faults, None) or _together(features, together)


def _faults(features: Features, policy: Policy) -> Iterator[SocketPlaneError]:
    spec = policy.spec
    if len(spec.ingress or ()) + len(spec.egress or ()) > MAX_RULES:
        yield InvalidInput(
            f"policy {policy.title} has more than {MAX_RULES} rules", field="spec", remedy="split it into several policies"
        )
    for direction, index, rule in numbered_rules(spec):
        place = index if direction is Direction.INGRESS else index - len(spec.ingress or ())
        field = f"spec.{direction}[{place}]"
        if isinstance(spec, ClusterSpec) and place >= RULES_EACH:
            yield InvalidInput(
                f"policy {policy.title} has more than {RULES_EACH} rules in one direction",
                field=f"spec.{direction}",
                remedy="split it into several policies",
            )
        if getattr(rule, "action", None) is Action.PASS and not features.acl_tier:
            yield Unsupported(
                f"Pass, in policy {policy.title}, needs tiers of ACLs, which this OVN doesn't have",
                field=f"{field}.action",
                remedy=f"use {TIERS_SINCE} or later, or Accept and Deny only",
            )
        blocks = [peer for peer in rule.peers or () if isinstance(peer, Block)]
        count = max(len(prefixes(blocks, None, version)) for version in BOTH)
        if count > MAX_PREFIXES:
            yield InvalidInput(
                f"the addresses of a rule of policy {policy.title} come to {count} prefixes; {MAX_PREFIXES} are possible",
                field=field,
                remedy="write larger blocks, or fewer exceptions",
            )


def _together(features: Features, policies: Collection[Policy]) -> SocketPlaneError | None:
    of_tier = {
        tier: [policy for policy in policies if isinstance(policy.spec, ClusterSpec) and policy.spec.tier is tier]
        for tier in Tier
    }
    for tier, found in of_tier.items():
        fit = CLUSTER_BANDS[tier][1]
        if len(found) > fit:
            return Exhausted(
                f"there are {len(found)} ClusterNetworkPolicies of tier {tier}; {fit} fit",
                field="spec.tier",
                remedy="put rules of several into one policy, or remove some",
            )
    audited = next((policy for policy in policies if isinstance(policy.spec, PolicySpec) and policy.spec.audit), None)
    baseline = next(iter(of_tier[Tier.BASELINE]), None)
    if audited is not None and baseline is not None and not features.acl_tier:
        return Unsupported(
            f"policy {audited.title} is in audit mode and {baseline.title} is of tier Baseline: to have both takes tiers of"
            " ACLs, which this OVN doesn't have",
            field="metadata.annotations",
            remedy=f"use {TIERS_SINCE} or later, or have only one of the two",
        )
    return None
