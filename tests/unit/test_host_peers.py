"""Hosts in policies: as peers of egress rules, and as the label that says which host a container is on."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from socketplane.compile import Compiler, names
from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.model.policy import parse
from socketplane.model.spec import ClusterSpec, Hosts, Members, Policy, Protocol, Rule, Selector
from socketplane.model.verdict import Party, View, verdict
from socketplane.model.warnings import warnings
from support.compiled import acls, change, compiled, groups_of, rows
from support.intent import CLUSTER, endpoint, host, network, policy, selector
from support.policies import accept, block, deny, guard, on

H1, H2 = replace(host(1), labels={"rack": "a"}), replace(host(2), labels={"rack": "b"})
WEB = network(0)
NEAR = endpoint(1, WEB, H1, {"app": "web"})
FAR = endpoint(2, WEB, H2, {"app": "web", "socketplane.io/host": "h1"})
RACK_A = Hosts(selector(rack="a"))
ONLY_RACK_A = guard("g", 1, on(), egress=(accept(RACK_A), deny(Hosts())))
GROUP = names.hosts_group(selector(rack="a"))


def allowed(destination: Party, *policies: Policy) -> bool:
    view = View(CLUSTER, {WEB.id: WEB}, policies, [NEAR, FAR], [H1, H2])
    return verdict(view, NEAR, destination, Protocol.TCP, 22).allow


def test_hosts_are_peers_at_both_their_addresses() -> None:
    assert allowed(H1, ONLY_RACK_A)
    assert allowed(IPv4Address(H1.address), ONLY_RACK_A)
    assert not allowed(H2, ONLY_RACK_A)
    assert not allowed(IPv4Address(H2.address), ONLY_RACK_A)
    assert allowed(IPv4Address("198.51.100.1"), ONLY_RACK_A), "no host"
    assert allowed(FAR, ONLY_RACK_A), "a container is not its host"


@pytest.mark.parametrize("key", ["kubernetes.io/hostname", "socketplane.io/host"])
def test_a_host_is_known_by_its_name(key: str) -> None:
    by_name = guard("g", 1, on(), egress=(deny(Hosts(selector(**{key: "h2"}))),))
    assert [allowed(each, by_name) for each in (H1, H2)] == [True, False]


def test_a_container_is_known_by_its_host_and_cant_say_otherwise() -> None:
    on_h1 = selector(**{"socketplane.io/host": "h1"})
    opens = policy("p", 1, Selector(), ingress=(Rule((Members(on_h1, Selector()),)),))
    view = View(CLUSTER, {WEB.id: WEB}, [opens], [NEAR, FAR], [H1, H2])
    other = endpoint(3, WEB, H1)
    assert verdict(view, NEAR, other, None, None).allow
    assert not verdict(view, FAR, other, None, None).allow
    group = names.segment_group(Selector(), on_h1)
    compiler = compiled(H1, H2, WEB, NEAR, FAR, opens)
    assert [group in groups_of(compiler, each) for each in (NEAR, FAR)] == [True, False]


def members(compiler: Compiler, name: str) -> set[str]:
    by_uuid = {key.uuid: row for key, row in compiler.desired.rows.items()}
    edges = [edge for edge in compiler.desired.edges if (edge.table, edge.column) == ("Port_Group", "ports")]
    return {by_uuid[edge.child]["name"] for edge in edges if by_uuid[edge.parent]["name"] == name}


def test_a_selector_of_hosts_is_a_group_and_one_host_changes_its_own_rows() -> None:
    compiler = compiled(H1, H2, WEB, NEAR, FAR)
    assert GROUP not in rows(compiler, "Port_Group")
    change(compiler, ONLY_RACK_A)
    matches = [row["match"].partition(" && ")[2] for row in acls(compiler) if row["name"].startswith("r1.")]
    assert matches == [f"ip4.dst == ${GROUP}_ip4", f"ip4.dst == ${names.hosts_group(Selector())}_ip4"]
    assert members(compiler, GROUP) == {"sp0-h1"}
    assert rows(compiler, "Logical_Switch_Port")["sp0-h1"]["addresses"] == {"02:53:a9:fe:c0:02 169.254.192.2 192.0.2.1"}

    moved = change(compiler, replace(H2, labels={"rack": "a"}))
    assert (len(moved.rows), list(moved.edges.values())) == (0, [True])
    assert members(compiler, GROUP) == {"sp0-h1", "sp0-h2"}
    joined = change(compiler, replace(host(3), labels={"rack": "c"}))
    assert {edge.table for edge in joined.edges} <= {"Port_Group", "Logical_Switch", "Logical_Router"}
    assert not [key for key, row in joined.rows.items() if row and "h3" not in str(row)]
    change(compiler, H1, gone=True)
    assert members(compiler, GROUP) == {"sp0-h2"}

    change(compiler, ONLY_RACK_A, gone=True)
    assert not [name for name in rows(compiler, "Port_Group") if name.startswith("sp_h_")]
    assert compiler.desired == compiled(replace(H2, labels={}), replace(host(3)), WEB, NEAR, FAR).desired


def document(direction: str, **peer: Any) -> dict[str, Any]:
    rule = {"action": "Deny", "to" if direction == "egress" else "from": [peer]}
    spec = {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, direction: [rule]}
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "g"},
        "spec": spec,
    }


def test_documents_name_hosts_by_nodes() -> None:
    for written, meant in (({}, Selector()), ({"matchLabels": {"rack": "a"}}, selector(rack="a"))):
        spec = parse(document("egress", nodes=written)).spec
        assert isinstance(spec, ClusterSpec)
        assert spec.egress[0].peers == (Hosts(meant),)


@pytest.mark.parametrize(
    ("written", "field"),
    [
        (document("ingress", nodes={}), "spec.ingress[0].from[0].nodes"),
        (document("egress", nodes={}, namespaces={}), "spec.egress[0].to[0]"),
        (document("egress", nodes={"matchLabel": {}}), "spec.egress[0].to[0].nodes.matchLabel"),
    ],
)
def test_what_is_refused(written: dict[str, Any], field: str) -> None:
    with pytest.raises(SocketPlaneError) as caught:
        parse(written)
    assert isinstance(caught.value, InvalidInput)
    assert caught.value.field == field


def test_a_selector_that_no_host_meets_is_told() -> None:
    view = View(CLUSTER, {WEB.id: WEB}, [], [NEAR, FAR], [H1, H2])
    lost = guard("g", 1, on(), egress=(deny(Hosts(selector(rack="bb")), block("203.0.113.0/24", pool=True)),))
    (found,) = warnings(view, [lost])
    assert "to[0] matches no host now: none is rack=bb" in found.message
    assert found.remedy == "did you mean rack=b?"
