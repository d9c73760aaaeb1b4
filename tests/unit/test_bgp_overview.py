"""What hosts have to tell routers, of each version of IP."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from socketplane.controller.bgp import overview
from socketplane.controller.intent import Intent
from socketplane.controller.reports import Reports
from socketplane.controller.rows import ClusterRecord
from socketplane.model.bgp import Bgp, BgpPeer
from socketplane.model.floating import Floating
from support.intent import CLUSTER, endpoint, host, network

FRONT, PLAIN = replace(network(0, ipv6=True), routed=True), network(1, ipv6=True)
H1, H2 = host(1), host(2)
SHOP, HELD = endpoint(1, FRONT, H1), endpoint(2, PLAIN, H1)
FLOATING = [Floating(ip_address(address), "data", {}, holder=HELD.id) for address in ("203.0.113.70", "2001:db8::70")]
OF_FOUR, OF_SIX = {str(SHOP.address), "203.0.113.70"}, {str(SHOP.address6), "2001:db8::70"}


@pytest.mark.parametrize(
    ("peers", "wanted"),
    [
        ([], set()),
        (["192.0.2.254"], OF_FOUR),
        (["2001:db8::fe"], OF_SIX),
        (["192.0.2.254", "2001:db8::fe"], OF_FOUR | OF_SIX),
    ],
)
def test_containers_of_routed_networks_and_floating_addresses_alike(peers: list[str], wanted: set[str]) -> None:
    intent = Intent()
    for item in (ClusterRecord(CLUSTER, 1), H1, H2, FRONT, PLAIN, SHOP, HELD, *FLOATING, Bgp(64512)):
        intent.put(item)
    for peer in peers:
        intent.put(BgpPeer(ip_address(peer), 64600, "h1"))
    h1, h2 = overview(intent, Reports(0), 0).hosts
    assert (set(map(str, h1.announced)), h2.announced) == (wanted, [])
