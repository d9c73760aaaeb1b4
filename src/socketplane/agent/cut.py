"""Ends UDP streams that a change of policy forbids, when nobody but their second end sends: OVN does not look at those.

After every change, once OVN has installed it here, the controller is asked about the streams that are open at this
host's containers. Of those that it forbids, the host where the first packet came from is told to send one more: OVN
drops that, and blocks the connection. The streams are looked at again until none is left, so that nothing is lost with
an agent that was down. TCP's acknowledgements do the same for TCP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import structlog

from socketplane import wire
from socketplane.agent import hostport
from socketplane.agent.conntrack import Stream
from socketplane.agent.link import Link
from socketplane.agent.pursuit import AT_ONCE, Pursuit
from socketplane.agent.state import State
from socketplane.agent.wake import woken
from socketplane.errors import Conflict, SocketPlaneError
from socketplane.model.forwarding import Traits

_SOON, _AT_LAST = 0.2, 5.0
"""Seconds until streams that should end are looked at again: twice as many each time, up to the second."""
_STALE = 30.0
_REST = 4.0
"""How many times as long as a look took comes before the next one: without a kernel's help, ovs-vswitchd forwards nothing
while it writes down a table."""
_log = structlog.get_logger()


class Ports(Protocol):
    """What is needed of `switch.Switch`."""

    def zones(self) -> Mapping[int, str]:
        """Return the zones of this host's logical ports, and whose they are."""

    async def reached(self, sequence: int) -> None:
        """Return once the flows of that sequence number are installed."""


class Connections(Protocol):
    """What is needed of `conntrack.Conntrack`."""

    async def streams(self, traits: Traits, zones: Collection[int]) -> Mapping[Stream, int]:
        """Return the UDP streams that are open in these zones, and how many seconds each lasts if it is idle."""

    async def forget(self, traits: Traits) -> None:
        """Have the datapath remember nothing of earlier flows, if it may do so wrongly."""

    async def settled(self) -> None:
        """Return once no packet is handled by flows of earlier."""

    async def interrupt(self, port: str, packet: wire.Interruption) -> None:
        """Send a packet from a logical port."""


class _Kind(NamedTuple):
    """What streams have in common that are judged alike."""

    source: str
    destination: str
    port: int
    side: Literal["egress", "ingress"]

    def streams(self, ports: Sequence[int] = ()) -> wire.Streams:
        """Return them as the controller is asked about them."""
        return wire.Streams.model_validate({**self._asdict(), "source_ports": ports})


class _Stream(NamedTuple):
    kind: _Kind
    source_port: int


class Cutter:
    """Looks for forbidden streams after every change of the rules (`run`), and ends those that begin here (`serve`)."""

    def __init__(
        self, state: State, link: Link, ports: Ports, connections: Connections, *, traits: Callable[[], Traits]
    ) -> None:
        self._state = state
        self._link = link
        self._ports = ports
        self._connections = connections
        self._traits = traits
        self._changed = asyncio.Event()
        self._go_on = 0
        self._took = 0.0
        self._asked: asyncio.Queue[wire.Interruption] = asyncio.Queue(AT_ONCE)
        link.on_rules(self._changed.set)
        link.on_interruptions(self._take)

    @property
    def alarms(self) -> list[str]:
        """Streams that don't end."""
        if not self._go_on:
            return []
        return [f"UDP streams that policy forbids go on ({self._go_on}): no agent is heard on the hosts where they begin"]

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
        await self._connections.forget(self._traits())
        _log.info("rules.installed", rules=rules.revision, sequence=rules.sequence)
        pursuit: Pursuit[_Stream] = Pursuit()
        judged: dict[_Kind, bool] = {}
        try:
            await self._look(rules, pursuit, judged)
            await self._connections.settled()  # until now a packet may have opened a stream by what the rules were before
            pause = _SOON
            while left := await self._look(rules, pursuit, judged):
                await woken(self._changed, max(pause, _REST * self._took))
                if self._link.rules != rules:
                    return
                pause = _SOON if left > AT_ONCE else min(2 * pause, _AT_LAST)
                self._go_on = pursuit.unheard if pause == _AT_LAST else 0
        except Conflict:  # the controller has newer rules already, and will tell
            await woken(self._changed, _STALE)
            return
        finally:
            self._go_on = 0
        self._state.rules = _name_of(rules)
        self._state.changed()

    async def _look(self, rules: wire.Rules, pursuit: Pursuit[_Stream], judged: dict[_Kind, bool]) -> int:
        """Have forbidden streams interrupted; return how many are left to look after.

        `judged` holds which kinds are forbidden, as far as is known, and is added to.
        """
        streams = await self._streams()
        await self._judge(rules, sorted({stream.kind for stream in streams} - judged.keys()), judged)
        forbidden = {stream: end for stream, end in streams.items() if judged[stream.kind]}
        now = time.monotonic()
        chosen = await asyncio.to_thread(pursuit.choose, forbidden, now)
        interrupted = await self._interrupt(rules, chosen, judged) if chosen else []
        pursuit.note(chosen, interrupted, now)
        if chosen:
            _log.info("streams.forbidden", open=len(forbidden), interrupted=len(interrupted), rules=rules.revision)
        return len(pursuit.left(forbidden, now))

    async def _streams(self) -> dict[_Stream, float]:
        """Return the streams that are open at this host's containers, and when each ends if it is idle."""
        addresses = {f"sp-{each.id}": {*map(str, each.addresses)} for each in self._state.endpoints.values()}
        zones = {zone: addresses[port] for zone, port in self._ports.zones().items() if port in addresses}
        if not zones:
            return {}
        now = time.monotonic()
        found = await self._connections.streams(self._traits(), zones)
        self._took = time.monotonic() - now
        return await asyncio.to_thread(_placed, found, zones, now)  # there may be very many

    async def _judge(self, rules: wire.Rules, kinds: Sequence[_Kind], judged: dict[_Kind, bool]) -> None:
        """Find out which kinds must not go on."""
        for start in range(0, len(kinds), AT_ONCE):
            asked = kinds[start : start + AT_ONCE]
            answer = await self._ask(rules, [kind.streams() for kind in asked])
            judged.update(dict.fromkeys(asked, False))
            judged.update({asked[place]: True for place in answer.forbidden})

    async def _interrupt(self, rules: wire.Rules, streams: Sequence[_Stream], judged: dict[_Kind, bool]) -> list[_Stream]:
        """Have streams interrupted by the hosts where they begin; return those of which a host could be told."""
        ports: dict[_Kind, list[int]] = {}
        for stream in streams:
            ports.setdefault(stream.kind, []).append(stream.source_port)
        kinds = list(ports)
        answer = await self._ask(rules, [kind.streams(ports[kind]) for kind in kinds])
        judged.update({kind: place in answer.forbidden for place, kind in enumerate(kinds)})  # a source may be gone
        unheard = {kinds[place] for place in answer.unheard}
        return [stream for stream in streams if stream.kind not in unheard]

    async def _ask(self, rules: wire.Rules, streams: list[wire.Streams]) -> wire.StreamsForbidden:
        """Ask the controller about streams; ports in them are interrupted, where that is forbidden."""
        body = wire.StreamCheck(revision=rules.revision, streams=streams)
        answer = await self._link.call("POST", f"/v1/hosts/{self._link.host}/streams", body, patience=0)
        return wire.StreamsForbidden.model_validate(answer)

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
        """Return the port that a packet is to come from; None where its source is not here (any more).

        What came from outside entered by this host's own port, as what the host itself sends.
        """
        if packet.endpoint:
            record = self._state.endpoints.get(packet.endpoint)
            return f"sp-{record.id}" if record is not None and packet.source in record.addresses else None
        others = {host.gateway for name, host in self._link.hosts.items() if name != self._link.host}
        known = self._link.host in self._link.hosts
        return f"{hostport.NAME}-{self._link.host}" if known and packet.source not in others else None


def _placed(streams: Mapping[Stream, int], zones: Mapping[int, set[str]], now: float) -> dict[_Stream, float]:
    """Return streams with the end of them that is here, by the addresses of zones, and when each ends if it is idle."""
    return {
        _Stream(
            _Kind(each.source, each.destination, each.port, "egress" if each.source in zones[each.zone] else "ingress"),
            each.source_port,
        ): now + timer
        for each, timer in streams.items()
    }


def _name_of(rules: wire.Rules) -> str:
    """Return what tells these rules from all others, and from the same ones after others in between."""
    return f"{rules.revision}@{rules.sequence}"
