"""Edge cases of the two standards, judged on the cluster of docs/policy.md: what is empty or absent, what comes first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.shop import judged, policies, reached

CONTAINERS = "web api stage-web stage-db monitor backup"
ANYWHERE = "web api h1 h2 partner partner-lab dns metadata"
OUTSIDE = "h1 h2 partner partner-lab dns metadata"
DB = {"podSelector": {"matchLabels": {"app": "db"}}}
WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
ALL: dict[str, Any] = {"namespaces": {}}


def np(name: str = "np", **spec: Any) -> str:
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "shop"}}
    return json.dumps({**head, "spec": spec})


def cnp(name: str, priority: int, tier: str = "Admin", subject: Any = ALL, **rules: Any) -> str:
    head = {"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": name}}
    return json.dumps({**head, "spec": {"tier": tier, "priority": priority, "subject": subject, **rules}})


def rule(action: str, *peers: Any, way: str = "from", **more: Any) -> dict[str, Any]:
    return {"action": action, way: list(peers or [ALL]), **more}


def pods(**labels: str) -> dict[str, Any]:
    return {"pods": {"podSelector": {"matchLabels": labels}}}


def on(port: int) -> list[Any]:
    return [{"tcp": {"destinationPort": {"number": port}}}]


@pytest.mark.parametrize(
    ("spec", "into", "out"),
    [
        ({}, "h1", ANYWHERE),
        ({"ingress": []}, "h1", ANYWHERE),
        ({"egress": []}, "h1", ANYWHERE),
        ({"ingress": [{}]}, f"{CONTAINERS} h1 h2", ANYWHERE),
        ({"ingress": [{"from": [], "ports": []}]}, f"{CONTAINERS} h1 h2", ANYWHERE),
        ({"egress": [{}]}, "h1", ANYWHERE),
        ({"policyTypes": ["Egress"]}, "web api h1 h2", ""),
        ({"policyTypes": ["Egress"], "egress": [{}]}, "web api h1 h2", ANYWHERE),
        ({"policyTypes": ["Ingress", "Egress"], "ingress": [{}]}, f"{CONTAINERS} h1 h2", ""),
        ({"policyTypes": ["Ingress"], "egress": [{"to": [WEB]}]}, "h1", ANYWHERE),
        ({"egress": [{"to": [WEB]}]}, "h1", "web"),
        ({"policyTypes": ["Egress"], "egress": [{"to": []}]}, "web api h1 h2", ANYWHERE),
        ({"ingress": [{"from": [{"podSelector": {}}]}]}, "web api h1", ANYWHERE),
        ({"ingress": [{"from": [{"namespaceSelector": {}}]}]}, f"{CONTAINERS} h1", ANYWHERE),
        ({"ingress": [{"from": [{"namespaceSelector": {}} | WEB]}]}, "web stage-web h1", ANYWHERE),
        ({"ingress": [{"from": [{"namespaceSelector": {}}, WEB]}]}, f"{CONTAINERS} h1", ANYWHERE),
        ({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]}]}, "h1", ANYWHERE),
        ({"ingress": [{"ports": [{"protocol": "TCP"}]}]}, f"{CONTAINERS} h1 h2", ANYWHERE),
        ({"ingress": [{"ports": [{"protocol": "UDP"}]}]}, "h1", ANYWHERE),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}, "h1 h2", ANYWHERE),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}, "h1", ANYWHERE),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "::/0"}}]}]}, "h1", ANYWHERE),
    ],
)
def test_empty_and_absent(spec: dict[str, Any], into: str, out: str) -> None:
    found = policies(np(**DB, **spec))
    assert reached(found, "* > db tcp/5432") == set(into.split())
    assert reached(found, "db > * tcp/443") == set(out.split())


@pytest.mark.parametrize("subject", [{}, {"podSelector": {}}, {"podSelector": None}])
def test_a_subject_that_is_absent_or_empty_is_the_whole_network_and_no_other(subject: dict[str, Any]) -> None:
    found = policies(np(**subject))
    assert reached(found, "* > web tcp/80") == {"h1"}
    assert reached(found, "* > stage-web tcp/80") == {"stage-db", "h1", "h2"}


def test_the_target_opens_a_network_and_the_source_does_not() -> None:
    anywhere = np("anywhere", podSelector={}, policyTypes=["Egress"], egress=[{}])
    assert not judged(policies(anywhere), "web", "stage-web", "tcp/80").allow
    opened = cnp("opened", 1, ingress=[rule("Accept")])
    assert judged(policies(opened), "web", "stage-web", "tcp/80").allow
    assert not judged(
        policies(opened, np("kept-in", podSelector={}, policyTypes=["Egress"])), "web", "stage-web", "tcp/80"
    ).allow


def test_both_ends_have_to_allow() -> None:
    out = np("out", **WEB, policyTypes=["Egress"], egress=[{"to": [DB]}])
    back = np("back", **DB, ingress=[{"from": [WEB], "ports": [{"port": 5432}]}])
    assert reached(policies(out, back), "web > * tcp/5432") == {"db"}
    assert reached(policies(out, back), "web > * tcp/80") == set()
    accepted = cnp("accepted", 1, egress=[rule("Accept", way="to")])
    assert judged(policies(out, back, accepted), "web", "api", "tcp/80").allow
    assert not judged(policies(out, back, accepted), "web", "db", "tcp/80").allow


def test_a_container_reaches_itself_whatever_denies() -> None:
    denied = cnp("denied", 0, ingress=[rule("Deny")], egress=[rule("Deny", way="to")])
    assert judged(policies(np(policyTypes=["Ingress", "Egress"]), denied), "web", "web", "tcp/80").allow


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        (cnp("deny", 1, ingress=[rule("Deny")]), cnp("accept", 2, ingress=[rule("Accept")]), ""),
        (cnp("deny", 2, ingress=[rule("Deny")]), cnp("accept", 1, ingress=[rule("Accept")]), "all"),
        (cnp("one", 7, ingress=[rule("Deny")]), cnp("two", 7, ingress=[rule("Accept")]), ""),
        (cnp("pass", 1, ingress=[rule("Pass")]), cnp("accept", 2, ingress=[rule("Accept")]), "web api"),
        (cnp("some", 1, ingress=[rule("Deny", pods(app="web"))]), cnp("rest", 2, ingress=[rule("Accept")]), "all but web"),
        (cnp("other", 1, ingress=[rule("Deny")], subject=pods(app="api")), cnp("all", 2, ingress=[rule("Accept")]), "all"),
        (cnp("base", 1, "Baseline", ingress=[rule("Accept")]), cnp("deny", 1000, ingress=[rule("Deny")]), ""),
        (cnp("base", 1, "Baseline", ingress=[rule("Deny")]), np(ingress=[{"from": [{"podSelector": {}}]}]), "web api"),
        (cnp("base", 1, "Baseline", ingress=[rule("Pass")]), cnp("more", 2, "Baseline", ingress=[rule("Deny")]), "web api"),
        (cnp("egress", 1, egress=[rule("Deny", way="to")]), cnp("none", 1), ""),
        (cnp("none", 1), cnp("neither", 2, ingress=[], egress=[]), "web api"),
    ],
)
def test_which_cluster_policy_decides(first: str, second: str, answer: str) -> None:
    containers = set(CONTAINERS.split())
    expected = {"all": containers, "all but web": containers - {"web", "stage-web"}}.get(answer, set(answer.split()))
    assert reached(policies(first, second), "* > db tcp/80") - {"h1", "h2"} == expected


def test_rules_of_a_cluster_policy_are_asked_in_their_order() -> None:
    both = [rule("Accept", pods(app="api"), protocols=on(5432)), rule("Deny")]
    assert reached(policies(cnp("a", 1, ingress=both)), "* > db tcp/5432") == {"api", "h1", "h2"}
    assert reached(policies(cnp("a", 1, ingress=both[::-1])), "* > db tcp/5432") == {"h1", "h2"}
    found = policies(cnp("a", 1, ingress=[{**both[0], "name": "only-api"}, both[1]]))
    assert "(only-api)" in judged(found, "api", "db", "tcp/5432").reason
    assert judged(found, "web", "db", "tcp/5432").rule == "r1.1"


def test_rules_with_protocols_are_not_about_pings() -> None:
    ports = [{"tcp": {"destinationPort": {"range": {"start": 1, "end": 65535}}}}]
    found = policies(cnp("a", 1, ingress=[rule("Deny", protocols=ports)]))
    assert reached(found, "* > db tcp/5432") == {"h1", "h2"}
    assert reached(found, "* > db ping") == {"web", "api", "h1", "h2"}
    assert reached(policies(cnp("a", 1, ingress=[rule("Deny")])), "* > db ping") == {"h1", "h2"}


def test_addresses_of_a_cluster_policy_mean_containers_too_and_those_of_a_network_policy_do_not() -> None:
    world = {"networks": ["0.0.0.0/0"]}
    assert reached(policies(cnp("a", 1, egress=[rule("Deny", world, way="to")])), "web > * tcp/80") == set()
    everything = np(**WEB, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}])
    assert reached(policies(everything), "web > * tcp/80") == set(OUTSIDE.split())
    inner = {"networks": ["10.192.0.3/32"]}
    assert reached(policies(cnp("a", 1, egress=[rule("Deny", inner, way="to")])), "db > * tcp/80") == set(
        f"api {OUTSIDE}".split()
    )


def test_own_hosts_stay_whatever_a_cluster_policy_says() -> None:
    found = policies(cnp("a", 0, ingress=[rule("Deny")]), np(policyTypes=["Ingress"]))
    assert reached(found, "* > web tcp/80") == {"h1"}
