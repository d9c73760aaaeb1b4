"""The recipes of examples/recipes do what they say: documents, parsed, judged on the cluster of docs/policy.md."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from support.schemas import ANY
from support.shop import judged, policies, reached

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"

ASKED: dict[str, dict[str, str]] = {
    "deny-all-ingress": {
        "* > web tcp/80": "h1",
        "* > api tcp/80": "h2",
        "* > db ping": "h1",
        "web > * tcp/443": "h1 h2 partner partner-lab dns metadata",
        "* > stage-db tcp/5432": "stage-web h1 h2",
    },
    "allow-all-ingress": {
        "* > web tcp/80": "api db stage-web stage-db monitor backup h1 h2",
        "* > web ping": "api db stage-web stage-db monitor backup h1 h2",
        "* > db tcp/5432": "h1",
    },
    "deny-all-egress": {
        "web > * tcp/80": "",
        "web > * ping": "",
        "* > web tcp/80": "h1 h2",
        "stage-web > * tcp/80": "stage-db h1 h2 partner partner-lab dns metadata",
    },
    "allow-all-egress": {
        "web > * tcp/80": "api db h1 h2 partner partner-lab dns metadata",
        "api > * tcp/80": "",
    },
    "deny-all": {"web > * tcp/80": "", "* > web tcp/80": "h1", "* > api udp/53": "h2"},
    "one-application-only": {
        "* > db tcp/5432": "api h1",
        "* > db ping": "api h1",
        "* > web tcp/80": "api db h1 h2",
    },
    "own-network-only": {"* > web tcp/80": "api db h1", "* > api sctp/1": "web db h2"},
    "all-networks": {
        "* > web tcp/80": "api db stage-web stage-db monitor backup h1",
        "* > api tcp/80": "web db h1 h2",
    },
    "another-network": {
        "* > db tcp/9187": "web api monitor backup h1",
        "* > db tcp/5432": "web api h1",
        "* > api tcp/9187": "web db h1 h2",
    },
    "a-network-by-name": {"* > web tcp/80": "stage-web stage-db h1"},
    "some-containers-of-a-network": {"* > db tcp/5432": "monitor h1"},
    "a-network-or-some-containers": {"* > db tcp/5432": "monitor backup web h1"},
    "expressions": {
        "* > web tcp/80": "stage-web h1",
        "* > api tcp/80": "stage-web h2",
        "* > db tcp/80": "web api h1 h2",
    },
    "one-port": {
        "* > api tcp/8080": "web db stage-web stage-db monitor backup h1 h2",
        "* > api tcp/8081": "h2",
        "* > api udp/8080": "h2",
        "* > api ping": "h2",
    },
    "port-range": {
        "* > db tcp/31999": "h1",
        "* > db tcp/32000": "web h1",
        "* > db tcp/32768": "web h1",
        "* > db tcp/32769": "h1",
        "* > db udp/32000": "h1",
        "* > db sctp/7": "web h1",
    },
    "several-policies": {
        "* > db tcp/5432": "api h1",
        "* > db tcp/8080": "web h1",
        "* > db tcp/80": "h1",
        "* > api tcp/8080": "web h2",
        "* > api tcp/5432": "h2",
    },
    "egress-with-names": {
        "api > * udp/53": "web db h1 h2 partner partner-lab dns metadata",
        "api > * tcp/53": "web db h1 h2 partner partner-lab dns metadata",
        "api > * tcp/443": "web",
        "web > * tcp/443": "",
    },
    "no-way-outside": {
        "api > * tcp/80": "web db",
        "web > * tcp/80": "api db h1 h2 partner partner-lab dns metadata",
    },
    "addresses-outside": {
        "web > * tcp/443": "partner",
        "web > * tcp/80": "",
        "web > * ping": "",
    },
    "the-world-outside": {"web > * tcp/80": "h1 h2 partner partner-lab dns metadata"},
    "from-hosts": {"* > web tcp/80": "h1 h2"},
    "audit": {"* > db tcp/5432": "web api h1 h2"},
    "guard-rail": {
        "* > db tcp/22": "monitor backup h1 h2",
        "* > db tcp/5950": "monitor backup h1 h2",
        "* > db tcp/6000": "web api h1 h2",
        "* > monitor tcp/22": "backup h1 h2",
        "* > db ping": "web api h1 h2",
    },
    "prod-and-stage-apart": {"* > web tcp/80": "api db h1 h2", "* > stage-web tcp/80": "stage-db h1 h2"},
    "monitoring": {
        "* > db tcp/9187": "web api monitor h1 h2",
        "* > stage-db tcp/9100": "stage-web monitor h1 h2",
        "* > db tcp/5432": "web api h1 h2",
        "* > monitor tcp/9100": "backup h1 h2",
    },
    "baseline-deny": {
        "* > web tcp/80": "h1 h2",
        "* > backup tcp/80": "h1 h2",
        "* > db tcp/5432": "api h1",
        "web > * tcp/80": "h1 h2 partner partner-lab dns metadata",
    },
    "delegation": {
        "* > web tcp/80": "api db stage-web stage-db h1",
        "* > api tcp/80": "web db h1 h2",
        "* > stage-db tcp/80": "stage-web h1 h2",
    },
    "no-metadata-service": {
        "web > * tcp/80": "api db h1 h2 partner partner-lab dns",
        "web > * ping": "api db h1 h2 partner partner-lab dns",
    },
    "stay-inside": {
        "stage-web > * tcp/80": "stage-db",
        "web > * tcp/80": "api db h1 h2 partner partner-lab dns metadata",
    },
}
"""For each recipe: who reaches whom."""

WITH_OTHERS = [
    ("guard-rail", "allow-all-ingress", "* > web tcp/22", "monitor backup h1 h2"),
    ("guard-rail", "deny-all", "* > web tcp/22", "monitor backup h1"),
    ("prod-and-stage-apart", "all-networks", "* > web tcp/80", "api db monitor backup h1"),
    ("prod-and-stage-apart", "a-network-by-name", "* > web tcp/80", "h1"),
    ("monitoring", "deny-all-ingress", "* > db tcp/9187", "monitor h1"),
    ("baseline-deny", "own-network-only", "* > web tcp/80", "api db h1"),
    ("baseline-deny", "audit", "* > db tcp/5432", "api h1"),
    ("baseline-deny", "monitoring", "* > stage-web tcp/9100", "monitor h1 h2"),
    ("delegation", "deny-all-ingress", "* > api tcp/80", "h2"),
    ("delegation", "baseline-deny", "* > api tcp/80", "h1 h2"),
    ("no-metadata-service", "allow-all-egress", "web > * tcp/80", "api db h1 h2 partner partner-lab dns"),
    ("no-metadata-service", "the-world-outside", "web > * tcp/80", "h1 h2 partner partner-lab dns"),
]
"""Two recipes at once: what of them holds."""


def text(name: str) -> str:
    return (RECIPES / f"{name}.yaml").read_text()


def test_every_recipe_is_asked_about_and_valid_for_editors() -> None:
    assert {path.stem for path in RECIPES.iterdir()} == set(ASKED)
    for name in ASKED:
        first, *_ = text(name).splitlines()
        schema = RECIPES / first.removeprefix("# yaml-language-server: $schema=")
        assert schema.resolve() == RECIPES.parents[1] / "docs" / "schemas" / "policy.schema.json"
        for document in yaml.safe_load_all(text(name)):
            ANY.validate(document)


def test_without_policies_a_network_is_free_inside_and_closed_to_others() -> None:
    assert reached([], "* > db tcp/5432") == {"web", "api", "h1", "h2"}
    assert reached([], "db > * tcp/443") == {"web", "api", "h1", "h2", "partner", "partner-lab", "dns", "metadata"}


@pytest.mark.parametrize(
    ("name", "question", "answer"), [(name, *pair) for name, asked in ASKED.items() for pair in asked.items()]
)
def test_a_recipe_does_what_it_says(name: str, question: str, answer: str) -> None:
    assert reached(policies(text(name)), question) == set(answer.split())


@pytest.mark.parametrize(("first", "second", "question", "answer"), WITH_OTHERS)
def test_recipes_together(first: str, second: str, question: str, answer: str) -> None:
    for order in ((first, second), (second, first)):
        assert reached(policies(*map(text, order)), question) == set(answer.split())


def test_what_audit_would_deny_is_said() -> None:
    found = policies(text("audit"))
    assert judged(found, "web", "db", "tcp/5432").would_deny == "a1.ingress"
    assert judged(found, "api", "db", "tcp/5432").would_deny == ""
