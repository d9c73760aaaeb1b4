"""NetworkPolicy documents as dicts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.policy import parse
from socketplane.model.spec import Members, PolicySpec, Port, Protocol, Rule, Selector

WEB = {"podSelector": {"matchLabels": {"app": "web"}}}


def document(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "app", "namespace": "shop"},
        "spec": {"podSelector": {}, **spec},
    }


def spec_of(**spec: Any) -> PolicySpec:
    return parse(document(**spec)).spec


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


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"ingress": [{"ports": [{"port": "http"}]}]}, "spec.ingress[0].ports[0].port"),
    ],
)
def test_what_the_standard_knows_and_we_do_not_is_refused_by_name(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(Unsupported) as caught:
        spec_of(**spec)
    assert caught.value.field == path
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"podSelektor": {}}, "spec.podSelektor", "did you mean podSelector?"),
        ({"ingres": []}, "spec.ingres", "did you mean ingress?"),
        ({"podSelector": []}, "spec.podSelector", "not a list"),
        ({"podSelector": {"matchLabel": {}}}, "spec.podSelector.matchLabel", "matchLabels"),
        ({"podSelector": {"matchLabels": {"v": 1}}}, "spec.podSelector.matchLabels[v]", "quotes"),
        ({"podSelector": {"matchLabels": {"v": True}}}, "spec.podSelector.matchLabels[v]", "the boolean true"),
        ({"podSelector": {"matchLabels": {"v": "a\0b"}}}, "spec.podSelector.matchLabels[v]", "NUL"),
        ({"podSelector": {"matchLabels": {"v": "\ud800"}}}, "spec.podSelector.matchLabels[v]", "surrogate"),
        ({"podSelector": {"matchLabels": {"": "x"}}}, "spec.podSelector.matchLabels", "empty"),
        ({"policyTypes": "Ingress"}, "spec.policyTypes", "has to be a list"),
        ({"policyTypes": ["ingress"]}, "spec.policyTypes[0]", "did you mean Ingress?"),
        ({"ingress": {}}, "spec.ingress", "has to be a list"),
        ({"ingress": [None]}, "spec.ingress[0]", "has to be a mapping"),
        ({"ingress": [{"to": []}]}, "spec.ingress[0].to", "known here: from, ports"),
        ({"ingress": [{"from": [{}]}]}, "spec.ingress[0].from[0]", "selects nobody"),
        ({"ingress": [{"from": ["web"]}]}, "spec.ingress[0].from[0]", "the text 'web'"),
        ({"ingress": [{"ports": [8080]}]}, "spec.ingress[0].ports[0]", "the number 8080"),
        ({"ingress": [{"ports": [{"port": 0}]}]}, "spec.ingress[0].ports[0].port", "1 to 65535"),
        ({"ingress": [{"ports": [{"port": 65536}]}]}, "spec.ingress[0].ports[0].port", "1 to 65535"),
        ({"ingress": [{"ports": [{"port": True}]}]}, "spec.ingress[0].ports[0].port", "1 to 65535"),
        ({"ingress": [{"ports": [{"port": 80.5}]}]}, "spec.ingress[0].ports[0].port", "1 to 65535"),
        ({"ingress": [{"ports": [{"protocol": "tcp"}]}]}, "spec.ingress[0].ports[0].protocol", "TCP"),
        ({"ingress": [{"ports": [{"protocol": "ICMP"}]}]}, "spec.ingress[0].ports[0].protocol", "TCP"),
        ({"ingress": [{}] * 4097}, "spec", "more than 4096 rules"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(spec: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        spec_of(**spec)
    assert caught.value.field == path
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "kind", "path"),
    [
        ({"apiVersion": "v1"}, InvalidInput, "apiVersion"),
        ({"apiVersion": None}, InvalidInput, "apiVersion"),
        ({"kind": "Pod"}, InvalidInput, "kind"),
        ({"kind": "AdminNetworkPolicy"}, Unsupported, "kind"),
        ({"metadata": None}, InvalidInput, "metadata"),
        ({"metadata": {"namespace": "shop"}}, InvalidInput, "metadata.name"),
        ({"metadata": {"name": "a/b", "namespace": "shop"}}, InvalidInput, "metadata.name"),
        ({"metadata": {"name": "x" * 254, "namespace": "shop"}}, InvalidInput, "metadata.name"),
        ({"metadata": {"name": 5, "namespace": "shop"}}, InvalidInput, "metadata.name"),
        ({"metadata": {"name": "a", "namespace": "-"}}, InvalidInput, "metadata.namespace"),
        ({"metadata": {"name": "a", "namespace": "s", "uid": "1"}}, Unsupported, "metadata.uid"),
        ({"metadata": {"name": "a", "namespace": "s", "lables": {}}}, InvalidInput, "metadata.lables"),
        ({"metadata": {"name": "a", "namespace": "s", "labels": ["x"]}}, InvalidInput, "metadata.labels"),
        ({"status": {}}, Unsupported, "status"),
        ({"spec": None}, InvalidInput, "spec"),
        ({"spek": {}}, InvalidInput, "spek"),
    ],
)
def test_what_is_around_the_spec_is_checked_too(change: dict[str, Any], kind: type[SocketPlaneError], path: str) -> None:
    with pytest.raises(kind) as caught:
        parse(document() | change)
    assert caught.value.field == path


@pytest.mark.parametrize("value", [{}, [], "text", None, 5, {1: 2}])
def test_what_is_no_document_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        parse(value)


def test_equal_peers_and_ports_are_one() -> None:
    found = spec_of(ingress=[{"from": [WEB, WEB], "ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}]}])
    assert found.ingress == (Rule((Members(Selector((("app", "web"),))),), (Port(Protocol.TCP, 80),)),)
