"""Routed networks: who outside reaches their containers, what that becomes, and what stays closed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network
from typing import Any

import pytest

from socketplane.agent.iptables import rules
from socketplane.agent.protocol import GENERIC, CreateNetwork
from socketplane.agent.ruleset import Boundary
from socketplane.agent.ruleset6 import Boundary6
from socketplane.compile import names
from socketplane.errors import InvalidInput
from socketplane.model.cells import Cells
from socketplane.model.compose.network import read_network
from socketplane.model.compose.substitute import Variables
from socketplane.model.reach import Reach
from socketplane.model.selection import Party, View
from socketplane.model.spec import Policy, Protocol, Rule
from socketplane.model.types import Address
from socketplane.model.verdict import verdict
from support.compiled import acls, change, compiled, group_of_acl
from support.intent import CLUSTER, endpoint, host, network, policy, selector
from support.policies import block

FRONT, PLAIN = replace(network(0), routed=True), network(1)
DUAL = replace(network(2, ipv6=True), routed=True)
H1, H2 = host(1), host(2)
SHOP, INNER = endpoint(1, FRONT, H1, {"app": "shop"}), endpoint(2, PLAIN, H1, {"app": "inner"})
BOTH = endpoint(3, DUAL, H1, {"app": "shop"})
OUTSIDE, OUTSIDE6 = IPv4Address("198.51.100.7"), IPv6Address("2001:db8::7")


@pytest.mark.parametrize(
    ("source", "destination", "allowed", "words"),
    [
        (OUTSIDE, SHOP, True, "open to all outside"),
        (OUTSIDE, INNER, False, "nothing in from outside"),
        (CLUSTER.pool[-2], SHOP, False, "nothing in from outside"),
        (CLUSTER.hosts[99], SHOP, False, "nothing in from outside"),
        (OUTSIDE6, SHOP, False, "no IPv6 address"),
        (OUTSIDE6, BOTH, True, "open to all outside"),
        (OUTSIDE, BOTH, True, "open to all outside"),
        (CLUSTER.pool6[-2], BOTH, False, "nothing in from outside"),
        (H2.gateway6, BOTH, False, "nothing in from outside"),
        (IPv6Address("fe80::1"), BOTH, False, "link-local"),
        (BOTH, OUTSIDE6, True, "leaves through"),
        (INNER, SHOP, False, "networks are isolated"),
        (SHOP, OUTSIDE, True, "leaves through"),
        (H2, SHOP, True, "hosts reach containers"),
    ],
)
def test_who_reaches_a_routed_network(source: Party, destination: Party, allowed: bool, words: str) -> None:
    view = View(CLUSTER, {net.id: net for net in (FRONT, PLAIN, DUAL)}, [], [SHOP, INNER, BOTH], [H1, H2])
    found = verdict(view, source, destination, Protocol.TCP, 80)
    assert (found.allow, words in found.reason) == (allowed, True), found


@pytest.mark.parametrize(
    ("cidr", "source", "allowed"),
    [
        ("198.51.100.0/24", OUTSIDE, True),
        ("203.0.113.0/24", OUTSIDE, False),
        ("2001:db8::/120", OUTSIDE6, True),
        ("2001:db8::/126", OUTSIDE6, False),
        ("0.0.0.0/0", OUTSIDE6, False),
    ],
)
def test_policies_judge_the_clients_own_address(cidr: str, source: Address, allowed: bool) -> None:
    front = replace(network(0, ipv6=True), routed=True)
    shop = endpoint(1, front, H1, {"app": "shop"})
    closed: Policy = policy("shop", 1, selector(app="shop"), ingress=(Rule((block(cidr),)),))
    view = View(CLUSTER, {front.id: front}, [closed], [shop], [H1])
    found = verdict(view, source, shop, Protocol.TCP, 80)
    assert (found.allow, found.policy) == (allowed, "web/shop")
    ping = verdict(view, source, shop, None, None)
    assert ping.allow is allowed
    reach = Reach(view, Cells(view, view.policies, lambda _: "", source.version))
    assert bool(reach.ports(source, shop)) is allowed


def test_opening_and_closing_is_one_acl() -> None:
    compiler = compiled(H1, replace(FRONT, routed=False), SHOP)
    before = acls(compiler)
    change(compiler, FRONT)
    (more,) = [acl for acl in acls(compiler) if acl not in before]
    assert group_of_acl(compiler, more) == names.network_group(FRONT.id)
    assert "10.192." not in more["match"]
    change(compiler, replace(FRONT, routed=False))
    assert acls(compiler) == before


def test_with_ipv6_it_is_two_and_neither_means_containers_hosts_or_link_local_addresses() -> None:
    compiler = compiled(H1, replace(DUAL, routed=False), BOTH)
    before = acls(compiler)
    change(compiler, DUAL)
    four, six = sorted((acl for acl in acls(compiler) if acl not in before), key=lambda acl: str(acl["match"]))
    assert "ip4.src == {" in four["match"]
    prefixes = [ip_network(text) for text in six["match"].partition("ip6.src == {")[2].rstrip("}").split(", ")]
    assert any(OUTSIDE6 in prefix for prefix in prefixes)
    for closed in (CLUSTER.pool6[-2], H2.gateway6, IPv6Address("fe80::1")):
        assert not any(closed in prefix for prefix in prefixes)


def test_dockers_chain_lets_in_routed_subnets_alone() -> None:
    boundary = Boundary(CLUSTER.pool, CLUSTER.hosts, H1.gateway)
    opened = rules(replace(boundary, routed=frozenset({FRONT.subnet, IPv4Network("10.192.4.0/22")})))
    assert [line for line in opened if line not in rules(boundary)] == ["-A SOCKETPLANE -d 10.192.0.0/21 -o sp0 -j ACCEPT"]
    six = Boundary6.beside(CLUSTER.pool6, CLUSTER.hosts, H1.gateway, (), guarded=False)
    both = replace(boundary, ipv6=six, routed6=frozenset({DUAL.subnet6}))
    closed = rules(replace(boundary, ipv6=six), 6)
    assert [line for line in rules(both, 6) if line not in closed] == [f"-A SOCKETPLANE -d {DUAL.subnet6} -o sp0 -j ACCEPT"]
    assert rules(both) == rules(boundary)


@pytest.mark.parametrize(("options", "wanted"), [({}, None), ({"socketplane.routed": "True"}, True)])
def test_docker_says_it_with_an_option(options: dict[str, str], wanted: bool | None) -> None:
    request = CreateNetwork.model_validate({"NetworkID": "a", "Options": {GENERIC: options}})
    assert request.routed is wanted


def test_neither_yes_nor_no_is_refused() -> None:
    request = CreateNetwork.model_validate({"NetworkID": "a", "Options": {GENERIC: {"socketplane.routed": "1"}}})
    with pytest.raises(InvalidInput, match=r"--opt socketplane\.routed: '1' is neither true nor false"):
        _ = request.routed


@pytest.mark.parametrize(("written", "wanted"), [("true", True), (True, True), ("false", False)])
def test_compose_files_say_it_likewise(written: Any, wanted: bool) -> None:
    value = {"driver": "socketplane", "driver_opts": {"socketplane.routed": written}}
    assert read_network("front", value, "networks.front", "shop", Variables({})).routed is wanted
