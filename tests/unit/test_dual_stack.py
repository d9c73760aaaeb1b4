"""IPv6 beside IPv4: addresses, what is compiled, and what is judged."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from uuid import UUID

import pytest

from socketplane.compile import Compiler, Desired, Features, Intent, compile_all
from socketplane.compile.match import BOTH, rule_matches, within
from socketplane.compile.prefixes import all_but, prefixes
from socketplane.controller.explain import explain
from socketplane.controller.intent import Intent as Stored
from socketplane.controller.rows import ClusterRecord
from socketplane.errors import AddressInUse, Exhausted, InvalidInput, SubnetOverlap
from socketplane.model.groups import text_of
from socketplane.model.ipam import REST_SECONDS, WINDOW6, Allocator
from socketplane.model.reach import Change, changes, matrix
from socketplane.model.spec import Direction, Policy, Protocol, Rule
from socketplane.model.subnets import plan6
from socketplane.model.types import Cluster, Lease, LeaseKind, mac_of, pool6_around
from socketplane.model.verdict import Party, Verdict, View, verdict
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, small_cluster, tcp
from support.policies import audited, block, deny, guard, on

WEB, DATA, FOUR = network(0, ipv6=True), network(1, ipv6=True), network(2)
POOL6 = CLUSTER.pool6
H1, H2 = host(1), host(2)
CLIENT, SERVER = endpoint(1, WEB, H1, {"app": "client"}), endpoint(2, WEB, H2, {"app": "server"})
FAR, OLD = endpoint(3, DATA, H1, {"app": "far"}), endpoint(4, FOUR, H1)
START = POOL6.network_address


def subnet(number: int) -> IPv6Network:
    return IPv6Network((int(START) + (number << 64), 64))


# Subnets


def test_a_cluster_has_a_pool_of_unique_local_addresses_of_its_own() -> None:
    assert POOL6.prefixlen == 48
    assert POOL6.subnet_of(IPv6Network("fd00::/8"))
    assert Cluster(CLUSTER.id, IPv4Network("10.0.0.0/9")).pool6 == POOL6 != Cluster(UUID(int=1)).pool6


def test_the_next_free_subnet_and_its_gateway() -> None:
    assert plan6(CLUSTER, [FOUR]) == (subnet(0), START + 1)
    assert plan6(CLUSTER, [WEB, DATA, FOUR]) == (subnet(2), subnet(2)[1])
    assert plan6(CLUSTER, [DATA]) == (subnet(0), START + 1)


@pytest.mark.parametrize(
    ("asked", "gateway", "error", "message"),
    [
        (IPv6Network("fd00::/64"), None, InvalidInput, f"not in the cluster's pool {POOL6}"),
        (subnet(0), None, SubnetOverlap, f"overlaps {subnet(0)} of network web"),
        (IPv6Network((int(subnet(5)[0]), 127)), None, InvalidInput, "no room"),
        (subnet(5), subnet(6)[1], InvalidInput, "not in the subnet"),
        (subnet(5), subnet(5)[0], InvalidInput, "first or last address"),
        (None, subnet(5)[1], InvalidInput, "needs a subnet"),
    ],
)
def test_what_can_not_be_a_subnet(
    asked: IPv6Network | None, gateway: IPv6Address | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan6(CLUSTER, [WEB], subnet=asked, gateway=gateway)


# Addresses


def lease(address: IPv6Address, created: float = 0.0, released: float | None = None) -> Lease:
    return Lease(WEB.id, address, LeaseKind.ENDPOINT, "h1", created=created, released=released)


def test_addresses_come_in_order_from_the_first() -> None:
    allocator = Allocator(WEB, version=6)
    assert [allocator.allocate(0.0) for _ in range(3)] == [START + 2, START + 3, START + 4]
    assert allocator.free == WINDOW6 - 5  # the first one is nobody's, the second the gateway's
    again = Allocator(WEB, [lease(START + 7, 1.0), lease(START + 3, 0.5)], version=6)
    assert again.allocate(1.0) == START + 8


def test_a_named_address_may_be_anywhere_in_the_subnet() -> None:
    allocator = Allocator(WEB, version=6)
    wanted = START + 0xDEAD_BEEF_CAFE
    allocator.hold(wanted)
    with pytest.raises(AddressInUse):
        allocator.hold(wanted)
    allocator.release(wanted, 1.0)
    allocator.hold(wanted)
    allocator.forget(wanted)
    allocator.hold(wanted)
    assert Allocator(WEB, [lease(wanted, 5.0)], version=6).allocate(6.0) == START + 2
    for nobodys in (START, START + 1, WEB.subnets[1].broadcast_address, WEB.gateway):
        with pytest.raises((InvalidInput, AddressInUse)):
            allocator.hold(nobodys)


def test_a_small_subnet_is_used_to_its_end_and_addresses_rest() -> None:
    small = replace(WEB, subnet6=IPv6Network((int(START), 126)))
    allocator = Allocator(small, version=6)
    assert allocator.allocate(0.0) == START + 2
    with pytest.raises(Exhausted, match="/126"):
        allocator.allocate(0.0)
    allocator.release(START + 2, 1.0)
    with pytest.raises(Exhausted, match="comes free in"):
        allocator.allocate(2.0)
    assert allocator.allocate(1.0 + REST_SECONDS) == START + 2


# What is compiled


def rows(desired: Desired, table: str) -> list[dict[str, object]]:
    return [dict(row) for key, row in desired.rows.items() if key.table == table]


def acls(*intent: Intent, features: Features | None = None) -> dict[str, dict[str, object]]:
    return {str(row["match"]): row for row in rows(compile_all(CLUSTER, features or Features(), intent), "ACL")}


def test_a_port_has_both_addresses_and_may_use_no_others() -> None:
    ports = rows(compile_all(CLUSTER, Features(), [H1, WEB, FOUR, CLIENT, OLD]), "Logical_Switch_Port")
    of = {str(row["name"]): row for row in ports}
    both = frozenset({f"{CLIENT.mac} {CLIENT.address} {CLIENT.address6}"})
    assert of[f"sp-{CLIENT.id}"]["addresses"] == of[f"sp-{CLIENT.id}"]["port_security"] == both
    assert of[f"sp-{OLD.id}"]["port_security"] == frozenset({f"{OLD.mac} {OLD.address}"})


def test_the_router_has_both_gateways() -> None:
    ports = rows(compile_all(CLUSTER, Features(), [WEB]), "Logical_Router_Port")
    assert frozenset({"10.192.0.1/22", f"{START + 1}/64"}) in [row["networks"] for row in ports]


def test_link_local_addresses_are_no_way_around() -> None:
    found = acls(WEB)
    (link_local,) = (match for match in found if match.endswith("(ip6.src == fe80::/10 || ip6.dst == fe80::/10)"))
    assert (found[link_local]["action"], found[link_local]["direction"]) == ("drop", "from-lport")
    cut_off = acls(WEB, replace(CLIENT, known=False), policy("p", 1, selector(), ingress=()))
    strongest = max(int(str(row["priority"])) for row in cut_off.values() if row["name"] == "unknown.ingress")
    assert int(str(found[link_local]["priority"])) > strongest


def test_hosts_and_the_way_out_have_ipv6_once_a_network_has_it() -> None:
    compiler = Compiler(CLUSTER, Features())
    for thing in (H1, FOUR):
        compiler.put(thing)
    compiler.flush()
    before = dict(compiler.desired.rows)
    assert "fd47" not in str(before)
    compiler.put(WEB)
    compiler.flush()
    desired = compiler.desired
    assert desired == compile_all(CLUSTER, Features(), [H1, WEB, FOUR])
    (port,) = (row for row in rows(desired, "Logical_Switch_Port") if row["name"] == "sp0-h1")
    assert port["addresses"] == frozenset({f"{mac_of(H1.gateway)} {H1.gateway} {H1.gateway6} {H1.address}"})
    policies = {row["match"]: row["nexthops"] for row in rows(desired, "Logical_Router_Policy")}
    assert policies[f'ip6.src == {POOL6} && is_chassis_resident("sp0-h1")'] == frozenset({str(H1.gateway6)})
    routes = {row["ip_prefix"]: row["nexthop"] for row in rows(desired, "Logical_Router_Static_Route")}
    assert (routes[str(POOL6)], routes["::/0"]) == ("discard", str(CLUSTER.hosts6[-2]))
    assert f'ip6.src == {H1.gateway6} && is_chassis_resident("sp0-h1")' in acls(H1, WEB)
    compiler.remove(WEB)
    compiler.flush()
    assert desired.rows == before


def test_a_hosts_addresses_have_the_same_number() -> None:
    assert H1.gateway6 == CLUSTER.hosts6[int(H1.gateway) - int(CLUSTER.hosts[0])]
    assert CLUSTER.hosts6.num_addresses == CLUSTER.hosts.num_addresses
    assert not CLUSTER.hosts6.overlaps(POOL6)
    assert pool6_around(subnet(5)) == POOL6


def test_a_network_without_ipv6_compiles_as_if_there_were_none() -> None:
    alone = compile_all(CLUSTER, Features(), small_cluster())
    assert "ip6" not in str(rows(alone, "ACL"))
    beside = compile_all(CLUSTER, Features(), [*small_cluster(), network(2, ipv6=True)])
    changed = [dict(row) for key, row in alone.rows.items() if beside.rows[key] != row]
    assert {row["name"] for row in changed} == {"rp-hosts", *(f"sp0-h{n}" for n in (1, 2, 3))}  # which get an address
    assert alone.edges < beside.edges


def test_a_cluster_policy_speaks_of_ipv6_once_a_network_has_it() -> None:
    guarding = guard("g", 1, on(), ingress=(deny(on(app="client")),))
    assert [match for match in acls(WEB, guarding) if "_ip6" in match]
    assert [match for match in acls(FOUR, guarding) if "_ip6" in match] == []


def test_rules_match_both_versions() -> None:
    peers = (on(app="client"), block("192.0.2.0/24"), block("2001:db8::/32", "2001:db8:1::/48"), block("fe80::/10"))
    found = rule_matches(Direction.INGRESS, peers, tcp(80), network=WEB.id, cluster=CLUSTER, versions=BOTH)
    matches = dict(found)
    assert [name.rpartition("/tcp")[2] for name in matches] == ["", "", "/ip6", "/ip6"]
    group, four, group6, six = matches.values()
    assert group6 == group.replace("ip4", "ip6")
    assert four == "ip4.src == 192.0.2.0/24 && tcp.dst == 80"
    assert six.startswith("ip6.src == {2001:db8::/48, 2001:db8:2::/47, ")
    assert "fe80" not in six
    anyone = rule_matches(Direction.EGRESS, None, None, network=WEB.id, cluster=CLUSTER, versions=BOTH)
    assert [match for _, match in anyone] == ["ip4", "ip6"]


def test_a_block_means_no_container_of_the_pool_unless_it_says_so() -> None:
    whole = prefixes([block("::/0")], POOL6, 6)
    assert not any(POOL6.overlaps(prefix) or prefix.overlaps(IPv6Network("fe80::/10")) for prefix in whole)
    assert prefixes([block(str(subnet(3)), pool=True)], POOL6, 6) == [subnet(3)]
    assert prefixes([block(str(subnet(3)))], POOL6, 6) == []
    assert prefixes([block("0.0.0.0/0")], POOL6, 6) == []


def test_audit_without_tiers_keeps_networks_apart() -> None:
    audit = audited(policy("p", 1, selector(app="server"), ingress=(allow(selector(app="client")),)))
    found = acls(WEB, audit, features=Features(acl_tier=False))
    isolation = [row for match, row in found.items() if row["priority"] == 9200 and "ip6.src" in match]
    assert [row["action"] for row in isolation] == ["drop"]
    logged = [match for match, row in found.items() if row["log"] and row["action"] == "allow-related"]
    assert [match.partition(" && ")[2] for match in logged] == [
        within(Direction.INGRESS, all_but(CLUSTER.pool.address_exclude(WEB.subnet))),
        within(Direction.INGRESS, all_but(POOL6.address_exclude(subnet(0)), 6)),
    ]


# What is judged


def judge(source: Party, destination: Party, *policies: Policy, version: int = 6, port: int | None = 80) -> Verdict:
    view = View(CLUSTER, {net.id: net for net in (WEB, DATA, FOUR)}, policies)
    return verdict(view, source, destination, Protocol.TCP if port else None, port, version=version)


def test_free_inside_a_network_and_closed_between() -> None:
    assert judge(CLIENT, SERVER).allow
    assert judge(CLIENT, FAR).rule == "isolation"
    opened = policy("in", 1, selector(), on="data", ingress=(Rule((on(),)),))
    assert judge(CLIENT, FAR, opened).allow


def test_who_has_no_ipv6_is_not_reached() -> None:
    assert "has no IPv6 address" in judge(CLIENT, OLD).reason
    assert "has no IPv6 address" in judge(H1, OLD).reason
    assert judge(H1, OLD, version=4).allow


def test_hosts_and_the_outside() -> None:
    closed = policy("closed", 1, selector(), ingress=(), egress=(Rule((block("2001:db8::/64"),)),))
    assert judge(H1, CLIENT, closed).allow  # its own host
    assert judge(H2, CLIENT).allow
    assert judge(H2, CLIENT, closed).rule == "d1.ingress"
    assert judge(CLIENT, H2).allow
    assert judge(CLIENT, IPv6Address("2001:db8::1"), closed).allow
    assert judge(CLIENT, IPv6Address("2001:db8:1::1"), closed).rule == "d1.egress"
    assert judge(CLIENT, IPv6Address("2001:db8:1::1")).allow
    for target in (IPv6Address("fe80::1"), START + 999):
        assert not judge(CLIENT, target).allow
    assert judge(CLIENT, START + 1, port=None).allow  # the router answers pings
    assert not judge(CLIENT, START + 1).allow
    assert not judge(IPv6Address("2001:db8::1"), CLIENT).allow


def test_policies_mean_ipv6_as_well() -> None:
    only = policy("only", 1, selector(app="server"), ingress=(allow(selector(app="client"), ports=tcp(80)),))
    assert judge(CLIENT, SERVER, only).rule == "r1.0"
    assert judge(CLIENT, SERVER, only, port=81).rule == "d1.ingress"
    unknown = replace(SERVER, known=False)
    assert judge(CLIENT, unknown, only).rule == "unknown.ingress"
    admin = guard("g", 2, on(), ingress=(deny(on(app="client")),))
    assert judge(CLIENT, SERVER, only, admin).rule == "r2.0"


def test_blocks_are_of_their_version() -> None:
    addresses = f"{CLIENT.address6}/128"
    six = guard("six", 1, on(), egress=(deny(block(f"{SERVER.address6}/128", pool=True)),))
    assert judge(CLIENT, SERVER, six).rule == "r1.0"
    assert judge(CLIENT, SERVER, six, version=4).allow
    only = policy("only", 2, selector(app="server"), ingress=(Rule((block(addresses), block("0.0.0.0/0"))),))
    assert not judge(CLIENT, SERVER, only).allow  # an ipBlock means no container


def test_an_end_named_by_its_ipv6_address_asks_about_ipv6() -> None:
    intent = Stored()
    deny_six = guard("six", 1, on(), egress=(deny(block(str(subnet(0)), pool=True)),))
    for item in (ClusterRecord(CLUSTER, 1), H1, H2, WEB, CLIENT, SERVER, deny_six):
        intent.put(item)
    assert explain(intent, "c1", "c2", 80, "tcp").verdict == "allow"
    for target in (str(SERVER.address6), f"web/{SERVER.address6}"):
        found = explain(intent, "c1", target, 80, "tcp")
        assert (found.verdict, found.rule, found.destination) == ("deny", "r1.0", "web/c2")


# For all at once


def test_a_plan_tells_of_ipv6_where_it_differs() -> None:
    before = View(CLUSTER, {net.id: net for net in (WEB, FOUR)}, [], [CLIENT, SERVER, OLD], [H1, H2])
    both = policy("none", 1, selector(), ingress=())
    found = changes(before, replace(before, policies=[both]), ("app",)).denied
    assert found
    assert not [change for change in found if "IPv6" in change.ports]
    six = guard("six", 1, on(), egress=(deny(block(str(subnet(0)), pool=True)),))
    found = changes(before, replace(before, policies=[six]), ("app",)).denied
    assert found == [Change("web/*", "web/*", "any (IPv6)", 2, 2)]


def test_who_reaches_whom_over_ipv6() -> None:
    view = View(CLUSTER, {net.id: net for net in (WEB, FOUR)}, [], [CLIENT, SERVER, OLD], [H1, H2])
    found = matrix(view, ("app",), version=6)
    assert [group.name for group in found.groups] == ["web/app=client", "web/app=server"]
    lines = {(text_of(line.sources), text_of(line.destinations)) for line in found.openings}
    assert lines == {("web/*, hosts", "web/*"), ("web/*", "hosts, outside")}
