"""Policies: what their rules and their isolation become."""

from __future__ import annotations

from socketplane.compile import acl, names
from socketplane.compile.audit import Audit
from socketplane.compile.match import BOTH, IPV4, rule_matches, subject
from socketplane.compile.rows import Output, Value, identity
from socketplane.compile.segment import Segment, subject_of
from socketplane.model.rules import drop_id, label_of, numbered_rules, rule_id
from socketplane.model.spec import Action, ClusterRule, ClusterSpec, Direction, Policy, PolicySpec
from socketplane.model.types import Cluster, Network


def compile_policy(
    output: Output, policy: Policy, spec: PolicySpec, network: Network, cluster: Cluster, audit: Audit
) -> None:
    """Add the ACLs of a NetworkPolicy's rules on one network, to the port group of its subject."""
    if spec.audit and not audit.possible:
        return
    target = names.segment_group(*subject_of(policy, network.id))
    group = identity(output.cluster, "Port_Group", target)
    versions = BOTH if network.subnet6 else IPV4
    for direction, index, rule in numbered_rules(spec):
        name = rule_id(policy.number, index)
        matches = rule_matches(direction, rule.peers, rule.ports, network=network.id, cluster=cluster, versions=versions)
        for part, match in matches:
            full = f"{subject(direction, target)} && {match}"
            columns = (
                audit.allowing(direction, full, name)
                if spec.audit
                else acl.allow(direction, acl.POLICY_ALLOW, full, name=name, label=label_of(policy.number, index))
            )
            key = f"policy/{network.id}/{policy.title}/{index}/{direction}/{part}"
            acl.add(output, group, key, columns, {"policy": policy.title})


def compile_cluster_policy(
    output: Output, policy: Policy, spec: ClusterSpec, rank: int, cluster: Cluster, *, ipv6: bool
) -> None:
    """Add the ACLs of a ClusterNetworkPolicy, which stands at that rank in its tier; `ipv6`: some network has IPv6."""
    target = names.segment_group(*subject_of(policy, None))
    group = identity(output.cluster, "Port_Group", target)
    versions = BOTH if ipv6 else IPV4
    for direction, index, rule in numbered_rules(spec):
        place = index if direction is Direction.INGRESS else index - len(spec.ingress)
        band = acl.cluster_band(spec.tier, rank, place)
        matches = rule_matches(direction, rule.peers, rule.ports, network=None, cluster=cluster, versions=versions)
        for part, match in matches:
            full = f"{subject(direction, target)} && {match}"
            columns = _decision(output, policy.number, index, rule, direction, band, full)
            key = f"cluster-policy/{policy.name}/{index}/{direction}/{part}"
            acl.add(output, group, key, columns, {"policy": policy.title})


def _decision(
    output: Output, number: int, index: int, rule: ClusterRule, direction: Direction, band: acl.Band | None, match: str
) -> dict[str, Value]:
    """Return what a rule does; one that this OVN has no room or no action for denies."""
    name = rule_id(number, index)
    if band is None:
        return acl.drop(direction, acl.UNKNOWN_DROP, match, name=name)
    if rule.action is Action.ACCEPT:
        return acl.allow(direction, band, match, name=name, label=label_of(number, index))
    if rule.action is Action.PASS and output.features.acl_tier:
        return acl.pass_on(direction, band, match, name=name)
    return acl.drop(direction, band, match, name=name)


def compile_isolation(output: Output, segment: Segment) -> None:
    """Add the drops of what no rule allows, for the policies whose subject a segment is."""
    for direction, policies in segment.isolates.items():
        if policies:
            match = f"{subject(direction, segment.name)} && ip"
            columns = acl.drop(direction, acl.POLICY_DROP, match, name=drop_id(min(policies.values()), direction))
            acl.add(output, segment.group, f"drop/{segment.group}/{direction}", columns)
