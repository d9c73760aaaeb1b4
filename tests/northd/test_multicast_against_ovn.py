"""OVN agrees with the verdict about multicast: which members of a group get what a container sends there."""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from socketplane.compile import Features, names, operations
from socketplane.model.spec import Protocol
from socketplane.model.types import Address, Endpoint
from socketplane.model.verdict import Verdict, to_member
from support.northd import Tracer, northd
from support.random_cluster import generated
from support.trace import Cluster

CLUSTERS = 8
PACKETS = 25
GROUPS = (IPv4Address("224.0.0.99"), IPv6Address("ff02::1"))
"""Switches send these to all ports: so each end is asked, and none has to join."""


async def reached(tracer: Tracer, source: Endpoint, group: Address, protocol: Protocol, port: int) -> str:
    last = group.packed[-3:] if group.version == 4 else group.packed[-4:]
    mac = ("01:00:5e:" if group.version == 4 else "33:33:") + ":".join(f"{byte:02x}" for byte in last)
    own = source.address if group.version == 4 else source.address6
    ends = f'inport == "{names.endpoint_port(source)}" && eth.src == {source.mac} && eth.dst == {mac}'
    ip = f"ip{group.version}.src == {own} && ip{group.version}.dst == {group} && ip.ttl == 4"
    return await tracer.trace(names.switch(source.network), f"{ends} && {ip} && {protocol}.dst == {port}")


async def test_members_get_what_their_own_and_the_sender_s_policies_say(tmp_path: Path) -> None:
    kinds: Counter[str] = Counter()
    async with northd(tmp_path) as ovn:
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        features = Features.from_schema(ovn.client.schema)
        for seed in range(CLUSTERS):
            cluster = Cluster(generated(seed, tiers=features.acl_tier), features)
            await ovn.apply(operations(cluster.desired, ovn.replica))
            chance = random.Random(seed)
            async with ovn.tracer() as tracer:
                for _ in range(PACKETS):
                    group = chance.choice(GROUPS)
                    sources = [end for end in cluster.endpoints if group.version == 4 or end.address6]
                    if not sources:
                        continue
                    source, protocol, port = chance.choice(sources), Protocol.UDP, chance.choice((53, 80, 443, 5353, 8080))
                    answer = await reached(tracer, source, group, protocol, port)
                    for member in cluster.endpoints:
                        if member.id == source.id or (group.version == 6 and not member.address6):
                            continue
                        said = to_member(cluster.view, source, group, member, protocol, port)
                        seen = f'output to "{names.endpoint_port(member)}"' in answer
                        assert seen == said.allow, (seed, source, group, member, port, said, answer)
                        kinds[_kind(said)] += 1
        assert ovn.errors() == []
    for kind in ("egress deny", "ingress allow", "ingress deny", "default allow", "isolation deny"):
        assert kinds[kind], kinds


def _kind(said: Verdict) -> str:
    return f"{said.direction} {'allow' if said.allow else 'deny'}"


async def test_who_is_isolated_joins_and_hears_queries_and_nobody_else_s(tmp_path: Path) -> None:
    """IGMP passes policies from the member to its switch, and from the gateway's address to the member."""
    async with northd(tmp_path) as ovn:
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        cluster = Cluster(generated(3, tiers=False), Features.from_schema(ovn.client.schema))
        await ovn.apply(operations(cluster.desired, ovn.replica))
        async with ovn.tracer() as tracer:
            for end in cluster.endpoints:
                gateway = cluster.networks[end.network].gateway
                port, switch = names.endpoint_port(end), names.switch(end.network)
                ends = f'inport == "{port}" && eth.src == {end.mac} && eth.dst == 01:00:5e:00:00:16'
                flow = f"{ends} && ip4.src == {end.address} && ip4.dst == 224.0.0.22 && ip.ttl == 1 && ip.proto == 2"
                if end.known:
                    assert "igmp;" in await tracer.trace(switch, flow), end
                forged = flow.replace(f"ip4.src == {end.address}", f"ip4.src == {gateway}")
                assert "igmp;" not in await tracer.trace(switch, forged)
        switches = [row for row in ovn.replica["Logical_Switch"].values() if row["other_config"]]
        assert len(switches) == len(cluster.networks)
        sources = [ip_address(row["other_config"]["mcast_ip4_src"]) for row in switches]
        assert sorted(sources) == sorted(network.gateway for network in cluster.networks.values())
        assert ovn.errors() == []
