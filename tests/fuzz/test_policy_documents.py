"""Whatever is handed in as a policy is read, or refused with an error of ours."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.documents import parse_documents
from socketplane.model.policy import KINDS, parse
from socketplane.model.spec import ClusterSpec, PolicySpec
from socketplane.model.traffic import TrafficSpec
from support.documents import near, right

WORDS = """
    apiVersion kind metadata name namespace annotations socketplane.io/mode audit spec podSelector matchLabels
    matchExpressions key operator values In NotIn Exists DoesNotExist ingress egress from to ports port protocol
    policyTypes endPort ipBlock cidr except namespaceSelector TCP UDP SCTP Ingress Egress NetworkPolicy
    networking.k8s.io/v1 tier Admin Baseline priority subject namespaces pods networks nodes action Accept Deny Pass
    protocols tcp udp sctp destinationPort number range start end ClusterNetworkPolicy policy.networking.k8s.io/v1alpha2
    List v1 items status 10.0.0.0/8 ::/0 TrafficPolicy socketplane.io/v1alpha1 rate burst mark dscp 10Mbit 64kB EF
"""
words = st.sampled_from(WORDS.split())
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words, st.text(max_size=5))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=3), inner, max_size=5),
    max_leaves=20,
)
pieces = st.sampled_from(
    ["\n", " ", "  ", ":", "-", "- ", "{", "}", "[", "]", ",", "&a ", "*a", "<<: *a", "---\n", "!!str ", "|", '"', "#", "?"]
)


@pytest.mark.parametrize("kind", KINDS)
@given(value=values)
def test_any_value_as_spec(kind: str, value: Any) -> None:
    top = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": {"name": "a"}}
    with suppress(InvalidInput, Unsupported):
        assert isinstance(parse({**top, "spec": value}, network="b").spec, PolicySpec | ClusterSpec | TrafficSpec)


@given(st.dictionaries(words, values))
def test_any_mapping_as_document(document: dict[str, Any]) -> None:
    with suppress(InvalidInput, Unsupported):
        parse(document, network="web")


@given(st.lists(near() | values, max_size=3), words)
def test_any_items_of_a_list(items: list[Any], kind: str) -> None:
    with suppress(InvalidInput, Unsupported):
        parse_documents(json.dumps({"apiVersion": "v1", "kind": f"{kind}List", "items": items}), "f", network="web")
    with suppress(InvalidInput, Unsupported):
        parse_documents(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), "f", network="web")


@given(near())
def test_a_refusal_names_file_line_and_field(document: Any) -> None:
    text = yaml.safe_dump(document, allow_unicode=True)
    lines = len(text.splitlines())
    try:
        parse_documents(text, "f.yaml", network="web")
    except SocketPlaneError as error:
        found = re.match(r"f\.yaml, line ([0-9]+): ", error.message)
        assert found
        assert 1 <= int(found[1]) <= lines
        assert error.field


@given(right)
def test_the_canonical_document_means_the_same(document: Any) -> None:
    found = parse(document, network="web")
    assert parse_documents(found.document, "f") == [found]
    assert parse(json.loads(found.document)).document == found.document


@given(st.lists(words | pieces | st.text(max_size=4)).map("".join))
def test_any_text(text: str) -> None:
    with suppress(SocketPlaneError):
        for policy in parse_documents(text, "f", network="web"):
            assert policy.document.encode()


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with suppress(SocketPlaneError):
        parse_documents(data, "f", network="web")
