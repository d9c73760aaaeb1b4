"""Open vSwitch's connections, over its control socket: which UDP streams are open, and how OVN is made to block one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import structlog

from socketplane import wire
from socketplane.agent.unixctl import ask, control_socket
from socketplane.errors import Unavailable
from socketplane.model.forwarding import Traits

_SECONDS = 30.0
_CYCLES = 1.0
"""Seconds in which it looks through all that it remembers, twice."""
_ENTRY = re.compile(
    r"^udp,orig=\(src=([0-9a-f.:]+),dst=([0-9a-f.:]+),sport=(\d+),dport=(\d+)\),reply=\([^)]*\),[^\n]*?\bzone=(\d+)([^\n]*)$",
    re.MULTILINE,
)
_MARK = re.compile(r"\bmark=(0x[0-9a-f]+|\d+)")
_TIMER = re.compile(r"\btimeout=(\d+)")
_log = structlog.get_logger()
_BLOCKED = 1  # bit of the mark: OVN's ct_mark.blocked


class Stream(NamedTuple):
    """A UDP stream as a port's zone knows it: who sent the first packet, and to whom."""

    zone: int
    source: str
    source_port: int
    destination: str
    port: int


def open_streams(table: str, zones: Collection[int]) -> dict[Stream, int]:
    """Return the UDP streams of these zones that OVN has not blocked, from what `dpctl/dump-conntrack -s` says.

    Each with the seconds that it lasts if nothing more is sent in it.
    """
    found = {}
    for entry in _ENTRY.finditer(table):
        zone = int(entry[5])
        if zone not in zones:
            continue
        mark = _MARK.search(entry[6])
        if mark is None or not int(mark[1], 0) & _BLOCKED:
            timer = _TIMER.search(entry[6])
            found[Stream(zone, entry[1], int(entry[3]), entry[2], int(entry[4]))] = int(timer[1]) if timer else 0
    return found


class Conntrack:
    """The tables of this host's Open vSwitch, and OVN's way to put a packet into it. `run` holds their run directories."""

    def __init__(self, run: Path) -> None:
        self._ovs = run / "openvswitch"
        self._ovn = run / "ovn"

    async def streams(self, traits: Traits, zones: Collection[int]) -> dict[Stream, int]:
        """Return the UDP streams that are open in these zones, and how many seconds each lasts if it is idle.

        Unavailable: Open vSwitch does not answer.
        """
        control = await self._control(self._ovs, "ovs-vswitchd")
        table = await ask(control, "dpctl/dump-conntrack", "-s", traits.instance, seconds=_SECONDS)
        return await asyncio.to_thread(open_streams, table, zones)

    async def forget(self, traits: Traits) -> None:
        """Have a datapath that mixes up flows forget what it remembers of packets seen, and do as the flows say now.

        Of two remembered flows that overlap, releases up to 3.1 at least may change the wrong one when the flows change.
        The other stays as it was for as long as packets use it: what is forbidden passes, and what is allowed does not.
        """
        if traits.mixes_up_flows:
            control = await self._control(self._ovs, "ovs-vswitchd")
            await ask(control, "revalidator/purge", seconds=_SECONDS)

    async def settled(self) -> None:
        """Return once what the datapath remembers of packets seen agrees with the flows that are installed now."""
        control = await self._control(self._ovs, "ovs-vswitchd")
        try:
            await ask(control, "revalidator/wait", seconds=_SECONDS)
        except Unavailable as error:  # it can't tell where it has datapaths of both kinds
            _log.info("revalidation.not_told", reason=str(error))
            await asyncio.sleep(_CYCLES)

    async def interrupt(self, port: str, packet: wire.Interruption) -> None:
        """Send a packet from a logical port of this host, as if it came from there. Unavailable: OVN does not do it."""
        control = await self._control(self._ovn, "ovn-controller")
        version = packet.source.version
        match = (
            f'inport == "{port}" && eth.src == {packet.source_mac} && eth.dst == {packet.destination_mac} && ip.ttl == 64'
            f" && ip{version}.src == {packet.source} && ip{version}.dst == {packet.destination}"
            f" && udp.src == {packet.source_port} && udp.dst == {packet.port}"
        )
        await ask(control, "inject-pkt", match)

    @staticmethod
    async def _control(folder: Path, daemon: str) -> Path:
        control = await asyncio.to_thread(control_socket, folder, daemon)
        if control is None:
            raise Unavailable(f"{daemon} does not run", remedy="`socketplane up` starts it")
        return control
