"""Policies in audit mode: they decide nothing, and what they would deny is told."""

from __future__ import annotations

from socketplane.model.spec import Policy, Protocol, Tier
from socketplane.model.verdict import Party, Verdict, View, verdict
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, tcp
from support.policies import accept, audited, deny, guard, on

WEB, DATA = network(0), network(1)
FRONT = endpoint(1, WEB, host(1), {"app": "web"})
DB = endpoint(2, WEB, host(2), {"app": "db"})
FAR = endpoint(3, DATA, host(1), {"app": "web"})
CLOSED = audited(policy("closed", 4, selector(app="db"), ingress=()))
SOME = audited(policy("some", 3, selector(app="db"), ingress=(allow(selector(app="web"), ports=tcp(80)),)))


def judge(source: Party, destination: Party, *policies: Policy, port: int = 80) -> Verdict:
    view = View(CLUSTER, {net.id: net for net in (WEB, DATA)}, policies)
    return verdict(view, source, destination, Protocol.TCP, port)


def test_it_cuts_nothing_and_says_what_it_would_cut() -> None:
    found = judge(FRONT, DB, CLOSED)
    assert (found.allow, found.direction, found.policy, found.rule) == (True, "default", "", "")
    assert found.would_deny == "a4.ingress"
    assert any("would deny it (a4.ingress)" in step for step in found.steps)


def test_the_oldest_is_named_and_any_that_allows_is_enough() -> None:
    assert judge(FRONT, DB, CLOSED, SOME).would_deny == ""
    assert judge(FRONT, DB, CLOSED, SOME, port=81).would_deny == "a3.ingress"


def test_it_allows_nothing() -> None:
    assert not judge(FAR, DB, audited(policy("open", 1, selector(), ingress=(allow(),)))).allow
    found = judge(FRONT, DB, policy("none", 1, selector(), ingress=()), SOME)
    assert (found.allow, found.rule, found.would_deny) == (False, "d1.ingress", "")


def test_what_an_enforced_policy_allows_it_would_not_deny() -> None:
    assert judge(FRONT, DB, CLOSED, policy("real", 5, selector(), ingress=(allow(),))).would_deny == ""


def test_admin_rules_come_before_and_baseline_rules_behind() -> None:
    assert judge(FRONT, DB, CLOSED, guard("yes", 1, on(), ingress=(accept(on()),))).would_deny == ""
    base = guard("base", 1, on(), tier=Tier.BASELINE, ingress=(accept(on(app="web")), deny(on())))
    found = judge(FAR, DB, CLOSED, base)
    assert (found.allow, found.rule, found.would_deny) == (True, "r1.0", "a4.ingress")
    refused = judge(endpoint(4, WEB, host(1)), DB, CLOSED, base)
    assert (refused.allow, refused.rule, refused.would_deny) == (False, "r1.1", "")


def test_the_source_side_is_named_first() -> None:
    out = audited(policy("out", 9, selector(app="web"), egress=()))
    assert judge(FRONT, DB, CLOSED, out).would_deny == "a9.egress"
    assert judge(FRONT, DB, out, policy("none", 1, selector(app="db"), ingress=())).would_deny == ""
