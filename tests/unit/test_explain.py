"""Whom the two ends of `explain` mean; the verdicts are in test_verdict*."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from socketplane.controller.explain import explain
from socketplane.controller.intent import Intent
from socketplane.controller.rows import ClusterRecord
from socketplane.errors import InvalidInput
from socketplane.model.published import ANY, Published
from socketplane.model.spec import Policy, Protocol, Rule
from support.intent import CLUSTER, endpoint, host, network, policy, selector
from support.policies import block

WEB, DATA = network(0), network(1)


def intent() -> Intent:
    made = Intent()
    lan = policy("lan", 1, selector(), egress=(Rule((block("192.0.2.0/24"),)),))
    for item in (ClusterRecord(CLUSTER, 1), host(1), host(2), WEB, endpoint(1, WEB, "h1"), lan):
        made.put(item)
    return made


def test_a_host_is_judged_by_the_address_that_is_named() -> None:
    underlay = explain(intent(), "c1", "192.0.2.2", 22, "tcp")
    assert (underlay.verdict, underlay.destination) == ("allow", "192.0.2.2")
    for name in ("h2", str(host(2).gateway)):
        own_port = explain(intent(), "c1", name, 22, "tcp")
        assert (own_port.verdict, own_port.rule, own_port.destination) == ("deny", "d1.egress", "host h2")


def test_a_host_sends_from_its_own_port_whatever_address_names_it() -> None:
    for name in ("h2", "192.0.2.2", str(host(2).gateway)):
        assert explain(intent(), name, "c1", 22, "sctp").source == "host h2"


OPEN = Published(Protocol.TCP, ANY, 8080, 80)
ONE = Published(Protocol.TCP, IPv4Address("203.0.113.5"), 8081, 80)
LOCAL = Published(Protocol.TCP, IPv4Address("127.0.0.1"), 9000, 80)
OFFICE = policy("office", 2, selector(app="shop"), ingress=(Rule((block("198.51.100.0/24"),)),))


def edge(*policies: Policy) -> Intent:
    """Return a cluster with a container that publishes ports on h1, and one on h2 that is on two networks."""
    made = Intent()
    shop = replace(endpoint(1, WEB, "h1", {"app": "shop"}), published=(OPEN, ONE, LOCAL))
    two = [replace(endpoint(number, on, "h2"), name="two", container="c" * 64) for number, on in ((3, WEB), (4, DATA))]
    for item in (ClusterRecord(CLUSTER, 1), host(1), host(2), WEB, DATA, shop, endpoint(2, WEB, "h2"), *two, *policies):
        made.put(item)
    return made


@pytest.mark.parametrize(
    ("source", "destination", "port", "said"),
    [
        ("203.0.113.9", "h1", 8080, "allow"),
        ("203.0.113.9", "h1", 8081, "allow"),
        ("203.0.113.9", "203.0.113.5", 8081, "allow"),
        ("203.0.113.9", "h1", 9000, "deny"),
        ("outside", "h1", 8080, "allow"),
        ("outside", "c1", 80, "allow"),
        ("outside", "c2", 80, "deny"),
        ("c2", "h1", 8080, "allow"),
        ("c2", "outside", 443, "allow"),
        ("h1", "127.0.0.1", 9000, "allow"),
        ("h1", "h1", 9000, "allow"),
        ("h2", "h1", 9000, "deny"),
    ],
)
def test_who_asks_as_users_do_is_answered(source: str, destination: str, port: int, said: str) -> None:
    assert explain(edge(), source, destination, port, "tcp").verdict == said


def test_what_is_for_the_host_alone_is_the_host_to_containers() -> None:
    found = explain(edge(), "c2", "h1", 9000, "tcp")
    assert (found.destination, found.reason) == ("host h1", "it leaves through the container's own host")


def test_nobody_answers_at_a_port_that_is_not_published() -> None:
    with pytest.raises(InvalidInput, match=r"neither end is a container: host h1 publishes no tcp/8099"):
        explain(edge(), "203.0.113.9", "h1", 8099, "tcp")


def test_outside_means_the_version_of_ip_of_the_other_end() -> None:
    front = replace(network(0, ipv6=True), routed=True)
    lan = policy("lan", 1, selector(), ingress=(Rule((block("2001:db8::/32"),)),))
    shop = endpoint(1, front, "h1")
    made = Intent()
    for item in (ClusterRecord(CLUSTER, 1), host(1), front, shop, lan):
        made.put(item)
    assert explain(made, "2001:db8::7", str(shop.address6), 80, "tcp").verdict == "allow"
    assert explain(made, "2001:db9::7", "web/c1", 80, "tcp").verdict == "deny"
    six = explain(made, "outside", str(shop.address6), 80, "tcp")
    assert any(step.startswith("2001:db8::/32: allow") for step in six.steps)
    four = explain(made, "outside", "c1", 80, "tcp")
    assert (four.verdict, four.rule) == ("deny", "d1.ingress")


def test_outside_is_told_in_parts_where_policies_tell_it_apart() -> None:
    found = explain(edge(OFFICE), "outside", "h1", 8080, "tcp")
    assert (found.verdict, found.source, found.direction) == ("deny", "outside", "ingress")
    assert found.reason.startswith("some addresses outside pass and others do not")
    assert found.steps[:2] == [
        "0.0.0.0/0: deny: no ingress rule allows it",
        "198.51.100.0/24: allow: ingress rule r2.0 of policy web/office allows it",
    ]
    named = edge(OFFICE)
    named.put(replace(endpoint(5, WEB, "h1"), name="outside"))
    assert explain(named, "outside", "c1", 80, "tcp").source == "web/outside"


def test_a_hosts_port_asked_of_the_container_is_noticed() -> None:
    found = explain(edge(), "203.0.113.9", "c1", 8080, "tcp")
    assert (found.verdict, found.note) == ("deny", "8080 is the host's port: ask about c1:80/tcp, or h1:8080/tcp")


def test_who_is_on_several_networks_answers_others_at_one_address() -> None:
    note = explain(edge(), "h1", "web/two", 80, "tcp").note
    assert note.startswith("two is on 2 networks, and answers others than its own at one address alone")
    assert explain(edge(), "c2", "web/two", 80, "tcp").note == "", "on its network it is reached at its address there"
    publishing = edge()
    data = next(end for end in publishing.endpoints.values() if end.name == "two" and end.network == DATA.id)
    publishing.put(replace(data, published=(replace(OPEN, host_port=7000),)))
    note = explain(publishing, "h1", "web/two", 80, "tcp").note
    assert note == "two does not answer here: its default route leads through data"
    assert explain(publishing, "h1", "data/two", 80, "tcp").note == ""
