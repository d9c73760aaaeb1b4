"""Policies of all kinds, by hand and by hypothesis: expressions, networks by label, blocks, ranges, tiers, audit."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_network

from hypothesis import strategies as st

from socketplane.model.published import ANY, Published
from socketplane.model.selection import View
from socketplane.model.spec import (
    Action,
    Block,
    ClusterRule,
    ClusterSpec,
    Hosts,
    Members,
    Operator,
    Peer,
    Policy,
    PolicySpec,
    Port,
    Protocol,
    Requirement,
    Rule,
    Selector,
    Tier,
)
from socketplane.model.types import Endpoint, Network
from support.intent import CLUSTER, NAMES, endpoint, network

EVERYWHERE = Selector()


def on(networks: Selector = EVERYWHERE, **labels: str) -> Members:
    """Return the endpoints with these labels on those networks."""
    return Members(Selector.of(labels), networks)


def block(cidr: str, *excepts: str, pool: bool = False) -> Block:
    """Return addresses."""
    return Block(ip_network(cidr), tuple(map(ip_network, excepts)), pool)


def accept(*peers: Peer, ports: tuple[Port, ...] | None = None) -> ClusterRule:
    """Return a ClusterNetworkPolicy's rule that accepts."""
    return ClusterRule(Action.ACCEPT, peers, ports)


def deny(*peers: Peer, ports: tuple[Port, ...] | None = None) -> ClusterRule:
    """Return one that denies."""
    return ClusterRule(Action.DENY, peers, ports)


def pass_on(*peers: Peer, ports: tuple[Port, ...] | None = None) -> ClusterRule:
    """Return one that passes on to the next tier."""
    return ClusterRule(Action.PASS, peers, ports)


def guard(
    name: str,
    number: int,
    subject: Members,
    *,
    tier: Tier = Tier.ADMIN,
    priority: int = 100,
    ingress: tuple[ClusterRule, ...] = (),
    egress: tuple[ClusterRule, ...] = (),
) -> Policy:
    """Return a ClusterNetworkPolicy."""
    return Policy("", name, number, ClusterSpec(tier, priority, subject, ingress, egress))


def audited(policy: Policy) -> Policy:
    """Return a NetworkPolicy in audit mode."""
    assert isinstance(policy.spec, PolicySpec)
    return replace(policy, spec=replace(policy.spec, audit=True))


# Strategies: few values, so that rules meet

_values = st.sampled_from("abc")
_keys = st.sampled_from(["app", "tier"])
labels = st.dictionaries(_keys, _values, max_size=2)
_operators = st.sampled_from(Operator)


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    """Return an expression."""
    operator = draw(_operators)
    listed = operator in (Operator.IN, Operator.NOT_IN)
    values = tuple(sorted(draw(st.sets(_values, min_size=1, max_size=2)))) if listed else ()
    return Requirement(draw(_keys), operator, values)


selectors = st.builds(Selector.of, labels, st.lists(requirements(), max_size=1)) | st.just(
    Selector.of({"socketplane.io/host": "h1"})
)
network_selectors = st.builds(
    Selector.of,
    st.sampled_from([{}, {}, {"zone": "a"}, {"kubernetes.io/metadata.name": "web"}]),
    st.lists(st.builds(Requirement, st.just("zone"), st.just(Operator.EXISTS)), max_size=1),
)
_cidrs = st.sampled_from(
    [
        *("0.0.0.0/0", "198.51.100.0/24", "198.51.100.8/29", "169.254.192.0/20", "169.254.192.2/32", "10.192.0.0/16"),
        *("::/0", f"{CLUSTER.pool6.network_address}/64", f"{CLUSTER.pool6.network_address + 4}/126", "fe80::/10"),
        "2001:db8::/32",
    ]
)


@st.composite
def blocks(draw: st.DrawFn, *, pool: bool) -> Block:
    """Return addresses, with exceptions inside of them."""
    cidr = ip_network(draw(_cidrs))
    if pool:
        return Block(cidr, (), pool)
    inner = ip_network(f"{cidr.network_address}/{min(cidr.max_prefixlen, cidr.prefixlen + 5)}")
    return Block(cidr, (inner,) if draw(st.booleans()) and inner != cidr else (), pool)


_ranges = st.sampled_from([(1, 65535), (50, 100), (80, 81), (53, None), (80, None), (443, None), (None, None)])
ports = st.builds(lambda protocol, span: Port(protocol, *span), st.sampled_from(Protocol), _ranges)
port_lists = st.none() | st.lists(ports, min_size=1, max_size=3).map(tuple)
_peers: st.SearchStrategy[Peer] = st.one_of(
    st.builds(Members, selectors), st.builds(Members, selectors, network_selectors), blocks(pool=False)
)
rules = st.builds(Rule, st.none() | st.lists(_peers, min_size=1, max_size=2).map(tuple), port_lists)
directions = st.none() | st.lists(rules, max_size=2).map(tuple)
specs = st.builds(PolicySpec, selectors, directions, directions, st.sampled_from([False, False, False, True]))
host_peers = st.builds(
    Hosts,
    st.builds(
        Selector.of,
        st.sampled_from([{}, {"rack": "a"}, {"kubernetes.io/hostname": "h1"}, {"socketplane.io/host": "h2"}]),
        st.lists(st.builds(Requirement, st.just("rack"), st.just(Operator.DOES_NOT_EXIST)), max_size=1),
    ),
)
_everywhere = st.builds(Members, selectors, network_selectors)


def _cluster_rules(peers: st.SearchStrategy[Peer]) -> st.SearchStrategy[tuple[ClusterRule, ...]]:
    listed = st.lists(peers, min_size=1, max_size=2).map(tuple)
    return st.lists(st.builds(ClusterRule, st.sampled_from(Action), listed, port_lists), max_size=3).map(tuple)


cluster_specs = st.builds(
    ClusterSpec,
    st.sampled_from(Tier),
    st.integers(0, 3),
    _everywhere,
    _cluster_rules(_everywhere),
    _cluster_rules(_everywhere | blocks(pool=True) | host_peers),
)


@st.composite
def policies(draw: st.DrawFn) -> list[Policy]:
    """Return policies of both kinds; names and numbers are unique."""
    kinds = draw(st.lists(st.tuples(st.sampled_from(NAMES), specs) | st.tuples(st.just(""), cluster_specs), max_size=5))
    numbers = draw(st.permutations(range(1, len(kinds) + 1)))
    return [Policy(on, f"p{n}", n, spec) for n, (on, spec) in zip(numbers, kinds, strict=True)]


_networks = st.fixed_dictionaries({}, optional={"zone": _values})


_publishing = st.sampled_from(
    [
        (),
        (),
        (Published(Protocol.TCP, ANY, 20_080, 80), Published(Protocol.UDP, ANY, 20_053, 53)),
        (Published(Protocol.TCP, IPv4Address("127.0.0.1"), 20_080, 81), Published(Protocol.SCTP, ANY, 20_443, 443)),
    ]
)


def _published(number: int, ports: tuple[Published, ...]) -> tuple[Published, ...]:
    """Return them so that no two endpoints have the same port of a host."""
    return tuple(replace(each, host_port=each.host_port + number * 1000) for each in ports)


@st.composite
def views(draw: st.DrawFn) -> tuple[View, list[Endpoint]]:
    """Return a cluster of three networks, one of them internal at times, with policies, and its endpoints."""
    nets: list[Network] = [
        replace(
            network(index, internal=index == 2 and draw(st.booleans()), ipv6=draw(st.sampled_from([True, True, False]))),
            labels=draw(_networks),
            routed=index == 1 and draw(st.booleans()),
        )
        for index in range(3)
    ]
    found: list[Endpoint] = []
    for number in range(1, draw(st.integers(2, 6)) + 1):
        known = draw(st.sampled_from([True, True, True, True, False]))
        where, host = draw(st.sampled_from(nets)), draw(st.sampled_from(["h1", "h2"]))
        made = endpoint(number, where, host, draw(labels) if known else {}, known=known)
        found.append(replace(made, published=_published(number, draw(_publishing))))
    return View(CLUSTER, {net.id: net for net in nets}, draw(policies())), found
