"""Whatever is handed in as a policy is read, or refused with an error of ours."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.documents import parse_documents
from socketplane.model.policy import parse
from socketplane.model.spec import PolicySpec

WORDS = """
    apiVersion kind metadata name namespace spec podSelector matchLabels matchExpressions ingress egress from to ports port
    protocol policyTypes endPort ipBlock namespaceSelector TCP UDP SCTP Ingress Egress NetworkPolicy networking.k8s.io/v1
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


@given(values)
def test_any_value_as_spec(value: Any) -> None:
    top = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a", "namespace": "b"}}
    with suppress(InvalidInput, Unsupported):
        assert isinstance(parse({**top, "spec": value}).spec, PolicySpec)


@given(st.dictionaries(words, values))
def test_any_mapping_as_document(document: dict[str, Any]) -> None:
    with suppress(InvalidInput, Unsupported):
        parse(document, network="web")


@given(st.lists(words | pieces | st.text(max_size=4)).map("".join))
def test_any_text(text: str) -> None:
    with suppress(SocketPlaneError):
        for policy in parse_documents(text, "f", network="web"):
            assert policy.document.encode()


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with suppress(SocketPlaneError):
        parse_documents(data, "f", network="web")
