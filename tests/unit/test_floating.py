"""Floating addresses: pools of them, what they mean, and what they become."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

import pytest

from socketplane.compile import names
from socketplane.errors import InvalidInput
from socketplane.model.floating import AddressPool, Floating, parse_range, taken_by
from socketplane.model.groups import text_of
from socketplane.model.reach import matrix
from socketplane.model.selection import Party, View
from socketplane.model.spec import Policy, Protocol
from socketplane.model.verdict import Verdict, verdict
from socketplane.model.warnings import warnings
from support.compiled import change, compiled, groups_of, rows
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, tcp
from support.policies import audited, block

WEB, DATA = network(0), network(1)
H1, H2 = host(1), host(2)
SHOP = endpoint(1, WEB, H1, {"app": "shop"})
NEAR, FAR = endpoint(2, WEB, H2, {"app": "near"}), endpoint(3, DATA, H2, {"app": "far"})
A, B = IPv4Address("203.0.113.70"), IPv4Address("203.0.113.71")
HELD = Floating(A, "web", {"app": "shop"}, holder=SHOP.id)
VACANT = Floating(B, "web", {"app": "none"})
OUTSIDE = IPv4Address("198.51.100.7")


def judge(source: Party, destination: Party, port: int | None, *policies: Policy) -> Verdict:
    view = View(CLUSTER, {net.id: net for net in (WEB, DATA)}, policies, [SHOP, NEAR, FAR], [H1, H2], [HELD, VACANT])
    return verdict(view, source, destination, Protocol.TCP if port else None, port)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("192.0.2.64/27", "192.0.2.65", "192.0.2.94"),
        ("192.0.2.64/31", "192.0.2.64", "192.0.2.65"),
        ("192.0.2.64/32", "192.0.2.64", "192.0.2.64"),
        ("192.0.2.64", "192.0.2.64", "192.0.2.64"),
        ("192.0.2.70 - 192.0.2.80", "192.0.2.70", "192.0.2.80"),
        ("2001:db8::/64", "2001:db8::1", "2001:db8::ffff:ffff:ffff:fffe"),
        ("2001:DB8::7", "2001:db8::7", "2001:db8::7"),
    ],
)
def test_a_range_is_written_in_two_ways(text: str, first: str, last: str) -> None:
    assert parse_range(text) == (ip_address(first), ip_address(last))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("192.0.2.70/24", "host bits"),
        ("lan", "no range"),
        ("192.0.2.80-192.0.2.70", "does not come before"),
        ("192.0.2.80-2001:db8::1", "does not come before"),
        ("224.0.0.0/24", "can't be a container's"),
        ("127.0.0.1", "can't be a container's"),
        ("192.0.2.1-", "no range"),
        ("", "no range"),
        ("255.255.255.255", "can't be a container's"),
        ("fe80::/64", "can't be a container's"),
        ("ff02::1", "can't be a container's"),
        ("::1", "can't be a container's"),
        ("::ffff:192.0.2.1", "can't be a container's"),
        ("2001:db8::/63", "2\\^64 addresses at most"),
    ],
)
def test_other_texts_are_no_range(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        parse_range(text)
    assert caught.value.field == "range"
    assert caught.value.remedy


def test_a_pool_knows_its_addresses() -> None:
    pool = AddressPool("lan", IPv4Address("192.0.2.70"), IPv4Address("192.0.2.72"))
    assert IPv4Address("192.0.2.72") in pool
    assert IPv4Address("192.0.2.73") not in pool
    assert ip_address("2001:db8::1") not in pool
    assert pool.size == 3
    assert pool.free([]) == pool.first
    assert pool.free(map(IPv4Address, ("192.0.2.71", "192.0.2.70", "192.0.2.1"))) == pool.last
    assert pool.free(pool.first + step for step in range(3)) is None
    assert taken_by(pool, CLUSTER, [WEB]) == ""
    assert "cluster's pool" in taken_by(AddressPool("x", WEB.subnet[5], WEB.subnet[6]), CLUSTER, [])
    around = AddressPool("x", IPv4Address("10.0.0.0"), IPv4Address("10.255.255.255"))
    assert "cluster's pool" in taken_by(around, CLUSTER, [])
    elsewhere = replace(WEB, subnet=IPv4Network("192.0.2.72/29"))
    assert taken_by(pool, CLUSTER, [elsewhere]) == "192.0.2.72/29, of network web"
    for inside in (CLUSTER.pool6, CLUSTER.hosts6):
        assert str(inside) in taken_by(AddressPool("x", inside[5], inside[6]), CLUSTER, [])


def test_whom_it_is_for_is_a_name_or_labels() -> None:
    assert Floating(A, "web", {"socketplane.io/container": "web-1"}).subject == "web-1"
    assert Floating(A, "web", {"tier": "x", "app": "shop"}).subject == "app=shop,tier=x"


@pytest.mark.parametrize(
    ("source", "destination", "port", "allowed", "words"),
    [
        (OUTSIDE, A, 80, True, "floating addresses are open to all outside"),
        (OUTSIDE, A, None, True, "floating addresses are open to all outside"),
        (OUTSIDE, SHOP, 9, True, "floating addresses are open to all outside"),
        (OUTSIDE, NEAR, 9, False, "nothing in from outside"),
        (NEAR, A, 80, True, "free inside a network"),
        (FAR, A, 80, False, "networks are isolated"),
        (SHOP, A, 80, True, "reaches itself"),
        (H1, A, 80, True, "its own containers"),
        (H2, A, 80, True, "floating addresses are open to all outside"),
        (NEAR, B, 80, True, "leaves through the container's own host"),
    ],
)
def test_who_reaches_a_floating_address(
    source: Party, destination: Party, port: int | None, allowed: bool, words: str
) -> None:
    found = judge(source, destination, port)
    assert (found.allow, words in found.reason) == (allowed, True), found


def test_policy_judges_the_real_client_and_the_real_container() -> None:
    office = policy("p", 1, selector(app="shop"), ingress=(replace(allow(), peers=(block("198.51.100.0/24"),)),))
    assert judge(OUTSIDE, A, 80, office).rule == "r1.0"
    assert not judge(IPv4Address("198.18.0.1"), A, 80, office).allow
    assert judge(NEAR, A, 80, office).rule == "d1.ingress"
    out = policy("o", 2, selector(app="near"), egress=(allow(selector(app="shop"), ports=tcp(80)),))
    assert (judge(NEAR, A, 80, out).rule, judge(NEAR, A, 81, out).rule) == ("r2.0", "d2.egress")


def test_a_load_balancer_without_ports_follows_the_holder() -> None:
    compiler = compiled(H1, H2, WEB, DATA, SHOP, NEAR, HELD, VACANT)
    assert {name: row["vips"] for name, row in rows(compiler, "Load_Balancer").items()} == {
        names.balancer(SHOP, "floating"): {str(A): str(SHOP.address)}
    }
    assert "sp_published" in groups_of(compiler, SHOP)
    moved = change(compiler, replace(HELD, holder=NEAR.id))
    assert sorted(key.table for key in moved.rows) == ["Load_Balancer", "Load_Balancer"], "one change costs its own size"
    assert rows(compiler, "Load_Balancer")[names.balancer(NEAR, "floating")]["vips"] == {str(A): str(NEAR.address)}
    assert [("sp_published" in groups_of(compiler, each)) for each in (SHOP, NEAR)] == [False, True]
    change(compiler, replace(HELD, holder=NEAR.id), gone=True)
    assert rows(compiler, "Load_Balancer") == {}
    assert "sp_published" not in groups_of(compiler, NEAR)


def test_what_comes_in_any_order_and_internal_networks() -> None:
    assert compiled(HELD, SHOP, H1, WEB).desired == compiled(WEB, H1, SHOP, HELD).desired
    compiler = compiled(H1, network(0, internal=True), SHOP, HELD)
    assert rows(compiler, "Load_Balancer") == {}
    assert "sp_published" not in groups_of(compiler, SHOP)


def test_plans_warn_of_floating_addresses_at_which_nobody_gets_in() -> None:
    def said(*policies: Policy) -> list[str]:
        view = View(CLUSTER, {net.id: net for net in (WEB, DATA)}, policies, [SHOP, NEAR, FAR], [H1, H2], [HELD, VACANT])
        return [one.message for one in warnings(view, policies) if "gets in" in one.message]

    peer = policy("p", 1, selector(app="shop"), ingress=(allow(selector(app="near")),))
    assert said(peer) == ["nobody outside gets in at 203.0.113.70 of c1"]
    assert said(audited(peer)) == []
    assert said(policy("p", 1, selector(app="near"), ingress=())) == []
    some = replace(allow(ports=tcp(80)), peers=(block("1.2.3.4/32"),))
    assert said(peer, policy("q", 2, selector(app="shop"), ingress=(some,))) == []


SIX = network(2, ipv6=True)
SHOP6, NEAR6 = endpoint(6, SIX, H1, {"app": "shop"}), endpoint(7, SIX, H2, {"app": "near"})
A6, OUTSIDE6 = IPv6Address("2001:db8:70::7"), IPv6Address("2001:db8:5::7")
HELD6 = Floating(A6, "six", {"app": "shop"}, holder=SHOP6.id)


def judge6(source: Party, destination: Party, *policies: Policy, version: int = 6) -> Verdict:
    view = View(CLUSTER, {SIX.id: SIX}, policies, [SHOP6, NEAR6], [H1, H2], [HELD6])
    return verdict(view, source, destination, Protocol.TCP, 80, version=version)


@pytest.mark.parametrize(
    ("source", "destination", "allowed", "words"),
    [
        (OUTSIDE6, A6, True, "floating addresses are open to all outside"),
        (OUTSIDE6, SHOP6, True, "floating addresses are open to all outside"),
        (OUTSIDE6, NEAR6, False, "nothing in from outside"),
        (NEAR6, A6, True, "free inside a network"),
        (H1, A6, True, "its own containers"),
        (CLUSTER.hosts6[99], SHOP6, False, "nothing in from outside"),
    ],
)
def test_who_reaches_a_floating_address_of_ipv6(source: Party, destination: Party, allowed: bool, words: str) -> None:
    found = judge6(source, destination)
    assert (found.allow, words in found.reason) == (allowed, True), found
    assert judge6(NEAR6, A6, version=4) == judge6(NEAR6, A6), "the address says it"


def test_an_address_of_one_version_opens_nothing_of_the_other() -> None:
    assert not judge6(OUTSIDE, SHOP6, version=4).allow
    four = View(CLUSTER, {SIX.id: SIX}, (), [SHOP6], [H1], [replace(HELD6, address=A)])
    assert verdict(four, OUTSIDE, SHOP6, Protocol.TCP, 80).allow
    assert not verdict(four, OUTSIDE6, SHOP6, Protocol.TCP, 80).allow
    for version, held, opens in ((4, A, True), (6, A, False), (4, A6, False), (6, A6, True)):
        view = View(CLUSTER, {SIX.id: SIX}, (), [SHOP6], [H1], [replace(HELD6, address=held)])
        lines = matrix(view, version=version).openings
        assert any(text_of(line.sources) == "outside" for line in lines) is opens


def test_policy_judges_ipv6_clients() -> None:
    office = policy(
        "p", 1, selector(app="shop"), on=str(SIX.name), ingress=(replace(allow(), peers=(block("2001:db8:5::/64"),)),)
    )
    assert judge6(OUTSIDE6, A6, office).rule == "r1.0"
    assert not judge6(IPv6Address("2001:db8:6::7"), A6, office).allow
    with pytest.raises(InvalidInput, match="which IPv6 address host h2 has"):
        judge6(H2, A6)
    four = policy("p", 1, selector(app="shop"), on=str(SIX.name), ingress=(replace(allow(), peers=(block("1.2.3.4/32"),)),))
    for only, said in ((office, []), (four, [f"nobody outside gets in at {A6} of c6"])):
        view = View(CLUSTER, {SIX.id: SIX}, [only], [SHOP6, NEAR6], [H1, H2], [HELD6])
        assert [one.message for one in warnings(view, [only]) if "gets in" in one.message] == said


def test_one_load_balancer_leads_to_both_addresses() -> None:
    compiler = compiled(H1, H2, SIX, SHOP6, NEAR6, HELD6, replace(HELD6, address=A))
    (balancer,) = rows(compiler, "Load_Balancer").values()
    assert balancer["vips"] == {str(A): str(SHOP6.address), str(A6): str(SHOP6.address6)}
    assert "sp_published" in groups_of(compiler, SHOP6)
    four = replace(SHOP6, address6=None)
    assert [row["vips"] for row in rows(compiled(H1, SIX, four, HELD6), "Load_Balancer").values()] == []
