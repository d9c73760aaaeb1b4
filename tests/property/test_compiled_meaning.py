"""What is compiled means what the verdict says: policies of all kinds, with tiers and without."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketplane.compile import Features, compile_all, unsupported
from socketplane.model.rules import label_of
from socketplane.model.selection import View
from socketplane.model.spec import Direction, Protocol
from socketplane.model.types import Endpoint
from socketplane.model.verdict import Party, Verdict, verdict
from support.acls import Acls, Outcome, passes
from support.intent import CLUSTER, address_of, host
from support.policies import views
from support.random_cluster import expressible

Cluster = tuple[View, list[Endpoint]]
packets = st.tuples(st.sampled_from([None, *Protocol]), st.sampled_from([53, 80, 81, 443, 8080]))
HOSTS = [replace(host(1), labels={"rack": "a"}), host(2)]
OUTSIDE6 = [IPv6Address("2001:db8::9"), CLUSTER.pool6.network_address + 900]
OUTSIDE = [
    IPv4Address("192.0.2.2"),
    address_of(3),
    address_of(9),
    CLUSTER.pool.network_address + 900,
    CLUSTER.pool.broadcast_address - 1,
]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tiers", [True, False])
@given(views(), packets)
def test_what_is_compiled_means_what_the_verdict_says(
    version: int, tiers: bool, cluster: Cluster, packet: tuple[Protocol | None, int]
) -> None:
    view, endpoints = replace(cluster[0], hosts=HOSTS), cluster[1]
    if not tiers:
        view = replace(view, policies=expressible(list(view.policies)))
    features, (protocol, port) = Features(acl_tier=tiers), packet
    assert unsupported(features, view.policies) is None
    acls = Acls(compile_all(CLUSTER, features, [*HOSTS, *view.networks.values(), *endpoints, *view.policies]))
    others: list[Party] = [*endpoints, *HOSTS, *(OUTSIDE if version == 4 else OUTSIDE6)]
    pairs = [(a, b) for a in endpoints for b in others if a != b] + [(a, b) for a in HOSTS for b in endpoints]
    for source, destination in pairs:
        said = verdict(view, source, destination, protocol, port if protocol else None, version=version)
        does = passes(view, acls, source, destination, protocol or "icmp", port, version=version)
        assert said.allow == does.allow, (source, destination, said)
        _check_names(said, does)


def _check_names(said: Verdict, does: Outcome) -> None:
    """Check that the rule that the verdict names is among those that decide, and that audit logs what it has to."""
    if said.allow:
        assert bool(said.would_deny) == bool(does.logged)
        assert not said.would_deny or said.would_deny in does.logged
    # What decides at a container, where the packet comes there: the order of other denials is no matter.
    if said.rule.startswith(("r", "d")) and does.names and (said.direction == Direction.INGRESS or not said.allow):
        assert said.rule in does.names
        if said.allow:
            number, index = map(int, said.rule[1:].split("."))
            assert label_of(number, index) in does.labels
