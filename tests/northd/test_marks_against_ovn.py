"""OVN itself marks packets as TrafficPolicies say: generated clusters and packets, judged by ovn-northd's flows."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from socketplane.compile import Features, operations
from socketplane.model.spec import Policy, PolicySpec
from socketplane.model.traffic import Limit, Limits, Mark, TrafficPolicy, TrafficSpec
from socketplane.model.types import Endpoint
from support.marks import mark_of
from support.northd import northd
from support.random_cluster import generated, packets
from support.trace import Cluster

CLUSTERS, PACKETS = 18, 80
_SET = re.compile(r"ip\.dscp = (\d+);")


def traffic(seed: int) -> list[TrafficPolicy]:
    """Return policies whose marks have the peers and ports of other policies' rules."""
    chance = random.Random(seed)
    others = [thing for number in range(3) for thing in generated(100 * seed + number, tiers=True)]
    found = []
    for number, policy in enumerate((thing for thing in others if isinstance(thing, Policy)), start=1):
        if isinstance(policy.spec, PolicySpec):
            rules = policy.spec.egress or ()
            marks = tuple(Mark(chance.randint(0, 63), rule.peers, rule.ports) for rule in rules)
            spec = TrafficSpec(policy.spec.subject, Limits(Limit(1_000_000)), marks)
            found.append(TrafficPolicy(policy.network, f"t{number}", 100 - number, spec))
    return found


@pytest.mark.timeout(120)
async def test_ovn_marks_as_the_policies_say(tmp_path: Path) -> None:
    """One database after the other's content, so that every step is a difference between two clusters too."""
    marked = unmarked = 0
    async with northd(tmp_path) as ovn:
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        features = Features.from_schema(ovn.client.schema)
        for seed in range(CLUSTERS):
            intent = [thing for thing in generated(seed, tiers=False) if not isinstance(thing, Policy)]
            policies = traffic(seed)
            cluster = Cluster([*intent, *policies], features)
            await ovn.apply(operations(cluster.desired, ovn.replica))
            assert operations(cluster.desired, ovn.replica) == []
            async with ovn.tracer() as tracer:
                for packet in packets(cluster, seed, PACKETS, own_hosts=False):
                    if not isinstance(packet.source, Endpoint) or packet.answered(cluster.view):
                        continue
                    said = mark_of(cluster.view, policies, packet)
                    seen = _SET.findall(await cluster.trace(tracer, packet))
                    assert seen == ([] if said is None else [str(said)]), (seed, packet, said)
                    marked += said is not None
                    unmarked += said is None
        assert ovn.errors() == []
    assert marked > PACKETS
    assert unmarked > PACKETS
