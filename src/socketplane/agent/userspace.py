"""What the userspace datapath has to be told, and forgets when it restarts: neighbours, and to leave fragments alone.

Without underlay neighbours the first packet to another host is lost.

Open vSwitch learns the MAC behind a tunnel's far end only from ARP answers that pass while a tunnel is open, and forgets
it after a quarter of an hour. The kernel knows better: what it resolves is told to Open vSwitch before a container asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from socketplane.agent.netlink import Netlink
from socketplane.agent.unixctl import ask, control_socket
from socketplane.agent.wake import woken
from socketplane.errors import Unavailable
from socketplane.model.forwarding import Traits

INTERVAL = 10.0
"""Seconds between two looks; less than the 15 after which a collected fragment gets through."""
RETRY = 0.5
ALARM_AFTER = 15.0
_DISCARD = 9  # a datagram to the discard port makes the kernel resolve a neighbour
_USABLE = 0x02 | 0x04 | 0x08 | 0x10 | 0x80  # reachable, stale, delay, probe, permanent
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The next hop towards a peer: the bridge that it is behind, its address and (once known) its MAC."""

    bridge: str
    address: str
    mac: str | None


class Userspace:
    """Keeps Open vSwitch's own datapath from collecting fragments, and its neighbour table filled for all peers.

    Idle on the kernel's datapath, which drops fragments that never become whole, and asks the kernel for neighbours.
    """

    def __init__(
        self,
        ovs_run: Path,
        netlink: Netlink,
        *,
        traits: Callable[[], Traits],
        peers: Callable[[], Iterable[str]],
        clock: Callable[[], float],
    ) -> None:
        self._run = ovs_run
        self._netlink = netlink
        self._traits = traits
        self._peers = peers
        self._clock = clock
        self._changed = asyncio.Event()
        self._missing: dict[str, float] = {}
        self._collects = ""

    def wake(self) -> None:
        """Look at once: the peers may have changed."""
        self._changed.set()

    @property
    def alarms(self) -> list[str]:
        """Peers that have not answered for a while, and fragments that policy doesn't judge."""
        late = [peer for peer, since in self._missing.items() if self._clock() - since > ALARM_AFTER]
        tunnels = [f"no tunnel to {peer}: it does not answer on the underlay" for peer in sorted(late)]
        return [*tunnels, *([f"fragments may get past policy: {self._collects}"] if self._collects else [])]

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await self._look()
            await woken(self._changed, RETRY if self._missing else INTERVAL)

    async def _look(self) -> None:
        traits = self._traits()
        peers = set() if traits.borrows_underlay else set(self._peers())
        self._missing = {peer: self._missing.get(peer, self._clock()) for peer in peers}
        control = await asyncio.to_thread(control_socket, self._run, "ovs-vswitchd")
        if control is None:
            self._collects = ""  # without a switch nothing passes
            return
        if not traits.refuses_fragments:
            await self._refuse_fragments(control)
        if peers:
            await self._tell(control, peers)

    async def _tell(self, control: Path, peers: Collection[str]) -> None:
        try:
            known = _addresses(await ask(control, "tnl/neigh/show"))
            for peer in peers:
                if await self._resolve(control, peer, known):
                    del self._missing[peer]
        except Unavailable as error:
            _log.info("tunnels.waiting", reason=str(error))

    async def _refuse_fragments(self, control: Path) -> None:
        try:
            for version in ("v4", "v6"):
                await ask(control, "dpctl/ipf-set-disabled", version)
            self._collects = ""
        except Unavailable as error:
            self._collects = str(error)
            _log.warning("fragments.collected", reason=str(error))

    async def _resolve(self, control: Path, peer: str, known: set[str]) -> bool:
        neighbour = await self._netlink.call(lambda ipr: next_hop(ipr, peer))
        if neighbour is None:
            return False
        if neighbour.address in known:
            return True
        if neighbour.mac is None:
            _provoke(peer)
            return False
        await ask(control, "tnl/neigh/set", neighbour.bridge, neighbour.address, neighbour.mac)
        _log.info("tunnel.neighbour", peer=peer, via=neighbour.address, bridge=neighbour.bridge)
        return True


def next_hop(ipr: IPRoute, peer: str) -> Neighbour | None:
    """Return how the kernel gets to a peer; None where it has no route."""
    try:
        (route,) = ipr.route("get", dst=peer)
    except NetlinkError:
        return None
    address = route.get("gateway") or peer
    index = route.get("oif")
    bridge = ipr.link("get", index=index)[0].get("ifname")
    for entry in ipr.get_neighbours(dst=address, ifindex=index):
        if entry.get("lladdr") and entry["state"] & _USABLE:
            return Neighbour(bridge, address, entry.get("lladdr"))
    return Neighbour(bridge, address, None)


def _addresses(table: str) -> set[str]:
    """Return the addresses of `tnl/neigh/show`: a line each, after a heading."""
    return {line.split()[0] for line in table.splitlines()[2:] if line.strip()}


def _provoke(peer: str) -> None:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        probe.sendto(b"", (peer, _DISCARD))
