"""Anchors: every group that endpoints of a network may be in has a member there."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from socketplane.compile import Compiler, Features, Intent, compile_all, names
from socketplane.model.selection import View
from socketplane.model.spec import Selector
from socketplane.model.types import Endpoint, Network
from support.compiled import change, compiled, rows
from support.intent import CLUSTER, host, network, policy, selector
from support.policies import deny, guard, on, views

ABLE = Features(acl_tier=True, incremental=True)
WEB, DATA = replace(network(0), labels={"zone": "a"}), network(1)


def anchored(compiler: Compiler, of: Network) -> set[str]:
    """Return the groups that a network's anchor is in."""
    found = {key.uuid: row.get("name", "") for key, row in compiler.desired.rows.items()}
    edges = [edge for edge in compiler.desired.edges if edge.table == "Port_Group"]
    return {found[edge.parent] for edge in edges if found[edge.child] == names.anchor_port(of.id)}


def test_an_anchor_is_in_all_groups_of_its_network_and_of_no_other() -> None:
    compiler = Compiler(CLUSTER, ABLE)
    change(compiler, host(1), WEB, DATA)
    own = {names.network_group(WEB.id), names.unknown_group(WEB.id), names.PUBLISHED_GROUP}
    assert anchored(compiler, WEB) == own
    local = policy("p", 1, selector(app="x"), ingress=())
    change(compiler, local, guard("g", 2, on(selector(zone="a")), ingress=(deny(on()),)))
    segment = names.segment_group(WEB.id, selector(app="x"))
    zone, everything = names.segment_group(selector(zone="a"), Selector()), names.segment_group(Selector(), Selector())
    assert anchored(compiler, WEB) == {*own, segment, zone, everything}
    assert zone not in anchored(compiler, DATA)
    assert everything in anchored(compiler, DATA)
    change(compiler, replace(WEB, labels={}), replace(DATA, labels={"zone": "a"}))
    assert zone not in anchored(compiler, WEB)
    assert zone in anchored(compiler, DATA)
    change(compiler, local, gone=True)
    assert segment not in anchored(compiler, WEB)


def test_where_northd_computes_everything_anyway_there_are_none() -> None:
    assert not [name for name in rows(compiled(WEB, tiers=True), "Logical_Switch_Port") if "anchor" in name]


@given(views())
def test_no_endpoint_is_ever_the_first_or_last_of_a_group_on_its_switch(cluster: tuple[View, list[Endpoint]]) -> None:
    view, endpoints = cluster
    intent: list[Intent] = [host(1), host(2), *view.networks.values(), *view.policies, *endpoints]
    desired = compile_all(CLUSTER, ABLE, intent)
    named = {key.uuid: row.get("name", "") for key, row in desired.rows.items()}
    members: dict[str, set[str]] = {}
    for edge in desired.edges:
        if (edge.table, edge.column) == ("Port_Group", "ports"):
            members.setdefault(named[edge.parent], set()).add(named[edge.child])
    for end in endpoints:
        for group in members.values():
            assert not _is_in(end, group) or names.anchor_port(end.network) in group


def _is_in(end: Endpoint, group: set[str]) -> bool:
    return names.endpoint_port(end) in group
