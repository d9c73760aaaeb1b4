"""What units become. The laws are in tests/property, the whole of a small cluster in tests/golden."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from uuid import UUID

import pytest

from socketplane.compile import Compiler, Features, Intent, RowKey, names
from socketplane.model.spec import Port, Protocol, Rule
from support.compiled import acls, change, compiled, groups_of, rows
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, small_cluster, tcp

H1, WEB = host(1), network(0)
FRONT = endpoint(1, WEB, H1, {"app": "web"})


def test_an_endpoint_is_a_port_with_its_place_and_chassis() -> None:
    compiler = compiled(H1, WEB, FRONT)
    port = rows(compiler, "Logical_Switch_Port")[f"sp-{FRONT.id}"]
    assert port["addresses"] == port["port_security"] == {"02:53:0a:c0:00:03 10.192.0.3"}
    assert port["options"] == {"requested-chassis": "chassis-1", "iface-id-ver": FRONT.id}
    assert groups_of(compiler, FRONT) == {f"sp_n_{WEB.id.hex}"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_an_endpoint_waits_for_its_host_and_network(order: tuple[int, ...]) -> None:
    things: list[Intent] = [H1, WEB, FRONT]
    compiler = Compiler(CLUSTER)
    for number, index in enumerate(order):
        change(compiler, things[index])
        assert (f"sp-{FRONT.id}" in rows(compiler, "Logical_Switch_Port")) == (number == 2)


def test_a_host_with_another_system_id_gets_its_endpoints_there() -> None:
    compiler = compiled(H1, WEB, FRONT)
    change(compiler, replace(H1, system_id="new"))
    options = [
        row["options"]["requested-chassis"] for row in rows(compiler, "Logical_Switch_Port").values() if not row["type"]
    ]
    assert options == ["new", "new"]


def test_an_internal_network_has_no_way_to_the_router() -> None:
    compiler = compiled(WEB, replace(network(1), internal=True))
    assert set(rows(compiler, "Logical_Router_Port")) == {"rp-hosts", f"rp-{WEB.id}"}
    change(compiler, replace(WEB, internal=True))
    assert set(rows(compiler, "Logical_Router_Port")) == {"rp-hosts"}


def test_egress_leaves_through_the_own_host_and_never_through_another() -> None:
    compiler = compiled(H1, host(2))
    policies = [row for key, row in compiler.desired.rows.items() if key.table == "Logical_Router_Policy"]
    inside = next(row for row in policies if row["action"] == "allow")
    reroutes = [row for row in policies if row["action"] == "reroute"]
    assert inside["match"] == "ip4.dst == {10.192.0.0/10, 169.254.192.0/20}"
    assert inside["priority"] > max(row["priority"] for row in reroutes)
    assert {row["match"]: row["nexthops"] for row in reroutes} == {
        f'ip4.src == 10.192.0.0/10 && is_chassis_resident("sp0-h{n}")': frozenset({f"169.254.192.{n + 1}"}) for n in (1, 2)
    }
    routes = [row for key, row in compiler.desired.rows.items() if key.table == "Logical_Router_Static_Route"]
    assert {row["ip_prefix"]: row["nexthop"] for row in routes} == {
        "0.0.0.0/0": "169.254.207.254",
        "10.192.0.0/10": "discard",
    }


def test_every_connection_is_tracked_from_the_first_packet_on() -> None:
    compiler = compiled(H1, WEB, FRONT)
    found = [row for row in acls(compiler) if row["name"] == "base"]
    base = {row["match"]: row["action"] for row in found if "@sp_published" not in row["match"]}
    group = names.network_group(WEB.id)
    assert base == {
        f"inport == @{group} && ip": "allow-related",
        "ip4.src == 169.254.192.0/20": "allow-related",
        f"outport == @{group} && ip4.src == 10.192.0.0/22": "allow-related",
    }


def test_a_rule_is_one_acl_per_peer_and_protocol_with_one_set_per_field() -> None:
    ports = (*tcp(443, 80), Port(Protocol.UDP, 53))
    rule = allow(selector(app="a"), selector(app="b"), ports=ports)
    compiler = compiled(WEB, policy("p", 5, selector(app="c"), egress=(rule,)))
    found = [row for row in acls(compiler) if row["name"] == "r5.0"]
    subject, first, second = (names.segment_group(WEB.id, selector(app=value)) for value in "cab")
    assert {row["match"] for row in found} == {
        f"inport == @{subject} && ip4.dst == ${peer}_ip4 && {transport}"
        for peer in (first, second)
        for transport in ("tcp.dst == {80, 443}", "udp.dst == 53")
    }
    assert {(row["label"], row["direction"], row["action"]) for row in found} == {(5 << 12, "from-lport", "allow-related")}


@pytest.mark.parametrize(
    ("ports", "match"),
    [(None, "ip4"), ((Port(Protocol.TCP),), "ip4 && tcp"), ((Port(Protocol.UDP), Port(Protocol.UDP, 5)), "ip4 && udp")],
)
def test_a_rule_for_anyone(ports: tuple[Port, ...] | None, match: str) -> None:
    compiler = compiled(WEB, policy("p", 5, selector(), ingress=(allow(ports=ports),)))
    (found,) = [row for row in acls(compiler) if row["name"] == "r5.0"]
    assert found["match"] == f"outport == @{names.network_group(WEB.id)} && {match}"


@pytest.mark.parametrize("rule", [Rule((), None), Rule(None, ())])
def test_an_empty_choice_in_a_rule_is_no_choice_and_not_any(rule: Rule) -> None:
    compiler = compiled(WEB, policy("p", 5, selector(), ingress=(rule,)))
    assert not [row for row in acls(compiler) if row["name"] == "r5.0"]


def test_only_drops_log_and_only_what_logs_names_the_meter() -> None:
    for row in acls(compiled(*small_cluster())):
        assert row["log"] == (row["action"] == "drop")
        meter = "sp-isolation" if row["name"] == "isolation" else "sp-drops"
        assert (row["meter"], row["severity"]) == ((meter, "info") if row["log"] else (None, None))
        assert row["match"].endswith(" && ip") or not row["log"]


def test_policies_that_share_a_subject_share_its_drop() -> None:
    first, second = (policy(name, n, selector(app="web"), ingress=()) for n, name in ((3, "b"), (8, "a")))
    compiler = compiled(WEB, second)
    assert [row["name"] for row in acls(compiler) if row["priority"] == 10000] == ["d8.ingress"]
    change(compiler, first)
    assert [row["name"] for row in acls(compiler) if row["priority"] == 10000] == ["d3.ingress"]
    compiler.remove(first)
    difference = compiler.flush()
    assert [row["name"] for row in acls(compiler) if row["priority"] == 10000] == ["d8.ingress"]
    assert not difference.edges


def test_segments_live_as_long_as_a_policy_uses_them() -> None:
    compiler = compiled(H1, WEB, FRONT)
    group = names.segment_group(WEB.id, selector(app="web"))
    one = policy("one", 1, selector(app="db"), ingress=(allow(selector(app="web")),))
    two = policy("two", 2, selector(app="web"), ingress=())
    change(compiler, one, two)
    assert group in groups_of(compiler, FRONT)
    compiler.remove(one)
    compiler.flush()
    assert group in groups_of(compiler, FRONT)
    compiler.remove(two)
    compiler.flush()
    assert group not in rows(compiler, "Port_Group")
    assert groups_of(compiler, FRONT) == {f"sp_n_{WEB.id.hex}"}


def test_all_labels_of_a_selector_have_to_be_there() -> None:
    both = selector(app="web", tier="x")
    labels = [{"app": "web"}, {"tier": "x"}, {"app": "web", "tier": "y"}, {"app": "web", "tier": "x", "more": "z"}]
    endpoints = [endpoint(n, WEB, H1, of) for n, of in enumerate(labels, start=1)]
    compiler = compiled(H1, WEB, *endpoints, policy("p", 1, both, ingress=()))
    group = names.segment_group(WEB.id, both)
    assert [group in groups_of(compiler, end) for end in endpoints] == [False, False, False, True]


def test_a_policy_waits_for_a_network_of_its_name() -> None:
    pending = replace(WEB, name=None)
    labelled = policy("p", 1, selector(**{"socketplane.io/network": "web"}), ingress=())
    compiler = compiled(H1, pending, FRONT, labelled)
    assert not [row for row in acls(compiler) if row["name"].startswith("d")]
    change(compiler, WEB)
    assert len(groups_of(compiler, FRONT)) == 2
    assert [row["name"] for row in acls(compiler) if row["name"].startswith("d")] == ["d1.ingress"]
    change(compiler, replace(WEB, name="other"))
    assert not [row for row in acls(compiler) if row["name"].startswith("d")]


def test_an_unknown_endpoint_is_in_no_segment_and_cut_off_where_a_policy_is() -> None:
    unknown = replace(FRONT, known=False)
    quarantine = names.unknown_group(WEB.id)
    compiler = compiled(H1, WEB, unknown)
    assert not [row for row in acls(compiler) if quarantine in row["match"]]
    change(compiler, policy("p", 1, selector(app="web"), ingress=()))
    assert quarantine in groups_of(compiler, FRONT)
    assert names.segment_group(WEB.id, selector(app="web")) not in groups_of(compiler, FRONT)
    drops = [row for row in acls(compiler) if quarantine in row["match"]]
    assert {(row["direction"], row["action"], row["priority"]) for row in drops} == {
        ("from-lport", "drop", 30000),
        ("to-lport", "drop", 30000),
    }
    change(compiler, FRONT)
    assert names.segment_group(WEB.id, selector(app="web")) in groups_of(compiler, FRONT)
    assert quarantine not in groups_of(compiler, FRONT)


def test_a_change_costs_its_own_size() -> None:
    compiler = compiled(H1, WEB, *(endpoint(n, WEB, H1, {"app": "web", "n": str(n)}) for n in range(1, 100)))
    change(compiler, *(policy(f"p{n}", n, selector(n=str(n)), ingress=()) for n in range(1, 50)))
    difference = change(compiler, endpoint(100, WEB, H1, {"app": "web", "n": "7"}))
    assert (len(difference.rows), len(difference.edges)) == (1, 3)
    assert not change(compiler, endpoint(100, WEB, H1, {"app": "web", "n": "7"}))
    relabelled = change(compiler, endpoint(100, WEB, H1, {"app": "web", "n": "8"}))
    assert (len(relabelled.rows), sorted(relabelled.edges.values())) == (0, [False, True])


def test_what_is_removed_leaves_nothing() -> None:
    compiler = compiled()
    empty = set(compiler.desired.rows), set(compiler.desired.edges)
    things = small_cluster()
    change(compiler, *things)
    for thing in things:
        compiler.remove(thing)
        compiler.remove(thing)
    compiler.flush()
    assert (set(compiler.desired.rows), compiler.desired.edges) == empty


def test_rows_name_their_owner_and_unit() -> None:
    compiler = compiled(*small_cluster())
    for key, row in compiler.desired.rows.items():
        if key.table == "Load_Balancer_Group":  # has no such column
            assert row["name"] in (f"sp-published-{CLUSTER.id}", f"sp-services-{CLUSTER.id}")
            continue
        assert row["external_ids"]["socketplane:owner"] == str(CLUSTER.id)
        assert row["external_ids"]["socketplane:unit"].partition("/")[0] in {
            *("cluster", "host", "network", "endpoint", "segment", "policy"),
        }


def test_another_cluster_has_other_rows() -> None:
    other = Compiler(replace(CLUSTER, id=UUID(int=9)))
    other.flush()
    mine = compiled()
    assert not set(other.desired.rows) & set(mine.desired.rows)


def test_a_later_difference_wins() -> None:
    compiler = compiled(H1, WEB)
    first = change(compiler, FRONT)
    compiler.remove(FRONT)
    second = compiler.flush()
    key = RowKey("Logical_Switch_Port", next(key.uuid for key in first.rows))
    assert first.rows[key] is not None
    first.update(second)
    assert first.rows == {key: None}
    assert not any(first.edges.values())


@pytest.mark.parametrize("tier", [True, False])
@pytest.mark.parametrize("options", [True, False])
def test_features_come_from_the_schema(tier: bool, options: bool) -> None:
    columns = {"ACL": {"name": None, **({"tier": None} if tier else {})}, "DNS": {"options": None} if options else {}}
    schema = SimpleNamespace(tables={table: SimpleNamespace(columns=of_table) for table, of_table in columns.items()})
    assert Features.from_schema(schema) == Features(acl_tier=tier, incremental=options)
    assert Features.from_columns({}) == Features()


def test_a_network_renamed_from_one_policy_to_its_namesake_has_the_other_ones_rows() -> None:
    before = policy("p", 1, selector(), on="web", ingress=(allow(),))
    after = policy("p", 2, selector(), on="data", ingress=(allow(),))
    renamed = replace(WEB, name="data")
    compiler = compiled(H1, WEB, before)
    compiler.put(after)  # in one batch with the network's name: whichever is compiled first, the other must not undo it
    compiler.put(renamed)
    compiler.flush()
    assert compiler.desired == compiled(H1, renamed, before, after).desired
    assert [acl["label"] for acl in acls(compiler) if acl["name"] == "r2.0"] == [2 << 12]
