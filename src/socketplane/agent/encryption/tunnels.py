"""Encrypted tunnels to all other hosts: each is a peer of the WireGuard device, as the controller told of it last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog
from pyroute2.netlink.exceptions import NetlinkError

from socketplane import wire
from socketplane.agent.encryption.device import Seen
from socketplane.agent.encryption.peer import Peer
from socketplane.agent.link import Link
from socketplane.agent.state import State
from socketplane.agent.wake import woken
from socketplane.errors import SocketPlaneError

INTERVAL = 10.0
RETRY = 1.0
FIRST = 15.0
"""Seconds that a new peer has for a first answer; WireGuard asks every five."""
STALE = 200.0
"""Seconds after which keys that two hosts agreed on are too old: WireGuard makes new ones every two minutes, or three."""
_log = structlog.get_logger()


class Device(Protocol):
    """What is needed of `wireguard.WireGuard`."""

    public_key: str

    async def ensure(self) -> None:
        """Make the device, or set right what is wrong with it."""

    async def peers(self) -> Mapping[str, Seen]:
        """Return its peers by their key."""

    async def change(self, add: Collection[Peer], remove: Collection[str]) -> None:
        """Remove peers, then add or change others."""


class Tunnels:
    """Keeps the device and its peers; the state remembers these, for a start without a controller."""

    def __init__(
        self,
        state: State,
        link: Link,
        device: Device,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._link = link
        self._device = device
        self._clock = clock
        self._wall = wall
        self._wanted = asyncio.Event()
        self._seen: Mapping[str, Seen] = {}
        self._since: dict[str, float] = {}
        self._problem = ""
        link.on_change(self.wake)

    def wake(self) -> None:
        """Look at once: hosts or links may have changed."""
        self._wanted.set()

    @property
    def public_key(self) -> str:
        """This host's, for the others; empty while there is no device."""
        return self._device.public_key

    @property
    def peers(self) -> list[wire.EncryptedPeer]:
        """How it stands with each other host."""
        return [wire.EncryptedPeer(host=peer.host, handshake=self._handshake(peer)) for peer in self._state.peers]

    @property
    def alarms(self) -> list[str]:
        """What is wrong with the device, and hosts that don't answer. Of silent ones the controller tells."""
        late = [
            f"no encrypted tunnel to {peer.host}: no answer {why} from {peer.endpoint} over UDP; does a firewall drop it?"
            for peer in self._state.peers
            if (why := self._late(peer))
        ]
        return [*([f"nothing is sent to other hosts: {self._problem}"] if self._problem else []), *late]

    async def run(self) -> None:
        """Keep it so for ever."""
        while True:
            try:
                await self.look()
                self._problem = ""
            except (SocketPlaneError, NetlinkError, OSError) as error:
                if str(error) != self._problem:
                    self._problem = str(error)
                    _log.warning("encryption.waits", reason=self._problem)
            await woken(self._wanted, RETRY if self._problem or self._meeting() else INTERVAL)

    async def look(self) -> None:
        """Have the device, and as its peers the hosts that the controller told of, and no others."""
        await self._device.ensure()
        present = await self._device.peers()
        wanted = self._hosts() if self._link.synced else self._state.peers
        keys = {peer.key for peer in wanted}
        add = [peer for peer in wanted if self._differs(peer, present.get(peer.key))]
        remove = [key for key in present if key not in keys]
        if add or remove:
            await self._device.change(add, remove)
            _log.info("encryption.peers", set=[peer.host for peer in add], removed=len(remove), now=len(wanted))
            present = await self._device.peers()
        if wanted != self._state.peers:
            self._state.peers = wanted
            self._state.changed()
        self._seen = present
        self._since = {key: self._since.get(key, self._clock()) for key in keys}

    def _hosts(self) -> tuple[Peer, ...]:
        """Return the other hosts that have told their key."""
        return tuple(
            Peer.of(host)
            for name, host in sorted(self._link.hosts.items())
            if name != self._link.host and host.public_key and host.tunnel
        )

    def _differs(self, peer: Peer, seen: Seen | None) -> bool:
        """Return whether a peer has to be set. Where it sends from may have changed by itself: that is left alone."""
        return seen is None or seen.allowed != peer.allowed or peer not in self._state.peers

    def _meeting(self) -> bool:
        """Return whether there are peers that have not answered yet, and may any moment."""
        since = [self._since.get(peer.key) for peer in self._state.peers if self._handshake(peer) is None]
        return any(time is not None and self._clock() - time <= FIRST + INTERVAL for time in since)

    def _handshake(self, peer: Peer) -> float | None:
        seen = self._seen.get(peer.key)
        return seen.handshake if seen else None

    def _late(self, peer: Peer) -> str:
        """Return since when a peer has been missed, if that is too long."""
        host = self._link.hosts.get(peer.host)
        if peer.key not in self._since or (host is not None and host.silent):
            return ""
        handshake = self._handshake(peer)
        if handshake is None:
            return "yet" if self._clock() - self._since[peer.key] > FIRST else ""
        age = self._wall() - handshake
        return f"for {age:.0f} s" if age > STALE else ""
