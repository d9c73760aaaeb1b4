"""ClusterNetworkPolicies: what is asked before and after the NetworkPolicies, and in which order."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from socketplane.model.spec import Members, Policy, Protocol, Selector, Tier
from socketplane.model.verdict import Party, Verdict, View, verdict
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, tcp
from support.policies import accept, audited, block, deny, guard, on, pass_on

WEB, DATA, LAB = network(0), network(1), network(2, internal=True)
H1, H2 = host(1), host(2)
FRONT = endpoint(1, WEB, H1, {"app": "web"})
DB = endpoint(2, WEB, H2, {"app": "db"})
FAR = endpoint(3, DATA, H1, {"app": "web"})
UNKNOWN = endpoint(4, DATA, H1, known=False)
INSIDE = endpoint(5, LAB, H1, {"app": "web"})
OUTSIDE = IPv4Address("198.51.100.7")
ALL = on()
DBS = on(app="db")
CLOSED = policy("closed", 9, selector(app="db"), ingress=())
OPEN = policy("open", 8, selector(app="db"), ingress=(allow(),))
BASE = Tier.BASELINE


def judge(source: Party, destination: Party, *policies: Policy, port: int | None = 80) -> Verdict:
    networks = {net.id: net for net in (WEB, DATA, LAB)}
    return verdict(View(CLUSTER, networks, policies), source, destination, Protocol.TCP if port else None, port)


def what(found: Verdict) -> tuple[bool, str, str]:
    return found.allow, found.direction, found.rule


def test_admin_decides_before_network_policies() -> None:
    no = guard("no", 1, DBS, ingress=(deny(ALL),))
    yes = guard("yes", 1, DBS, ingress=(accept(ALL),))
    assert what(judge(FRONT, DB, no, OPEN)) == (False, "ingress", "r1.0")
    assert what(judge(FRONT, DB, yes, CLOSED)) == (True, "ingress", "r1.0")
    assert judge(FRONT, DB, no).policy == "no"
    assert judge(DB, FRONT, no).allow, "the other direction is another matter"


def test_baseline_decides_only_where_no_network_policy_selects() -> None:
    no = guard("no", 1, DBS, tier=BASE, ingress=(deny(ALL),))
    yes = guard("yes", 1, DBS, tier=BASE, ingress=(accept(ALL),))
    assert what(judge(FRONT, DB, no)) == (False, "ingress", "r1.0")
    assert what(judge(FRONT, DB, no, OPEN)) == (True, "ingress", "r8.0")
    assert what(judge(FRONT, DB, yes, CLOSED)) == (False, "ingress", "d9.ingress")
    elsewhere = policy("elsewhere", 9, selector(app="web"), ingress=())
    assert what(judge(FRONT, DB, no, elsewhere)) == (False, "ingress", "r1.0")
    egress_only = policy("egress", 9, selector(app="db"), egress=())
    assert what(judge(FRONT, DB, no, egress_only)) == (False, "ingress", "r1.0")


@pytest.mark.parametrize("tier", list(Tier))
def test_the_lower_priority_comes_first_then_the_older(tier: Tier) -> None:
    early = guard("early", 7, DBS, tier=tier, priority=1, ingress=(deny(ALL),))
    late = guard("late", 1, DBS, tier=tier, priority=2, ingress=(accept(ALL),))
    same = guard("same", 8, DBS, tier=tier, priority=1, ingress=(accept(ALL),))
    assert judge(FRONT, DB, late, early).rule == "r7.0"
    assert judge(FRONT, DB, same, early).rule == "r7.0"


def test_the_first_rule_that_matches_decides() -> None:
    rules = (accept(on(app="db"), ports=tcp(80)), deny(ALL, ports=tcp(80, 81)), accept(ALL))
    many = guard("many", 3, DBS, ingress=rules)
    assert judge(FRONT, DB, many).rule == "r3.1"
    assert judge(FRONT, DB, many, port=81).rule == "r3.1"
    assert judge(FRONT, DB, many, port=82).rule == "r3.2"
    assert judge(FRONT, DB, many, port=None).rule == "r3.2", "a ping is of no port"
    assert "rule r3.1 is for tcp/80, tcp/81 only" in judge(FRONT, DB, many, port=82).steps


def test_pass_goes_on_to_the_network_policies_past_the_rest_of_its_tier() -> None:
    first = guard("first", 1, DBS, priority=1, ingress=(pass_on(ALL, ports=tcp(80)), deny(ALL)))
    second = guard("second", 2, DBS, priority=2, ingress=(deny(ALL),))
    base = guard("base", 3, DBS, tier=BASE, ingress=(deny(ALL),))
    assert what(judge(FRONT, DB, first, second)) == (True, "default", "")
    assert what(judge(FRONT, DB, first, second, CLOSED)) == (False, "ingress", "d9.ingress")
    assert what(judge(FRONT, DB, first, second, OPEN, base)) == (True, "ingress", "r8.0")
    assert what(judge(FRONT, DB, first, second, base)) == (False, "ingress", "r3.0")
    assert what(judge(FRONT, DB, first, port=81)) == (False, "ingress", "r1.1")


def test_pass_in_baseline_goes_on_to_the_defaults() -> None:
    base = guard("base", 1, DBS, tier=BASE, ingress=(pass_on(on(app="web")), deny(ALL)))
    assert what(judge(FRONT, DB, base)) == (True, "default", "")
    assert what(judge(FAR, DB, base)) == (False, "isolation", "isolation")


@pytest.mark.parametrize("tier", list(Tier))
def test_accept_on_ingress_opens_a_network_and_on_egress_does_not(tier: Tier) -> None:
    assert judge(FAR, DB, guard("in", 1, DBS, tier=tier, ingress=(accept(on(app="web")),))).allow
    out = guard("out", 1, on(app="web"), tier=tier, egress=(accept(ALL),))
    assert what(judge(FAR, DB, out)) == (False, "isolation", "isolation")
    assert what(judge(INSIDE, DB, out)) == (False, "isolation", "isolation")
    assert not judge(FAR, INSIDE, guard("in", 1, ALL, tier=tier, ingress=(accept(ALL),))).allow, "internal stays internal"


def test_egress_to_addresses_means_the_pool_too() -> None:
    no = guard("no", 1, on(app="web"), egress=(deny(block("0.0.0.0/0", pool=True)),))
    assert what(judge(FRONT, OUTSIDE, no)) == (False, "egress", "r1.0")
    assert what(judge(FRONT, DB, no)) == (False, "egress", "r1.0")
    assert what(judge(FRONT, H2, no)) == (False, "egress", "r1.0")
    lan = guard("lan", 1, on(app="web"), egress=(deny(block("198.51.100.0/24", pool=True)),))
    assert judge(FRONT, DB, lan).allow
    assert not judge(FRONT, OUTSIDE, lan).allow


def test_egress_rules_are_numbered_after_ingress_rules() -> None:
    both = guard("both", 5, ALL, ingress=(deny(on(app="nobody")),), egress=(deny(on(app="db")),))
    assert what(judge(FRONT, DB, both)) == (False, "egress", "r5.1")


def test_hosts_are_no_peers_of_ingress() -> None:
    no = guard("no", 1, ALL, ingress=(deny(ALL),))
    assert judge(H1, FRONT, no).allow
    assert judge(H2, FRONT, no).allow


def test_subjects_are_chosen_by_network_and_label() -> None:
    data = selector(**{"kubernetes.io/metadata.name": "data"})
    no = guard("no", 1, Members(selector(app="web"), data), egress=(deny(ALL),))
    assert judge(FRONT, DB, no).allow
    assert judge(FAR, UNKNOWN, no).rule == "unknown.ingress"
    assert not judge(FAR, endpoint(7, DATA, H1), no).allow


@pytest.mark.parametrize(
    ("found", "cut"),
    [
        (guard("subject", 1, on(app="nobody")), True),
        (guard("subject", 1, on(selector(**{"kubernetes.io/metadata.name": "web"}))), False),
        (guard("from", 1, on(selector(zone="none")), ingress=(deny(on(app="nobody")),)), True),
        (guard("to", 1, on(selector(zone="none")), tier=BASE, egress=(deny(on(app="nobody")),)), True),
        (guard("accept", 1, on(selector(zone="none")), ingress=(accept(ALL), pass_on(ALL))), False),
        (guard("block", 1, on(selector(zone="none")), egress=(deny(block("0.0.0.0/0", pool=True)),)), False),
        (audited(policy("audit", 1, selector(app="nobody"), on="data", ingress=())), True),
        (policy("there", 1, selector(), ingress=()), False),
    ],
)
def test_who_is_not_known_is_cut_off_where_a_policy_might_mean_it(found: Policy, cut: bool) -> None:
    other = endpoint(7, DATA, H1)
    assert judge(UNKNOWN, other, found).rule == ("unknown.egress" if cut else "")
    assert judge(H1, UNKNOWN, found).rule == ("unknown.ingress" if cut else "")


def test_the_steps_tell_the_way() -> None:
    first = guard("first", 1, DBS, priority=5, ingress=(pass_on(ALL),))
    steps = judge(FRONT, DB, first, OPEN).steps
    assert "Admin policy first of priority 5 selects web/c2 for ingress" in steps
    assert "rule r1.0 passes it on: the Admin tier decides nothing" in steps
    assert steps[-1] == "ingress rule r8.0 of policy web/open allows it"
    assert "no ingress policy decides for web/c2" in judge(FRONT, DB, first).steps
    assert (
        judge(FRONT, DB, guard("no", 2, DBS, ingress=(deny(ALL),))).reason
        == "ingress rule r2.0 of Admin policy no denies it"
    )


def test_a_selector_of_everything_is_everything() -> None:
    assert not judge(FRONT, DB, guard("no", 1, Members(Selector(), Selector()), ingress=(deny(ALL),))).allow
