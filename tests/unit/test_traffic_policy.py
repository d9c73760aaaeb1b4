"""TrafficPolicy documents, and what several together mean for an endpoint."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketplane.errors import InvalidInput, Unsupported
from socketplane.model.documents import parse_documents
from socketplane.model.policy import ParsedTraffic, parse
from socketplane.model.spec import Block, Members, Port, Protocol, Selector
from socketplane.model.traffic import Limit, Limits, Mark, TrafficPolicy, TrafficSpec, effective

MBIT = 1_000_000


def document(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "fair", "namespace": "web"}
    return {"apiVersion": "socketplane.io/v1alpha1", "kind": "TrafficPolicy", "metadata": metadata, "spec": spec}


def spec_of(**spec: Any) -> TrafficSpec:
    found = parse(document(**spec))
    assert isinstance(found, ParsedTraffic)
    return found.spec


def test_a_whole_document() -> None:
    found = parse_documents(
        """
        apiVersion: socketplane.io/v1alpha1
        kind: TrafficPolicy
        metadata: {name: fair, namespace: web}
        spec:
          podSelector: {matchLabels: {app: backup}}
          egress: {rate: 100Mbit, burst: 256kB}
          ingress: {rate: 1.5Gbit}
          mark:
            - to: [{podSelector: {matchLabels: {app: db}}}, {ipBlock: {cidr: 192.0.2.0/24}}]
              ports: [{port: 5432}]
              dscp: AF41
            - dscp: 8
        """,
        "fair.yaml",
    )[0]
    db, lan = Members(Selector.of({"app": "db"})), Block(IPv4Network("192.0.2.0/24"))
    assert (found.network, found.name, found.title) == ("web", "fair", "web/fair")
    assert found.spec == TrafficSpec(
        Selector.of({"app": "backup"}),
        Limits(Limit(100 * MBIT, 256_000), Limit(1500 * MBIT)),
        (Mark(34, (db, lan), (Port(Protocol.TCP, 5432),)), Mark(8)),
    )
    assert found.numbered(7).number == 7


def test_without_a_selector_it_is_about_all_of_the_network() -> None:
    assert (
        spec_of(egress={"rate": "1Mbit"}).subject == spec_of(podSelector={}, egress={"rate": "1Mbit"}).subject == Selector()
    )


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({}, "spec", "limits and marks nothing"),
        ({"mark": []}, "spec", "limits and marks nothing"),
        ({"egress": {}}, "spec.egress.rate", "is missing"),
        ({"egress": {"rate": "10MB"}}, "spec.egress.rate", "is not a rate"),
        ({"ingress": {"rate": "1Mbit", "burst": "1Mbit"}}, "spec.ingress.burst", "is not a size"),
        ({"ingress": {"rate": "1Mbit", "burst": "8MB"}}, "spec.ingress.burst", "is more than passes in 60 s at 1Mbit"),
        ({"egress": {"bandwidth": "1Mbit", "rate": "1Mbit"}}, "spec.egress.bandwidth", "unknown field"),
        ({"marks": [{"dscp": 1}]}, "spec.marks", "unknown field"),
        ({"mark": [{"to": [{}], "dscp": 1}]}, "spec.mark[0].to[0]", "selects nobody"),
        ({"mark": [{"dscp": 1}, {"to": []}]}, "spec.mark[1].dscp", "is missing"),
        ({"mark": [{"dscp": 1, "ports": [{"port": "http"}]}]}, "spec.mark[0].ports[0].port", "name can't be resolved"),
        ({"mark": [{"dscp": 1}] * 101}, "spec.mark", "more than 100 marks"),
    ],
)
def test_refusals_name_the_field(spec: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises((InvalidInput, Unsupported), match=message) as caught:
        parse(document(**spec))
    assert caught.value.field == field


def test_it_has_no_audit_mode() -> None:
    audited = document(egress={"rate": "1Mbit"})
    audited["metadata"]["annotations"] = {"socketplane.io/mode": "audit"}
    with pytest.raises(Unsupported, match="has no mode"):
        parse(audited)


def policy(number: int, egress: int | None = None, ingress: int | None = None, burst: int | None = None) -> TrafficPolicy:
    sides = (None if rate is None else Limit(rate * MBIT, burst) for rate in (egress, ingress))
    return TrafficPolicy("web", f"p{number}", number, TrafficSpec(limits=Limits(*sides)))


def test_the_lowest_rate_holds_in_each_direction() -> None:
    found = effective([policy(1, 10, 30), policy(2, 20), policy(3, None, 5, burst=9000)])
    assert found == Limits(Limit(10 * MBIT), Limit(5 * MBIT, 9000))


def test_of_equal_rates_the_oldest_says_the_burst() -> None:
    assert effective([policy(5, 10, burst=1000), policy(4, 10, burst=2000)]).egress == Limit(10 * MBIT, 2000)
    assert effective([policy(5, 10, burst=1000)], own=10 * MBIT).egress == Limit(10 * MBIT, 1000)


def test_what_an_endpoint_asks_for_holds_in_both_directions_unless_a_policy_says_less() -> None:
    assert effective([], own=MBIT) == Limits(Limit(MBIT), Limit(MBIT))
    assert effective([policy(1, 2), policy(2, None, 0)], own=MBIT) == Limits(Limit(MBIT), Limit(0))
    assert not effective([])


@given(st.permutations([policy(1, 10, 7, 1000), policy(2, 10, 9), policy(3, 12, 7, 2000), policy(4)]))
def test_the_order_of_policies_does_not_matter(policies: list[TrafficPolicy]) -> None:
    assert effective(policies) == Limits(Limit(10 * MBIT, 1000), Limit(7 * MBIT, 1000))
