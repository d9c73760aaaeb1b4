"""The published JSON schemas say what the parsers say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings

from socketplane.errors import NotFound
from socketplane.model import policy
from socketplane.model.schemas import KINDS, files, schema
from support.documents import near, right
from support.schemas import BEYOND, ONE, judged_alike, refusal

DOCS = Path(__file__).parents[2] / "docs" / "schemas"

NETWORK = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a"}}
CLUSTER = {"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "a"}}

TRAFFIC = {"apiVersion": "socketplane.io/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": "a"}}


def of_network(**rule: Any) -> dict[str, Any]:
    return {**NETWORK, "spec": {"ingress": [rule]}}


def of_cluster(**rule: Any) -> dict[str, Any]:
    everybody = {"namespaces": {}}
    rules = [{"action": "Deny", "to": [everybody], **rule}]
    return {**CLUSTER, "spec": {"tier": "Admin", "priority": 1, "subject": everybody, "egress": rules}}


def of_traffic(rate: str, burst: str | None = None) -> dict[str, Any]:
    return {**TRAFFIC, "spec": {"egress": {"rate": rate, "burst": burst}}}


def block(cidr: str, *excepts: str) -> dict[str, Any]:
    return of_network(**{"from": [{"ipBlock": {"cidr": cidr, "except": list(excepts)}}]})


ONLY_PARSED: dict[str, dict[str, Any]] = {
    r"is less than port": of_network(ports=[{"port": 2, "endPort": 1}]),
    r"start has to be less than end": of_cluster(
        protocols=[{"tcp": {"destinationPort": {"range": {"start": 2, "end": 2}}}}]
    ),
    r"has bits set behind its prefix": block("10.0.0.1/8"),
    r"has to be a part of": block("10.0.0.0/8", "11.0.0.0/8"),
    r"has to be addresses in CIDR form, not the text '[^']*:[^']*'": block(":::/10"),
    r"is an IPv4 address in the form of IPv6": block("::ffff:10.0.0.0/104"),
    r"has more than 4096 rules": {**NETWORK, "spec": {"ingress": [{}] * 4000, "egress": [{}] * 97}},
    r"has characters that no text can hold": {**NETWORK, "spec": {"podSelector": {"matchLabels": {"a": "\0"}}}},
    r"has to be a number from [0-9]+ to [0-9]+, not the number [0-9]+\.0$": of_network(ports=[{"port": 80.0}]),
    r"has to be from 8kbit to 34Gbit, not ": of_traffic("7.9kbit"),
    r"has to be from 1kB to 1GB, not ": of_traffic("34Gbit", "2GB"),
    r"is more than passes in 60 s at ": of_traffic("1Mbit", "7.6MB"),
}
"""A document that only the parser refuses, for each of its words."""


def test_the_schemas_are_schemas_and_all_kinds_have_one() -> None:
    for found in files().values():
        jsonschema_rs.meta.validate(found)
    assert set(KINDS) == set(policy.KINDS)
    with pytest.raises(NotFound, match="known here: NetworkPolicy"):
        schema("Pod")


def test_the_published_files_are_these_schemas() -> None:
    published = {path.name: json.loads(path.read_text()) for path in DOCS.iterdir()}
    assert published == dict(files()), "run `make docs`"


@given(right)
def test_what_the_parser_accepts_is_valid(document: Any) -> None:
    assert refusal(document) is None
    judged_alike(document)


@settings(max_examples=300)
@given(near())
def test_what_is_nearly_right_is_judged_alike(document: Any) -> None:
    judged_alike(document)


@pytest.mark.parametrize("words", BEYOND)
def test_what_only_the_parser_can_say(words: str) -> None:
    document = ONLY_PARSED[words]
    ONE[document["kind"]].validate(document)
    reason = refusal(document)
    assert reason is not None
    assert re.search(words, reason)
