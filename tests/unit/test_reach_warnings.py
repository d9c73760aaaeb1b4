"""Warnings about policies that are valid and probably not meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from socketplane.model.policy import parse
from socketplane.model.selection import View
from socketplane.model.spec import Block, ClusterSpec, Members, Policy, Port, Protocol, Rule, Tier
from socketplane.model.types import Endpoint
from socketplane.model.warnings import warnings
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, tcp
from support.policies import accept, audited, block, deny, guard, on, pass_on

WEB, DATA = network(0), replace(network(1), labels={"zone": "back"})
FRONT, APP, DB = (endpoint(n, WEB, "h1", {"app": name}) for n, name in enumerate(("front", "app", "db"), start=1))
FAR = endpoint(4, DATA, "h2", {"app": "far"})
TO_DB = policy("db", 1, selector(app="db"), ingress=(allow(selector(app="app"), ports=tcp(5432)),))


def said(*policies: Policy, beside: tuple[Policy, ...] = (), more: tuple[Endpoint, ...] = ()) -> list[str]:
    nets = {net.id: net for net in (WEB, DATA)}
    view = View(CLUSTER, nets, beside, [FRONT, APP, DB, FAR, *more], [host(1), host(2)])
    return [str(warning) for warning in warnings(view, policies)]


def test_good_policies_are_no_news() -> None:
    lan = guard("lan", 3, on(), egress=(deny(block("192.168.0.0/16", pool=True)),))
    scrape = guard("scrape", 4, on(), ingress=(accept(on(app="far"), ports=tcp(9100)),), priority=7)
    assert said(TO_DB, lan, scrape) == []


def test_a_network_that_does_not_exist() -> None:
    assert said(policy("p", 1, selector(), on="wbe", ingress=())) == [
        "wbe/p: there is no network wbe: the policy holds from when there is one; did you mean web?"
    ]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            policy("p", 1, selector(app="fornt"), ingress=()),
            "web/p: selects no endpoint now: none is app=fornt; did you mean app=front?",
        ),
        (
            policy("p", 1, selector(ap="front"), ingress=()),
            "web/p: selects no endpoint now: none is ap=front; did you mean app?",
        ),
        (
            policy("p", 1, selector(app="db"), ingress=(allow(selector(app="app"), selector(app="ap")),)),
            "web/p: ingress[0]: from[1] matches no endpoint now: none is app=ap; did you mean app=app?",
        ),
        (
            policy("p", 1, selector(app="db"), egress=(Rule((on(selector(zone="bakc")),)),)),
            "web/p: egress[0]: to[0] matches no endpoint now: no network is zone=bakc; did you mean zone=back?",
        ),
        (
            policy("p", 1, selector(app="db"), egress=(Rule((on(selector(zone="back"), app="xyz"),)),)),
            "web/p: egress[0]: to[0] matches no endpoint now: none is app=xyz",
        ),
    ],
)
def test_a_selector_that_matches_nothing(found: Policy, message: str) -> None:
    assert said(found) == [message]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            policy("p", 1, selector(), ingress=(Rule((on(app="far"), block("10.192.4.0/22"))),)),
            "web/p: ingress[0]: from[1] means nobody: 10.192.4.0/22 is in the cluster's pool 10.192.0.0/10, "
            "and ipBlock never means containers; select them with podSelector or namespaceSelector",
        ),
        (
            policy("p", 1, selector(), egress=(Rule((block("10.192.0.2/32"),)),)),
            "web/p: egress[0]: to[0] means nobody: 10.192.0.2/32 is in the cluster's pool 10.192.0.0/10, "
            "and ipBlock never means containers; select them with podSelector or namespaceSelector",
        ),
        (
            policy("p", 1, selector(), ingress=(Rule((block("192.0.2.0/24"),)),)),
            "web/p: ingress[0]: from[0] means nobody now: 192.0.2.0/24 has no hosts, and from outside nobody comes in to "
            "what publishes no port; hosts are in 169.254.192.0/20; docker run -p publishes ports",
        ),
    ],
)
def test_addresses_that_nobody_has(found: Policy, message: str) -> None:
    assert said(found) == [message]


def test_addresses_that_somebody_may_have() -> None:
    out = policy("out", 1, selector(), egress=(Rule((block("192.0.2.0/24"), block("10.0.0.0/8"))),))
    world = policy("in", 2, selector(), ingress=(Rule((block("0.0.0.0/0"), block("169.254.192.2/32"))),))
    pool = guard("pool", 3, on(), egress=(deny(block("10.192.0.0/16", pool=True)),))
    assert said(out, world, pool) == []


def test_rules_of_a_direction_that_policy_types_leave_out() -> None:
    rule = {"to": [{"podSelector": {}}]}
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "web"},
    }
    assert said(parse({**document, "spec": {**spec, "egress": [rule]}}).numbered(1)) == [
        "web/p: egress: has no effect: policyTypes leaves out Egress; add Egress to it, or remove these rules"
    ]
    assert said(parse({**document, "spec": {**spec, "egress": []}}).numbered(1)) == []


def test_a_rule_that_admin_decides_before_it_is_asked() -> None:
    no = guard("no", 5, on(app="db"), ingress=(deny(on(), ports=(Port(Protocol.TCP, 5000, 6000),)),))
    assert said(TO_DB, beside=(no,)) == [
        "web/db: ingress[0]: is pointless: Admin policy no denies all that it is for; "
        "remove it, or give what it is for to a rule that passes (action: Pass) before the denial"
    ]
    yes = guard("yes", 5, on(app="db"), ingress=(accept(on()),))
    assert "ingress[0]: is pointless: Admin policy yes decides all that it is for" in said(TO_DB, beside=(yes,))[0]
    some = guard("some", 5, on(app="db"), ingress=(deny(on(app="front")),))
    assert said(TO_DB, beside=(some,)) == []
    passed = guard("passed", 4, on(app="db"), priority=1, ingress=(pass_on(on(app="app")),))
    assert said(TO_DB, beside=(no, passed)) == []


@pytest.mark.parametrize("tier", list(Tier))
def test_a_rule_behind_those_that_decide_all_of_it(tier: Tier) -> None:
    first = guard("first", 5, on(), tier=tier, priority=1, ingress=(deny(on(), ports=tcp(22)),))
    second = guard("second", 6, on(app="db"), tier=tier, priority=2, ingress=(accept(on(app="far"), ports=tcp(22, 80)),))
    assert said(second, beside=(first,)) == []
    only = guard("second", 6, on(app="db"), tier=tier, priority=2, ingress=(accept(on(app="app"), ports=tcp(22)),))
    assert said(only, beside=(first,))[0].startswith(
        f"second: ingress[0]: is pointless: {tier} policy first denies all that it is for"
    )
    own = guard("own", 7, on(app="db"), tier=tier, ingress=(accept(on(app="front")), deny(on(app="app")), deny(on(), on())))
    assert said(own) == []
    twice = (deny(on(app="app"), on(app="front")), accept(on(app="app")))
    assert said(guard("own", 7, on(app="db"), tier=tier, ingress=twice)) == [
        "own: ingress[1]: is never asked: all that it is for meets ingress[0]; remove it"
    ]
    parts = (deny(on(app="app")), deny(on(app="front")), accept(on(selector(zone="none"), app="db"), on(app="front")))
    assert "own: ingress[2]: is never asked" in said(guard("own", 7, on(app="db"), tier=tier, ingress=parts))[1]


def test_baseline_where_network_policies_select_everyone() -> None:
    base = guard("base", 5, on(app="db"), tier=Tier.BASELINE, ingress=(accept(on()),))
    assert said(base, beside=(TO_DB,)) == [
        "base: ingress: every endpoint that it selects has NetworkPolicies for ingress: Baseline is not asked; "
        "put what has to hold for them into the Admin tier, or remove it"
    ]


def test_rules_that_say_nothing_new() -> None:
    rules = (
        allow(selector(app="app"), ports=tcp(80)),
        allow(selector(app="app"), ports=(Port(Protocol.TCP, 79, 81),)),
        allow(selector(), ports=tcp(443)),
        allow(selector(app="app"), ports=tcp(443)),
        allow(selector(), ports=tcp(443)),
    )
    assert said(policy("p", 1, selector(app="db"), ingress=rules)) == [
        "web/p: ingress[0]: allows nothing beyond ingress[1]; remove it",
        "web/p: ingress[3]: allows nothing beyond ingress[2]; remove it",
        "web/p: ingress[4]: allows nothing beyond ingress[2]; remove it",
    ]


@pytest.mark.parametrize(
    ("wide", "narrow", "covered"),
    [
        (block("10.0.0.0/8"), block("10.1.0.0/16"), True),
        (block("10.1.0.0/16"), block("10.0.0.0/8"), False),
        (block("172.16.0.0/12", "172.17.0.0/16"), block("172.16.0.0/16"), True),
        (block("172.16.0.0/12", "172.16.5.0/24"), block("172.16.0.0/16"), False),
        (block("172.16.0.0/12", "172.16.5.0/24"), block("172.16.0.0/16", "172.16.4.0/22"), True),
        (block("::/0"), block("fd00::/8"), True),
        (block("::/0"), block("198.51.100.0/24"), False),
        (on(), Members(selector(app="app")), True),
        (Members(selector()), on(app="app"), False),
        (on(selector(zone="back")), Members(selector(app="app")), False),
        (on(app="app"), on(selector(zone="back"), app="far"), False),
    ],
)
def test_what_covers_what(wide: Block | Members, narrow: Block | Members, covered: bool) -> None:
    found = policy("p", 1, selector(app="db"), egress=(Rule((wide,)), Rule((narrow,))))
    assert ("egress[1]: allows nothing beyond egress[0]" in " ".join(said(found))) is covered


def test_two_of_one_rank() -> None:
    one = guard("one", 5, on(app="db"), ingress=(deny(on(app="front")),))
    two = guard("two", 6, on(), ingress=(accept(on(app="app"), ports=tcp(1)),))
    assert said(two, beside=(one,)) == [
        "two: one has the same tier and priority and selects some of the same endpoints; "
        "give them different priorities: that one is asked first only because it is older"
    ]
    for other in (
        replace(two, spec=_ranked(two, priority=7)),
        replace(two, spec=_ranked(two, subject=on(app="far"))),
        guard("two", 6, on(), egress=(deny(on(app="db"), ports=tcp(1)),)),
    ):
        assert said(other, beside=(one,)) == []


def _ranked(found: Policy, **changed: object) -> ClusterSpec:
    assert isinstance(found.spec, ClusterSpec)
    return replace(found.spec, **changed)  # type: ignore[arg-type]


def test_a_policy_that_changes_nothing() -> None:
    nothing = "changes nothing now: all would be allowed and denied alike without it"
    again = replace(TO_DB, name="again", number=9)
    assert nothing in said(again, beside=(TO_DB,))[0]
    assert nothing in said(policy("p", 1, selector(), egress=(allow(),)))[0]
    assert said(policy("p", 1, selector(), ingress=(allow(),))) == [], "it opens the network to others"
    assert said(guard("g", 1, on(app="db"), egress=(accept(on()),))) == [], "a guard rail may be for what is to come"
    assert said(audited(again), beside=(TO_DB,)) == []
    unknown = endpoint(9, WEB, "h1", known=False)
    assert said(policy("p", 1, selector(), egress=(allow(),)), more=(unknown,)) == [], "it cuts off who is not known"


def test_a_policy_stands_for_the_one_of_its_name() -> None:
    assert said(TO_DB, beside=(TO_DB,)) == []
