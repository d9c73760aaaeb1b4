"""Clusters with policies of all kinds, and packets in them, from a seed: few labels and ports, so that rules meet."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network

from socketplane.compile import Intent
from socketplane.model.behind import addresses
from socketplane.model.floating import Floating
from socketplane.model.published import ANY, ANY6, Published
from socketplane.model.selection import address_of as address_of_party
from socketplane.model.services.readiness import CONTAINER, RUNNING
from socketplane.model.services.types import Service, ServicePort, ServiceSpec
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
from socketplane.model.types import Endpoint, Host, Network
from socketplane.model.verdict import Party
from support.intent import CLUSTER, NAMES, address_of, endpoint, host, network
from support.trace import Cluster, Packet

PORTS = (22, 53, 80, 81, 443, 8080)
RANGES = ((50, 100), (80, 81), (81, 8080), (1, 65535), (1024, 49151))
BLOCKS = (
    ("0.0.0.0/0", ("198.51.100.0/28", "10.0.0.0/8")),
    ("198.51.100.0/24", ("198.51.100.4/30",)),
    ("198.51.100.8/29", ()),
    ("169.254.192.0/20", ("169.254.192.2/32",)),
    ("169.254.192.3/32", ()),
    ("10.192.0.0/16", ("10.192.0.0/22",)),
    ("2001:db8::/32", ("2001:db8::4/126",)),
    (str(CLUSTER.hosts6), (f"{host(1).gateway6}/128",)),
    ("::/0", (str(network(1, ipv6=True).subnet6),)),
    (str(network(0, ipv6=True).subnet6), (f"{network(0, ipv6=True).subnet6.network_address + 4}/126",)),
    (f"{network(0, ipv6=True).subnet6.network_address + 8}/125", ()),
)


RESOLVERS = (address_of(9), address_of(1000))


def expressible(policies: Sequence[Policy]) -> list[Policy]:
    """Return policies as OVN without tiers can have them: no Pass, and no audit beside Baseline policies."""
    baseline = any(isinstance(policy.spec, ClusterSpec) and policy.spec.tier is Tier.BASELINE for policy in policies)
    return [_without_pass(policy) for policy in policies if not (baseline and getattr(policy.spec, "audit", False))]


def _without_pass(policy: Policy) -> Policy:
    if isinstance(policy.spec, PolicySpec):
        return policy
    spec = policy.spec
    ways = {
        way: tuple(replace(rule, action=Action.ACCEPT) if rule.action is Action.PASS else rule for rule in rules)
        for way, rules in (("ingress", spec.ingress), ("egress", spec.egress))
    }
    return replace(policy, spec=replace(spec, **ways))


def generated(seed: int, *, tiers: bool) -> list[Intent]:
    """Return a cluster; the last network is internal."""
    draw = Draw(seed)
    # To the tracer every host is the container's own, so all have the same resolvers.
    hosts: list[Host] = [replace(host(number), resolvers=RESOLVERS, labels=draw.labels("rack")) for number in (1, 2, 3)]
    networks: list[Network] = [
        replace(
            network(n, internal=n == 2, ipv6=draw.chance(0.7)),
            labels=draw.labels("zone"),
            routed=n == 1 and draw.chance(0.5),
        )
        for n in range(3)
    ]
    # Most are on the first two: policies that nobody is in the way of show nothing.
    places = [*networks[:2] * 3, networks[2]]
    endpoints = [
        endpoint(n, draw.choice(places), draw.choice(hosts), draw.labels("app", "tier"), known=draw.chance(0.93))
        for n in range(1, 15)
    ]
    policies = [draw.policy(n) for n in range(1, draw.between(3, 9))]
    endpoints = [
        replace(each, published=draw.published(number, ipv6=each.address6 is not None))
        for number, each in enumerate(endpoints)
    ]
    floating = [draw.floating(number, each) for number, each in enumerate(endpoints) if each.network != networks[2].id]
    services = [
        draw.service(number, each, networks) for number, each in enumerate(endpoints) if each.network != networks[2].id
    ]
    endpoints = [replace(each, conditions={CONTAINER: RUNNING} if draw.chance(0.9) else {}) for each in endpoints]
    others = [*filter(None, floating), *filter(None, services)]
    return [*hosts, *networks, *endpoints, *(policies if tiers else expressible(policies)), *others]


def packets(cluster: Cluster, seed: int, count: int, *, own_hosts: bool) -> list[Packet]:
    """Return packets between containers, from them to the outside, and from hosts (their own, or else others) to them."""
    draw = Draw(seed)
    gateways = [item.gateway for item in cluster.networks.values()]
    underlay = [IPv4Address(each.address) for each in cluster.hosts]
    others: list[Party] = [*cluster.hosts, *underlay, *gateways, CLUSTER.pool.broadcast_address - 1, *RESOLVERS]
    found: list[Packet] = []
    while len(found) < count:
        if draw.chance(0.15):
            found.append(draw.published_packet(cluster))
            continue
        if cluster.floating and draw.chance(0.1):
            found.append(draw.floating_packet(cluster))
            continue
        if cluster.services and draw.chance(0.1):
            found.append(draw.service_packet(cluster))
            continue
        source: Party = draw.choice(cluster.endpoints)
        near = [end for end in cluster.endpoints if isinstance(source, Endpoint) and end.network == source.network]
        destination: Party = draw.choice(near if draw.chance(0.5) else cluster.endpoints)
        if draw.chance(0.2):
            destination = address_of(draw.between(1, 20)) if draw.chance(0.6) else draw.choice(others)
            if source.address6 and draw.chance(0.4):
                found.append(Packet(source, draw.outside6(), draw.choice([None, *Protocol]), draw.choice(PORTS), 6))
                continue
        elif isinstance(destination, Endpoint) and cluster.networks[destination.network].routed and draw.chance(0.3):
            number = draw.between(1, 20)  # to other networks hosts don't let it: that is not OVN's to say
            six = destination.address6 is not None and draw.chance(0.5)
            source = IPv6Address("2001:db8::") + number if six else address_of(number)
        elif draw.chance(0.1) and isinstance(destination, Endpoint):
            source = draw.choice([it for it in cluster.hosts if (it.name == destination.host) == own_hosts])
        if draw.chance(0.05):
            source, destination = draw.choice(cluster.endpoints), draw.choice(RESOLVERS)
            found.append(Packet(source, destination, draw.choice([*Protocol]), draw.choice((53, 53, 80))))
        elif source != destination:
            version = _version(draw, source, destination)
            found.append(Packet(source, destination, draw.choice([None, *Protocol]), draw.choice(PORTS), version))
    return found


def _version(draw: Draw, source: Party, destination: Party) -> int:
    if isinstance(source, IPv6Address):
        return 6
    both = all(address_of_party(end, 6) is not None for end in (source, destination))
    return 6 if both and draw.chance(0.6) else 4


class Draw:
    """Chance; `blocks` are the addresses that policies speak of."""

    def __init__(self, seed: int, blocks: Sequence[tuple[str, tuple[str, ...]]] = BLOCKS) -> None:
        self._random = random.Random(seed)
        self._blocks = blocks
        self.choice = self._random.choice
        self.between = self._random.randint

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def labels(self, *keys: str) -> dict[str, str]:
        return {key: self.choice("ab") for key in keys if self.chance(0.8)}

    def selector(self, *keys: str) -> Selector:
        labels = {key: self.choice("ab") for key in keys if self.chance(0.35)}
        return Selector.of(labels, [self.requirement(self.choice(keys))] if self.chance(0.25) else [])

    def requirement(self, key: str) -> Requirement:
        operator = self.choice(list(Operator))
        listed = operator in (Operator.IN, Operator.NOT_IN)
        return Requirement(key, operator, tuple(sorted(self._random.sample("abc", self.between(1, 2)))) if listed else ())

    def published(self, number: int, *, ipv6: bool) -> tuple[Published, ...]:
        """Return ports for endpoint `number`: of the host's no two have the same."""
        if self.chance(0.5):
            return ()
        places = [self.choice([ANY, ANY, IPv4Address("127.0.0.1"), IPv4Address("192.0.2.77")])]
        places += [self.choice([ANY6, IPv6Address("2001:db8::77")])] if ipv6 and self.chance(0.7) else []
        ports = {protocol: self.choice(PORTS) for protocol in Protocol}
        return tuple(Published(*pair, 20_000 + number, ports[pair[0]]) for pair in itertools.product(Protocol, places))

    def published_packet(self, cluster: Cluster) -> Packet:
        """Return a packet to what somebody publishes: of a container to the host's address, or from outside."""
        somebody = [
            (end, each)
            for end in cluster.endpoints
            for each in end.published
            if not each.local and not cluster.networks[end.network].internal
        ]
        if not somebody:
            return Packet(cluster.endpoints[0], address_of(1), None, 0)
        end, published = self.choice(somebody)
        version = published.address.version
        if self.chance(0.5):
            number = self.between(1, 20)
            client = address_of(number) if version == 4 else IPv6Address("2001:db8::") + number
            return Packet(client, end, published.protocol, published.port, version)
        owner = next(host for host in cluster.hosts if host.name == end.host)
        where: Party = owner if published.everywhere and self.chance(0.3) else addresses(owner, published)[0]
        sources = [it for it in cluster.endpoints if it != end and not cluster.networks[it.network].internal]
        able = [it for it in sources if version == 4 or it.address6]
        if not able:
            return Packet(sources[0], address_of(1), None, 0)
        return Packet(self.choice(able), where, published.protocol, published.host_port, version)

    def floating(self, number: int, end: Endpoint) -> Floating | None:
        """Return an address of the outside for endpoint `number`, or none."""
        six = end.address6 is not None and self.chance(0.4)
        address = IPv6Address("2001:db8:70::") + number if six else IPv4Address(f"192.0.2.{130 + number}")
        return Floating(address, "", holder=end.id) if self.chance(0.2) else None

    def floating_packet(self, cluster: Cluster) -> Packet:
        """Return a packet to whom a floating address leads: of a container to that address, or from outside."""
        floating = self.choice(cluster.floating)
        end = next(each for each in cluster.endpoints if each.id == floating.holder)
        protocol, port, version = self.choice([None, *Protocol]), self.choice(PORTS), floating.address.version
        others = [it for it in cluster.endpoints if it != end and not cluster.networks[it.network].internal]
        able = [it for it in others if version == 4 or it.address6]
        if not able or self.chance(0.5):
            number = self.between(1, 20)
            client = address_of(number) if version == 4 else IPv6Address("2001:db8::") + number
            return Packet(client, end, protocol, port, version)
        return Packet(self.choice(able), floating.address, protocol, port, version)

    def service(self, number: int, end: Endpoint, networks: Sequence[Network]) -> Service | None:
        """Return a service of endpoint `number` alone, so that only one answer is right; or none."""
        if self.chance(0.6):
            return None
        spec = ServiceSpec(
            Selector.of({"socketplane.io/container": end.name}),
            tuple(ServicePort(protocol, 7000, self.choice(PORTS)) for protocol in Protocol),
        )
        name = next(net.name for net in networks if net.id == end.network) or ""
        address, address6 = IPv4Address("10.255.240.1") + number, CLUSTER.pool6[(0xFFFF << 64) + 1 + number]
        return Service(name, f"s{number}", spec, address, address6)

    def service_packet(self, cluster: Cluster) -> Packet:
        """Return a packet of a container on a routed network to another's service, mostly to a port that it has."""
        service = self.choice(cluster.services)
        (_, itself), *_ = service.spec.selector.match_labels
        network = next(net for net in cluster.networks.values() if net.name == service.network)
        # The tracer knows nothing of hairpins.
        sources = [it for it in cluster.endpoints if not cluster.networks[it.network].internal and it.name != itself]
        version = 6 if network.subnet6 is not None and self.chance(0.5) else 4
        source = self.choice([it for it in sources if version == 4 or it.address6] or sources)
        version = version if source.address6 else 4
        address = service.address if version == 4 else service.address6
        assert address is not None
        return Packet(source, address, self.choice([*Protocol]), 7000 if self.chance(0.9) else 7001, version)

    def outside6(self) -> IPv6Address:
        """Return an address that no container has."""
        world = IPv6Address("2001:db8::") + self.between(1, 20)
        return self.choice(
            [world, world, IPv6Address("2606:4700::1111"), CLUSTER.pool6[-9], network(0, ipv6=True).gateway6]
        )

    def networks(self) -> Selector:
        if self.chance(0.3):
            return Selector.of({"kubernetes.io/metadata.name": self.choice(NAMES)})
        return self.selector("zone")

    def members(self, *, own: bool) -> Members:
        if self.chance(0.1):
            there = Selector.of({"socketplane.io/host": self.choice(["h1", "h2"])})
            return Members(there, None if own and self.chance(0.6) else self.networks())
        return Members(self.selector("app", "tier"), None if own and self.chance(0.6) else self.networks())

    def block(self, *, pool: bool) -> Block:
        cidr, excepts = self.choice(self._blocks)
        if pool:
            return Block(ip_network(cidr), (), True)
        return Block(ip_network(cidr), tuple(map(ip_network, excepts)) if self.chance(0.5) else ())

    def hosts(self) -> Hosts:
        return Hosts(Selector.of({"kubernetes.io/hostname": "h2"}) if self.chance(0.3) else self.selector("rack"))

    def peers(self, *, own: bool, blocks: bool) -> tuple[Peer, ...]:
        return tuple(
            self.hosts()
            if blocks and not own and self.chance(0.2)
            else self.block(pool=not own)
            if blocks and self.chance(0.3)
            else self.members(own=own)
            for _ in range(self.between(1, 2))
        )

    def ports(self) -> tuple[Port, ...] | None:
        if self.chance(0.35):
            return None
        return tuple(self.port() for _ in range(self.between(1, 3)))

    def port(self) -> Port:
        protocol = self.choice(list(Protocol))
        if self.chance(0.3):
            return Port(protocol, *self.choice(RANGES))
        return Port(protocol, self.choice([None, *PORTS]))

    def rules(self) -> tuple[Rule, ...] | None:
        if self.chance(0.4):
            return None
        return tuple(
            Rule(None if self.chance(0.15) else self.peers(own=True, blocks=True), self.ports())
            for _ in range(self.between(0, 2))
        )

    def cluster_rules(self, *, blocks: bool) -> tuple[ClusterRule, ...]:
        return tuple(
            ClusterRule(self.choice(list(Action)), self.peers(own=False, blocks=blocks), self.ports())
            for _ in range(self.between(0, 3))
        )

    def policy(self, number: int) -> Policy:
        if self.chance(0.35):
            subject = self.members(own=False)
            ways = self.cluster_rules(blocks=False), self.cluster_rules(blocks=True)
            return Policy(
                "", f"c{number}", number, ClusterSpec(self.choice(list(Tier)), self.between(0, 3), subject, *ways)
            )
        spec = PolicySpec(self.selector("app", "tier"), self.rules(), self.rules(), audit=self.chance(0.3))
        return Policy(self.choice(NAMES), f"p{number}", number, spec)
