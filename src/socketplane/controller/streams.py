"""Open UDP streams that policy forbids now.

OVN judges every packet of a connection's first direction, so that a change of policy stops what the first sender
sends, and answers with it. Where only the other end sends, nothing is judged any more, and the stream goes on for ever.
One packet in the first direction ends it: OVN drops that and marks the connection as blocked, both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.controller.ruleset import Ruleset
from socketplane.errors import Conflict
from socketplane.model.behind import addresses, behind, holder, let_in, way_in
from socketplane.model.floating import Floating
from socketplane.model.selection import is_on, labels_of, subject_of
from socketplane.model.spec import Direction, Policy, Protocol
from socketplane.model.types import Address, Endpoint, Host, Network, mac_of
from socketplane.model.verdict import Party, Verdict, View, verdict

_ANY = ("", "")
INTERRUPTIONS = 1000
"""At most, in answer to one request: who asks again finds the rest."""


@dataclass(slots=True)
class Found:
    """Which streams are forbidden, by their place; and what to do about them, by the host that can."""

    forbidden: list[int] = field(default_factory=list)
    by_host: dict[str, tuple[list[int], list[wire.Interruption]]] = field(default_factory=dict)
    """Places and interruptions."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A stream, its ends, and the host that can send a packet in its direction.

    One from outside came through the port of the destination's own host.
    """

    place: int
    stream: wire.Streams
    source: Party
    destination: Party
    host: str


def check_revision(ruleset: Ruleset, revision: str) -> None:
    """Refuse to judge by other rules than those that the host has installed: it would not drop what is to be dropped."""
    if revision != ruleset.current:
        raise Conflict("the rules have changed", field="revision", remedy="ask again when the new ones are installed")


def prepare(intent: Intent, host: str, streams: Sequence[wire.Streams]) -> Callable[[], Found]:
    """Return what judges streams, on a copy of what that needs, so that it may run in a thread.

    Streams whose end of their side is not on `host` are left alone, as are those whose source nobody can speak for.
    """
    cases = [case for place, stream in enumerate(streams) if (case := _case(intent, host, place, stream)) is not None]
    ports = {case.stream.port for case in cases}
    publishers = {end.id: end for port in ports for end in intent.publishing(Protocol.UDP, port)}
    floating = list(_floating(intent, cases))
    publishers |= {key: intent.endpoints[key] for each in floating if (key := each.holder) in intent.endpoints}
    judge = _Judge(intent, list(publishers.values()), floating)
    return lambda: _find(judge, cases)


def _case(intent: Intent, host: str, place: int, stream: wire.Streams) -> _Case | None:
    source, destination = _party(intent, stream.source), _party(intent, stream.destination)
    if isinstance(destination, Host):
        destination = stream.destination  # it may be published at this of the host's addresses, or not
    end = source if stream.side == "egress" else destination
    if not isinstance(end, Endpoint) or end.host != host:
        return None
    if isinstance(source, Endpoint | Host):
        return _Case(place, stream, source, destination, source.host if isinstance(source, Endpoint) else source.name)
    cluster = intent.cluster.cluster
    inside = any(source in block for block in (cluster.pool, cluster.pool6, cluster.hosts, cluster.hosts6))
    network = intent.networks.get(end.network)
    if inside or network is None or _way_in(intent, network, end, stream) is None:
        return None
    return _Case(place, stream, source, destination, host)


def _way_in(intent: Intent, network: Network, end: Endpoint, stream: wire.Streams) -> str | None:
    return way_in(network, end, Protocol.UDP, stream.port, _held(intent, end), stream.destination.version)


def _floating(intent: Intent, cases: Sequence[_Case]) -> Iterator[Floating]:
    """Yield the floating addresses that streams go to, or may have come by."""
    for end in {case.stream.destination: case.destination for case in cases}.values():
        if isinstance(end, Endpoint):
            yield from (intent.floating[address] for address in _held(intent, end))
        elif not isinstance(end, Host) and end in intent.floating:
            yield intent.floating[end]


def _held(intent: Intent, end: Endpoint) -> Collection[Address]:
    return intent.floating_of_holder.get(end.id, {})


def _party(intent: Intent, address: Address) -> Party:
    return next(iter(intent.at(address)), address)


def _find(judge: _Judge, cases: Sequence[_Case]) -> Found:
    found, left = Found(), INTERRUPTIONS
    for case in cases:
        if judge.forbids(case):
            found.forbidden.append(case.place)
            ports = case.stream.source_ports[:left]
            left -= len(ports)
            if ports:
                places, interruptions = found.by_host.setdefault(case.host, ([], []))
                places.append(case.place)
                interruptions.extend(judge.interruptions(case, ports))
    return found


class _Judge:
    """Judges by the rules as they were when it was made; each pair and port once."""

    def __init__(self, intent: Intent, publishers: Sequence[Endpoint], floating: Sequence[Floating]) -> None:
        """`publishers` are who may answer at the ports that are asked about, or at the addresses in `floating`."""
        self._cluster = intent.cluster.cluster
        self._networks = dict(intent.networks)
        self._hosts = dict(intent.hosts)
        self._publishers = publishers
        self._floating = floating
        self._wanting: dict[tuple[str, str, str], list[Policy]] = {}
        """Policies by network and one label that their subjects need; those without one under empty names."""
        for policy in intent.policies.values():
            pair = next(iter(subject_of(policy).endpoints.match_labels), _ANY)
            self._wanting.setdefault((policy.network, *pair), []).append(policy)
        self._of_end: dict[str, list[Policy]] = {}
        self._known: dict[tuple[Address, Address, int], Verdict] = {}

    def forbids(self, case: _Case) -> bool:
        """Return whether a stream is denied at the end that was told of."""
        stream = case.stream
        key = (stream.source, stream.destination, stream.port)
        if key not in self._known:
            bare = self._view(())
            published = behind(bare, case.destination, Protocol.UDP, stream.port)
            answering = holder(bare, case.destination) or (published[0] if published else None)
            ends = (case.source, answering or case.destination)
            view = self._view(self._about(*ends))
            self._known[key] = verdict(
                view, case.source, case.destination, Protocol.UDP, stream.port, version=stream.source.version
            )
        found = self._known[key]
        return not found.allow and (found.direction == Direction.EGRESS) is (stream.side == "egress")

    def _view(self, policies: Sequence[Policy]) -> View:
        return View(self._cluster, self._networks, policies, self._publishers, self._hosts.values(), self._floating)

    def _about(self, *parties: Party) -> list[Policy]:
        """Return the policies that matter to these ends: of a thousand, few do."""
        found = [policy for party in parties if isinstance(party, Endpoint) for policy in self._about_end(party)]
        return list({(policy.network, policy.name): policy for policy in found}.values())

    def _about_end(self, end: Endpoint) -> list[Policy]:
        if end.id not in self._of_end:
            self._of_end[end.id] = list(self._find_about(end))
        return self._of_end[end.id]

    def _find_about(self, end: Endpoint) -> Iterator[Policy]:
        network = self._network(end.network)
        names = {"", (network and network.name) or ""}
        if not end.known:  # any policy of its network may cut it off
            yield from (each for (name, *_), policies in self._wanting.items() if name in names for each in policies)
            return
        view = View(self._cluster, self._networks, ())
        labels = labels_of(view, end)
        for name in names:
            for pair in (_ANY, *labels.items()):
                for policy in self._wanting.get((name, *pair), ()):
                    subject = subject_of(policy)
                    if is_on(view, subject, policy.network, end) and subject.endpoints.matches(labels):
                        yield policy

    def interruptions(self, case: _Case, ports: Sequence[int]) -> Iterator[wire.Interruption]:
        """Yield the packets that end streams."""
        source, stream = case.source, case.stream
        for port in ports:
            for destination, number, party in self._targets(case):
                yield wire.Interruption(
                    endpoint=source.id if isinstance(source, Endpoint) else "",
                    source=stream.source,
                    source_port=port,
                    source_mac=source.mac if isinstance(source, Endpoint) else mac_of(self._hosts[case.host].gateway),
                    destination=destination,
                    port=number,
                    destination_mac=self._next_hop(source, party),
                )

    def _targets(self, case: _Case) -> Iterator[tuple[Address, int, Party]]:
        """Yield where the first packet may have been sent: a container's may have come by a published port of the other.

        To its own tracking that is another connection, which leads to the same one here.
        """
        yield case.stream.destination, case.stream.port, case.destination
        source, destination = case.source, case.destination
        if not isinstance(source, Endpoint) or not isinstance(destination, Endpoint) or case.stream.side == "egress":
            return
        for each in self._floating:
            if each.holder == destination.id and each.address.version == case.stream.destination.version:
                yield each.address, case.stream.port, each.address
        if (host := self._hosts.get(destination.host)) is not None:
            for published in let_in(destination, Protocol.UDP, case.stream.port, case.stream.destination.version):
                for address in addresses(host, published):
                    yield address, published.host_port, address

    def _next_hop(self, source: Party, destination: Party) -> str:
        """Return the MAC that a packet is sent to: the destination's on the same network, else the router's."""
        if not isinstance(source, Endpoint):
            return mac_of(self._cluster.hosts[1])
        if isinstance(destination, Endpoint) and destination.network == source.network:
            return destination.mac
        network = self._network(source.network)
        return mac_of(network.gateway if network else source.address)

    def _network(self, key: UUID) -> Network | None:
        return self._networks.get(key)
