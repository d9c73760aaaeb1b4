"""Whom the two ends of `explain` mean; the verdicts are in test_verdict*."""

from __future__ import annotations

from socketplane.controller.explain import explain
from socketplane.controller.intent import Intent
from socketplane.controller.rows import ClusterRecord
from socketplane.model.spec import Rule
from support.intent import CLUSTER, endpoint, host, network, policy, selector
from support.policies import block

WEB = network(0)


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
