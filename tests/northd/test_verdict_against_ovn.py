"""OVN itself agrees with the verdict: generated clusters and packets, judged by ovn-northd's flows through ovn-trace.

A long run: SOCKETPLANE_CLUSTERS=2000 SOCKETPLANE_PACKETS=400 SOCKETPLANE_SEED=1000.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from socketplane.compile import Compiler, Features, Intent, names, operations, unsupported
from socketplane.model.spec import ClusterSpec, Direction, Policy, PolicySpec, Protocol, Rule, Selector
from socketplane.model.types import Endpoint, Host, Network
from socketplane.model.verdict import Verdict
from support.intent import endpoint, small_cluster, tcp
from support.northd import Northd, northd
from support.random_cluster import generated, packets
from support.trace import Cluster, Packet, Seen

CLUSTERS = int(os.environ.get("SOCKETPLANE_CLUSTERS", "80"))
PACKETS = int(os.environ.get("SOCKETPLANE_PACKETS", "300"))
SEED = int(os.environ.get("SOCKETPLANE_SEED", "0"))


async def compare(ovn: Northd, cluster: Cluster, questions: list[Packet], seed: int) -> Counter[str]:
    """Ask both sides about packets; return how many were decided by what."""
    kinds: Counter[str] = Counter()
    async with ovn.tracer() as tracer:
        for packet in questions:
            said, seen = packet.judged(cluster.view), await cluster.see(tracer, packet)
            assert seen.arrives == said.allow, (seed, packet, said, seen)
            check_names(cluster, packet, said, seen)
            kinds[decider(cluster, said)] += 1
            kinds["audit"] += bool(said.would_deny)
            kinds["resolver"] += any("its host's resolver" in step for step in said.steps)
            kinds["Pass"] += any("passes it on" in step for step in said.steps)
    return kinds


def check_names(cluster: Cluster, packet: Packet, said: Verdict, seen: Seen) -> None:
    """Check that the rule that is named is the one in the log or the label, and that audit logs what it has to."""
    explained = (packet, said, seen)
    if any(packet.destination in network.gateways for network in cluster.networks.values()):
        return  # policies judge the router's answer as well: to the tracer it is as new as the question
    if said.allow:
        # Where policies with several subjects isolate, the line names one of them.
        ways = [name.partition(".")[2] for name in seen.audits]
        assert said.would_deny.partition(".")[2] in ways if said.would_deny else not ways, explained
        if said.rule:
            # Where several rules of NetworkPolicies allow, the label names one of them.
            steps = " ".join(said.steps)
            assert said.rule in seen.labels or any(f"rule {rule} of" in steps for rule in seen.labels), explained
        return
    source = packet.source
    if isinstance(source, Endpoint) and cluster.networks[source.network].internal and said.direction == "isolation":
        return  # it is refused: policies judge the refusal as well, which to the tracer is as new
    assert len(seen.drops) <= 1, explained
    # Of ends that are unknown the verdict names the destination's first, OVN the first on the way.
    if seen.drops and said.rule not in ("unknown.ingress", ""):  # without a rule: a service without backend, or such a port
        # Where policies with several subjects isolate, the line names one of them.
        shape = re.compile(rf"d\d+\.{said.direction}" if said.rule.startswith("d") else re.escape(said.rule))
        assert shape.fullmatch(seen.drops[0]), explained


def decider(cluster: Cluster, said: Verdict) -> str:
    """Return what decided, and how."""
    specs = {policy.title: policy.spec for policy in cluster.policies}
    spec = specs.get(said.policy)
    what = spec.tier if isinstance(spec, ClusterSpec) else "NetworkPolicy" if spec else said.rule.partition(".")[0]
    return f"{what or 'default'} {said.direction} {'allow' if said.allow else 'deny'}"


@pytest.mark.timeout(60 + CLUSTERS * (1 + PACKETS // 100))
async def test_ovn_does_what_the_verdict_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One database after the other's content, so that every step is a difference between two clusters too."""
    kinds: Counter[str] = Counter()
    async with northd(tmp_path) as ovn:
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        features = Features.from_schema(ovn.client.schema)
        for seed in range(SEED, SEED + CLUSTERS):
            cluster = Cluster(generated(seed, tiers=features.acl_tier), features)
            assert unsupported(features, cluster.policies) is None
            own_hosts = seed % 2 == 0
            if not own_hosts:
                cluster.without_own_hosts()
            await ovn.apply(operations(cluster.desired, ovn.replica))
            assert operations(cluster.desired, ovn.replica) == []
            kinds += await compare(ovn, cluster, packets(cluster, seed, PACKETS, own_hosts=own_hosts), seed)
        assert ovn.errors() == []
    if "SOCKETPLANE_CLUSTERS" in os.environ:
        with capsys.disabled():
            print(f"\n{CLUSTERS * PACKETS} packets agree, tiers: {features.acl_tier}; {dict(kinds.most_common())}")
    deciders = ["NetworkPolicy", "Admin", "Baseline"]
    wanted = [f"{name} {way} {how}" for name in deciders for way in Direction for how in ("allow", "deny")]
    wanted += [
        *(f"unknown {way} deny" for way in Direction),
        "isolation isolation deny",
        "default default allow",
        "audit",
        "resolver",
    ]
    assert not [kind for kind in (*wanted, *(["Pass"] if features.acl_tier else [])) if not kinds[kind]]


async def test_the_router_answers_pings_at_gateways(tmp_path: Path) -> None:
    # Without policies: to the tracer, which has no memory, an answer is as new as the question.
    cluster = Cluster([thing for thing in small_cluster() if not isinstance(thing, Policy)])
    client = next(end for end in cluster.endpoints if end.name == "c1")
    async with northd(tmp_path) as ovn:
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        await ovn.apply(operations(cluster.desired, ovn.replica))
        async with ovn.tracer() as tracer:
            seen = await cluster.see(tracer, Packet(client, cluster.networks[client.network].gateway, None, 0))
            assert seen.arrives
        assert ovn.errors() == []


async def test_changes_arrive_as_differences(tmp_path: Path) -> None:
    """A policy applied, changed and removed, a container moved and a network removed, each by its difference alone."""
    intent = small_cluster()
    async with northd(tmp_path) as ovn:
        cluster = Cluster(intent, Features.from_schema(ovn.client.schema))
        compiler: Compiler = cluster.compiler
        web = next(thing for thing in intent if isinstance(thing, Network) and thing.name == "web")
        client, server = endpoint(6, web, "h2", {"app": "client"}), endpoint(7, web, "h3", {"app": "server"})
        rule = Policy("web", "server", 9, PolicySpec(Selector.of({"app": "server"}), ingress=(Rule(None, tcp(80)),)))
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        await ovn.apply(operations(compiler.desired, ovn.replica))

        async def step(*things: Intent, gone: bool = False) -> bool:
            for thing in things:
                (compiler.remove if gone else compiler.put)(thing)
            await ovn.apply(operations(compiler.flush(), ovn.replica))
            assert operations(compiler.desired, ovn.replica) == []
            async with ovn.tracer() as tracer:
                return (await cluster.see(tracer, Packet(client, server, Protocol.TCP, 80))).arrives

        deny = next(thing for thing in intent if isinstance(thing, Policy) and thing.name == "default-deny")
        assert not await step(client, server)
        assert await step(rule)
        assert not await step(
            Policy("web", "server", 9, PolicySpec(Selector.of({"app": "server"}), (Rule(None, tcp(443)),)))
        )
        assert not await step(rule, gone=True)
        assert await step(deny, gone=True)
        await step(*[thing for thing in intent if not isinstance(thing, Host)], client, server, gone=True)
        switches = {row["name"] for row in ovn.replica["Logical_Switch"].values()}
        assert switches == {names.HOSTS_SWITCH}
        assert {row["name"] for row in ovn.replica["Port_Group"].values()} == {
            names.ROUTED_GROUP,
            names.PUBLISHED_GROUP,
            names.INTERNAL_GROUP,
        }
        assert ovn.errors() == []
