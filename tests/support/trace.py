"""Packets between the ends of a generated cluster, and what OVN's own simulator says becomes of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from socketplane.compile import Compiler, Desired, Edge, Features, Intent, RowKey, names
from socketplane.compile.rows import identity
from socketplane.model.behind import behind, holder
from socketplane.model.floating import Floating
from socketplane.model.rules import rule_id
from socketplane.model.selection import address_of
from socketplane.model.services.through import backends_of, service_at
from socketplane.model.services.types import Service
from socketplane.model.spec import Policy, Protocol
from socketplane.model.types import Endpoint, Host, Network, mac_of
from socketplane.model.verdict import Party, Verdict, View, verdict
from support.intent import CLUSTER
from support.northd import Tracer

_LOG = re.compile(r"LOG: ACL name=(\S+), direction=\w+, verdict=(\w+)")
_COMMIT = re.compile(r"ct_label\.(?:label|obs_point_id) = (reg\d+)")
"""The same bits of a connection's label, as releases before and after 24.09 call them."""


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection; without a protocol, a ping."""

    source: Party
    destination: Party
    protocol: Protocol | None
    port: int
    version: int = 4

    def judged(self, view: View) -> Verdict:
        """Return the verdict of the model."""
        port = self.port if self.protocol else None
        return verdict(view, self.source, self.destination, self.protocol, port, version=self.version)

    def answered(self, view: View) -> Endpoint | None:
        """Return the container that answers at a floating address, a published port, or a service of one container."""
        if (service := service_at(view, self.destination)) is not None:
            network = next(each for each in view.networks.values() if each.name == service.network)
            return next(iter(backends_of(view, service, network)), None)
        if (held := holder(view, self.destination)) is not None:
            return held
        found = behind(view, self.destination, self.protocol, self.port, self.version)
        return found[0] if found else None


@dataclass(frozen=True)
class Seen:
    """What OVN does with a packet: whether it arrives, what is logged on the way, and the rules in its labels."""

    arrives: bool
    drops: list[str]
    audits: list[str]
    labels: list[str]


class Cluster:
    """An intent, and the way to ask both sides about packets in it."""

    def __init__(self, intent: Sequence[Intent], features: Features | None = None) -> None:
        self.networks = {thing.id: thing for thing in intent if isinstance(thing, Network)}
        self.endpoints = [thing for thing in intent if isinstance(thing, Endpoint)]
        self.hosts = [thing for thing in intent if isinstance(thing, Host)]
        self.policies = [thing for thing in intent if isinstance(thing, Policy)]
        self.floating = [thing for thing in intent if isinstance(thing, Floating)]
        self.services = [thing for thing in intent if isinstance(thing, Service)]
        known = (self.networks, self.policies, self.endpoints, self.hosts, self.floating, self.services)
        self.view = View(CLUSTER, *known)
        self.compiler = Compiler(CLUSTER, features or Features())
        for thing in intent:
            self.compiler.put(thing)
        self.compiler.flush()

    @property
    def desired(self) -> Desired:
        """What is compiled."""
        return self.compiler.desired

    def without_own_hosts(self) -> None:
        """Take out what lets a host in to its own containers.

        ovn-trace takes every port for resident, and so every host for the container's own; without, each is another.
        """
        group = identity(CLUSTER.id, "Port_Group", names.ROUTED_GROUP)
        for owner, suffix in itertools.product(self.hosts, ("", "/ip6")):
            acl = identity(CLUSTER.id, "ACL", f"own-host/{owner.name}{suffix}")
            self.desired.edges.discard(Edge("Port_Group", group, "acls", acl))
            self.desired.rows.pop(RowKey("ACL", acl), None)

    async def see(self, tracer: Tracer, packet: Packet) -> Seen:
        """Ask OVN."""
        answer = await self.trace(tracer, packet)
        logs = _LOG.findall(answer)
        return Seen(
            self._arrives(answer, packet),
            [name for name, action in logs if action == "drop"],
            [name for name, action in logs if action != "drop"],
            _labels(answer),
        )

    async def trace(self, tracer: Tracer, packet: Packet) -> str:
        """Return OVN's answer as it is."""
        version = packet.version
        switch, origin = self._origin(packet.source, packet.destination, version)
        ping = "icmp4.type == 8" if version == 4 else "icmp6.type == 128 && icmp6.code == 0"
        transport = f"{packet.protocol}.dst == {packet.port}" if packet.protocol else ping
        flow = f"{origin} && ip{version}.dst == {address_of(packet.destination, version)} && ip.ttl == 64 && {transport}"
        return await tracer.trace(switch, flow)

    def _arrives(self, answer: str, packet: Packet) -> bool:
        target = packet.answered(self.view) or packet.destination
        if any(target in network.gateways for network in self.networks.values()):
            # To the tracer, which has no memory, the router's answer is as new as the question: policies may stop it.
            return ("icmp4.type = 0" if packet.version == 4 else "icmp6.type = 129") in answer
        if isinstance(target, Endpoint):
            return f'output to "{names.endpoint_port(target)}"' in answer
        if isinstance(target, Host):
            return f'output to "{names.host_port(target.name)}"' in answer
        here = 'output to "sp0-' in answer or 'output to "sp-ask-' in answer
        return here and "arp.tpa" not in answer and "nd.target" not in answer

    def _origin(self, source: Party, destination: Party, version: int) -> tuple[str, str]:
        """Return the switch that a packet enters and the match for where it comes from."""
        if isinstance(source, IPv4Address | IPv6Address):
            assert isinstance(destination, Endpoint), "its host leads it there"
            owner = next(host for host in self.hosts if host.name == destination.host)
            switch, origin = self._origin(owner, destination, version)
            own = address_of(owner, version)
            return switch, origin.replace(f"ip{version}.src == {own}", f"ip{version}.src == {source}")
        if isinstance(source, Host):
            mac, port, switch = mac_of(source.gateway), names.host_port(source.name), names.HOSTS_SWITCH
            to = mac_of(names.router_address(CLUSTER))
        else:
            assert isinstance(source, Endpoint)
            mac, port, switch = source.mac, names.endpoint_port(source), names.switch(source.network)
            to = (
                destination.mac
                if isinstance(destination, Endpoint) and destination.network == source.network
                else mac_of(self.networks[source.network].gateway)
            )
        start = f"ip{version}.src == {address_of(source, version)}"
        origin = f'inport == "{port}" && eth.src == {mac} && eth.dst == {to} && {start}'
        return switch, origin


def _labels(answer: str) -> list[str]:
    """Return the rules that labels name, in the order in which the connection gets them at its two ends."""
    found = []
    for commit in _COMMIT.finditer(answer):
        *_, value = re.findall(rf"\b{commit[1]} = (\d+);", answer[: commit.start()])
        found.append(rule_id(int(value) >> 12, int(value) & 0xFFF))
    return found
