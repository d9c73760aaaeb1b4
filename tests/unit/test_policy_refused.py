"""NetworkPolicy documents as dicts: what is refused, and what the refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.policy import parse
from support.netpol import EXPRESSION, PEER, PORT, block, document, expression, from_, ports, spec_of
from support.schemas import judged_alike


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"ingress": [{"ports": [{"port": "http"}]}]}, "spec.ingress[0].ports[0].port"),
        ({"egress": [{"ports": [{}, {"port": "dns-tcp", "protocol": "TCP"}]}]}, "spec.egress[0].ports[1].port"),
    ],
)
def test_what_the_standard_knows_and_we_do_not_is_refused_by_name(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(Unsupported) as caught:
        spec_of(**spec)
    assert caught.value.field == path
    judged_alike(document(**spec))
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"podSelektor": {}}, "spec.podSelektor", "did you mean podSelector?"),
        ({"ingres": []}, "spec.ingres", "did you mean ingress?"),
        ({"podSelector": []}, "spec.podSelector", "not a list"),
        ({"podSelector": expression(operator="In")}, f"{EXPRESSION}.key", "is missing; name the label"),
        ({"podSelector": expression(key="a")}, f"{EXPRESSION}.operator", "one of In, NotIn, Exists, DoesNotExist"),
        ({"podSelector": expression(key="", operator="Exists")}, f"{EXPRESSION}.key", "can't be empty"),
        ({"podSelector": expression(key=1, operator="Exists")}, f"{EXPRESSION}.key", "put it in quotes"),
        ({"podSelector": expression(key="a", operator="in")}, f"{EXPRESSION}.operator", "did you mean In?"),
        ({"podSelector": expression(key="a", operator="Exist")}, f"{EXPRESSION}.operator", "did you mean Exists?"),
        (
            {"podSelector": expression(key="a", operator="NotExists")},
            f"{EXPRESSION}.operator",
            "did you mean DoesNotExist?",
        ),
        ({"podSelector": expression(key="a", operator="!=")}, f"{EXPRESSION}.operator", "did you mean NotIn?"),
        ({"podSelector": expression(key="a", operator="Gt")}, f"{EXPRESSION}.operator", "known here: DoesNotExist,"),
        ({"podSelector": expression(key="a", operator="In", value=["x"])}, f"{EXPRESSION}.value", "did you mean values?"),
        ({"podSelector": expression(key="a", operator="In")}, f"{EXPRESSION}.values", "at least one value"),
        ({"podSelector": expression(key="a", operator="NotIn", values=[])}, f"{EXPRESSION}.values", "use Exists"),
        ({"podSelector": expression(key="a", operator="Exists", values=["x"])}, f"{EXPRESSION}.values", "use In or NotIn"),
        ({"podSelector": expression(key="a", operator="In", values="x")}, f"{EXPRESSION}.values", "has to be a list"),
        ({"podSelector": expression(key="a", operator="In", values=[1])}, f"{EXPRESSION}.values[0]", "put it in quotes"),
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
        (from_({"podSelector": {}, "ipBlock": {"cidr": "0.0.0.0/0"}}), f"{PEER}.ipBlock", "start it with -"),
        (from_({"podSelector": None, "namespaceSelector": None}), PEER, "selects nobody"),
        (from_({"namespaceselector": {}}), f"{PEER}.namespaceselector", "did you mean namespaceSelector?"),
        (block(None), f"{PEER}.ipBlock.cidr", "is missing"),
        (block(10), f"{PEER}.ipBlock.cidr", "CIDR form (10.0.0.0/8), not the number 10"),
        (block("10.0.0.1/8"), f"{PEER}.ipBlock.cidr", "bits set behind its prefix; write 10.0.0.0/8"),
        (block("2001:db8::1/32"), f"{PEER}.ipBlock.cidr", "write 2001:db8::/32"),
        (block("192.0.2.7"), f"{PEER}.ipBlock.cidr", "write 192.0.2.7/32"),
        (block("2001:db8::7"), f"{PEER}.ipBlock.cidr", "write 2001:db8::7/128"),
        (block("10.0.0.0/255.0.0.0"), f"{PEER}.ipBlock.cidr", "the prefix length: 192.0.2.0/24"),
        (block("10.0.0.0/08"), f"{PEER}.ipBlock.cidr", "in CIDR form"),
        (block("10.0.0.0/33"), f"{PEER}.ipBlock.cidr", "in CIDR form"),
        (block("010.0.0.0/8"), f"{PEER}.ipBlock.cidr", "in CIDR form"),
        (block(" 10.0.0.0/8"), f"{PEER}.ipBlock.cidr", "in CIDR form"),
        (block("fe80::%eth0/64"), f"{PEER}.ipBlock.cidr", "in CIDR form"),
        (block("fe80::1%eth0"), f"{PEER}.ipBlock.cidr", "in CIDR form"),
        (block("::ffff:10.0.0.0/104"), f"{PEER}.ipBlock.cidr", "write 10.0.0.0/8"),
        (block(""), f"{PEER}.ipBlock.cidr", "in CIDR form"),
        (block("10.0.0.0/8", "11.0.0.0/16"), f"{PEER}.ipBlock.except[0]", "a part of 10.0.0.0/8"),
        (block("10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0"), f"{PEER}.ipBlock.except[1]", "a part of 10.0.0.0/8"),
        (block("10.0.0.0/8", "10.0.0.0/8"), f"{PEER}.ipBlock.except[0]", "less than all of it"),
        (block("10.0.0.0/8", "2001:db8::/32"), f"{PEER}.ipBlock.except[0]", "a part of 10.0.0.0/8"),
        (block("10.0.0.0/8", "10.1.2.3/16"), f"{PEER}.ipBlock.except[0]", "write 10.1.0.0/16"),
        (ports({"endPort": 90}), f"{PORT}.endPort", "needs a port to begin with"),
        (ports({"port": 80, "endPort": 79}), f"{PORT}.endPort", "is less than port, 80"),
        (ports({"port": 80, "endPort": 65536}), f"{PORT}.endPort", "1 to 65535"),
        (ports({"port": 80, "endPort": "90"}), f"{PORT}.endPort", "1 to 65535"),
        (ports({"port": 16**5000}), f"{PORT}.port", "1 to 65535, not a huge number"),
        (ports({"port": "80"}), f"{PORT}.port", "write the number without quotes: 80"),
        (ports({"port": 80, "endport": 90}), f"{PORT}.endport", "did you mean endPort?"),
        ({"ingress": [{}] * 4097}, "spec", "more than 4096 rules"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(spec: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        spec_of(**spec)
    assert caught.value.field == path
    judged_alike(document(**spec))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "kind", "path"),
    [
        ({"apiVersion": "v1"}, InvalidInput, "apiVersion"),
        ({"apiVersion": None}, InvalidInput, "apiVersion"),
        ({"apiVersion": "networking.k8s.io/v1beta1"}, InvalidInput, "apiVersion"),
        ({"kind": "Pod"}, InvalidInput, "kind"),
        ({"kind": None}, InvalidInput, "kind"),
        ({"kind": ["NetworkPolicy"]}, InvalidInput, "kind"),
        ({"kind": "AdminNetworkPolicy"}, Unsupported, "kind"),
        ({"kind": "List"}, Unsupported, "kind"),
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
    judged_alike(document() | change)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("networkpolicy", "did you mean NetworkPolicy?"),
        ("ClusterNetworkPolice", "did you mean ClusterNetworkPolicy?"),
        ("AdminNetworkPolicy", "write a ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2) with tier: Admin"),
        ("BaselineAdminNetworkPolicy", "with tier: Baseline and a priority"),
        ("NetworkPolicyList", "hand in its items one by one"),
        ("ClusterNetworkPolicy", "for a ClusterNetworkPolicy write apiVersion: policy.networking.k8s.io/v1alpha2"),
    ],
)
def test_what_to_write_instead_of_a_kind(kind: str, words: str) -> None:
    with pytest.raises(SocketPlaneError) as caught:
        parse(document() | {"kind": kind})
    assert words in str(caught.value)


@pytest.mark.parametrize("value", [{}, [], "text", None, 5, {1: 2}])
def test_what_is_no_document_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        parse(value)


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        ("socketplane.io/mode", "Audit", "unknown mode 'Audit'; did you mean audit?"),
        ("socketplane.io/mode", "", "known here: audit, enforce"),
        ("socketplane.io/mod", "audit", "unknown annotation; did you mean socketplane.io/mode?"),
    ],
)
def test_a_mode_that_is_misspelt_is_not_without_effect(annotation: str, value: str, words: str) -> None:
    whole = document()
    whole["metadata"]["annotations"] = {annotation: value}
    with pytest.raises(InvalidInput) as caught:
        parse(whole)
    assert caught.value.field == f"metadata.annotations[{annotation}]"
    assert words in str(caught.value)
