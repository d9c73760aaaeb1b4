"""Samples of a matrix: the verdict agrees with what they expect, and no line is without one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from socketplane.model.cells import Cells
from socketplane.model.groups import naming
from socketplane.model.portset import NOTHING, PortSet, of_ports
from socketplane.model.reach import Reach
from socketplane.model.samples import samples, services
from socketplane.model.selection import View
from socketplane.model.spec import Port, Protocol
from socketplane.model.types import Endpoint
from socketplane.model.verdict import verdict
from support.policies import port_lists, views

MANY = 100_000


def filled(view: View, endpoints: list[Endpoint], shared: bool) -> View:
    """Return a view whose endpoints are containers', two of them the same one's at times."""
    named = [replace(each, container=f"box{place // (1 + shared)}") for place, each in enumerate(endpoints)]
    return replace(view, endpoints=named)


@given(views(), st.booleans(), st.sampled_from([4, 6]))
def test_the_verdict_agrees(cluster: tuple[View, list[Endpoint]], shared: bool, version: int) -> None:
    view = filled(*cluster, shared)
    found, complete = samples(view, limit=MANY, version=version)
    assert complete
    for each in found:
        assert each.source.container != each.destination.container
        assert each.source.known
        assert (
            verdict(view, each.source, each.destination, each.protocol, each.port, version=version).allow is each.allow
        ), each


@given(views(), st.booleans())
def test_of_all_that_differs_between_two_groups_something_is_tried(
    cluster: tuple[View, list[Endpoint]], shared: bool
) -> None:
    view = filled(*cluster, shared)
    cells = Cells(view, view.policies, naming(view, view.policies))
    reach = Reach(view, cells)

    def kind(source: Endpoint, destination: Endpoint) -> tuple[str, str, PortSet]:
        ports = next(
            (ports for mask, ports in reach.into(cells.index(destination)) if mask >> cells.index(source) & 1), NOTHING
        )
        return cells.cells[cells.index(source)].group, cells.cells[cells.index(destination)].group, ports

    pairs = [(a, b) for a in view.endpoints for b in view.endpoints if a.container != b.container and a.known]
    found, _ = samples(view, limit=MANY)
    assert {kind(*pair) for pair in pairs} == {kind(each.source, each.destination) for each in found}
    assert all((each.source_group, each.destination_group) == kind(each.source, each.destination)[:2] for each in found)


@given(views(), st.integers(1, 20))
def test_no_more_than_the_limit(cluster: tuple[View, list[Endpoint]], limit: int) -> None:
    view = filled(*cluster, False)
    every, _ = samples(view, limit=MANY)
    some, complete = samples(view, limit=limit)
    assert some == every[:limit] and complete == (len(every) <= limit)


@given(views())
def test_those_of_one_network_have_an_end_there(cluster: tuple[View, list[Endpoint]]) -> None:
    view = filled(*cluster, False)
    for network in view.networks:
        found, _ = samples(view, network=network, limit=MANY)
        assert all(network in (each.source.network, each.destination.network) for each in found)
        inside = [each for each in view.endpoints if each.network == network]
        assert bool(found) >= (len(inside) > 1 and all(each.known for each in inside))


@given(port_lists.map(of_ports))
def test_services_are_the_ends_of_intervals_and_what_is_next_to_them(ports: PortSet) -> None:
    found = services(ports)
    assert len(set(found)) == len(found) and (None, None) in found
    for protocol in (Protocol.TCP, Protocol.UDP):
        tried = [port for kind, port in found if kind is protocol and port is not None]
        assert tried and all(0 < port <= 65535 for port in tried)
        spans = [port for port in ports.ports() if port.protocol is protocol and port.port is not None]
        for span in spans[:3]:
            assert span.port in tried and (span.end or span.port) in tried
        if spans:
            assert any(not ports.includes(protocol, port) for port in tried)


def test_the_most_ordinary_matrix() -> None:
    assert services(of_ports([Port(Protocol.TCP, 80), Port(Protocol.TCP, 8000, 8080), Port(Protocol.TCP, 65535)])) == [
        (Protocol.TCP, 80),
        (Protocol.TCP, 8000),
        (Protocol.TCP, 8080),
        (Protocol.TCP, 65535),
        (Protocol.TCP, 81),
        (Protocol.UDP, 65535),
        (None, None),
    ]
