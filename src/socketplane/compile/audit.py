"""Policies in audit mode: what they would deny passes, and is logged.

With tiers their rules pass on what they match. Without, they allow, and so must not match more than the defaults allow;
nor may a Baseline policy stand behind them, which they would hide.
"""

from __future__ import annotations

from dataclasses import dataclass

from socketplane.compile import acl, names
from socketplane.compile.match import subject, within
from socketplane.compile.prefixes import all_but
from socketplane.compile.rows import Output, Value
from socketplane.compile.segment import Segment
from socketplane.model.rules import ISOLATION, audit_id
from socketplane.model.spec import Direction
from socketplane.model.types import Cluster, Network, Subnet


@dataclass(frozen=True, slots=True)
class Audit:
    """How audit can be done: whether by tiers, and whether there are Baseline policies."""

    tiers: bool
    baseline: bool

    @property
    def possible(self) -> bool:
        """Whether audit is possible; if it isn't, policies in audit mode have no rows. `limits` refuses that before."""
        return self.tiers or not self.baseline

    def allowing(self, direction: Direction, match: str, name: str) -> dict[str, Value]:
        """Return the ACL of a rule: what it allows is not logged."""
        return self._pass(direction, acl.AUDIT_ALLOW, match, name)

    def compile(self, output: Output, segment: Segment, network: Network, cluster: Cluster) -> None:
        """Add what logs the denials of the policies whose subject a segment is."""
        for direction, policies in segment.audits.items():
            if not policies or not self.possible:
                continue
            target, key = subject(direction, segment.name), f"{segment.group}/{direction}"
            everything = direction is Direction.EGRESS or self.baseline
            # What the defaults allow, where nothing else can: what is denied anyway is no news. From outside nothing comes
            # here but to published ports, which are open.
            others: dict[str, list[Subnet]] = {"": list(cluster.pool.address_exclude(network.subnet))}
            if network.subnet6 is not None:
                others["/ip6"] = list(cluster.pool6.address_exclude(network.subnet6))
            inside = {part: all_but(there, there[0].version) for part, there in others.items()}
            denied = {"": "ip"} if everything else {part: within(direction, there) for part, there in inside.items()}
            for part, match in denied.items():
                name = audit_id(min(policies.values()), direction)
                columns = self._pass(direction, acl.AUDIT_DENY, f"{target} && {match}", name)
                acl.add(output, segment.group, f"audit/{key}{part}", acl.logged(columns))
            if not self.tiers and direction is Direction.INGRESS:
                for part, there in others.items():
                    match = f"{target} && {within(direction, there)}"
                    columns = acl.drop(direction, acl.AUDIT_ISOLATION, match, name=ISOLATION, meter=names.ISOLATION_METER)
                    acl.add(output, segment.group, f"audit-isolation/{key}{part}", columns)

    def _pass(self, direction: Direction, band: acl.Band, match: str, name: str) -> dict[str, Value]:
        return (acl.pass_on if self.tiers else acl.allow)(direction, band, match, name=name)
