"""Reach over many endpoints: a snapshot of them, and in time."""

from __future__ import annotations

import time
from ipaddress import IPv4Network
from uuid import UUID

from socketplane.controller.intent import Intent
from socketplane.controller.reach import reach, snapshot
from socketplane.controller.rows import ClusterRecord
from socketplane.model.reach import changes
from socketplane.model.selection import View
from socketplane.model.spec import Members, Policy, PolicySpec, Rule, Selector
from socketplane.model.types import Endpoint, Network, mac_of
from support.intent import CLUSTER, endpoint, host, network, policy, selector, tcp
from support.policies import block

ENDPOINTS, POLICIES, APPS = 10_000, 1_000, 100
LIMIT = 20.0
"""Seconds; it takes one or two. What grows with endpoints times endpoints, or times rules, takes hours."""


def large() -> View:
    networks = [
        Network(UUID(int=index + 1), f"n{index}", subnet, subnet.network_address + 1)
        for index, subnet in zip(range(10), IPv4Network("10.192.0.0/12").subnets(new_prefix=20), strict=False)
    ]
    endpoints = []
    for number in range(ENDPOINTS):
        on = networks[number % 10]
        labels = {"app": f"a{number // 10 % APPS}", "own": str(number)}
        address = on.gateway + 1 + number // 10
        endpoints.append(Endpoint(f"{number:064x}", on.id, f"h{number % 3}", address, mac_of(address), labels=labels))
    policies = []
    for number in range(1, POLICIES + 1):
        peers = tuple(Members(selector(app=f"a{number * step % APPS}")) for step in (3, 7))
        spec = PolicySpec(
            selector(app=f"a{number // 10 % APPS}"),
            (Rule(peers, tcp(number)),),
            (Rule(peers[:1]), Rule((block("0.0.0.0/0", "192.168.0.0/16"),), tcp(443))),
        )
        policies.append(Policy(f"n{number % 10}", f"p{number}", number, spec))
    return View(CLUSTER, {net.id: net for net in networks}, policies, endpoints, [host(1), host(2), host(3)])


def test_ten_thousand_endpoints_under_a_thousand_policies() -> None:
    view = large()
    start = time.perf_counter()
    found = reach(view)
    assert len(found.groups) == 10 * APPS
    outside = next(line for line in found.lines if line.summary == "tcp/443")
    assert [end.name for end in outside.sources] == ["*/*"]
    assert [end.name for end in outside.destinations] == ["hosts", "0.0.0.0/0"]
    assert len(found.lines) > 10
    without = View(view.cluster, view.networks, list(view.policies)[1:], view.endpoints, view.hosts)
    changed = changes(without, view)
    assert changed.denied and not changed.allowed
    assert len(changed.denied) < 20, "one policy's change is a few lines"
    assert time.perf_counter() - start < LIMIT


def test_later_changes_leave_a_snapshot_alone() -> None:
    intent, web = Intent(), network(0)
    for item in (ClusterRecord(CLUSTER, 1), host(1), web, endpoint(1, web, "h1"), endpoint(2, web, "h1")):
        intent.put(item)
    taken = snapshot(intent)
    intent.put(policy("closed", 1, Selector(), ingress=()))
    intent.discard(Endpoint, endpoint(2, web, "h1").id)
    intent.discard(Network, web.id)
    assert [end.name for end in taken.endpoints] == ["c1", "c2"]
    assert [line.summary for line in reach(taken).lines] == ["any"]
    assert reach(snapshot(intent)).lines == []
