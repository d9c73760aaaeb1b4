"""The algebra of port sets is that of sets: judged service by service."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from socketplane.model.portset import EVERYTHING, NOTHING, PortSet, of_ports
from socketplane.model.spec import Port, Protocol
from support import policies

Service = tuple[Protocol | None, int | None]
_near = st.integers(1, 5) | st.integers(65531, 65535)
_ranges = st.tuples(_near, _near).map(lambda span: (min(span), max(span)))
ports = policies.ports | st.builds(lambda protocol, span: Port(protocol, *span), st.sampled_from(Protocol), _ranges)
services: st.SearchStrategy[Service] = st.just((None, None)) | st.tuples(
    st.sampled_from(Protocol), _near | st.integers(1, 65535) | st.sampled_from([53, 80, 443])
)
_leaves = st.just(EVERYTHING) | st.just(NOTHING) | st.lists(ports, max_size=4).map(of_ports)
sets = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds(PortSet.__or__, inner, inner),
        st.builds(PortSet.__and__, inner, inner),
        st.builds(PortSet.__sub__, inner, inner),
        inner.map(PortSet.complement),
    ),
    max_leaves=6,
)


@given(st.lists(ports, max_size=4), services)
def test_a_set_of_ports_is_what_the_ports_include(wanted: list[Port], service: Service) -> None:
    assert of_ports(wanted).includes(*service) == any(port.includes(*service) for port in wanted)
    assert of_ports(None).includes(*service)


@given(sets, sets, services)
def test_operations_are_those_of_sets(a: PortSet, b: PortSet, service: Service) -> None:
    in_a, in_b = a.includes(*service), b.includes(*service)
    assert (a | b).includes(*service) == (in_a or in_b)
    assert (a & b).includes(*service) == (in_a and in_b)
    assert (a - b).includes(*service) == (in_a and not in_b)
    assert a.complement().includes(*service) != in_a


@given(sets, sets)
def test_equal_sets_are_equal_values(a: PortSet, b: PortSet) -> None:
    assert a | b == b | a
    assert a & b == b & a
    assert (a - b) | (a & b) == a
    assert a.complement().complement() == a
    assert ((a - b) | (b - a) == NOTHING) == (a == b)
    assert bool(a) == (a != NOTHING)


@given(sets)
def test_its_parts_make_it_whole_again(a: PortSet) -> None:
    made = of_ports(a.ports())
    assert (made | EVERYTHING - of_ports([Port(protocol) for protocol in Protocol]) if a.ping else made) == a
    assert a.names() == ["any"] if a == EVERYTHING else len(a.names()) == len(a.intervals)


def test_for_people() -> None:
    some = of_ports([Port(Protocol.TCP, 81), Port(Protocol.TCP, 80), Port(Protocol.UDP), Port(Protocol.SCTP, 5, 9)])
    assert str(some) == "tcp/80-81, udp/any, sctp/5-9"
    assert str(EVERYTHING) == "any"
    assert str(NOTHING) == ""
    assert str(EVERYTHING - some) == "any but tcp/80-81, udp/any, sctp/5-9"
    assert (EVERYTHING - of_ports([Port(Protocol.TCP)])).names() == ["udp/any", "sctp/any", "ping"]
