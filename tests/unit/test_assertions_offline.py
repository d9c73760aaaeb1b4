"""Assertions against Compose files and policies: whom an end means, and when an assertion holds."""

from __future__ import annotations

import pytest

from socketplane.model.assertions import Outcome, Result, hold, judge_by, parse_assertions, population_of, telling_ports
from socketplane.model.compose import load, stage
from socketplane.model.documents import parse_documents
from socketplane.model.spec import Protocol
from socketplane.model.verdict import verdict

COMPOSE = """
name: shop
services:
  web: {labels: {app: web}, networks: [front, back], scale: 2}
  app: {labels: {app.kubernetes.io/name: app, tier: back}, networks: [back, data]}
  db: {labels: {tier: back}, networks: {data: {ipv4_address: 10.192.8.9}}}
  two: {networks: [front, back]}
  side: {network_mode: "service:db"}
  tool: {profiles: [debug]}
  idle: {scale: 0}
networks:
  front: {driver: socketplane}
  back: {driver: socketplane, internal: true}
  data: {driver: socketplane, ipam: {config: [{subnet: 10.192.8.0/24}]}}
"""
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: NAME, namespace: shop_NETWORK}
spec:
  podSelector: {matchLabels: {com.docker.compose.service: TARGET}}
  ingress:
  - from: [{podSelector: {matchLabels: {com.docker.compose.service: SOURCE}}}]
    ports: [{port: 8080, endPort: 8090}, {port: 53, protocol: UDP}]
"""


def policy(network: str, target: str, source: str) -> str:
    values = {"NAME": f"{target}-from-{source}", "NETWORK": network, "TARGET": target, "SOURCE": source}
    text = POLICY
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def judged(statement: str, *policies: str) -> Result:
    project = load(COMPOSE, "compose.yaml")
    parsed = parse_documents("---".join(policies), "p.yaml") if policies else []
    numbered = [found.numbered(number) for number, found in enumerate(parsed, start=1)]
    scene = stage([project], numbered)
    (assertion,) = parse_assertions(f'assertions: ["{statement}"]', "t.yaml")
    return hold(assertion, population_of([project], scene), judge_by(scene.view), telling_ports(numbered))


DATA = policy("data", "db", "app")
BACK = policy("back", "app", "web")


@pytest.mark.parametrize(
    "statement",
    [
        "app -> db:8080 allow",
        "app -> db:8090 allow",
        "app -> db:8091 deny",
        "app -> db:53/udp allow",
        "app -> db:53 deny",
        "app -> db:icmp deny",
        "app -> db:sctp deny",
        "web -> db deny",
        "web -> app:8085 allow",
        "two -> app deny",
        "shop_back/two -> app:8080 deny",
        "shop-web-1 -> shop-web-2 allow",
        "web -> web allow",
        "app=web -> app:8080 allow",
        "shop_back/app=web -> app.kubernetes.io/name=app:8080 allow",
        "app=web,com.docker.compose.container-number=2 -> app:8080 allow",
        "socketplane.io/network=shop_front -> shop_data/tier=back deny",
        "10.192.8.9 -> two deny",
        "app -> 10.192.8.9:8080 allow",
        "web -> 192.0.2.7:443 allow",
        "shop_back/web -> 192.0.2.7 deny",
        "192.0.2.7 -> web deny",
        "two -> web allow",
    ],
)
def test_what_holds(statement: str) -> None:
    result = judged(statement, DATA, BACK)
    assert result.outcome is Outcome.PASS, result


@pytest.mark.parametrize(
    ("statement", "packet", "rule", "policy"),
    [
        (
            "app -> db:8080 deny",
            ("shop_data/shop-app-1", "shop_data/shop-db-1", "8080/tcp"),
            "r1.0",
            "shop_data/db-from-app",
        ),
        ("app -> db deny", ("shop_data/shop-app-1", "shop_data/shop-db-1", "8080/tcp"), "r1.0", "shop_data/db-from-app"),
        ("app -> db allow", ("shop_data/shop-app-1", "shop_data/shop-db-1", "icmp"), "d1.ingress", "shop_data/db-from-app"),
        (
            "app -> db:udp allow",
            ("shop_data/shop-app-1", "shop_data/shop-db-1", "1/udp"),
            "d1.ingress",
            "shop_data/db-from-app",
        ),
        (
            "two -> app:1 allow",
            ("shop_back/shop-two-1", "shop_back/shop-app-1", "1/tcp"),
            "d2.ingress",
            "shop_back/app-from-web",
        ),
        (
            "two -> app:1 allow",
            ("shop_back/shop-two-1", "shop_back/shop-app-1", "1/tcp"),
            "d2.ingress",
            "shop_back/app-from-web",
        ),
        ("app -> two:1 deny", ("shop_back/shop-app-1", "shop_back/shop-two-1", "1/tcp"), "", ""),
        ("db -> web:1 allow", ("shop_data/shop-db-1", "shop_front/shop-web-1", "1/tcp"), "isolation", ""),
        ("two -> web deny", ("shop_front/shop-two-1", "shop_front/shop-web-1", "icmp"), "", ""),
        ("web -> 192.0.2.7:443 deny", ("shop_front/shop-web-1", "192.0.2.7", "443/tcp"), "", ""),
        ("shop_back/web -> 192.0.2.7 allow", ("shop_back/shop-web-1", "192.0.2.7", "icmp"), "isolation", ""),
    ],
)
def test_what_fails_says_what_speaks_against_it(
    statement: str, packet: tuple[str, str, str], rule: str, policy: str
) -> None:
    result = judged(statement, DATA, BACK)
    assert result.outcome is Outcome.FAIL
    finding = result.against[0]
    assert (finding.source, finding.target, finding.service) == packet
    assert (finding.judgement.rule, finding.judgement.policy) == (rule, policy)
    assert finding.judgement.allow is (statement.endswith("deny"))
    assert finding.judgement.reason


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("wbe -> db deny", "no container or service is called wbe; did you mean web?"),
        ("shop_front/db -> web deny", "no container or service on the network shop_front is called db"),
        ("shop_frnot/web -> db deny", "there is no network shop_frnot; did you mean shop_front?"),
        ("app=wbe -> db deny", "no container has the labels app=wbe"),
        ("shop_data/app=web -> db deny", "no container on the network shop_data has the labels app=web"),
        ("side -> app deny", "side is on no network: it shares the network of db"),
        ("tool -> app deny", "tool is on no network: only a profile starts it: debug"),
        ("idle -> app deny", "idle is on no network: it has no replicas"),
        ("db -> db deny", "both ends are the same container"),
        ("192.0.2.1 -> 192.0.2.2 deny", "neither end is a container"),
        ("10.192.0.2 -> db deny", "10.192.0.2 is nobody's address before Docker gives it; name the container"),
        ("shop_front/10.192.0.2 -> db deny", "is nobody's address"),
    ],
)
def test_what_speaks_of_nobody_is_an_error_and_never_holds(statement: str, problem: str) -> None:
    result = judged(statement)
    assert (result.outcome, result.against) == (Outcome.ERROR, ())
    assert problem in result.problem


def test_an_allowance_has_to_hold_for_every_replica() -> None:
    only_first = policy("front", "two", "web").replace("service: web", "container-number: '1'")
    result = judged("shop_front/web -> two:8080 allow", only_first)
    (finding,) = result.against
    assert (finding.source, finding.target) == ("shop_front/shop-web-2", "shop_front/shop-two-1")
    assert judged("shop-web-1 -> two:8080 allow", only_first).outcome is Outcome.PASS


def test_an_allowance_has_to_hold_on_every_network_that_is_shared() -> None:
    closed = policy("front", "two", "nobody")
    assert {finding.source for finding in judged("web -> two:8080 allow", closed).against} == {
        "shop_front/shop-web-1",
        "shop_front/shop-web-2",
    }
    assert judged("shop_back/web -> two:8080 allow", closed).outcome is Outcome.PASS
    assert judged("web -> shop_front/two:8080 allow", closed).outcome is Outcome.FAIL
    assert judged("shop_back/web -> shop_back/two:8080 allow", closed).outcome is Outcome.PASS


def test_the_ports_that_tell_are_where_rules_begin_and_end() -> None:
    (parsed,) = parse_documents(DATA, "p.yaml")
    policies = [parsed.numbered(1)]
    ports = telling_ports(policies)
    assert ports == [1, 53, 54, 8080, 8091]
    view = stage([load(COMPOSE, "compose.yaml")], policies).view
    (network,) = (network.id for network in view.networks.values() if network.name == "shop_data")
    app, db = (
        next(e for e in view.endpoints if (e.network, e.name) == (network, f"shop-{name}-1")) for name in ("app", "db")
    )
    for protocol in Protocol:
        for port in range(1, 9000, 3):
            told = max(other for other in ports if other <= port)
            assert verdict(view, app, db, protocol, port).allow == verdict(view, app, db, protocol, told).allow
