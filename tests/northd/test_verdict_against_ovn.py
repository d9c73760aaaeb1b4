"""OVN itself agrees with the verdict: generated clusters and packets, judged by ovn-northd's flows through ovn-trace."""

from __future__ import annotations

import random
from ipaddress import IPv4Address
from pathlib import Path

from socketplane.compile import Compiler, Edge, Features, Intent, names, operations
from socketplane.compile.rows import identity
from socketplane.model.spec import Members, Policy, PolicySpec, Port, Protocol, Rule, Selector
from socketplane.model.types import Endpoint, Host, Network, mac_of
from socketplane.model.verdict import Party, View, verdict
from support.intent import CLUSTER, NAMES, address_of, endpoint, host, network, small_cluster, tcp
from support.northd import Northd, Tracer, northd

CLUSTERS, PACKETS = 15, 150
PORTS = (53, 80, 443, 8080)


class Cluster:
    """An intent, and the way to ask both sides about packets in it."""

    def __init__(self, intent: list[Intent], features: Features | None = None) -> None:
        self.networks = {thing.id: thing for thing in intent if isinstance(thing, Network)}
        self.endpoints = [thing for thing in intent if isinstance(thing, Endpoint)]
        self.hosts = [thing for thing in intent if isinstance(thing, Host)]
        self.view = View(CLUSTER, self.networks, [thing for thing in intent if isinstance(thing, Policy)])
        self.compiler = Compiler(CLUSTER, features or Features())
        for thing in intent:
            self.compiler.put(thing)
        self.compiler.flush()

    def says(self, source: Party, destination: Party, protocol: Protocol | None, port: int) -> bool:
        return verdict(self.view, source, destination, protocol, port if protocol else None).allow

    async def does(self, tracer: Tracer, source: Party, destination: Party, protocol: Protocol | None, port: int) -> bool:
        switch, origin = self._origin(source, destination)
        target = _address(destination)
        transport = f"{protocol}.dst == {port}" if protocol else "icmp4.type == 8"
        packet = f"{origin} && ip4.dst == {target} && ip.ttl == 64 && {transport}"
        answer = await tracer.trace(switch, packet)
        if any(network.gateway == destination for network in self.networks.values()):
            assert isinstance(source, Endpoint)
            return "icmp4.type = 0" in answer and f'output("{names.endpoint_port(source)}")' in answer
        if isinstance(destination, Endpoint):
            return f'output("{names.endpoint_port(destination)}")' in answer
        return 'output("sp0-' in answer and "arp.tpa" not in answer

    def _origin(self, source: Party, destination: Party) -> tuple[str, str]:
        """Return the switch that a packet enters and the match for where it comes from."""
        if isinstance(source, Host):
            mac, port, switch = mac_of(source.gateway), names.host_port(source.name), names.HOSTS_SWITCH
            to = mac_of(names.router_address(CLUSTER))
        else:
            assert isinstance(source, Endpoint)
            mac, port, switch = source.mac, names.endpoint_port(source), names.switch(source.network)
            near = isinstance(destination, Endpoint) and destination.network == source.network
            to = mac_of(_address(destination)) if near else mac_of(self.networks[source.network].gateway)
        origin = f'inport == "{port}" && eth.src == {mac} && eth.dst == {to} && ip4.src == {_address(source)}'
        return switch, origin


def _address(party: Party) -> IPv4Address:
    if isinstance(party, Endpoint):
        return party.address
    return party.gateway if isinstance(party, Host) else party


def generated(seed: int) -> list[Intent]:
    """Return a cluster with policies of all shapes; the last network is internal."""
    choose = random.Random(seed)
    hosts = [host(1), host(2), host(3)]
    networks = [network(0), network(1), network(2, internal=True)]
    endpoints = [
        endpoint(number, choose.choice(networks), choose.choice(hosts), _labels(choose), known=choose.random() > 0.1)
        for number in range(1, 13)
    ]
    policies = [
        Policy(choose.choice(NAMES), f"p{n}", n, PolicySpec(_selector(choose), _rules(choose), _rules(choose)))
        for n in range(1, 7)
    ]
    return [*hosts, *networks, *endpoints, *policies]


def _labels(choose: random.Random) -> dict[str, str]:
    return {key: choose.choice("ab") for key in ("app", "tier") if choose.random() < 0.8}


def _selector(choose: random.Random) -> Selector:
    return Selector.of({key: choose.choice("ab") for key in ("app", "tier") if choose.random() < 0.4})


def _rules(choose: random.Random) -> tuple[Rule, ...] | None:
    if choose.random() < 0.3:
        return None
    return tuple(Rule(_peers(choose), _ports(choose)) for _ in range(choose.randrange(3)))


def _peers(choose: random.Random) -> tuple[Members, ...] | None:
    return None if choose.random() < 0.25 else tuple(Members(_selector(choose)) for _ in range(choose.randint(1, 2)))


def _ports(choose: random.Random) -> tuple[Port, ...] | None:
    if choose.random() < 0.3:
        return None
    return tuple(Port(choose.choice(list(Protocol)), choose.choice([None, *PORTS])) for _ in range(choose.randint(1, 3)))


def questions(cluster: Cluster, seed: int, count: int) -> list[tuple[Party, Party, Protocol | None, int]]:
    """Return packets between containers, from them to the outside, and from hosts to their own containers."""
    choose = random.Random(seed)
    found: list[tuple[Party, Party, Protocol | None, int]] = []
    while len(found) < count:
        source: Party = choose.choice(cluster.endpoints)
        destination: Party = choose.choice([*cluster.endpoints, *cluster.endpoints, address_of(9), cluster.hosts[0]])
        if choose.random() < 0.15:
            destination = choose.choice(cluster.endpoints)
            # ovn-trace takes every port for resident, so it can't tell another host from the container's own.
            source = next(owner for owner in cluster.hosts if owner.name == destination.host)
        if source != destination:
            found.append((source, destination, choose.choice([None, *Protocol]), choose.choice(PORTS)))
    return found


async def compare(ovn: Northd, cluster: Cluster, seed: int, count: int) -> None:
    allowed = 0
    async with ovn.tracer() as tracer:
        for question in questions(cluster, seed, count):
            said = cluster.says(*question)
            assert await cluster.does(tracer, *question) == said, (seed, question, verdict(cluster.view, *question))
            allowed += said
    assert 0 < allowed < count, "the packets are all of one kind: they show nothing"


async def test_ovn_does_what_the_verdict_says(tmp_path: Path) -> None:
    """One database after the other's content, so that every step is a difference between two clusters too."""
    async with northd(tmp_path) as ovn:
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        features = Features.from_schema(ovn.client.schema)
        for seed in range(CLUSTERS):
            cluster = Cluster(generated(seed), features)
            await ovn.apply(operations(cluster.compiler.desired, ovn.replica))
            assert operations(cluster.compiler.desired, ovn.replica) == []
            await compare(ovn, cluster, seed, PACKETS)
        assert ovn.errors() == []


async def test_another_host_is_judged_by_policy(tmp_path: Path) -> None:
    cluster = Cluster(small_cluster())
    group = identity(CLUSTER.id, "Port_Group", names.ROUTED_GROUP)
    # ovn-trace takes every host for the container's own: without these the packet comes from another.
    desired = cluster.compiler.desired
    for owner in cluster.hosts:
        acl = identity(CLUSTER.id, "ACL", f"own-host/{owner.name}")
        desired.edges.remove(Edge("Port_Group", group, "acls", acl))
    async with northd(tmp_path) as ovn:
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        await ovn.apply(operations(desired, ovn.replica))
        async with ovn.tracer() as tracer:
            for target in cluster.endpoints:
                other = next(owner for owner in cluster.hosts if owner.name != target.host)
                question = (other, target, Protocol.TCP, 22)
                assert await cluster.does(tracer, *question) == cluster.says(*question), question


async def test_the_router_answers_pings_at_gateways(tmp_path: Path) -> None:
    # Without policies: to the tracer, which has no memory, an answer is as new as the question.
    cluster = Cluster([thing for thing in small_cluster() if not isinstance(thing, Policy)])
    client = next(end for end in cluster.endpoints if end.name == "c1")
    async with northd(tmp_path) as ovn:
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        await ovn.apply(operations(cluster.compiler.desired, ovn.replica))
        async with ovn.tracer() as tracer:
            assert await cluster.does(tracer, client, cluster.networks[client.network].gateway, None, 0)
        assert ovn.errors() == []


async def test_changes_arrive_as_differences(tmp_path: Path) -> None:
    """A policy applied, changed and removed, a container moved and a network removed, each by its difference alone."""
    intent = small_cluster()
    cluster = Cluster(intent)
    compiler = cluster.compiler
    web = next(thing for thing in intent if isinstance(thing, Network) and thing.name == "web")
    client, server = endpoint(6, web, "h2", {"app": "client"}), endpoint(7, web, "h3", {"app": "server"})
    rule = Policy("web", "server", 9, PolicySpec(Selector.of({"app": "server"}), ingress=(Rule(None, tcp(80)),)))
    async with northd(tmp_path) as ovn:
        await ovn.add_chassis("chassis-1", "chassis-2", "chassis-3")
        await ovn.apply(operations(compiler.desired, ovn.replica))

        async def step(*things: Intent, gone: bool = False) -> bool:
            for thing in things:
                (compiler.remove if gone else compiler.put)(thing)
            await ovn.apply(operations(compiler.flush(), ovn.replica))
            assert operations(compiler.desired, ovn.replica) == []
            async with ovn.tracer() as tracer:
                return await cluster.does(tracer, client, server, Protocol.TCP, 80)

        deny = next(thing for thing in intent if isinstance(thing, Policy) and thing.name == "default-deny")
        assert not await step(client, server)
        assert await step(rule)
        assert not await step(Policy("web", "server", 9, PolicySpec(rule.spec.subject, ingress=(Rule(None, tcp(443)),))))
        assert not await step(rule, gone=True)
        assert await step(deny, gone=True)
        await step(*[thing for thing in intent if not isinstance(thing, Host)], client, server, gone=True)
        switches = {row["name"] for row in ovn.replica["Logical_Switch"].values()}
        assert switches == {names.HOSTS_SWITCH}
        assert {row["name"] for row in ovn.replica["Port_Group"].values()} == {names.ROUTED_GROUP}
        assert ovn.errors() == []
