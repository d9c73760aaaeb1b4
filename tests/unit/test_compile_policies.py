"""Segments that span networks, ClusterNetworkPolicies, audit, and who is cut off."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from socketplane.compile import Compiler, Intent, names
from socketplane.compile.prefixes import all_but
from socketplane.compile.rows import Row
from socketplane.model.spec import Action, ClusterRule, Operator, Policy, Port, Protocol, Requirement, Rule, Selector, Tier
from support.compiled import acls, change, compiled, group_of_acl, groups_of, rows
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, tcp
from support.policies import accept, audited, block, deny, guard, on, pass_on

H1, WEB, DATA = host(1), replace(network(0), labels={"zone": "a"}), network(1)
FRONT, STORE = endpoint(1, WEB, H1, {"app": "web"}), endpoint(2, DATA, H1, {"app": "db"})
BASE: tuple[Intent, ...] = (H1, WEB, DATA, FRONT, STORE)
ANYWHERE_WEB = names.segment_group(Selector(), selector(app="web"))


def bands(compiler: Compiler, prefix: str) -> list[tuple[Any, ...]]:
    """Return tier, priority, direction, action and name of the ACLs whose name begins so."""
    columns = ("tier", "priority", "direction", "action", "name")
    return [tuple(row.get(key) for key in columns) for row in acls(compiler) if row["name"].startswith(prefix)]


# Segments


def test_a_peer_on_other_networks_is_one_group_of_all_of_them() -> None:
    opens = policy("p", 5, selector(app="db"), on="data", ingress=(Rule((on(selector(zone="a"), app="web"),), tcp(80)),))
    compiler = compiled(*BASE, opens)
    group = names.segment_group(selector(zone="a"), selector(app="web"))
    assert group in groups_of(compiler, FRONT)
    assert group not in groups_of(compiler, STORE)
    (acl,) = acls(compiler, "r5.0")
    assert acl["match"].endswith(f" && ip4.src == ${group}_ip4 && tcp.dst == 80")
    assert rows(compiler, "Port_Group")[group]["external_ids"] == {
        "socketplane:owner": str(CLUSTER.id),
        "socketplane:unit": f"segment/{group}",
        "socketplane:networks": "zone=a",
        "socketplane:selector": "app=web",
    }


def test_a_network_that_is_relabelled_renamed_or_new_is_in_or_out_of_them() -> None:
    by_name = selector(**{"kubernetes.io/metadata.name": "web"})
    opens = policy("p", 5, selector(), on="data", ingress=(Rule((on(selector(zone="a")), on(by_name))),))
    compiler = compiled(*BASE, opens)
    labelled, named = (names.segment_group(networks, Selector()) for networks in (selector(zone="a"), by_name))

    def of_front() -> set[str]:
        return groups_of(compiler, FRONT) & {labelled, named}

    assert of_front() == {labelled, named}
    change(compiler, replace(WEB, labels={}))
    assert of_front() == {named}
    change(compiler, replace(WEB, name="other"))
    assert of_front() == {labelled}
    change(compiler, WEB, gone=True)
    change(compiler, WEB)
    assert of_front() == {labelled, named}


def test_expressions_select() -> None:
    absent = Selector.of({}, [Requirement("tier", Operator.DOES_NOT_EXIST), Requirement("app", Operator.NOT_IN, ("db",))])
    compiler = compiled(*BASE, policy("p", 1, absent, ingress=()), policy("q", 2, absent, on="data", ingress=()))
    web, data = (names.segment_group(net.id, absent) for net in (WEB, DATA))
    assert web in groups_of(compiler, FRONT)
    assert data not in groups_of(compiler, STORE)
    change(compiler, replace(FRONT, labels={"app": "web", "tier": "x"}), replace(STORE, labels={}))
    assert web not in groups_of(compiler, FRONT)
    assert data in groups_of(compiler, STORE)


def test_rules_and_not_endpoints_or_networks_make_acls() -> None:
    rules = (accept(on(app="web"), ports=tcp(80)), deny(on(app="db"), block("0.0.0.0/0", pool=True)))
    policies: tuple[Policy, ...] = (
        guard("g", 1, on(app="web"), egress=rules),
        policy("p", 2, selector(app="web"), ingress=(Rule((on(), on(selector(zone="b")), block("192.0.2.0/24"))),)),
    )

    def of_policies(compiler: Compiler) -> list[str]:
        return sorted(row["match"] for row in acls(compiler) if row["name"][0] in "rd")

    few = compiled(*BASE, *policies)
    networks = [network(2)]
    many = [endpoint(n, at, H1, {"app": app}) for n in range(3, 40) for at in (WEB, DATA, *networks) for app in ("web",)]
    assert of_policies(compiled(*BASE, *networks, *many, *policies)) == of_policies(few)
    assert len(of_policies(few)) == 3 + 3 + 1


def test_one_change_is_no_larger_with_more_policies() -> None:
    others = [policy(f"p{n}", n, selector(app=f"a{n}"), ingress=(Rule((on(app=f"b{n}"),)),)) for n in range(3, 200)]
    compiler = compiled(*BASE, *others, guard("g", 1, on(app="new"), ingress=(deny(on()),)))
    new = endpoint(9, WEB, H1, {"app": "new"})
    difference = change(compiler, new)
    # Its port; its switch, its network, the guard's subject, and all endpoints, which are the guard's peers.
    assert (len(difference.rows), len(difference.edges)) == (1, 4)
    difference = change(compiler, replace(new, labels={"app": "b7"}))
    assert (len(difference.rows), sorted(difference.edges.values())) == (0, [False, True])


def test_a_policy_that_is_edited_changes_its_own_rows() -> None:
    others = [policy(f"p{n}", n, selector(app="web"), ingress=(allow(selector(app="db")),)) for n in range(3, 9)]
    guards = [guard(f"g{n}", n, on(app="web"), priority=n, ingress=(deny(on()),)) for n in range(20, 30)]
    compiler = compiled(*BASE, *others, *guards)
    difference = change(compiler, replace(others[0], spec=replace(others[0].spec, ingress=(allow(ports=tcp(80)),))))
    assert [row["name"] for row in difference.rows.values() if row] == ["r3.0"]
    edited = guard("g20", 20, on(app="web"), priority=20, ingress=(accept(on()), deny(on(app="db"))))
    difference = change(compiler, edited)
    # What stands at a rule's place is changed there; the group of the new peer comes with it.
    assert sorted(row["name"] for row in difference.rows.values() if row) == sorted(
        ["r20.0", "r20.1", names.segment_group(Selector(), selector(app="db"))]
    )


# ClusterNetworkPolicies


@pytest.mark.parametrize("tiers", [True, False])
def test_admin_comes_before_and_baseline_after_network_policies(tiers: bool) -> None:
    compiler = compiled(
        *BASE,
        guard("a", 1, on(), ingress=(deny(on(app="x")),)),
        guard("b", 2, on(), tier=Tier.BASELINE, ingress=(accept(on(app="x")),)),
        policy("n", 3, selector(), ingress=(allow(selector(app="x")),)),
        tiers=tiers,
    )
    ingress = [row["name"] for row in acls(compiler) if row["direction"] == "to-lport"]
    unknown = ["unknown.ingress", "unknown.ingress", "own-host", "itself", "multicast", "multicast"]
    ends = ["base"] * 2 if tiers else []
    decided = ["r1.0", *ends, "r3.0", "d3.ingress", *ends, "r2.0", *ends]
    assert ingress == ["isolation", *unknown, *decided, *["base"] * 4, *["isolation"] * 2]
    assert [row.get("tier") for row in acls(compiler, "r2.0")] == [2 if tiers else None]


@pytest.mark.parametrize("tiers", [True, False])
def test_rules_of_a_tier_stand_by_priority_number_and_place(tiers: bool) -> None:
    later = guard("z", 1, on(), priority=7, ingress=(accept(on()), deny(on(app="x"))), egress=(accept(on()),))
    first = guard("y", 9, on(), priority=3, ingress=(deny(on()),))
    same = guard("x", 5, on(), priority=7, ingress=(deny(on()),))
    compiler = compiled(*BASE, same, later, tiers=tiers)
    tier = 0 if tiers else None
    before = [
        (tier, 19999, "from-lport", "allow-related", "r1.2"),
        (tier, 19999, "to-lport", "allow-related", "r1.0"),
        (tier, 19998, "to-lport", "drop", "r1.1"),
        (tier, 19974, "to-lport", "drop", "r5.0"),
    ]
    assert sorted(bands(compiler, "r")) == sorted(before)
    change(compiler, first)
    moved = [(tier, priority - 25, *rest) for _, priority, *rest in before]
    assert sorted(bands(compiler, "r")) == sorted([*moved, (tier, 19999, "to-lport", "drop", "r9.0")])
    change(compiler, first, gone=True)
    assert sorted(bands(compiler, "r")) == sorted(before)


def test_its_acls_are_on_one_group_for_all_networks() -> None:
    compiler = compiled(*BASE, guard("g", 4, on(app="web"), egress=(accept(on(app="db"), ports=(Port(Protocol.SCTP),)),)))
    (acl,) = acls(compiler, "r4.0")
    peer = names.segment_group(Selector(), selector(app="db"))
    assert acl["match"] == f"inport == @{ANYWHERE_WEB} && ip4.dst == ${peer}_ip4 && sctp"
    assert (acl["label"], acl["log"], acl["meter"]) == (4 << 12, False, None)
    assert group_of_acl(compiler, acl) == ANYWHERE_WEB
    assert acl["external_ids"]["socketplane:unit"] == "policy/g"
    assert acl["external_ids"]["socketplane:policy"] == "g"


def test_a_denial_is_logged_with_its_rule() -> None:
    compiler = compiled(*BASE, guard("g", 4, on(app="web"), ingress=(accept(on()), deny(on(app="db")))))
    (acl,) = acls(compiler, "r4.1")
    assert (acl["action"], acl["log"], acl["severity"], acl["meter"], acl["label"]) == ("drop", True, "info", "sp-drops", 0)


def test_pass_leaves_it_to_the_next_tier_where_there_are_tiers() -> None:
    passing = guard("g", 4, on(app="web"), ingress=(pass_on(on()), deny(on())))
    assert bands(compiled(*BASE, passing, tiers=True), "r4.0") == [(0, 19999, "to-lport", "pass", "r4.0")]
    # It is refused before; a policy that came by another way is no hole.
    assert bands(compiled(*BASE, passing), "r4.0") == [(None, 19999, "to-lport", "drop", "r4.0")]


def test_a_policy_for_which_there_is_no_room_denies() -> None:
    rules = tuple(ClusterRule(Action.ACCEPT, (on(app=f"a{n}"),)) for n in range(26))
    compiler = compiled(*BASE, guard("g", 4, on(app="web"), ingress=rules))
    assert bands(compiler, "r4.25") == [(None, 30000, "to-lport", "drop", "r4.25")]


# Audit


def audit(ingress: tuple[Rule, ...] | None = (), egress: tuple[Rule, ...] | None = None, number: int = 7) -> Policy:
    return audited(policy(f"audit{number}", number, selector(app="web"), ingress=ingress, egress=egress))


def test_audit_passes_on_and_logs_what_it_would_deny() -> None:
    compiler = compiled(*BASE, audit((allow(selector(app="db")),), ()), tiers=True)
    assert bands(compiler, "r7") == [(1, 9100, "to-lport", "pass", "r7.0")]
    assert bands(compiler, "a") == [
        (1, 9000, "from-lport", "pass", "a7.egress"),
        (1, 9000, "to-lport", "pass", "a7.ingress"),
    ]
    out, into = acls(compiler, "a7.egress")[0], acls(compiler, "a7.ingress")[0]
    group = names.segment_group(WEB.id, selector(app="web"))
    assert out["match"] == f"inport == @{group} && ip"
    assert into["match"].startswith(f"outport == @{group} && ip4.src == {{")
    meant = [IPv4Network(text) for text in into["match"].rpartition("{")[2].removesuffix("}").split(", ")]
    assert sorted(all_but(meant)) == sorted(CLUSTER.pool.address_exclude(WEB.subnet)), "all but the other networks"
    assert {(row["log"], row["meter"], row["label"]) for row in (out, into)} == {(True, "sp-drops", 0)}
    assert not [row for row in acls(compiler) if row["name"].startswith("d")]


def test_without_tiers_audit_allows_what_the_defaults_allow_and_no_more() -> None:
    compiler = compiled(*BASE, audit((Rule((on(app="db"),)),), ()))
    assert bands(compiler, "a") == [
        (None, 9000, "from-lport", "allow-related", "a7.egress"),
        (None, 9000, "to-lport", "allow-related", "a7.ingress"),
    ]
    (rule,) = acls(compiler, "r7.0")
    assert (rule["priority"], rule["action"], rule["label"]) == (9100, "allow-related", 0)
    (isolation,) = [row for row in acls(compiler, "isolation") if row["priority"] == 9200]
    assert isolation["match"].startswith(f"outport == @{names.segment_group(WEB.id, selector(app='web'))} && ip4.src == {{")
    assert isolation["meter"] == "sp-isolation"


def test_audit_names_the_oldest_policy_with_that_subject_and_may_be_enforced() -> None:
    compiler = compiled(*BASE, audit(number=9), audit(number=7))
    assert [row["name"] for row in acls(compiler) if row["name"].startswith(("a", "d"))] == ["a7.ingress"]
    change(compiler, policy("audit7", 7, selector(app="web"), ingress=()))
    assert [row["name"] for row in acls(compiler) if row["name"].startswith(("a", "d"))] == ["d7.ingress", "a9.ingress"]


def test_beside_baseline_policies_audit_takes_tiers() -> None:
    baseline = guard("b", 3, on(), tier=Tier.BASELINE, ingress=(accept(on()),))
    with_tiers = compiled(*BASE, audit((allow(),)), tiers=True)
    change(with_tiers, baseline)
    assert acls(with_tiers, "a7.ingress")[0]["match"].endswith(" && ip")
    without = compiled(*BASE, audit((allow(),)), baseline)
    assert not [row for row in acls(without) if row["priority"] in (9000, 9100, 9200)]
    change(without, baseline, gone=True)
    assert len([row for row in acls(without) if row["priority"] in (9000, 9100, 9200)]) == 3


# Unknown endpoints


@pytest.mark.parametrize(
    ("policies", "cut"),
    [
        ([], set()),
        ([policy("p", 1, selector(app="x"), ingress=())], {"web"}),
        ([audited(policy("p", 1, selector(app="x"), ingress=()))], {"web"}),
        ([guard("g", 1, on(app="x"), ingress=(accept(on()),))], {"web", "data"}),
        ([guard("g", 1, on(selector(zone="a"), app="x"), ingress=(accept(on()),))], {"web"}),
        ([guard("g", 1, on(selector(zone="none")), ingress=(deny(on(selector(zone="a"), app="x")),))], {"web"}),
        ([guard("g", 1, on(selector(zone="none")), ingress=(accept(on()), pass_on(on())))], set()),
        ([guard("g", 1, on(selector(zone="none")), egress=(deny(block("0.0.0.0/0", pool=True)),))], set()),
    ],
)
def test_unknown_endpoints_are_cut_off_where_a_policy_may_mean_them(policies: list[Policy], cut: set[str]) -> None:
    compiler = compiled(*BASE, *policies, tiers=True)
    assert _cut_off(compiler) == cut
    change(compiler, *policies, gone=True)
    assert _cut_off(compiler) == set()
    change(compiler, *policies)
    assert _cut_off(compiler) == cut


def _cut_off(compiler: Compiler) -> set[str]:
    found = [row for row in acls(compiler) if row["name"].startswith("unknown.")]
    groups = {net.name or "": names.unknown_group(net.id) for net in (WEB, DATA)}
    return {name for name, group in groups.items() if len([row for row in found if _of_group(row, group)]) == 2}


def _of_group(row: Row, group: str) -> bool:
    return row["match"] in (f"inport == @{group} && ip", f"outport == @{group} && ip")


def test_an_unknown_endpoint_is_in_no_segment_of_any_networks() -> None:
    unknown = replace(FRONT, known=False)
    compiler = compiled(*BASE, guard("g", 1, on(), ingress=(accept(on()),)))
    assert names.segment_group(Selector(), Selector()) in groups_of(compiler, FRONT)
    change(compiler, unknown)
    assert groups_of(compiler, unknown) == {names.network_group(WEB.id), names.unknown_group(WEB.id)}
