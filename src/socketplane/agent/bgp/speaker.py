"""Keeps bgpd in step: with the cluster's settings, and with the addresses that are on this host now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import structlog

from socketplane import wire
from socketplane.agent.bgp import sessions, settings
from socketplane.agent.bgp.settings import Neighbor, Settings
from socketplane.agent.bgp.vty import Refused, Vty
from socketplane.agent.link import Link
from socketplane.agent.state import State
from socketplane.agent.wake import woken
from socketplane.errors import SocketPlaneError, Unavailable
from socketplane.model.types import Address

INTERVAL = 2.0
"""Seconds after which sessions are looked at, and bgpd's settings compared, without an occasion."""
PATIENCE = 15.0
"""Seconds for which a session may be on its way before that is an alarm."""
PACKAGE = "frr"
_log = structlog.get_logger()


class Speaker:
    """Tells bgpd what changed, one command for an address that came or went. Without settings it looks for no bgpd."""

    def __init__(
        self,
        state: State,
        link: Link,
        socket: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL,
        patience: float = PATIENCE,
    ) -> None:
        self._state = state
        self._link = link
        self._socket = socket
        self._clock = clock
        self._interval = interval
        self._patience = patience
        self._vty: Vty | None = None
        self.version = ""
        """Of the bgpd that answered last."""
        self._down: dict[Address, float] = {}
        self._wanted = asyncio.Event()
        self._sessions: list[wire.BgpSession] = []
        self._announced: frozenset[Address] = frozenset()
        self._have: Settings | None = None
        self._look_at = 0.0
        self._problem = ""
        self.sources: list[Callable[[], Collection[Address]]] = [self._containers]
        """What is announced; whoever adds one calls `wake` when its addresses change."""
        link.on_change(self.wake)
        link.on_bgp(self.wake)
        state.on_change(self.wake)

    def wake(self) -> None:
        """Compare soon."""
        self._wanted.set()

    @property
    def status(self) -> wire.BgpStatus | None:
        """How it is; None where this host has nobody to tell."""
        if not self._has_peers():
            return None
        return wire.BgpStatus(
            running=self._vty is not None,
            version=self.version,
            sessions=self._sessions,
            announced=len(self._announced),
            announced6=sum(address.version == 6 for address in self._announced),
        )

    @property
    def alarms(self) -> list[str]:
        """What a person should know."""
        if not self._has_peers():
            return []
        if self._problem:
            return [self._problem]
        now = self._clock()
        return [
            f"BGP: no session with {session.peer}: {session.reason}"
            for session in self._sessions
            if not session.established and (session.refused or now - self._down.get(session.peer, now) >= self._patience)
        ]

    def tells(self, version: int) -> bool:
        """Return whether this host has a router to tell of addresses of a version of IP."""
        told = self._link.bgp
        return told is not None and any(peer.address.version == version for peer in told.peers)

    async def run(self) -> None:
        """Keep it so for ever."""
        try:
            while True:
                await self._once()
                await woken(self._wanted, self._interval)
        finally:
            self._close()

    async def _once(self) -> None:
        try:
            await self._sync()
            self._problem = ""
        except Unavailable:
            self._close()
            self._complain(f"BGP: bgpd does not run; install the package {PACKAGE}, then `socketplane up` starts it")
        except (SocketPlaneError, ValueError) as error:
            self._close()
            self._complain(f"BGP: {error}")

    async def _sync(self) -> None:
        wanted = self._link.bgp
        if self._vty is None:
            self._vty = await Vty.open(self._socket)
            self.version = _version(await self._vty.run("show version"))
            _log.info("bgp.connected", version=self.version)
        look = self._have is None or self._clock() >= self._look_at
        have = settings.parse(await self._vty.run("show running-config")) if look or not self._have else self._have
        want = self._want(wanted, have)
        if todo := settings.commands(have, want):
            try:
                await self._vty.configure(todo)
            except Refused:
                await self._vty.run("end")
                raise
            _log.info(
                "bgp.changed",
                neighbors=sorted(map(str, want.neighbors)),
                announced=sorted(map(str, want.addresses - have.addresses)),
                withdrawn=sorted(map(str, have.addresses - want.addresses)),
            )
        self._have, self._announced = want, want.addresses
        if look:
            self._sessions = sessions.parse(await self._vty.run("show bgp neighbors json")) if want.neighbors else []
            self._note_down()
            self._look_at = self._clock() + self._interval

    def _want(self, told: wire.BgpSettings | None, have: Settings) -> Settings:
        """Return what bgpd is to be set to. While no controller has said it, the sessions stay as they are."""
        if told is None and have.asn is None:
            return have
        if told is not None and (told.asn is None or not told.peers):
            return Settings()
        want = have
        if told is not None:
            neighbors = {peer.address: Neighbor(peer.asn, peer.password) for peer in told.peers}
            want = Settings(told.asn, self._router() or have.router, neighbors)
        addresses = (address for source in self.sources for address in source())
        return replace(want, addresses=frozenset(each for each in addresses if each.version in want.versions))

    def _router(self) -> IPv4Address | None:
        own = self._link.hosts.get(self._link.host)
        return IPv4Address(own.address) if own else None

    def _containers(self) -> Collection[Address]:
        """Return the addresses of this host's containers on routed networks."""
        routed = self._state.routed
        endpoints = self._state.endpoints.values() if routed else ()
        found = (address for each in endpoints if each.put for address in each.addresses)
        return [address for address in found if any(address in subnet for subnet in routed)]

    def _has_peers(self) -> bool:
        return self._link.bgp is not None and bool(self._link.bgp.peers)

    def _note_down(self) -> None:
        now = self._clock()
        self._down = {
            session.peer: self._down.get(session.peer, now) for session in self._sessions if not session.established
        }

    def _complain(self, problem: str) -> None:
        if problem != self._problem and self._has_peers():
            _log.warning("bgp.waits", reason=problem)
        self._problem = problem

    def _close(self) -> None:
        self._sessions, self._announced, self._have = [], frozenset(), None
        vty, self._vty = self._vty, None
        if vty is not None:
            with suppress(OSError):
                vty.close()


def _version(told: str) -> str:
    """Return the version in what `show version` says."""
    words = told.split(None, 2)
    return words[1][:32] if len(words) > 1 else ""
