"""Published ports: what they mean, what they become, and what Docker may ask for."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from socketplane.agent.portmap import Wish, wishes
from socketplane.compile import names
from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.floating import Floating
from socketplane.model.groups import text_of
from socketplane.model.published import ANY, ANY6, Published
from socketplane.model.reach import changes, matrix
from socketplane.model.selection import Party, View
from socketplane.model.spec import Policy, Protocol, Rule
from socketplane.model.types import Address
from socketplane.model.verdict import Verdict, verdict
from socketplane.model.warnings import warnings
from support.compiled import acls, change, compiled, groups_of, rows
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, tcp
from support.policies import accept, audited, block, deny, guard, on

WEB, DATA = network(0), network(1)
H1, H2 = host(1), host(2)
OPEN = Published(Protocol.TCP, ANY, 8080, 80)
ONE = Published(Protocol.UDP, IPv4Address("203.0.113.5"), 53, 5353)
LOCAL = Published(Protocol.TCP, IPv4Address("127.0.0.1"), 9000, 9000)
SHOP = replace(endpoint(1, WEB, H1, {"app": "shop"}), published=(OPEN, LOCAL, ONE))
NEAR, FAR = endpoint(2, WEB, H2, {"app": "near"}), endpoint(3, DATA, H2, {"app": "far"})
OUTSIDE = IPv4Address("198.51.100.7")
UNDERLAY = IPv4Address(H1.address)


def view(*policies: Policy) -> View:
    return View(CLUSTER, {net.id: net for net in (WEB, DATA)}, policies, [SHOP, NEAR, FAR], [H1, H2])


def judge(source: Party, destination: Party, port: int, *policies: Policy, protocol: Protocol = Protocol.TCP) -> Verdict:
    return verdict(view(*policies), source, destination, protocol, port)


@pytest.mark.parametrize("published", [OPEN, ONE, LOCAL])
def test_a_published_port_is_its_text(published: Published) -> None:
    assert Published.parse(str(published)) == published
    assert str(OPEN) == "0.0.0.0:8080->80/tcp"


@pytest.mark.parametrize("text", ["", "8080", "0.0.0.0:8080->80/icmp", "::1:8080->80/tcp", "0.0.0.0:8080->80/tcp "])
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"published port|Expected|Octet"):
        Published.parse(text)


@pytest.mark.parametrize(
    ("source", "destination", "port", "allowed", "words"),
    [
        (OUTSIDE, SHOP, 80, True, "are open to all outside"),
        (OUTSIDE, UNDERLAY, 8080, True, "are open to all outside"),
        (OUTSIDE, SHOP, 8080, False, "nothing in from outside"),
        (OUTSIDE, SHOP, 9000, False, "nothing in from outside"),
        (OUTSIDE, NEAR, 80, False, "nothing in from outside"),
        (CLUSTER.hosts[99], SHOP, 80, False, "nothing in from outside"),
        (NEAR, UNDERLAY, 8080, True, "free inside a network"),
        (NEAR, H1, 8080, True, "free inside a network"),
        (FAR, UNDERLAY, 8080, False, "networks are isolated"),
        (SHOP, UNDERLAY, 8080, True, "reaches itself"),
        (FAR, UNDERLAY, 80, True, "leaves through the container's own host"),
        (NEAR, IPv4Address(H2.address), 8080, True, "leaves through the container's own host"),
        (H1, UNDERLAY, 8080, True, "its own containers"),
        (H2, UNDERLAY, 8080, True, "are open to all outside"),
    ],
)
def test_who_reaches_a_published_port(source: Party, destination: Party, port: int, allowed: bool, words: str) -> None:
    found = judge(source, destination, port)
    assert found.allow == allowed
    assert words in found.reason


def test_an_address_of_its_own_is_reached_at_that_one_only() -> None:
    address = IPv4Address("203.0.113.5")
    assert "free inside" in judge(NEAR, address, 53, protocol=Protocol.UDP).reason
    assert "leaves through" in judge(NEAR, UNDERLAY, 53, protocol=Protocol.UDP).reason
    assert judge(OUTSIDE, SHOP, 5353, protocol=Protocol.UDP).allow
    assert not judge(OUTSIDE, SHOP, 5353).allow


def test_a_published_port_opens_nothing_that_policy_denies() -> None:
    closed = policy("closed", 1, selector(app="shop"), ingress=())
    office = policy("office", 2, selector(app="shop"), ingress=(replace(allow(), peers=(block("198.51.100.0/24"),)),))
    for source in (OUTSIDE, NEAR, H2):
        assert judge(source, UNDERLAY, 8080, closed).rule == "d1.ingress"
    assert judge(OUTSIDE, UNDERLAY, 8080, closed, office).rule == "r2.0"
    assert not judge(IPv4Address("203.0.113.9"), UNDERLAY, 8080, office).allow
    assert not judge(OUTSIDE, SHOP, 9000, office).allow, "an ipBlock publishes nothing"
    assert judge(H1, UNDERLAY, 8080, closed).allow
    assert not judge(OUTSIDE, SHOP, 80, guard("g", 3, on(app="shop"), ingress=(deny(block("0.0.0.0/0")),))).allow


def test_egress_is_judged_by_the_container_and_not_by_the_hosts_address() -> None:
    to_shop = policy("out", 1, selector(app="near"), egress=(allow(selector(app="shop"), ports=tcp(80)),))
    to_hosts = policy("out", 1, selector(app="near"), egress=(replace(allow(), peers=(block("192.0.2.0/24"),)),))
    assert judge(NEAR, UNDERLAY, 8080, to_shop).rule == "r1.0"
    assert judge(NEAR, UNDERLAY, 8080, to_hosts).rule == "d1.egress"


def test_audit_lets_outside_in_and_notes_it() -> None:
    found = judge(OUTSIDE, SHOP, 80, audited(policy("a", 1, selector(app="shop"), ingress=())))
    assert (found.allow, found.would_deny) == (True, "a1.ingress")


def test_a_load_balancer_leads_containers_and_goes_with_its_endpoint() -> None:
    compiler = compiled(H1, H2, WEB, DATA, SHOP, NEAR)
    found = rows(compiler, "Load_Balancer")
    tcp_name, udp_name = names.balancer(SHOP, "tcp"), names.balancer(SHOP, "udp")
    assert {name: row["vips"] for name, row in found.items()} == {
        tcp_name: {"192.0.2.1:8080": f"{SHOP.address}:80", f"{H1.gateway}:8080": f"{SHOP.address}:80"},
        udp_name: {"203.0.113.5:53": f"{SHOP.address}:5353"},
    }
    nobody = "169.254.207.254 fd47:14ad:c79c::a9fe:cffe"
    assert found[tcp_name]["options"] == {"hairpin_snat_ip": nobody}, "what is sent there is taken for an answer"
    assert "sp_published" in groups_of(compiler, SHOP)
    assert "sp_published" not in groups_of(compiler, NEAR)
    one = change(compiler, replace(NEAR, published=(replace(OPEN, host_port=1),)))
    assert sorted(key.table for key in one.rows) == ["Load_Balancer"], "one change costs its own size"
    change(compiler, replace(H1, address="192.0.2.9"))
    assert set(rows(compiler, "Load_Balancer")[tcp_name]["vips"]) == {"192.0.2.9:8080", f"{H1.gateway}:8080"}
    change(compiler, SHOP, gone=True)
    assert set(rows(compiler, "Load_Balancer")) == {names.balancer(NEAR, "tcp")}


def test_what_is_for_the_host_alone_has_no_rows() -> None:
    here = replace(SHOP, published=(LOCAL,))
    compiler = compiled(H1, WEB, here)
    assert rows(compiler, "Load_Balancer") == {}
    assert "sp_published" not in groups_of(compiler, here)


def test_internal_networks_have_no_balancers() -> None:
    compiler = compiled(H1, network(0, internal=True), SHOP)
    assert rows(compiler, "Load_Balancer") == {}
    on = {edge.parent for edge in compiler.desired.edges if edge.column == "load_balancer_group"}
    names = [row["name"] for key, row in compiler.desired.rows.items() if key.uuid in on]
    assert names == ["sp-hosts"], "which has the services"


def test_plans_warn_of_published_ports_that_nobody_reaches() -> None:
    def said(*policies: Policy) -> list[str]:
        return [one.message for one in warnings(view(), policies) if "published" in one.message]

    peer = policy("p", 1, selector(app="shop"), ingress=(allow(selector(app="near")),))
    message = "nobody outside reaches what is published: 0.0.0.0:8080->80/tcp of c1, 203.0.113.5:53->5353/udp of c1"
    assert said(peer) == [message]
    assert said(peer, policy("q", 2, selector(app="shop"), ingress=(replace(allow(), peers=(block("1.2.3.4/32"),)),))) == []
    assert said(policy("p", 1, selector(app="near"), ingress=())) == []
    assert said(audited(peer)) == []
    lan = guard("lan", 3, on(), ingress=(accept(block("10.0.0.0/8")), deny(block("0.0.0.0/0"))))
    assert said(lan) == []
    assert said(guard("all", 3, on(), ingress=(deny(block("0.0.0.0/0")),))) == [message]


def test_reach_and_plans_tell_what_the_outside_gains_and_loses() -> None:
    def lines(*policies: Policy) -> set[tuple[str, str, str]]:
        found = matrix(view(*policies)).openings
        return {(text_of(each.sources), text_of(each.destinations), str(each.ports)) for each in found}

    office = policy("office", 2, selector(app="shop"), ingress=(replace(allow(), peers=(block("198.51.100.0/24"),)),))
    assert ("outside", "web/app=shop", "tcp/80, udp/5353") in lines()
    assert not [line for line in lines(policy("closed", 1, selector(app="shop"), ingress=())) if line[0] == "outside"]
    assert ("198.51.100.0/24", "web/app=shop", "tcp/80, udp/5353") in lines(office)
    plan = changes(view(), view(office))
    assert ("0.0.0.0/0", "web/app=shop", "tcp/80, udp/5353") in {
        (it.source, it.destination, it.ports) for it in plan.denied
    }
    assert plan.allowed == []
    assert [it.source for it in changes(view(office), view()).allowed if it.destination == "web/app=shop"].count(
        "0.0.0.0/0"
    ) == 1
    floating = replace(view(), floating=[Floating(IPv4Address("203.0.113.77"), "web", {}, NEAR.id)])
    near = [each for each in matrix(floating).openings if text_of(each.destinations) == "web/app=near"]
    assert [str(each.ports) for each in near if "outside" in text_of(each.sources)] == ["any"]
    six = replace(view(), networks={net.id: net for net in (network(0, ipv6=True), network(1, ipv6=True))})
    assert not [each for each in matrix(six, version=6).openings if text_of(each.sources) == "outside"]


BINDING = {"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}


@pytest.mark.parametrize(
    ("change", "wish"),
    [
        ({}, Wish(Protocol.TCP, 80, (ANY,), 8080, 8080)),
        ({"HostPort": 0, "HostPortEnd": 0}, Wish(Protocol.TCP, 80, (ANY,), 0, 0)),
        ({"HostPortEnd": 8090, "Proto": 17}, Wish(Protocol.UDP, 80, (ANY,), 8080, 8090)),
        ({"HostIP": "127.0.0.1", "Proto": 132}, Wish(Protocol.SCTP, 80, (IPv4Address("127.0.0.1"),), 8080, 8080)),
        ({"HostIP": None, "HostPortEnd": 0}, Wish(Protocol.TCP, 80, (ANY,), 8080, 8080)),
    ],
)
def test_what_docker_asks_for(change: dict[str, Any], wish: Wish) -> None:
    assert wishes({"com.docker.network.portmap": [BINDING | change]}, ipv6=False) == (wish,)


@pytest.mark.parametrize(
    ("bindings", "error"),
    [
        ([BINDING | {"HostIP": "::"}], InvalidInput),
        ([BINDING | {"Proto": 1}], Unsupported),
        ([BINDING | {"HostIP": "here"}], InvalidInput),
        ([BINDING | {"HostPort": 70_000}], InvalidInput),
        ([BINDING | {"Port": 0}], InvalidInput),
        ({"Port": 80}, InvalidInput),
    ],
)
def test_what_is_refused_by_name(bindings: object, error: type[SocketPlaneError]) -> None:
    with pytest.raises(error) as caught:
        wishes({"com.docker.network.portmap": bindings}, ipv6=False)
    assert caught.value.field == "--publish"


def test_nothing_asked_is_nothing() -> None:
    for options in ({}, {"com.docker.network.portmap": None}, {"com.docker.network.portmap": []}):
        assert wishes(options, ipv6=True) == ()


@pytest.mark.parametrize(
    ("host_ip", "addresses"),
    [("", (ANY, ANY6)), ("0.0.0.0", (ANY,)), ("::", (ANY6,)), ("2001:db8::1", (IPv6Address("2001:db8::1"),))],
)
def test_a_container_with_ipv6_is_published_with_both(host_ip: str, addresses: tuple[Address, ...]) -> None:
    (wish,) = wishes({"com.docker.network.portmap": [BINDING | {"HostIP": host_ip}]}, ipv6=True)
    assert wish.addresses == addresses


@pytest.mark.parametrize("host_ip", ["::1", "fe80::1"])
def test_addresses_that_can_not_be_led_are_refused_by_name(host_ip: str) -> None:
    with pytest.raises(Unsupported):
        wishes({"com.docker.network.portmap": [BINDING | {"HostIP": host_ip}]}, ipv6=True)


SIX = network(2, ipv6=True)
BOTH = (OPEN, Published(Protocol.TCP, ANY6, 8080, 80), Published(Protocol.TCP, IPv6Address("2001:db8::1"), 8443, 443))
SHOP6 = replace(endpoint(6, SIX, H1), published=BOTH)
NEAR6 = endpoint(7, SIX, H2)
OUTSIDE6 = IPv6Address("2001:db8:5::7")


def judge6(source: Party, destination: Party, port: int, *policies: Policy) -> Verdict:
    found = View(CLUSTER, {SIX.id: SIX}, policies, [SHOP6, NEAR6], [H1, H2])
    return verdict(found, source, destination, Protocol.TCP, port, version=6)


def test_texts_and_order_of_both_versions() -> None:
    assert [str(each) for each in sorted((BOTH[2], BOTH[0], BOTH[1]))] == [
        "0.0.0.0:8080->80/tcp",
        "[::]:8080->80/tcp",
        "[2001:db8::1]:8443->443/tcp",
    ]
    assert all(Published.parse(str(each)) == each for each in BOTH)


def test_ipv6_clients_of_published_ports() -> None:
    assert judge6(OUTSIDE6, SHOP6, 80).allow
    assert judge6(OUTSIDE6, H1.gateway6, 8080).allow
    assert judge6(OUTSIDE6, IPv6Address("2001:db8::1"), 8443).allow
    assert not judge6(OUTSIDE6, SHOP6, 8080).allow
    assert not judge6(OUTSIDE6, NEAR6, 80).allow
    assert not judge6(CLUSTER.hosts6[99], SHOP6, 80).allow
    assert judge6(NEAR6, H1, 8080).reason.startswith("free inside")
    only = policy("only", 1, selector(), on=str(SIX.name), ingress=(Rule((block("2001:db8:5::/64"),)),))
    assert judge6(OUTSIDE6, SHOP6, 80, only).allow
    assert judge6(IPv6Address("2001:db8:6::7"), SHOP6, 80, only).rule == "d1.ingress"
    with pytest.raises(InvalidInput, match="which IPv6 address host h2 has"):
        judge6(H2, IPv6Address("2001:db8::1"), 8443)
    four = replace(SHOP6, published=(OPEN,))
    view6 = View(CLUSTER, {SIX.id: SIX}, (), [four], [H1])
    assert not verdict(view6, OUTSIDE6, four, Protocol.TCP, 80).allow


def test_load_balancers_and_the_group_of_both_versions() -> None:
    desired = compiled(H1, H2, SIX, SHOP6)
    (balancer,) = rows(desired, "Load_Balancer").values()
    assert balancer["vips"] == {
        f"{H1.address}:8080": f"{SHOP6.address}:80",
        f"{H1.gateway}:8080": f"{SHOP6.address}:80",
        f"[{H1.gateway6}]:8080": f"[{SHOP6.address6}]:80",
        "[2001:db8::1]:8443": f"[{SHOP6.address6}]:443",
    }
    matches = [str(row["match"]) for row in acls(desired, "base")]
    assert [match for match in matches if match.startswith("outport == @sp_published && ip6.src == {")]


def test_a_plan_warns_of_ipv6_that_nobody_outside_reaches() -> None:
    closed = policy("closed", 1, selector(), on=str(SIX.name), ingress=(Rule((block("0.0.0.0/0"),)),))
    shown = View(CLUSTER, {SIX.id: SIX}, [closed], [SHOP6], [H1])
    (found,) = [each.message for each in warnings(shown, [closed]) if "nobody outside" in each.message]
    assert found.endswith("[::]:8080->80/tcp of c6, [2001:db8::1]:8443->443/tcp of c6")
