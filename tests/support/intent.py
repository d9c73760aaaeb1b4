"""A small cluster to compile, and hypothesis strategies for whole histories of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from uuid import UUID

from hypothesis import strategies as st

from socketplane.compile import Intent
from socketplane.model.floating import Floating
from socketplane.model.services.types import Service, ServicePort, ServiceSpec
from socketplane.model.spec import Members, Policy, PolicySpec, Port, Protocol, Rule, Selector
from socketplane.model.traffic import Limit, Limits, Mark, TrafficPolicy, TrafficSpec
from socketplane.model.types import Cluster, Endpoint, Host, Network, mac_of

CLUSTER = Cluster(UUID("5ec7e701-0000-4000-8000-000000000001"))
NAMES = ("web", "data", "lab")


def host(number: int) -> Host:
    """Return host hN."""
    gateway = CLUSTER.hosts.network_address + 1 + number
    return Host(f"h{number}", f"chassis-{number}", f"192.0.2.{number}", gateway)


def network(number: int, *, internal: bool = False, name: str | None = "", ipv6: bool = False) -> Network:
    """Return network N (0 to 2: web, data, lab) with the pool's subnet N, and with IPv6 that pool's too."""
    start = CLUSTER.pool.network_address + number * 1024
    subnet = IPv4Network((int(start), 22))
    found = Network(UUID(int=0xABC0 + number), NAMES[number] if name == "" else name, subnet, start + 1, internal=internal)
    if not ipv6:
        return found
    start6 = CLUSTER.pool6.network_address + (number << 64)
    return replace(found, subnet6=IPv6Network((int(start6), 64)), gateway6=start6 + 1)


def endpoint(
    number: int, on: Network, at: Host | str, labels: Mapping[str, str] | None = None, *, known: bool = True
) -> Endpoint:
    """Return endpoint N with the network's addresses N."""
    address = on.gateway + 1 + number
    return Endpoint(
        id=f"{number:02x}" * 32,
        network=on.id,
        host=at if isinstance(at, str) else at.name,
        address=address,
        mac=mac_of(address),
        name=f"c{number}",
        labels=labels or {},
        known=known,
        address6=None if on.gateway6 is None else on.gateway6 + 1 + number,
    )


def selector(**labels: str) -> Selector:
    """Return the selector that wants these labels."""
    return Selector.of(labels)


def tcp(*ports: int) -> tuple[Port, ...]:
    """Return TCP ports."""
    return tuple(Port(Protocol.TCP, port) for port in ports)


def allow(*peers: Selector, ports: tuple[Port, ...] | None = None) -> Rule:
    """Return a rule for these peers; for anyone without."""
    return Rule(tuple(map(Members, peers)) or None, ports)


def policy(
    name: str,
    number: int,
    subject: Selector,
    *,
    on: str = "web",
    ingress: tuple[Rule, ...] | None = None,
    egress: tuple[Rule, ...] | None = None,
) -> Policy:
    """Return a policy."""
    return Policy(on, name, number, PolicySpec(subject, ingress, egress))


def small_cluster() -> list[Intent]:
    """Return three hosts, a network with three tiers and a policy for them, an internal network, and a stranger."""
    hosts = [host(1), host(2), host(3)]
    web, data = network(0), network(1, internal=True)
    return [
        *hosts,
        web,
        data,
        endpoint(1, web, hosts[0], {"app": "web"}),
        endpoint(2, web, hosts[1], {"app": "app", "tier": "middle"}),
        endpoint(3, web, hosts[2], {"app": "db"}),
        endpoint(4, web, hosts[0], known=False),
        endpoint(5, data, hosts[1], {"app": "db"}),
        policy("default-deny", 1, selector(), ingress=()),
        policy("app", 2, selector(app="app"), ingress=(allow(selector(app="web"), ports=tcp(8080)),)),
        policy(
            "db",
            3,
            selector(app="db"),
            ingress=(allow(selector(app="app", tier="middle"), ports=(*tcp(5432, 5433), Port(Protocol.UDP))),),
            egress=(),
        ),
    ]


# Strategies: few values, so that histories collide

hosts = st.integers(1, 3).map(host) | st.integers(1, 2).map(lambda n: replace(host(n), system_id=f"reinstalled-{n}"))
networks = st.builds(
    network,
    st.integers(0, 2),
    internal=st.booleans(),
    ipv6=st.booleans(),
    name=st.sampled_from([*NAMES[:2], None]) | st.just(""),
)
_value = st.sampled_from("ab")
labels = st.fixed_dictionaries({}, optional={"app": _value, "tier": _value})
selectors = labels.map(Selector.of) | st.sampled_from(
    [Selector.of({"socketplane.io/network": "web"}), Selector.of({"socketplane.io/container": "c1"})]
)
ports = st.builds(Port, st.sampled_from(Protocol), st.sampled_from([None, 53, 80, 443]))
rules = st.builds(
    Rule,
    st.none() | st.lists(selectors.map(Members), max_size=3).map(tuple),
    st.none() | st.lists(ports, max_size=3).map(tuple),
)
directions = st.none() | st.lists(rules, max_size=3).map(tuple)
specs = st.builds(PolicySpec, selectors, directions, directions)
endpoints = st.builds(
    endpoint,
    st.integers(1, 6),
    st.integers(0, 2).map(network),
    st.sampled_from(["h1", "h2", "h3"]),
    labels,
    known=st.sampled_from([True, True, True, False]),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Return a policy; its number follows from its key and a little chance, as an applied change keeps the number."""
    on, name = draw(st.sampled_from(NAMES)), draw(st.sampled_from(["p", "q", "r"]))
    number = 1 + NAMES.index(on) * 8 + "pqr".index(name) + draw(st.sampled_from([0, 0, 100]))
    return Policy(on, name, number, draw(specs))


_marks = st.builds(
    Mark,
    st.integers(0, 63),
    st.none() | st.lists(selectors.map(Members), min_size=1, max_size=2).map(tuple),
    st.none() | st.lists(ports, min_size=1, max_size=3).map(tuple),
)
_limits = st.builds(Limits, st.none() | st.just(Limit(1_000_000)))
traffic = st.builds(
    TrafficPolicy,
    st.sampled_from(NAMES),
    st.sampled_from(["p", "t", "u"]),
    st.integers(1, 9),
    st.builds(TrafficSpec, selectors, _limits, st.lists(_marks, max_size=2).map(tuple)),
)

_conditions = st.sampled_from([{}, {"container": "running"}, {"container": "running", "health": "starting"}])
_backends = st.builds(lambda it, told: replace(it, conditions=told), endpoints, _conditions)
_spec = st.builds(
    ServiceSpec,
    labels.filter(bool).map(Selector.of),
    st.sampled_from(
        [(ServicePort(Protocol.TCP, 80, 8080),), (ServicePort(Protocol.TCP, 80, 80), ServicePort(Protocol.UDP, 1, 2))]
    ),
    headless=st.sampled_from([False, False, True]),
)
services = st.builds(Service, st.sampled_from(NAMES), st.sampled_from("st"), _spec, st.just(IPv4Address("10.255.240.9")))
_lost = st.builds(lambda it, lost: replace(it, lost=lost), hosts, st.booleans())

_floating = st.builds(
    Floating,
    st.integers(130, 132).map(lambda number: IPv4Address("192.0.2.0") + number)
    | st.integers(130, 132).map(lambda number: IPv6Address("2001:db8::") + number),
    st.sampled_from(NAMES),
    holder=st.integers(0, 6).map(lambda number: f"{number:02x}" * 32 if number else ""),
)
things = st.one_of(_lost, networks, endpoints, _backends, policies(), policies(), traffic, services, _floating)


def key_of(thing: Intent) -> tuple[str, object]:
    """Return what identifies a thing."""
    if isinstance(thing, Policy | TrafficPolicy | Service):
        return type(thing).__name__, (thing.network, thing.name)
    if isinstance(thing, Floating):
        return type(thing).__name__, thing.address
    return type(thing).__name__, thing.name if isinstance(thing, Host) else thing.id


@st.composite
def settled(draw: st.DrawFn) -> dict[tuple[str, object], Intent]:
    """Return a whole cluster: all hosts and networks, some endpoints and policies, names and ids unique."""
    found: dict[tuple[str, object], Intent] = {}
    fixed: list[Intent] = [host(1), host(2), host(3), network(0), network(1), network(2, internal=draw(st.booleans()))]
    for thing in [*fixed, *draw(st.lists(endpoints, min_size=2, max_size=8)), *draw(st.lists(policies(), max_size=6))]:
        found[key_of(thing)] = thing
    return found


def address_of(number: int) -> IPv4Address:
    """Return an address that is nobody's here."""
    return IPv4Address("198.51.100.0") + number
