"""Routed networks: who outside reaches their containers, what that becomes, and what stays closed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Any

import pytest

from socketplane.agent.iptables import rules
from socketplane.agent.protocol import GENERIC, CreateNetwork
from socketplane.agent.ruleset import Boundary
from socketplane.compile import names
from socketplane.errors import InvalidInput
from socketplane.model.compose.network import read_network
from socketplane.model.compose.substitute import Variables
from socketplane.model.selection import Party, View
from socketplane.model.spec import Policy, Protocol, Rule
from socketplane.model.verdict import verdict
from support.compiled import acls, change, compiled, group_of_acl
from support.intent import CLUSTER, endpoint, host, network, policy, selector
from support.policies import block

FRONT, PLAIN = replace(network(0), routed=True), network(1)
H1, H2 = host(1), host(2)
SHOP, INNER = endpoint(1, FRONT, H1, {"app": "shop"}), endpoint(2, PLAIN, H1, {"app": "inner"})
OUTSIDE = IPv4Address("198.51.100.7")


@pytest.mark.parametrize(
    ("source", "destination", "allowed", "words"),
    [
        (OUTSIDE, SHOP, True, "open to all outside"),
        (OUTSIDE, INNER, False, "nothing in from outside"),
        (CLUSTER.pool[-2], SHOP, False, "nothing in from outside"),
        (CLUSTER.hosts[99], SHOP, False, "nothing in from outside"),
        (ip_address("2001:db8::1"), SHOP, False, "no IPv6 address"),
        (INNER, SHOP, False, "networks are isolated"),
        (SHOP, OUTSIDE, True, "leaves through"),
        (H2, SHOP, True, "hosts reach containers"),
    ],
)
def test_who_reaches_a_routed_network(source: Party, destination: Party, allowed: bool, words: str) -> None:
    view = View(CLUSTER, {net.id: net for net in (FRONT, PLAIN)}, [], [SHOP, INNER], [H1, H2])
    found = verdict(view, source, destination, Protocol.TCP, 80)
    assert (found.allow, words in found.reason) == (allowed, True), found


@pytest.mark.parametrize(("cidr", "allowed"), [("198.51.100.0/24", True), ("203.0.113.0/24", False)])
def test_policies_judge_the_clients_own_address(cidr: str, allowed: bool) -> None:
    closed: Policy = policy("shop", 1, selector(app="shop"), ingress=(Rule((block(cidr),)),))
    view = View(CLUSTER, {FRONT.id: FRONT}, [closed], [SHOP], [H1])
    found = verdict(view, OUTSIDE, SHOP, Protocol.TCP, 80)
    assert (found.allow, found.policy) == (allowed, "web/shop")
    ping = verdict(view, OUTSIDE, SHOP, None, None)
    assert ping.allow is allowed


def test_opening_and_closing_is_one_acl() -> None:
    compiler = compiled(H1, replace(FRONT, routed=False), SHOP)
    before = acls(compiler)
    change(compiler, FRONT)
    (more,) = [acl for acl in acls(compiler) if acl not in before]
    assert group_of_acl(compiler, more) == names.network_group(FRONT.id)
    assert "10.192." not in more["match"]
    change(compiler, replace(FRONT, routed=False))
    assert acls(compiler) == before


def test_dockers_chain_lets_in_routed_subnets_alone() -> None:
    boundary = Boundary(CLUSTER.pool, CLUSTER.hosts, H1.gateway)
    opened = rules(replace(boundary, routed=frozenset({FRONT.subnet, IPv4Network("10.192.4.0/22")})))
    assert [line for line in opened if line not in rules(boundary)] == ["-A SOCKETPLANE -d 10.192.0.0/21 -o sp0 -j ACCEPT"]


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
