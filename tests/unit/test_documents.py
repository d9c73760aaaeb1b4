"""Policy documents as text."""

from __future__ import annotations

import json

import pytest

from socketplane.errors import InvalidInput, Unsupported
from socketplane.model.documents import parse_documents
from socketplane.model.yamltext import MAX_SIZE

ONE = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: NAME
  namespace: shop
spec:
  podSelector:
    matchLabels: &labels {app: web}
  ingress:
  - from:
    - podSelector:
        matchLabels: *labels
    ports:
    - port: 8080
"""


def test_several_documents_with_comments_and_empty_ones_between() -> None:
    text = f"---\n# first\n{ONE.replace('NAME', 'a')}---\n---\n{ONE.replace('NAME', 'b')}...\n"
    assert [policy.name for policy in parse_documents(text, "p.yaml")] == ["a", "b"]


def test_json_and_bytes_with_a_byte_order_mark_are_fine() -> None:
    (policy,) = parse_documents(ONE, "p.yaml")
    (again,) = parse_documents(policy.document, "p.json")
    assert policy == again
    assert parse_documents(b"\xef\xbb\xbf" + ONE.encode(), "p.yaml") == [policy]
    assert json.loads(policy.document)["metadata"] == {"name": "NAME", "namespace": "shop"}


def test_a_network_from_outside_is_used_where_the_document_has_none() -> None:
    (policy,) = parse_documents(ONE.replace("  namespace: shop\n", ""), "p.yaml", network="other")
    assert policy.network == "other"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "p.yaml: there is no document in it"),
        ("# nothing\n---\n", "there is no document in it"),
        ("x" * (MAX_SIZE + 1), "p.yaml: is larger than 1 MiB; split it"),
        (b"\xff\xfe\x00", "p.yaml: is not UTF-8 text (byte 0)"),
        ("a: [1,\n  2\nb: 3", "p.yaml, line 3"),
        ("\ta: 1", "p.yaml, line 1"),
        ("- 1\n- 2", "p.yaml, line 1: a document has to be a mapping"),
        ("just text", "a document has to be a mapping"),
        ("a: !!python/name:os.system", "p.yaml, line 1: could not determine a constructor"),
        ("a: 2020-13-45", "p.yaml, line 1: month must be in"),
        ("a\x00b: 1", "p.yaml"),
        ("[" * 100_000, "nested more than"),
        ("{a: " * 100_000, "nested more than"),
        ("- " * 100_000, "nested more than"),
        ("a: &a [*a]", "nested more than"),
        ("{? [1] : 2}", "p.yaml, line 1: found unhashable key"),
        ("a: *b", "p.yaml, line 1: found undefined alias"),
        (ONE.replace("  ingress:", "  podSelector: {}\n  ingress:"), "p.yaml, line 9: 'podSelector' is there twice"),
        (ONE + "---\n" + ONE, "p.yaml, document 2, line 19: policy shop/NAME is already in p.yaml, document 1"),
    ],
)
def test_a_bad_file_is_a_clear_error(text: str | bytes, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_documents(text, "p.yaml")
    assert words in str(caught.value)


def test_an_alias_bomb_is_counted_and_not_unfolded() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(InvalidInput, match="stands for more than 200000 values"):
        parse_documents("\n".join(["a0: &a0 [x]", *levels]), "p.yaml")


def test_a_merge_bomb_is_counted_and_not_unfolded() -> None:
    levels = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 15)]
    with pytest.raises(InvalidInput, match="stands for more than 200000 values"):
        parse_documents("\n".join(["a0: &a0 {x: y}", *levels]), "p.yaml")


@pytest.mark.parametrize(
    ("old", "new", "where", "path"),
    [
        ("port: 8080", "port: 808080", "document 2, line 29", "spec.ingress[0].ports[0].port"),
        ("port: 8080", "prot: 8080", "document 2, line 29", "spec.ingress[0].ports[0].prot"),
        ("ingress:", "ingres:", "document 2, line 25", "spec.ingres"),
        ("kind: NetworkPolicy", "kind: NetworkPolice", "document 2, line 17", "kind"),
        ("spec:", "spek:", "document 2, line 22", "spek"),
    ],
)
def test_an_error_names_document_line_and_field(old: str, new: str, where: str, path: str) -> None:
    text = f"{ONE}---\n{ONE.replace('NAME', 'b').replace(old, new)}"
    with pytest.raises(InvalidInput) as caught:
        parse_documents(text, "p.yaml")
    assert caught.value.field == path
    assert f"p.yaml, {where}:" in caught.value.message


def test_the_kind_of_error_is_kept() -> None:
    with pytest.raises(Unsupported) as caught:
        parse_documents(ONE.replace("port: 8080", "port: http"), "p.yaml")
    assert caught.value.message.startswith("p.yaml, line 14: Docker's images do not name ports")
    assert caught.value.remedy == "write the number"
