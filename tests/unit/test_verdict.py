"""What policy means, case by case; the laws are in tests/property."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from socketplane.errors import InvalidInput
from socketplane.model.rules import drop_id, label_of, rule_id
from socketplane.model.spec import Policy, Port, Protocol
from socketplane.model.types import Host
from socketplane.model.verdict import Party, Verdict, View, verdict
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, tcp

WEB, DATA, LAB = network(0), network(1), network(2, internal=True)
H1, H2 = host(1), host(2)
FRONT = endpoint(1, WEB, H1, {"app": "web"})
APP = endpoint(2, WEB, H2, {"app": "app"})
DB = endpoint(3, WEB, H1, {"app": "db"})
OTHER = endpoint(4, DATA, H1, {"app": "web"})
INSIDE = endpoint(5, LAB, H1)
UNKNOWN = endpoint(6, WEB, H1, {"app": "web"}, known=False)
OUTSIDE = IPv4Address("198.51.100.7")

TO_APP = policy("app", 2, selector(app="app"), ingress=(allow(selector(app="web"), ports=tcp(8080)),))
CLOSED = policy("closed", 1, selector(), ingress=())


def judge(
    source: Party, destination: Party, *policies: Policy, protocol: Protocol | None = Protocol.TCP, port: int | None = 8080
) -> Verdict:
    networks = {net.id: net for net in (WEB, DATA, LAB)}
    return verdict(View(CLUSTER, networks, policies), source, destination, protocol, port)


@pytest.mark.parametrize(
    ("source", "destination", "allowed", "direction", "words"),
    [
        (FRONT, APP, True, "default", "free inside a network"),
        (FRONT, OTHER, False, "isolation", "networks are isolated"),
        (FRONT, OUTSIDE, True, "default", "leaves through the container's own host"),
        (FRONT, H1, True, "default", "leaves through"),
        (FRONT, IPv4Address("10.200.0.1"), False, "isolation", "no container has the address"),
        (OUTSIDE, FRONT, False, "isolation", "nothing in from outside"),
        (H2, FRONT, True, "default", "hosts reach containers"),
        (H1, FRONT, True, "default", "its own containers"),
        (INSIDE, OUTSIDE, False, "isolation", "network lab is internal"),
        (INSIDE, FRONT, False, "isolation", "network lab is internal"),
        (H1, INSIDE, False, "isolation", "network lab is internal"),
        (UNKNOWN, APP, True, "default", "free inside a network"),
        (FRONT, FRONT, True, "default", "reaches itself"),
    ],
)
def test_the_defaults(source: Party, destination: Party, allowed: bool, direction: str, words: str) -> None:
    found = judge(source, destination)
    assert (found.allow, found.direction) == (allowed, direction)
    assert words in found.reason
    assert not found.policy


def test_an_ingress_policy_allows_what_it_names_and_nothing_else() -> None:
    found = judge(FRONT, APP, TO_APP, CLOSED)
    assert found == Verdict(
        True, "ingress", "ingress rule r2.0 of policy web/app allows it", "web/app", "r2.0", steps=found.steps
    )
    wrong_port = judge(FRONT, APP, TO_APP, CLOSED, port=22)
    assert (wrong_port.allow, wrong_port.policy, wrong_port.rule) == (False, "web/closed", "d1.ingress")
    assert "rule r2.0 is for tcp/8080 only" in wrong_port.steps
    assert not judge(DB, APP, TO_APP).allow
    assert not judge(FRONT, APP, TO_APP, protocol=Protocol.UDP).allow
    assert not judge(FRONT, APP, TO_APP, protocol=None, port=None).allow
    assert judge(APP, DB, TO_APP).allow


def test_a_rule_for_a_protocol_without_port_allows_all_of_it_and_no_other() -> None:
    whole = policy("p", 1, selector(), ingress=(allow(ports=(Port(Protocol.UDP),)),))
    assert judge(FRONT, APP, whole, protocol=Protocol.UDP, port=5).allow
    assert not judge(FRONT, APP, whole, protocol=Protocol.TCP, port=5).allow
    assert not judge(FRONT, APP, whole, protocol=None, port=None).allow


def test_egress_is_judged_before_ingress_and_both_have_to_allow() -> None:
    out = policy("out", 3, selector(app="web"), egress=(allow(selector(app="app")),))
    assert judge(FRONT, APP, TO_APP, out).direction == "ingress"
    denied = judge(FRONT, DB, TO_APP, out)
    assert (denied.allow, denied.direction, denied.rule) == (False, "egress", "d3.egress")
    assert not judge(FRONT, OUTSIDE, out).allow
    assert judge(FRONT, OUTSIDE, policy("out", 3, selector(), egress=(allow(),))).allow


def test_rules_are_numbered_ingress_first() -> None:
    both = policy("both", 9, selector(), ingress=(allow(ports=tcp(1)), allow()), egress=(allow(ports=tcp(2)), allow()))
    assert judge(FRONT, APP, both).rule == "r9.1"
    blocked = replace(both, spec=replace(both.spec, ingress=()))
    assert judge(FRONT, APP, blocked).rule == "d9.ingress"
    assert "r9.1" in " ".join(judge(FRONT, OUTSIDE, blocked).steps)


def test_only_an_ingress_policy_of_the_target_opens_a_network() -> None:
    assert judge(OTHER, FRONT, policy("open", 1, selector(), ingress=(allow(),))).allow
    assert not judge(OTHER, FRONT, policy("open", 1, selector(), ingress=(allow(selector()),))).allow
    assert not judge(OTHER, FRONT, policy("open", 1, selector(), on="data", egress=(allow(),))).allow


@pytest.mark.parametrize(("owner", "allowed"), [(H1, True), (H2, False)])
def test_a_policy_never_keeps_the_own_host_out(owner: Host, allowed: bool) -> None:
    assert judge(owner, FRONT, CLOSED).allow is allowed


@pytest.mark.parametrize(
    ("source", "destination", "rule"), [(UNKNOWN, APP, "unknown.egress"), (H1, UNKNOWN, "unknown.ingress")]
)
def test_an_unknown_container_is_cut_off_wherever_a_policy_applies(source: Party, destination: Party, rule: str) -> None:
    elsewhere = policy("p", 1, selector(app="nobody"), on="data", ingress=())
    assert judge(source, destination, elsewhere).allow
    found = judge(source, destination, policy("p", 1, selector(app="nobody"), ingress=()))
    assert (found.allow, found.rule) == (False, rule)


def test_our_own_labels_can_be_selected() -> None:
    by_name = policy("p", 1, selector(**{"socketplane.io/container": "c2"}), ingress=())
    assert not judge(FRONT, APP, by_name).allow
    assert judge(FRONT, DB, by_name).allow


def test_a_container_on_a_network_that_is_gone_reaches_nobody() -> None:
    view = View(CLUSTER, {}, [])
    assert not verdict(view, FRONT, APP, None, None).allow
    assert not verdict(view, FRONT, OUTSIDE, None, None).allow


def test_the_router_answers_pings_at_gateways_of_networks_that_it_joins() -> None:
    assert judge(FRONT, WEB.gateway, protocol=None, port=None).allow
    assert judge(FRONT, DATA.gateway, protocol=None, port=None).allow
    assert not judge(FRONT, WEB.gateway).allow
    assert not judge(FRONT, LAB.gateway, protocol=None, port=None).allow
    assert not judge(FRONT, WEB.gateway, policy("p", 1, selector(), egress=()), protocol=None, port=None).allow


def test_one_end_has_to_be_a_container() -> None:
    with pytest.raises(InvalidInput, match="neither end is a container"):
        judge(H1, OUTSIDE)


def test_rule_ids_and_labels_belong_together() -> None:
    assert label_of(2**20 - 1, 4095) == 2**32 - 1
    assert label_of(77, 12) == 77 * 4096 + 12
    assert rule_id(77, 12) == "r77.12"
    assert all(len(drop_id(2**20 - 1, way)) <= 63 for way in ("ingress", "egress"))  # type: ignore[arg-type]
