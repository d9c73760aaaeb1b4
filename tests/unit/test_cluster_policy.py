"""ClusterNetworkPolicy documents as dicts."""

from __future__ import annotations

import json
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.policy import parse
from socketplane.model.spec import Action, Block, ClusterRule, ClusterSpec, Members, Port, Protocol, Selector, Tier
from support.schemas import judged_alike

EVERYBODY = {"namespaces": {}}
ALL = Members(Selector(), Selector())
RULE = "spec.egress[0]"
PORT = f"{RULE}.protocols[0].tcp.destinationPort"


def document(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "guard"},
        "spec": {"tier": "Admin", "priority": 10, "subject": EVERYBODY, **spec},
    }


def spec_of(**spec: Any) -> ClusterSpec:
    found = parse(document(**spec)).spec
    assert isinstance(found, ClusterSpec)
    return found


def egress(**rule: Any) -> dict[str, Any]:
    """Return a spec's egress with one rule: to all, denied, but for what is given."""
    return {"egress": [{"action": "Deny", "to": [EVERYBODY], **rule}]}


def tcp(**destination: Any) -> dict[str, Any]:
    return egress(protocols=[{"tcp": {"destinationPort": destination}}])


def test_a_whole_document() -> None:
    found = parse(
        document(
            tier="Baseline",
            priority=1000,
            subject={"pods": {"namespaceSelector": {"matchLabels": {"env": "prod"}}, "podSelector": {}}},
            ingress=[
                {
                    "name": "monitoring",
                    "action": "Accept",
                    "from": [{"pods": {"podSelector": {"matchLabels": {"a": "m"}}}}],
                },
                {"action": "Deny", "from": [EVERYBODY]},
            ],
            egress=[
                {
                    "action": "Pass",
                    "to": [{"networks": ["192.0.2.0/24", "2001:db8::/32"]}, EVERYBODY],
                    "protocols": [
                        {"udp": {"destinationPort": {"number": 53}}},
                        {"sctp": {"destinationPort": {"range": {"start": 1, "end": 65535}}}},
                    ],
                }
            ],
        )
    )
    assert (found.network, found.name, found.title) == ("", "guard", "guard")
    assert found.spec == ClusterSpec(
        Tier.BASELINE,
        1000,
        Members(Selector(), Selector.of({"env": "prod"})),
        (
            ClusterRule(Action.ACCEPT, (Members(Selector.of({"a": "m"}), Selector()),), None, "monitoring"),
            ClusterRule(Action.DENY, (ALL,)),
        ),
        (
            ClusterRule(
                Action.PASS,
                (
                    Block(IPv4Network("192.0.2.0/24"), pool=True),
                    Block(IPv6Network("2001:db8::/32"), pool=True),
                    ALL,
                ),
                (Port(Protocol.UDP, 53), Port(Protocol.SCTP, 1, 65535)),
            ),
        ),
    )
    assert found.numbered(7).title == "guard"


def test_it_belongs_to_no_network_whatever_the_others_of_the_file_belong_to() -> None:
    found = parse(document(), network="shop")
    assert (found.network, json.loads(found.document)["metadata"]) == ("", {"name": "guard"})
    with pytest.raises(InvalidInput, match="remove it: a ClusterNetworkPolicy is for all networks") as caught:
        parse(document() | {"metadata": {"name": "guard", "namespace": "shop"}})
    assert caught.value.field == "metadata.namespace"


@pytest.mark.parametrize("none", [{}, {"ingress": None, "egress": None}, {"ingress": [], "egress": []}])
def test_without_rules_it_is_about_nobody(none: dict[str, Any]) -> None:
    assert spec_of(**none) == ClusterSpec(Tier.ADMIN, 10, ALL)


def test_the_bounds_of_the_standard_can_be_reached() -> None:
    many = [{"networks": [f"10.{n}.{m}.0/24" for n in range(25)]} for m in range(25)]
    ports = [{"tcp": {"destinationPort": {"number": 1 + n}}} for n in range(25)]
    rules = [{"name": "x" * 100, "action": "Deny", "to": many, "protocols": ports}] * 25
    found = spec_of(priority=0, egress=rules)
    assert (found.priority, len(found.egress)) == (0, 25)
    assert (len(found.egress[0].peers), len(found.egress[0].ports or ())) == (625, 25)


def test_there_is_no_audit_mode_for_it() -> None:
    whole = document()
    whole["metadata"]["annotations"] = {"socketplane.io/mode": "audit"}
    with pytest.raises(Unsupported, match="only a NetworkPolicy can be in audit mode") as caught:
        parse(whole)
    assert caught.value.field == "metadata.annotations[socketplane.io/mode]"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (egress(to=[{"domainNames": ["example.com"]}]), f"{RULE}.to[0].domainNames"),
        (egress(protocols=[{"destinationNamedPort": "http"}]), f"{RULE}.protocols[0].destinationNamedPort"),
        (tcp(number="http"), f"{PORT}.number"),
    ],
)
def test_what_is_experimental_is_refused_by_name(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(Unsupported) as caught:
        spec_of(**spec)
    assert caught.value.field == path
    judged_alike(document(**spec))
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"tier": None}, "spec.tier", "is missing; write Admin (before all NetworkPolicies) or Baseline"),
        ({"tier": "admin"}, "spec.tier", "did you mean Admin?"),
        ({"tier": "Platform"}, "spec.tier", "known here: Admin, Baseline"),
        ({"priority": None}, "spec.priority", "is missing; write a number from 0"),
        ({"priority": -1}, "spec.priority", "0 to 1000"),
        ({"priority": 1001}, "spec.priority", "0 to 1000, not the number 1001"),
        ({"priority": "10"}, "spec.priority", "not the text '10'"),
        ({"priority": True}, "spec.priority", "the boolean true"),
        ({"subject": None}, "spec.subject", "is missing; write subject: {namespaces: {}}"),
        ({"subject": {}}, "spec.subject", "is empty, and needs exactly one of namespaces, pods"),
        ({"subject": {"namespaces": None}}, "spec.subject", "is empty"),
        (
            {"subject": EVERYBODY | {"pods": {"podSelector": {}}}},
            "spec.subject",
            "has namespaces and pods, and needs exactly",
        ),
        ({"subject": {"namespace": {}}}, "spec.subject.namespace", "did you mean namespaces?"),
        ({"subject": {"podSelector": {}}}, "spec.subject.podSelector", "did you mean pods?"),
        ({"subject": {"pods": {}}}, "spec.subject.pods.podSelector", "is missing; write podSelector: {}"),
        ({"subject": {"pods": {"matchLabels": {}}}}, "spec.subject.pods.podSelector", "is missing"),
        ({"podSelector": {}}, "spec.podSelector", "unknown field"),
        ({"ingress": {}}, "spec.ingress", "has to be a list"),
        ({"ingress": [{"action": "Deny", "from": [EVERYBODY]}] * 26}, "spec.ingress", "more than 25 elements; split it"),
        ({"ingress": [{"action": "Deny", "to": [EVERYBODY]}]}, "spec.ingress[0].from", "is missing"),
        (
            {"ingress": [{"action": "Deny", "from": [{"networks": ["10.0.0.0/8"]}]}]},
            "spec.ingress[0].from[0].networks",
            "egress",
        ),
        (egress(to=None), f"{RULE}.to", "is missing; name who is meant; [{namespaces: {}}] means all networks"),
        (egress(to=[]), f"{RULE}.to", "is empty; list one to 25 peers"),
        (egress(to=[EVERYBODY] * 26), f"{RULE}.to", "more than 25 elements"),
        (egress(to=[{}]), f"{RULE}.to[0]", "is empty, and needs exactly one of namespaces, pods, networks"),
        (egress(to=[EVERYBODY | {"networks": ["10.0.0.0/8"]}]), f"{RULE}.to[0]", "has namespaces and networks"),
        (egress(to=[{"networks": []}]), f"{RULE}.to[0].networks", "is empty; list one to 25"),
        (egress(to=[{"networks": ["10.0.0.0/8"] * 26}]), f"{RULE}.to[0].networks", "more than 25 elements"),
        (egress(to=[{"networks": ["10.0.0.1/8"]}]), f"{RULE}.to[0].networks[0]", "write 10.0.0.0/8"),
        (egress(to=[{"networks": "10.0.0.0/8"}]), f"{RULE}.to[0].networks", "has to be a list"),
        (egress(to=[{"ipBlock": {}}]), f"{RULE}.to[0].ipBlock", "did you mean networks?"),
        (egress(action=None), f"{RULE}.action", "is missing; write one of Accept, Deny, Pass"),
        (egress(action="Allow"), f"{RULE}.action", "unknown action 'Allow'; did you mean Accept?"),
        (egress(action="deny"), f"{RULE}.action", "did you mean Deny?"),
        (egress(action="Drop"), f"{RULE}.action", "did you mean Deny?"),
        (egress(name=5), f"{RULE}.name", "put it in quotes"),
        (egress(name="x" * 101), f"{RULE}.name", "longer than 100 characters"),
        (egress(ports=[]), f"{RULE}.ports", "did you mean protocols?"),
        (egress(protocols=[]), f"{RULE}.protocols", "is empty; list one to 25, or leave it out to mean anything"),
        (egress(protocols=[{"tcp": {"destinationPort": {"number": 1}}}] * 26), f"{RULE}.protocols", "more than 25"),
        (egress(protocols=[{}]), f"{RULE}.protocols[0]", "exactly one of tcp, udp, sctp"),
        (egress(protocols=[{"TCP": {}}]), f"{RULE}.protocols[0].TCP", "did you mean tcp?"),
        (egress(protocols=[{"icmp": {}}]), f"{RULE}.protocols[0].icmp", "unknown field"),
        (egress(protocols=[{"tcp": {}}]), PORT, "is missing; for all ports write range: {start: 1, end: 65535}"),
        (egress(protocols=[{"tcp": {"port": 80}}]), PORT, "is missing"),
        (tcp(), PORT, "exactly one of number, range"),
        (tcp(number=1, range={"start": 1, "end": 2}), PORT, "has number and range"),
        (tcp(number=0), f"{PORT}.number", "1 to 65535"),
        (tcp(number="80"), f"{PORT}.number", "without quotes: 80"),
        (tcp(range={"start": 1}), f"{PORT}.range.end", "is missing; write both start and end"),
        (tcp(range={"start": 2, "end": 1}), f"{PORT}.range", "start has to be less than end; exchange the two"),
        (tcp(range={"start": 2, "end": 2}), f"{PORT}.range", "write number: for a single port"),
        (tcp(range={"start": 1, "end": 65536}), f"{PORT}.range.end", "1 to 65535"),
        (tcp(range=[1, 2]), f"{PORT}.range", "has to be a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(spec: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(SocketPlaneError) as caught:
        spec_of(**spec)
    assert isinstance(caught.value, InvalidInput)
    assert caught.value.field == path
    judged_alike(document(**spec))
    assert words in str(caught.value)
