"""Reach is the verdict, for all ends and services at once."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketplane.model.cells import Cells
from socketplane.model.groups import Line
from socketplane.model.reach import Reach, changes, difference, matrix
from socketplane.model.selection import Party, View
from socketplane.model.spec import Protocol
from socketplane.model.types import Endpoint, Host
from socketplane.model.verdict import verdict
from support.intent import CLUSTER, address_of, host
from support.policies import views

Service = tuple[Protocol | None, int | None]
HOSTS = [replace(host(1), labels={"rack": "a"}), host(2)]
SERVICES: list[Service] = [(None, None), *((protocol, port) for protocol in Protocol for port in (53, 80, 81, 443, 9))]
FEW: list[Service] = [(None, None), (Protocol.TCP, 80), (Protocol.TCP, 81), (Protocol.UDP, 53), (Protocol.SCTP, 443)]
ADDRESSES = [
    address_of(1),
    address_of(9),
    address_of(200),
    IPv4Address("192.0.2.1"),
    CLUSTER.hosts.network_address + 9,
    IPv4Address("203.0.113.9"),
]
ADDRESSES6 = [*map(IPv6Address, ["2001:db8::9", "fe80::1"]), *(CLUSTER.pool6.network_address + n for n in (1, 77))]
INSIDE = [CLUSTER.pool.network_address + 1, CLUSTER.pool.network_address + 1025, CLUSTER.pool.broadcast_address - 1]


def pairs(endpoints: list[Endpoint]) -> list[tuple[Party, Party]]:
    others: list[Party] = [*HOSTS, *ADDRESSES, *INSIDE]
    found: list[tuple[Party, Party]] = [(a, b) for a in endpoints for b in [*endpoints, *others]]
    return found + [(a, b) for a in [*HOSTS, *ADDRESSES, *INSIDE] for b in endpoints]


@pytest.mark.parametrize("version", [4, 6])
@given(views())
def test_a_service_may_be_opened_if_the_verdict_says_so(version: int, cluster: tuple[View, list[Endpoint]]) -> None:
    view, endpoints = cluster
    view = replace(view, endpoints=endpoints, hosts=HOSTS)
    reach = Reach(view, Cells(view, view.policies, lambda _: "", version))
    inner: list[tuple[Party, Party]] = [(a, b) for a in endpoints for b in [*endpoints, HOSTS[0], *ADDRESSES6]]
    inner += [(a, b) for a in [*HOSTS, *ADDRESSES6] for b in endpoints]
    for source, destination in pairs(endpoints) if version == 4 else inner:
        allowed = reach.ports(source, destination)
        for service in SERVICES:
            said = verdict(view, source, destination, *service, version=version)
            assert allowed.includes(*service) == said.allow, (source, destination, service, said)


def includes(cells: Cells, found: list[Line], source: Party, destination: Party, service: Service) -> int:
    """Return how many of these lines say it."""
    start, end = 1 << cells.index(source), 1 << cells.index(destination)
    return sum(bool(line.sources & start and line.destinations & end and line.ports.includes(*service)) for line in found)


def shown(view: View) -> list[tuple[Party, Party]]:
    """Return the pairs that lines are about."""
    ends: list[Endpoint | Host] = [*view.endpoints, *view.hosts]
    found: list[tuple[Party, Party]] = [
        (a, b)
        for a in ends
        for b in ends
        if a != b and (isinstance(a, Endpoint) or (isinstance(b, Endpoint) and b.host != a.name))
    ]
    outside = [address for address in ADDRESSES if address not in CLUSTER.hosts]
    return found + [pair for a in view.endpoints for address in outside for pair in ((a, address), (address, a))]


@given(views(), views())
def test_a_difference_is_what_one_verdict_allows_and_the_other_denies(
    cluster: tuple[View, list[Endpoint]], other: tuple[View, list[Endpoint]]
) -> None:
    after = replace(cluster[0], endpoints=cluster[1], hosts=HOSTS)
    before = replace(after, policies=other[0].policies)
    cells, gained, lost = difference(before, after)
    for source, destination in shown(after):
        for service in FEW:
            was = verdict(before, source, destination, *service).allow
            now = verdict(after, source, destination, *service).allow
            assert includes(cells, gained, source, destination, service) == (now and not was)
            assert includes(cells, lost, source, destination, service) == (was and not now)


@given(views(), st.sampled_from([(), ("app",), ("tier", "zone")]))
def test_the_matrix_counts_every_pair_that_has_a_way(cluster: tuple[View, list[Endpoint]], by: tuple[str, ...]) -> None:
    view = replace(cluster[0], endpoints=cluster[1])
    found = matrix(view, by)
    reach = Reach(view)
    pairs = [(a, b) for a in view.endpoints for b in view.endpoints if a != b]
    open_pairs = sum(bool(reach.ports(a, b)) for a, b in pairs)
    listed = sum(
        source.size * destination.size
        for opening in found.openings
        for source in opening.sources
        for destination in opening.destinations
    )
    # A line may hold a container by itself, where that makes it shorter.
    assert open_pairs <= listed <= open_pairs + len(view.endpoints)
    assert sum(group.total for group in found.groups) == len(view.endpoints)
    assert (changes(view, view).allowed, changes(view, view).denied) == ([], [])
