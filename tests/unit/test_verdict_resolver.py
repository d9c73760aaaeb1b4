"""A container asks its own host for names, whatever isolates it; only the Admin tier may forbid it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from socketplane.compile import Compiler, names
from socketplane.model.spec import (
    Action,
    Block,
    ClusterRule,
    ClusterSpec,
    Members,
    Policy,
    PolicySpec,
    Protocol,
    Selector,
    Tier,
)
from socketplane.model.verdict import Verdict, View, verdict
from support.intent import CLUSTER, endpoint, host, network

WEB, LAB = network(0), network(2, internal=True)
HERE, THERE = IPv4Address("198.51.100.53"), IPv4Address("198.51.100.54")
H1, H2 = replace(host(1), resolvers=(HERE,)), replace(host(2), resolvers=(THERE,))
ONE, INSIDE, UNKNOWN = endpoint(1, WEB, H1), endpoint(2, LAB, H1), endpoint(3, WEB, H1, known=False)
EVERY = Selector.of({})
ISOLATED = Policy("web", "isolated", 1, PolicySpec(EVERY, egress=()))
ISOLATED_LAB = Policy("lab", "isolated", 1, PolicySpec(EVERY, egress=()))


def of_tier(tier: Tier) -> Policy:
    """Return a policy that lets nobody send anything to the outside."""
    rule = ClusterRule(Action.DENY, (Block(IPv4Network("0.0.0.0/0")),))
    return Policy("", f"no-{tier}", 2, ClusterSpec(tier, 1, Members(EVERY, EVERY), egress=(rule,)))


def judge(
    *policies: Policy, source=ONE, to: IPv4Address = HERE, protocol: Protocol | None = Protocol.UDP, port: int | None = 53
) -> Verdict:
    view = View(CLUSTER, {net.id: net for net in (WEB, LAB)}, policies, hosts=[H1, H2])
    return verdict(view, source, to, protocol, port)


@pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.TCP])
def test_isolation_leaves_the_resolver(protocol: Protocol) -> None:
    said = judge(ISOLATED, of_tier(Tier.BASELINE), protocol=protocol)
    assert (said.allow, said.policy, said.rule) == (True, "", "")
    assert any("its host's resolver" in step for step in said.steps)


def test_it_is_that_port_of_the_own_hosts_resolver_and_no_other() -> None:
    assert not judge(ISOLATED, to=THERE).allow
    assert not judge(ISOLATED, port=54).allow
    assert not judge(ISOLATED, protocol=Protocol.SCTP).allow
    assert not judge(ISOLATED, protocol=None, port=None).allow


def test_who_names_it_in_the_admin_tier_forbids_it() -> None:
    assert judge(of_tier(Tier.ADMIN)).policy == "no-Admin"


def test_it_is_all_that_leads_out_of_an_internal_network() -> None:
    assert judge(source=INSIDE).allow
    assert judge(ISOLATED_LAB, source=INSIDE).allow
    assert judge(of_tier(Tier.ADMIN), source=INSIDE).policy == "no-Admin"
    for packet in ({"to": THERE}, {"port": 54}, {"protocol": None, "port": None}):
        assert judge(source=INSIDE, **packet).direction == "isolation"


def test_who_is_not_known_is_cut_off_from_it_too() -> None:
    assert not judge(ISOLATED, source=UNKNOWN).allow


def test_rows_are_a_hosts_and_follow_its_resolvers() -> None:
    compiler = Compiler(CLUSTER)
    for thing in (host(1), H2):
        compiler.put(thing)
    compiler.flush()
    compiler.put(replace(H1, resolvers=(HERE, THERE)))
    made = [row for key, row in compiler.flush().rows.items() if key.table == "ACL"]
    here = f'ip4.dst == {{{HERE}, {THERE}}} && %s.dst == 53 && is_chassis_resident("{names.host_port("h1")}")'
    into = f"outport == @{names.INTERNAL_GROUP} && "
    assert sorted((acl["match"], acl["action"], acl["direction"]) for acl in made if acl) == sorted(
        (prefix + here % protocol, "allow-related", stage)
        for protocol in ("tcp", "udp")
        for prefix, stage in (("", "from-lport"), ("", "from-lport"), (into, "to-lport"))
    )
    compiler.put(host(1))
    assert list(compiler.flush().rows.values()) == [None] * 6
