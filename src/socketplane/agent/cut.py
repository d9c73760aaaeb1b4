"""Ends UDP streams that a change of policy forbids, when nobody but their second end sends: OVN does not look at those.

After every change, once OVN has installed it here, the controller is asked about the streams that are open at this
host's containers. Of those that it forbids, the host where the first packet came from is told to send one more: OVN
drops that, and blocks the connection. The streams are looked at again until none is left, so that nothing is lost with
an agent that was down. TCP's acknowledgements do the same for TCP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Protocol

import structlog

from socketplane import wire
from socketplane.agent import hostport
from socketplane.agent.conntrack import Stream
from socketplane.agent.link import Link
from socketplane.agent.plumbing import Kind
from socketplane.agent.state import State
from socketplane.agent.wake import woken
from socketplane.errors import Conflict, SocketPlaneError

_AT_ONCE = 1000
"""Streams in one question."""
_SOON, _AT_LAST = 0.2, 30.0
"""Seconds until streams that should end are looked at again: twice as many each time, up to the second."""
_ALARM = 10.0
"""So long a pause makes streams that are still open an alarm: they went on for as long in all."""
_log = structlog.get_logger()


class Ports(Protocol):
    """What is needed of `switch.Switch`."""

    def zones(self) -> Mapping[int, str]:
        """Return the zones of this host's logical ports, and whose they are."""

    async def reached(self, sequence: int) -> None:
        """Return once the flows of that sequence number are installed."""


class Connections(Protocol):
    """What is needed of `conntrack.Conntrack`."""

    async def streams(self, kind: Kind, zones: Collection[int]) -> set[Stream]:
        """Return the UDP streams that are open in these zones."""

    async def settled(self) -> None:
        """Return once no packet is handled by flows of earlier."""

    async def interrupt(self, port: str, packet: wire.Interruption) -> None:
        """Send a packet from a logical port."""


class Cutter:
    """Looks for forbidden streams after every change of the rules (`run`), and ends those that begin here (`serve`)."""

    def __init__(
        self, state: State, link: Link, ports: Ports, connections: Connections, *, kind: Callable[[], Kind]
    ) -> None:
        self._state = state
        self._link = link
        self._ports = ports
        self._connections = connections
        self._kind = kind
        self._changed = asyncio.Event()
        self._go_on = 0
        self._asked: asyncio.Queue[wire.Interruption] = asyncio.Queue(_AT_ONCE)
        link.on_rules(self._changed.set)
        link.on_interruptions(self._take)

    @property
    def alarms(self) -> list[str]:
        """Streams that don't end."""
        if not self._go_on:
            return []
        return [
            f"UDP streams that policy forbids go on ({self._go_on}): the agent of the host where they begin does not act"
        ]

    async def run(self) -> None:
        """Look after every change, for ever; the first time, if there was one while no agent ran."""
        while True:
            rules = self._link.rules
            if rules is None or _name_of(rules) == self._state.rules:
                await self._changed.wait()
                self._changed.clear()
            else:
                await self._enforce(rules)

    async def _enforce(self, rules: wire.Rules) -> None:
        """End what these rules forbid, and note that it is done, unless there are other rules meanwhile."""
        await self._ports.reached(rules.sequence)
        try:
            await self._forbidden(rules, await self._streams())
            await self._connections.settled()  # until now a packet may have opened a stream by what the rules were before
            forbidden = await self._forbidden(rules, await self._streams())
            pause = _SOON
            while forbidden:
                await woken(self._changed, pause)
                if self._link.rules != rules:
                    return
                pause = min(2 * pause, _AT_LAST)
                self._go_on = len(forbidden) if pause > _ALARM else 0
                left = set(forbidden)
                forbidden = await self._forbidden(rules, [each for each in await self._streams() if each in left])
        except Conflict:  # the controller has newer rules already, and will tell
            await woken(self._changed, _AT_LAST)
            return
        finally:
            self._go_on = 0
        self._state.rules = _name_of(rules)
        self._state.changed()

    async def _streams(self) -> list[wire.Stream]:
        """Return the streams that are open at this host's containers, each with the end that is here."""
        addresses = {f"sp-{record.id}": str(record.address) for record in self._state.endpoints.values()}
        zones = {zone: addresses[port] for zone, port in self._ports.zones().items() if port in addresses}
        found = await self._connections.streams(self._kind(), zones) if zones else ()
        return [
            wire.Stream(
                source=IPv4Address(stream.source),
                source_port=stream.source_port,
                destination=IPv4Address(stream.destination),
                port=stream.port,
                side="egress" if stream.source == zones[stream.zone] else "ingress",
            )
            for stream in sorted(found)
        ]

    async def _forbidden(self, rules: wire.Rules, streams: Sequence[wire.Stream]) -> list[wire.Stream]:
        """Return those that must not go on. Who can end them is told so by the controller."""
        found: list[wire.Stream] = []
        for start in range(0, len(streams), _AT_ONCE):
            asked = streams[start : start + _AT_ONCE]
            body = wire.StreamCheck(revision=rules.revision, streams=list(asked))
            answer = await self._link.call("POST", f"/v1/hosts/{self._link.host}/streams", body, patience=0)
            found += [asked[place] for place in wire.StreamsForbidden.model_validate(answer).forbidden]
        if found:
            _log.info("streams.forbidden", count=len(found), rules=rules.revision)
        return found

    # Ending them

    def _take(self, interruptions: Sequence[wire.Interruption]) -> None:
        for each in interruptions:
            if not self._asked.full():  # who asked for it asks again
                self._asked.put_nowait(each)

    async def serve(self) -> None:
        """End the streams that this host is asked to end, for ever."""
        while True:
            packet = await self._asked.get()
            port = self._port_of(packet)
            if port is None:
                continue
            try:
                await self._connections.interrupt(port, packet)
            except SocketPlaneError as error:
                _log.warning("stream.goes_on", source=str(packet.source), reason=str(error))

    def _port_of(self, packet: wire.Interruption) -> str | None:
        """Return the port that a packet is to come from; None where its source is not here (any more)."""
        if packet.endpoint:
            record = self._state.endpoints.get(packet.endpoint)
            return f"sp-{record.id}" if record is not None and record.address == packet.source else None
        host = self._link.hosts.get(self._link.host)
        return f"{hostport.NAME}-{host.name}" if host is not None and host.gateway == packet.source else None


def _name_of(rules: wire.Rules) -> str:
    """Return what tells these rules from all others, and from the same ones after others in between."""
    return f"{rules.revision}@{rules.sequence}"
