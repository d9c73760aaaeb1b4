"""NetworkPolicy documents as dicts: what they mean."""

from __future__ import annotations

import json
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest

from socketplane.errors import InvalidInput
from socketplane.model.policy import parse
from socketplane.model.spec import Block, Members, Operator, PolicySpec, Port, Protocol, Requirement, Rule, Selector
from support.netpol import WEB, document, from_, ports, spec_of
from support.schemas import judged_alike


def test_a_whole_document() -> None:
    found = parse(
        document(
            podSelector={"matchLabels": {"tier": "x", "app": "app"}},
            policyTypes=["Ingress", "Egress"],
            ingress=[{"from": [WEB], "ports": [{"port": 8080}, {"protocol": "UDP", "port": 53}]}],
            egress=[{"to": [{"podSelector": {}}], "ports": [{"protocol": "TCP"}]}],
        )
    )
    assert (found.network, found.name) == ("shop", "app")
    assert found.spec == PolicySpec(
        Selector((("app", "app"), ("tier", "x"))),
        ingress=(Rule((Members(Selector((("app", "web"),))),), (Port(Protocol.TCP, 8080), Port(Protocol.UDP, 53))),),
        egress=(Rule((Members(),), (Port(Protocol.TCP),)),),
    )
    assert found.numbered(7).number == 7


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        ({}, (), None),
        ({"policyTypes": []}, (), None),
        ({"ingress": []}, (), None),
        ({"ingress": None}, (), None),
        ({"egress": []}, (), None),
        ({"egress": [{}]}, (), (Rule(),)),
        ({"ingress": [{}]}, (Rule(),), None),
        ({"policyTypes": ["Egress"]}, None, ()),
        ({"policyTypes": ["Egress"], "egress": []}, None, ()),
        ({"policyTypes": ["Ingress", "Egress"]}, (), ()),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, (), None),
        ({"policyTypes": ["Egress"], "ingress": [{}], "egress": [{}]}, None, (Rule(),)),
        ({"ingress": [{"from": [], "ports": []}]}, (Rule(None, None),), None),
        ({"ingress": [{"from": None}]}, (Rule(None, None),), None),
    ],
)
def test_absent_and_empty_mean_what_kubernetes_says(spec: dict[str, Any], ingress: Any, egress: Any) -> None:
    found = spec_of(**spec)
    judged_alike(document(**spec))
    assert (found.ingress, found.egress) == (ingress, egress)


def test_the_network_may_come_from_outside() -> None:
    without = document()
    del without["metadata"]["namespace"]
    assert parse(without, network="shop").network == "shop"
    assert parse(document(), network="other").network == "shop"
    with pytest.raises(InvalidInput, match="--network") as caught:
        parse(without)
    assert caught.value.field == "metadata.namespace"


def test_labels_and_annotations_are_kept_in_the_canonical_document() -> None:
    first = document()
    first["metadata"] |= {"labels": {"b": "1", "a": "2"}, "annotations": {"owner": "me"}}
    second = json.loads(json.dumps(first, sort_keys=True))
    assert parse(first).document == parse(second).document
    assert json.loads(parse(first).document) == first
    without = document()
    del without["metadata"]["namespace"]
    assert parse(without, network="shop").document == parse(document()).document


def test_odd_labels_can_be_selected_as_docker_has_them() -> None:
    odd = {"com.docker.compose.project": "my shop!", "UPPER/_x": "", "ü": "é" * 200}
    assert spec_of(podSelector={"matchLabels": odd}).subject == Selector.of(odd)


def members(value: Any) -> Any:
    """Return the one peer of a rule that has this one."""
    spec = spec_of(ingress=[{"from": [value]}])
    assert spec.ingress and spec.ingress[0].peers
    (peer,) = spec.ingress[0].peers
    return peer


@pytest.mark.parametrize(
    ("peer", "meaning"),
    [
        ({"podSelector": {}}, Members()),
        ({"podSelector": {}, "namespaceSelector": None}, Members()),
        ({"namespaceSelector": {}}, Members(Selector(), Selector())),
        ({"namespaceSelector": {}, "podSelector": None}, Members(Selector(), Selector())),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, Members(Selector(), Selector.of({"team": "a"}))),
        ({"namespaceSelector": {}} | WEB, Members(Selector.of({"app": "web"}), Selector())),
        ({"ipBlock": {"cidr": "192.0.2.0/24"}}, Block(IPv4Network("192.0.2.0/24"))),
        ({"ipBlock": {"cidr": "192.0.2.7/32", "except": []}}, Block(IPv4Network("192.0.2.7/32"))),
        (
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"]}},
            Block(IPv4Network("0.0.0.0/0"), (IPv4Network("10.0.0.0/8"), IPv4Network("10.1.0.0/16"))),
        ),
        (
            {"ipBlock": {"cidr": "2001:DB8::/32", "except": ["2001:db8:0::/48"]}},
            Block(IPv6Network("2001:db8::/32"), (IPv6Network("2001:db8::/48"),)),
        ),
    ],
)
def test_whom_a_peer_means(peer: dict[str, Any], meaning: Any) -> None:
    judged_alike(document(**from_(peer)))
    assert members(peer) == meaning


@pytest.mark.parametrize(
    ("expressions", "meaning"),
    [
        ([], Selector()),
        (None, Selector()),
        ([("a", "In", ["x"])], Selector.of({"a": "x"})),
        ([("a", "In", ["y", "x", "y"])], Selector((), (Requirement("a", Operator.IN, ("x", "y")),))),
        ([("a", "NotIn", ["x"])], Selector((), (Requirement("a", Operator.NOT_IN, ("x",)),))),
        ([("a", "Exists", None)], Selector((), (Requirement("a", Operator.EXISTS),))),
        ([("b", "DoesNotExist", [])], Selector((), (Requirement("b", Operator.DOES_NOT_EXIST),))),
        ([("a", "In", [""])], Selector.of({"a": ""})),
    ],
)
def test_what_expressions_mean(expressions: Any, meaning: Selector) -> None:
    written = expressions and [
        {"key": key, "operator": operator} | ({} if values is None else {"values": values})
        for key, operator, values in expressions
    ]
    assert spec_of(podSelector={"matchExpressions": written}).subject == meaning


def test_labels_and_expressions_have_to_hold_together() -> None:
    found = spec_of(
        podSelector={"matchLabels": {"a": "x"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}
    ).subject
    assert [found.matches(labels) for labels in ({"a": "x", "b": ""}, {"a": "x"}, {"b": "x"})] == [True, False, False]


@pytest.mark.parametrize(
    ("port", "meaning"),
    [
        ({}, Port(Protocol.TCP)),
        ({"protocol": None, "port": None, "endPort": None}, Port(Protocol.TCP)),
        ({"protocol": "SCTP"}, Port(Protocol.SCTP)),
        ({"protocol": "SCTP", "port": 7777}, Port(Protocol.SCTP, 7777)),
        ({"port": 1, "endPort": 65535}, Port(Protocol.TCP, 1, 65535)),
        ({"protocol": "UDP", "port": 53, "endPort": 53}, Port(Protocol.UDP, 53)),
    ],
)
def test_which_ports_are_meant(port: dict[str, Any], meaning: Port) -> None:
    judged_alike(document(**ports(port)))
    found = spec_of(**ports(port)).ingress
    assert found == (Rule(None, (meaning,)),)


def test_a_subject_that_is_absent_is_everybody_as_in_kubernetes() -> None:
    whole = document()
    del whole["spec"]["podSelector"]
    assert parse(whole).spec == parse(document()).spec == spec_of(podSelector=None) == PolicySpec(Selector(), ())


@pytest.mark.parametrize(("mode", "audit"), [("audit", True), ("enforce", False), (None, False)])
def test_the_mode_is_an_annotation(mode: str | None, audit: bool) -> None:
    whole = document()
    whole["metadata"]["annotations"] = {"owner": "me"} | ({"socketplane.io/mode": mode} if mode else {})
    assert parse(whole).spec.audit is audit
    assert json.loads(parse(whole).document)["metadata"] == whole["metadata"]


def test_equal_peers_and_ports_are_one() -> None:
    found = spec_of(ingress=[{"from": [WEB, WEB], "ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}]}])
    assert found.ingress == (Rule((Members(Selector((("app", "web"),))),), (Port(Protocol.TCP, 80),)),)
