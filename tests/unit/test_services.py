"""Services: their addresses, who is ready, and what they become in the northbound."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketplane.errors import AddressInUse, Exhausted, InvalidInput, SubnetOverlap
from socketplane.model import subnets
from socketplane.model.selection import View
from socketplane.model.services.addresses import allocate, check, choose, choose6
from socketplane.model.services.readiness import CONTAINER, HEALTH, RUNNING, ready, why_not
from socketplane.model.services.types import Probe, Service, ServicePort, ServiceSpec
from socketplane.model.spec import Protocol, Selector
from socketplane.model.types import Cluster
from socketplane.model.verdict import verdict
from support.compiled import change, compiled, rows
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, tcp

WEB, H1, H2 = network(0), host(1), host(2)
VIP, VIP6 = IPv4Address("10.255.240.9"), IPv6Address("fd00::9")
RUNS = {CONTAINER: RUNNING}


def service(**spec: Any) -> Service:
    ports = (ServicePort(Protocol.TCP, 80, 8080), ServicePort(Protocol.UDP, 53, 53, "dns"))
    made = ServiceSpec(Selector.of({"app": "shop"}), ports, **spec)
    return Service("web", "shop", made, None if made.headless else VIP, None if made.headless else VIP6)


def shop(number: int, at: Any = H1, **conditions: str) -> Any:
    return replace(endpoint(number, WEB, at, {"app": "shop"}), conditions=conditions or RUNS)


def backends(*things: Any) -> dict[str, dict[str, str]]:
    return {row["protocol"]: row["vips"] for row in rows(compiled(*things), "Load_Balancer").values()}


def test_a_service_leads_to_what_is_ready_on_all_hosts() -> None:
    compiler = compiled(H1, H2, WEB, service(affinity=60), shop(1), shop(2, H2), endpoint(3, WEB, H1, {"app": "other"}))
    found = rows(compiler, "Load_Balancer")
    assert {name: row["vips"] for name, row in found.items()} == {
        "sp-service-web-shop-tcp": {"10.255.240.9:80": "10.192.0.3:8080,10.192.0.4:8080"},
        "sp-service-web-shop-udp": {"10.255.240.9:53": "10.192.0.3:53,10.192.0.4:53"},
    }
    options = found["sp-service-web-shop-tcp"]["options"]
    assert options["reject"] == "true"
    assert found["sp-service-web-shop-tcp"]["selection_fields"] == {"eth_src"}
    assert options["hairpin_snat_ip"].startswith("169.254.207.254 fd")
    change(compiler, service())
    assert not rows(compiler, "Load_Balancer")["sp-service-web-shop-tcp"]["selection_fields"]
    gone = change(compiler, replace(shop(1), conditions={CONTAINER: "stopping"}))
    assert [row["vips"] for row in gone.rows.values() if row] == [
        {"10.255.240.9:80": "10.192.0.4:8080"},
        {"10.255.240.9:53": "10.192.0.4:53"},
    ]
    assert not gone.edges, "a backend that leaves is one row for each protocol"
    assert not change(compiler, replace(endpoint(3, WEB, H1, {"app": "other"}), conditions=RUNS)), "and others none"


def test_ipv6_where_the_network_has_it() -> None:
    dual = network(0, ipv6=True)
    there = replace(endpoint(1, dual, H1, {"app": "shop"}), conditions=RUNS)
    assert backends(H1, dual, service(), there)["tcp"] == {
        "10.255.240.9:80": "10.192.0.3:8080",
        "[fd00::9]:80": f"[{there.address6}]:8080",
    }


def test_nothing_leads_to_where_no_router_is_or_nobody_is_asked() -> None:
    assert backends(H1, network(0, internal=True), service(), shop(1)) == {}
    assert backends(H1, WEB, service(headless=True), shop(1)) == {}
    assert backends(H1, service(), shop(1)) == {}, "its network is not there"
    assert backends(H1, WEB, service()) == {"tcp": {"10.255.240.9:80": ""}, "udp": {"10.255.240.9:53": ""}}
    assert backends(H1, WEB, service(), replace(shop(1), known=False))["tcp"] == {"10.255.240.9:80": ""}


def test_hosts_that_are_not_heard_lose_their_backends_while_others_have_some() -> None:
    lost = replace(H2, lost=True)
    compiler = compiled(H1, H2, WEB, service(), shop(1), shop(2, H2))
    change(compiler, lost)
    assert rows(compiler, "Load_Balancer")["sp-service-web-shop-tcp"]["vips"] == {"10.255.240.9:80": "10.192.0.3:8080"}
    change(compiler, shop(1), gone=True)
    assert rows(compiler, "Load_Balancer")["sp-service-web-shop-tcp"]["vips"] == {"10.255.240.9:80": "10.192.0.4:8080"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"conditions": {}}, "its host has not told yet that it runs"),
        ({"conditions": {CONTAINER: "stopping"}}, "it was told to stop"),
        ({"conditions": {CONTAINER: "paused"}}, "it is paused"),
        ({"conditions": {**RUNS, HEALTH: "starting"}}, "Docker's HEALTHCHECK says starting"),
        ({"conditions": {**RUNS, HEALTH: "unhealthy"}}, "Docker's HEALTHCHECK says unhealthy"),
        ({"conditions": {**RUNS, HEALTH: "healthy"}}, ""),
        ({"draining": True}, "it is drained"),
    ],
)
def test_why_a_container_is_not_ready(changes: dict[str, Any], words: str) -> None:
    found = why_not(service(), replace(shop(1), **changes))
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_a_probe_has_to_have_been_good() -> None:
    asked = service(probe=Probe("http", 8080, "/ready"))
    assert why_not(asked, shop(1)) == "GET /ready at port 8080 was not tried yet"
    assert why_not(asked, shop(1, **RUNS, **{"web/shop": "status 503"})) == "status 503"
    assert why_not(asked, shop(1, **RUNS, **{"web/other": "ok"})) != ""
    assert why_not(asked, shop(1, **RUNS, **{"web/shop": "ok"})) == ""
    assert [each.id for each in ready(asked, [shop(1)], {"h1": H1})] == []


def test_the_range_is_where_no_network_is_and_no_network_gets_it() -> None:
    assert choose(CLUSTER, []) == IPv4Network("10.255.240.0/20")
    high = replace(network(1), subnet=IPv4Network("10.255.252.0/22"))
    assert choose(CLUSTER, [WEB, high]) == IPv4Network("10.255.224.0/20")
    small = replace(CLUSTER, pool=IPv4Network("10.9.0.0/24"))
    assert choose(small, []) == IPv4Network("10.9.0.240/28")
    assert choose(small, [replace(WEB, subnet=IPv4Network("10.9.0.128/25"))]) == IPv4Network("10.9.0.112/28")
    with pytest.raises(Exhausted, match="no room left for services"):
        choose(small, [replace(WEB, subnet=IPv4Network("10.9.0.0/24"))])
    six = choose6(CLUSTER, [])
    assert CLUSTER.pool6.broadcast_address in six
    held = replace(CLUSTER, services=IPv4Network("10.192.0.0/20"), services6=six)
    assert subnets.next_subnet(held, []) == IPv4Network("10.192.16.0/22")
    for taken in (IPv4Network("10.192.4.0/24"), six):
        with pytest.raises(SubnetOverlap, match="the services' addresses"):
            subnets.check_subnet(held, [], taken)


@given(st.integers(8, 26), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(18, 28)), max_size=6))
def test_a_range_overlaps_nothing(prefix: int, others: list[tuple[int, int]]) -> None:
    cluster = Cluster(CLUSTER.id, IPv4Network(("10.0.0.0", prefix)))
    size = cluster.pool.num_addresses
    taken = [
        replace(WEB, subnet=IPv4Network((int(cluster.pool.network_address) + start % size, length), strict=False))
        for start, length in others
    ]
    try:
        found = choose(cluster, taken)
    except Exhausted:
        return
    assert found.subnet_of(cluster.pool)
    assert not any(found.overlaps(each.subnet) for each in taken)


def test_addresses_are_free_ones_and_mostly_the_same() -> None:
    block = IPv4Network("10.9.0.0/29")
    first = allocate(block, [], "web/shop")
    assert allocate(block, [], "web/shop") == first
    everything = {block.network_address + number for number in range(1, 7)}
    assert {first, *(allocate(block, everything - {each}, "web/shop") for each in everything)} == everything
    with pytest.raises(Exhausted):
        allocate(block, everything, "web/shop")
    for wrong in (block.network_address, block.broadcast_address, VIP):
        with pytest.raises(InvalidInput, match=r"choose one from 10\.9\.0\.1 to 10\.9\.0\.6"):
            check(block, [], wrong)
    with pytest.raises(AddressInUse):
        check(block, [first], first)


def test_ranges_of_ipv6_keep_away_from_networks() -> None:
    last = IPv6Network((int(CLUSTER.pool6.broadcast_address) - (1 << 64) + 1, 64))
    assert choose6(CLUSTER, [replace(WEB, subnet6=last)]) == IPv6Network((int(last.network_address) - (1 << 64), 64))


# Judged


FAR = endpoint(7, network(1), H2, {"app": "far"})
NEAR = endpoint(5, WEB, H2, {"app": "near"})


def judged(source: Any, port: int, *policies: Any, protocol: Protocol = Protocol.TCP, **more: Any) -> Any:
    nets = {net.id: net for net in (WEB, network(1))}
    endpoints = more.pop("endpoints", [shop(1), shop(2, H2), NEAR, FAR])
    view = View(CLUSTER, nets, policies, endpoints, [H1, H2], services=[service()])
    return verdict(view, source, VIP, protocol, port)


def test_a_packet_to_a_service_is_judged_by_its_backends() -> None:
    found = judged(NEAR, 80)
    assert found.allow
    assert "free inside a network" in found.reason
    assert found.steps[:2] == (
        "service web/shop leads to 2 that are ready",
        "web/c1: allow: free inside a network: no ingress policy selects the destination",
    )
    assert judged(shop(1), 80).allow
    assert judged(H1, 80).allow
    assert judged(H1, 53, protocol=Protocol.UDP).allow
    for source, port, words in (
        (FAR, 80, "networks are isolated"),
        (NEAR, 81, "no such port"),
        (NEAR, 8080, "no such port"),
        (IPv4Address("198.51.100.7"), 80, "nothing from outside"),
    ):
        denied = judged(source, port)
        assert not denied.allow
        assert words in denied.reason
    assert "no backend" in judged(NEAR, 80, endpoints=[NEAR, shop(1, container="stopping")]).reason


def test_policy_knows_the_port_of_the_backend_and_each_backend() -> None:
    near = allow(selector(app="near"), ports=tcp(8080))
    assert judged(NEAR, 80, policy("p", 1, selector(app="shop"), ingress=(near,))).rule == "r1.0"
    wrong = policy("p", 1, selector(app="shop"), ingress=(allow(selector(app="near"), ports=tcp(80)),))
    assert not judged(NEAR, 80, wrong).allow
    one = Selector.of({"socketplane.io/container": "c2"})
    some = judged(NEAR, 80, policy("p", 1, one, ingress=()))
    assert not some.allow
    assert some.reason == "to 1 of 2 backends it does not pass: no ingress rule allows it"
