"""Generated policies on real engines, real packets among their containers, and what the verdict says of each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from uuid import UUID

from socketplane.agent import attempt
from socketplane.lab import probe
from socketplane.lab.images import IMAGE
from socketplane.lab.machine import Machine
from socketplane.model.selection import address_of
from socketplane.model.spec import Block, ClusterSpec, Policy, PolicySpec, Protocol, Rule, Selector
from socketplane.model.types import Cluster, Endpoint, Host
from socketplane.model.verdict import Party, Verdict, View, verdict
from socketplane.transport.client import ControllerClient
from support.random_cluster import Draw, expressible
from support.rendered import document_of
from support.told import endpoint, host, network
from support.world import World

NETWORKS = {"web": ("--label", "zone=a", "--ipv6"), "data": ("--label", "zone=b", "--ipv6"), "lab": ("--internal",)}
PLACES = (
    ("c1", 0, "web", {"app": "a", "tier": "a"}),
    ("c2", 1, "web", {"app": "a", "tier": "b"}),
    ("c3", 0, "web", {"app": "b", "tier": "a"}),
    ("c4", 1, "web", {"app": "b"}),
    ("c5", 0, "data", {"app": "a", "tier": "a"}),
    ("c6", 1, "data", {"app": "a", "tier": "b"}),
    ("c7", 1, "data", {"app": "b", "tier": "b"}),
    ("c8", 0, "lab", {"app": "a"}),
    ("c9", 1, "lab", {"tier": "a"}),
)
"""Containers: name, host, network, labels."""
PUBLISHING = {"c1": 80, "c2": 443, "c3": 8080, "c6": 81, "c7": 80}
"""Ports that are published, by TCP and UDP, at a port of the host for each container."""
BRIDGED = "bridged"
"""A container on docker0 of each host."""
PORTS = (22, 53, 80, 81, 82, 443, 8080, 49, 50, 100, 101, 8081, 1023, 1024, 49151, 49152, 1, 65535)
"""Those that policies name, and the edges of their ranges."""
BLOCKS = (
    ("0.0.0.0/0", ("198.18.0.128/25", "10.0.0.0/8")),
    ("198.18.0.0/24", ("198.18.0.254/32",)),
    ("198.18.0.252/30", ()),
    ("169.254.192.0/20", ("169.254.192.2/32",)),
    ("169.254.192.3/32", ()),
    ("10.192.0.0/16", ("10.192.0.0/22",)),
    ("198.19.0.0/24", ("198.19.0.2/32",)),
    ("172.17.0.0/16", ()),
    ("::/0", ()),
    ("2001:db8::/32", ()),
)
"""The fabric stands for the world outside: 198.18.0.254."""
OFFERED = 1500
"""Connections under each set of policies among which those to try are chosen."""
WAIT, WAIT_AGAIN = 0.7, 4.0
"""Seconds after which silence is an outcome; and again for what should be reached, on a machine that is busy."""
INSTALLED = """
until grep -q 'event=rules.installed rules={revision} sequence={sequence}$' /var/log/socketplane/agent.log
do sleep 0.05; done
ovs-appctl revalidator/wait
"""
"""Ends when a host's agent has found the rules installed, and no packet is handled by older ones."""
_SILENT = ("timeout", "unreachable")
_SCRIPT = str(Path(attempt.__file__).resolve())
NO_LIMITS = ("net.ipv4.icmp_ratemask=0", "net.ipv6.icmp.ratelimit=0")
USUAL_LIMITS = ("net.ipv4.icmp_ratemask=6168", "net.ipv6.icmp.ratelimit=1000")
"""So that every datagram to a closed port is answered, and not some a second."""


@dataclass(frozen=True)
class Client:
    """Who is not the cluster's: the machine outside, or a container on docker0; with the address that is seen of it."""

    name: str
    machine: str
    address: IPv4Address
    container: str = ""


@dataclass(frozen=True)
class Case:
    """A connection, and what policy says of it."""

    source: Endpoint | Host | Client
    destination: Party
    protocol: Protocol | None
    port: int | None
    version: int
    said: Verdict
    kind: str
    """What decides, and how: IPv4 Admin ingress deny, IPv6 isolation deny."""
    at: str = ""
    """The host's address that is published at, where it isn't the destination's own."""

    @property
    def key(self) -> tuple[str, attempt.Target]:
        """What tells it from others."""
        return self.source.name, self.target

    def __str__(self) -> str:
        return f"{self.source.name} -> {'/'.join(map(str, self.target))}: {self.kind}: {'; '.join(self.said.steps)}"

    @property
    def target(self) -> attempt.Target:
        address = address_of(self.destination, self.version)
        return (self.protocol.value if self.protocol else "icmp", self.at or str(address), self.port or 0)


class Site:
    """Containers on two hosts, and policies that change."""

    def __init__(self, world: World, admin: ControllerClient) -> None:
        self._machines: dict[str, Machine] = {host.name: host.machine for host in world.hosts}
        self._fabric = world.lab.fabric
        self._clients: list[Client] = []
        self._outside = IPv4Address(world.lab.fabric.management)
        self.admin = admin
        self.view: View

    async def look(self) -> None:
        """Take in what there is, but for policies."""
        networks, endpoints, hosts = [
            (await self.admin.call("GET", f"/v1/{kind}"))["items"] for kind in ("networks", "endpoints", "hosts")
        ]
        status = await self.admin.call("GET", "/v1/status")
        self.view = View(
            Cluster(UUID(status["cluster"]), IPv4Network(status["pool"])),
            {network.id: network for network in map(network, networks)},
            (),
            [endpoint(each) for each in endpoints],
            [host(each) for each in hosts],
        )

    async def look_at_clients(self) -> None:
        """Take in who is not the cluster's."""
        self._clients = [Client("fabric", "fabric", self._outside)]
        template = "{{.NetworkSettings.IPAddress}}"
        for name in {each.host for each in self.view.endpoints}:
            told = await self._machines[name].run("docker", "inspect", "-f", template, BRIDGED)
            self._clients.append(Client(f"{BRIDGED} on {name}", name, IPv4Address(told.out.strip()), BRIDGED))

    async def enforce(self, policies: Sequence[Policy]) -> None:
        """Have these policies and no others, and return when they are installed on every host."""
        listed = (await self.admin.call("GET", "/v1/policies"))["items"]
        wanted = {(policy.network, policy.name) for policy in policies}
        for each in listed:
            if (each["network"], each["name"]) not in wanted:
                await self.admin.call("DELETE", f"/v1/policies/{each['network'] or '-'}/{each['name']}")
        if policies:
            await self.admin.call("POST", "/v1/policies", {"documents": [document_of(policy) for policy in policies]})
        numbers = {
            (each["network"], each["name"]): each["number"]
            for each in (await self.admin.call("GET", "/v1/policies"))["items"]
        }
        self.view = replace(
            self.view, policies=[replace(each, number=numbers[each.network, each.name]) for each in policies]
        )
        await self._installed()

    async def _installed(self) -> None:
        async with contextlib.aclosing(self.admin.watch()) as changes:
            rules = (await anext(changes)).rules
        assert rules is not None

        script = INSTALLED.format(sequence=rules.sequence, revision=rules.revision)
        await asyncio.gather(*(machine.run("sh", "-c", script, timeout=30.0) for machine in self._machines.values()))

    def cases(self, draw: Draw, count: int, kinds: Counter[str]) -> list[Case]:
        """Return connections between containers, and from and to hosts, gateways and the outside.

        Of those that chance offers they are the ones whose kinds `kinds` counts least, so that all kinds are tried.
        """
        offered: defaultdict[str, dict[object, Case]] = defaultdict(dict)
        for _ in range(OFFERED):
            case = self._published(draw) if draw.chance(0.3) else self._case(draw, *self._pair(draw))
            offered[case.kind][case.key] = case
        found: list[Case] = []
        while offered and len(found) < count:
            rarest = min(offered, key=lambda kind: kinds[kind])
            _, case = offered[rarest].popitem()
            if not offered[rarest]:
                del offered[rarest]
            found.append(case)
            kinds.update([case.kind, *(["audit"] if case.said.would_deny else [])])
        return found

    def _pair(self, draw: Draw) -> tuple[Endpoint | Host, Party]:
        view = self.view
        end: Endpoint = draw.choice(view.endpoints)
        if draw.chance(0.1):
            return draw.choice(view.hosts), end
        if draw.chance(0.15):
            gateways = [network.gateway for network in view.networks.values()]
            return end, draw.choice([*[self._outside] * 3, *view.hosts, *gateways])
        return end, draw.choice([each for each in view.endpoints if each.id != end.id])

    def _published(self, draw: Draw) -> Case:
        """Return a connection to a published port: of anybody, by an address of the host that the client can reach."""
        view = self.view
        end = draw.choice([each for each in view.endpoints if each.published])
        source: Endpoint | Host | Client = draw.choice([draw.choice(self._clients), *view.endpoints, *view.hosts])
        # That nobody listens on a port of UDP is told by ICMP, which a container that comes to itself does not get.
        fitting = [each for each in end.published if source != end or each.protocol is Protocol.TCP]
        published = draw.choice([each for each in fitting if each.address.version == 4])  # the lab's LAN has IPv4
        owner = next(host for host in view.hosts if host.name == end.host)
        machine = self._machines[end.host]
        party: Party = source if not isinstance(source, Client) else self._seen(source, end)
        at = str(draw.choice([machine.underlay, owner.gateway]) if isinstance(source, Endpoint) else machine.management)
        if isinstance(source, Host) and source.name != end.host:
            at = str(machine.underlay)  # whence it comes by the underlay
        said = verdict(view, party, owner, published.protocol, published.host_port)
        who = "outside" if isinstance(source, Client) else type(source).__name__.lower()
        return Case(
            source, owner, published.protocol, published.host_port, 4, said, self._kind(said, f"published to {who}"), at
        )

    def _seen(self, client: Client, end: Endpoint) -> IPv4Address:
        """Return as whom a client comes: what other hosts have on docker0 comes with the host's own address."""
        if not client.container or client.machine == end.host:
            return client.address
        return self._machines[client.machine].management

    def _kind(self, said: Verdict, what: str) -> str:
        spec = next((policy.spec for policy in self.view.policies if said.policy and policy.title == said.policy), None)
        by = f"{spec.tier if isinstance(spec, ClusterSpec) else 'NetworkPolicy'} " if spec else ""
        return f"{what} {by}{said.direction} {'allow' if said.allow else 'deny'}"

    def _case(self, draw: Draw, source: Endpoint | Host, destination: Party) -> Case:
        protocol = draw.choice([Protocol.TCP, Protocol.TCP, Protocol.UDP, None])
        if any(network.gateway == destination for network in self.view.networks.values()):
            protocol = None  # the router refuses all else, and that is no different from a host where nobody listens
        port = draw.choice(PORTS) if protocol else None
        both = all(address_of(end, 6) is not None for end in (source, destination))
        version = 6 if both and draw.chance(0.4) else 4
        said = verdict(self.view, source, destination, protocol, port, version=version)
        return Case(source, destination, protocol, port, version, said, self._kind(said, f"IPv{version}"))

    async def wrong(self, cases: Collection[Case]) -> list[tuple[Case, str]]:
        """Try connections; return those that go otherwise than the verdict says, with their outcome.

        What should be reached and is not is tried once more, with patience.
        """
        first = [(case, outcome) for case, outcome in await self._try(cases, WAIT) if self._differs(case, outcome)]
        again = [case for case, _ in first if case.said.allow]
        late = [(case, outcome) for case, outcome in await self._try(again, WAIT_AGAIN) if self._differs(case, outcome)]
        return [(case, outcome) for case, outcome in first if not case.said.allow] + late

    def _differs(self, case: Case, outcome: str) -> bool:
        """Return whether it went otherwise. What leaves an internal network is refused at once, by its host."""
        silent = _SILENT
        if isinstance(case.source, Endpoint) and self.view.networks[case.source.network].internal:
            there = isinstance(case.destination, Endpoint) and case.destination.network == case.source.network
            silent = _SILENT if there else (*_SILENT, attempt.REFUSED)
        return (outcome not in silent) is not case.said.allow

    async def _try(self, cases: Collection[Case], wait: float) -> list[tuple[Case, str]]:
        by_source: dict[str, list[Case]] = {}
        for case in cases:
            by_source.setdefault(case.source.name, []).append(case)
        found = await asyncio.gather(*(self._from(some[0].source, some, wait) for some in by_source.values()))
        return [pair for some in found for pair in some]

    async def _from(self, source: Endpoint | Host | Client, cases: Sequence[Case], wait: float) -> list[tuple[Case, str]]:
        request = json.dumps({"wait": wait, "targets": [case.target for case in cases]})
        script = (sys.executable, "-I", "-S", _SCRIPT)
        if isinstance(source, Host) or (isinstance(source, Client) and not source.container):
            machine = self._machines.get(source.name, self._fabric)
            answer = (await machine.run(*script, stdin=request)).out
        else:
            name, where = (source.name, source.host) if isinstance(source, Endpoint) else (source.container, source.machine)
            container = probe.Container(self._machines[where], name, str(source.address))
            answer = await probe.run(container, *script, stdin=request)
        return list(zip(cases, json.loads(answer), strict=True))


@asynccontextmanager
async def site(world: World) -> AsyncIterator[Site]:
    """Start the containers, and end with no policy."""
    hosts = world.hosts[:2]
    for name, options in NETWORKS.items():
        await world.network(name, *options)
    machines = [world.lab.fabric, *(host.machine for host in world.hosts)]

    limits = [part for each in NO_LIMITS for part in ("--sysctl", each)]

    async def start(number: int) -> None:
        for name, place, on, labels in PLACES:
            if place == number:
                given = [part for pair in labels.items() for part in ("--label", "=".join(pair))]
                if name in PUBLISHING:
                    port = f"{21000 + int(name[1:])}:{PUBLISHING[name]}"
                    given += ["-p", port, "-p", f"{port}/udp"]
                await hosts[number].run(name, on, *limits, *given)
        await hosts[number].docker("run", "-d", "--name", BRIDGED, IMAGE, "sleep", "600")

    await asyncio.gather(start(0), start(1))
    async with ControllerClient(world.first.machine.path("/run/socketplane/controller.sock")) as admin:
        made = Site(world, admin)
        await made.look()
        await made.look_at_clients()
        await asyncio.gather(*(machine.run("sysctl", "-qw", *NO_LIMITS) for machine in machines))
        try:
            yield made
        finally:
            await made.enforce([])
            await asyncio.gather(*(machine.run("sysctl", "-qw", *USUAL_LIMITS) for machine in machines))


def policies_of(seed: int) -> list[Policy]:
    """Return generated policies of all kinds that any OVN has."""
    draw = Draw(seed, BLOCKS)
    found = [draw.policy(number) for number in range(1, draw.between(3, 9))]
    found = [each for each in found if _is_about_something(each)]
    if seed % 3 == 0:  # chance hardly ever lets in who is outside
        lan = Rule((Block(IPv4Network("198.18.0.0/24")), Block(IPv4Network("172.17.0.0/16"))))
        found.append(Policy("web", "lan", len(found) + 20, PolicySpec(Selector.of({"app": "a"}), (lan,))))
    return expressible(found)


def _is_about_something(policy: Policy) -> bool:
    spec = policy.spec
    return not isinstance(spec, PolicySpec) or spec.ingress is not None or spec.egress is not None
