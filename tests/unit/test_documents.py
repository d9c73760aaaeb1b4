"""Policy documents as text."""

from __future__ import annotations

import json

import pytest

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
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
        ("ingress:", "ingres:", "document 2, line 24", "spec.ingres"),
        ("kind: NetworkPolicy", "kind: NetworkPolice", "document 2, line 17", "kind"),
        (
            "labels {app: web}",
            "labels\n      app.org/name: web\n      v1.2: 3",
            "document 2, line 25",
            "spec.podSelector.matchLabels[v1.2]",
        ),
        ("spec:", "spek:", "document 2, line 21", "spek"),
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


LIST = """\
apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata:
    name: one
    namespace: shop
    annotations:
      owner: me
      kubectl.kubernetes.io/last-applied-configuration: "{}"
    creationTimestamp: "2024-05-01T10:00:00Z"
    generation: 1
    resourceVersion: "12345"
    uid: 00000000-0000-4000-8000-000000000000
  spec: {podSelector: {}}
  status: {}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: two, namespace: shop}
  spec: {podSelector: {}}
"""


def test_of_what_kubectl_lists_the_policies_are_kept_and_the_servers_fields_named() -> None:
    one, two = parse_documents(LIST, "p.yaml")
    assert json.loads(one.document)["metadata"] == {"name": "one", "namespace": "shop", "annotations": {"owner": "me"}}
    assert json.loads(one.document).keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert one.left_out == (
        "status",
        *(f"metadata.{name}" for name in ("creationTimestamp", "generation", "resourceVersion", "uid")),
        "metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]",
    )
    assert (two.name, two.left_out) == ("two", ())
    assert parse_documents(LIST + "---\n" + ONE, "p.yaml")[2].name == "NAME"


def test_items_of_a_typed_list_need_not_say_their_kind() -> None:
    item = {"metadata": {"name": "a"}, "spec": {"podSelector": {}}}
    typed = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicyList", "items": [item]}
    (found,) = parse_documents(json.dumps(typed), "p.json", network="shop")
    assert found.document == json.dumps(
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a", "namespace": "shop"}}
        | {"spec": {"podSelector": {}}},
        separators=(",", ":"),
    )
    with pytest.raises(InvalidInput, match=r"items\[0\].kind: p.json, line 1: is missing"):
        parse_documents(json.dumps(typed | {"apiVersion": "v1", "kind": "List"}), "p.json", network="shop")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: two", "name: one", "p.yaml, line 21: policy shop/one is already in p.yaml, items[0]"),
        (
            "kind: List",
            "kind: List\nextra: 1",
            "p.yaml, line 3: unknown field; known here: apiVersion, items, kind, metadata",
        ),
        ("apiVersion: v1\n", "apiVersion: v2\n", "p.yaml, line 1: does not fit the kind; for a List write apiVersion: v1"),
        ("    uid:", "    uuid:", "p.yaml, line 16: unknown field"),
        ("    uid:", "    deletionTimestamp:", "p.yaml, line 16: is not supported in this version; leave it out"),
        (
            "- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy",
            "- apiVersion: v1\n  kind: List",
            "line 6: List is not",
        ),
        ("- apiVersion", "- text\n- apiVersion", "p.yaml, line 5: a document has to be a mapping"),
        (LIST[LIST.index("items:") :], "items: []", "p.yaml: the list has no items"),
        (LIST[LIST.index("items:") :], "items: {}", "p.yaml, line 4: has to be a list"),
    ],
)
def test_errors_in_lists_name_line_and_item(old: str, new: str, words: str) -> None:
    with pytest.raises(SocketPlaneError) as caught:
        parse_documents(LIST.replace(old, new, 1), "p.yaml")
    error = caught.value
    assert words in f"{error.message}; {error.remedy}"
    assert error.field is None or error.field.startswith("items") or old.startswith(("kind", "apiV"))


def test_what_servers_write_is_refused_in_a_document_of_its_own() -> None:
    with pytest.raises(Unsupported, match=r"metadata.uid: p.yaml, line 5: .*remove it: it is the server's"):
        parse_documents(ONE.replace("  namespace", "  uid: x\n  namespace"), "p.yaml")
