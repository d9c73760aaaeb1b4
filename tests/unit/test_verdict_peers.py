"""Whom rules mean: expressions, networks by label, addresses; and on what: ranges and protocols."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from socketplane.model.spec import Members, Operator, Peer, Policy, Port, Protocol, Requirement, Rule, Selector
from socketplane.model.verdict import Party, Verdict, View, verdict
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector
from support.policies import block, on

WEB, DATA, PENDING = network(0), replace(network(1), labels={"zone": "back"}), network(2, name=None)
H1, H2 = host(1), host(2)
FRONT = endpoint(1, WEB, H1, {"app": "web", "tier": "front"})
DB = endpoint(2, WEB, H2, {"app": "db"})
BARE = endpoint(3, WEB, H1)
FAR = endpoint(4, DATA, H1, {"app": "web"})
FAR_UNKNOWN = endpoint(5, DATA, H1, known=False)
NOWHERE = endpoint(6, PENDING, H1, {"app": "web"})
OUTSIDE = IPv4Address("198.51.100.7")


def judge(
    source: Party, destination: Party, *policies: Policy, protocol: Protocol | None = Protocol.TCP, port: int | None = 80
) -> Verdict:
    return verdict(
        View(CLUSTER, {net.id: net for net in (WEB, DATA, PENDING)}, policies), source, destination, protocol, port
    )


def to_db(*peers: Peer, ports: tuple[Port, ...] | None = None) -> Policy:
    return policy("db", 1, selector(app="db"), ingress=(Rule(peers, ports),))


def from_front(*peers: Peer) -> Policy:
    return policy("front", 1, selector(app="web"), egress=(Rule(peers),))


def where(key: str, operator: Operator, *values: str) -> Selector:
    return Selector.of({}, [Requirement(key, operator, values)])


@pytest.mark.parametrize(
    ("wanted", "front", "bare"),
    [
        (where("tier", Operator.IN, "front", "back"), True, False),
        (where("tier", Operator.NOT_IN, "back"), True, True),
        (where("tier", Operator.NOT_IN, "front"), False, True),
        (where("tier", Operator.EXISTS), True, False),
        (where("tier", Operator.DOES_NOT_EXIST), False, True),
        (Selector.of({"app": "web"}, [Requirement("tier", Operator.DOES_NOT_EXIST)]), False, False),
    ],
)
def test_expressions(wanted: Selector, front: bool, bare: bool) -> None:
    assert judge(FRONT, DB, to_db(Members(wanted))).allow is front
    assert judge(BARE, DB, to_db(Members(wanted))).allow is bare
    subject = policy("closed", 1, wanted, ingress=())
    assert judge(DB, FRONT, subject).allow is not front
    assert judge(DB, BARE, subject).allow is not bare


@pytest.mark.parametrize(
    ("peer", "near", "far"),
    [
        (Members(selector(app="web")), True, False),
        (on(), True, True),
        (on(selector(zone="back")), False, True),
        (on(selector(zone="back"), app="web"), False, True),
        (on(selector(zone="back"), app="db"), False, False),
        (on(selector(**{"kubernetes.io/metadata.name": "web"})), True, False),
        (on(where("zone", Operator.DOES_NOT_EXIST)), True, False),
    ],
)
def test_networks_by_label(peer: Members, near: bool, far: bool) -> None:
    assert judge(FRONT, DB, to_db(peer)).allow is near
    assert judge(FAR, DB, to_db(peer)).allow is far


def test_an_egress_rule_for_another_network_opens_nothing_there() -> None:
    out = from_front(on(selector(zone="back")))
    assert judge(FRONT, FAR, out).direction == "isolation"
    into = policy("far", 2, selector(), on="data", ingress=(Rule((on(where("zone", Operator.DOES_NOT_EXIST)),)),))
    assert judge(FRONT, FAR, out, into).allow
    assert judge(FRONT, FAR, into, from_front(on(selector(zone="nowhere")))).direction == "egress"


def test_a_network_without_a_name_has_its_labels_only() -> None:
    assert judge(NOWHERE, DB, to_db(on())).allow
    assert not judge(NOWHERE, DB, to_db(on(selector(**{"kubernetes.io/metadata.name": ""})))).allow


def test_who_is_not_known_is_no_member_of_anything() -> None:
    assert not judge(FAR_UNKNOWN, DB, to_db(on())).allow
    assert not judge(FAR_UNKNOWN, DB, to_db(on(EVERY, **{"socketplane.io/network": "data"}))).allow
    assert judge(FAR_UNKNOWN, DB, policy("db", 1, selector(), ingress=(allow(),))).allow, "anyone is anyone"


EVERY = Selector()


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        (block("198.51.100.0/24"), True),
        (block("198.51.100.0/24", "198.51.100.0/29"), False),
        (block("198.51.100.0/24", "198.51.100.8/29"), True),
        (block("0.0.0.0/0"), True),
        (block("203.0.113.0/24"), False),
        (block("::/0"), False),
    ],
)
def test_addresses_outside(peer: Peer, allowed: bool) -> None:
    assert judge(FRONT, OUTSIDE, from_front(peer)).allow is allowed


def test_a_block_means_no_container_unless_it_says_so() -> None:
    everything = block("0.0.0.0/0")
    assert not judge(FRONT, DB, to_db(everything)).allow
    assert not judge(FAR, DB, to_db(everything)).allow
    assert not judge(FRONT, DB, from_front(everything)).allow
    assert not judge(FRONT, WEB.gateway, from_front(everything), protocol=None, port=None).allow
    assert judge(FRONT, DB, from_front(block("0.0.0.0/0", pool=True))).allow
    assert judge(FRONT, WEB.gateway, from_front(block("10.192.0.0/10", pool=True)), protocol=None, port=None).allow


def test_a_block_may_mean_a_host() -> None:
    assert not judge(H1, DB, to_db()).allow
    assert judge(H1, DB, to_db(block("169.254.192.0/20"))).allow
    assert judge(H1, DB, to_db(block(f"{H1.gateway}/32"))).allow
    assert not judge(H1, DB, to_db(block(f"{H2.gateway}/32"))).allow
    assert judge(FRONT, H2, from_front(block("0.0.0.0/0"))).allow
    assert not judge(FRONT, H2, from_front(block("0.0.0.0/0", "169.254.0.0/16"))).allow


@pytest.mark.parametrize(
    ("port", "protocol", "number", "allowed"),
    [
        (Port(Protocol.TCP, 8000, 8080), Protocol.TCP, 8000, True),
        (Port(Protocol.TCP, 8000, 8080), Protocol.TCP, 8080, True),
        (Port(Protocol.TCP, 8000, 8080), Protocol.TCP, 8081, False),
        (Port(Protocol.TCP, 8000, 8080), Protocol.UDP, 8000, False),
        (Port(Protocol.SCTP, 132), Protocol.SCTP, 132, True),
        (Port(Protocol.SCTP), Protocol.SCTP, 9, True),
        (Port(Protocol.SCTP), Protocol.TCP, 9, False),
        (Port(Protocol.TCP, 1, 65535), None, None, False),
    ],
)
def test_ports(port: Port, protocol: Protocol | None, number: int | None, allowed: bool) -> None:
    found = judge(FRONT, DB, to_db(on(), ports=(port,)), protocol=protocol, port=number)
    assert found.allow is allowed
    if not allowed:
        assert f"rule r1.0 is for {port} only" in found.steps


def test_what_lets_a_packet_out_is_named_where_nothing_else_decides() -> None:
    out = from_front(block("0.0.0.0/0"), on())
    for destination in (OUTSIDE, H2, BARE):
        found = judge(FRONT, destination, out)
        assert (found.direction, found.policy, found.rule) == ("egress", "web/front", "r1.0")
        assert found.steps[-1] == found.reason
