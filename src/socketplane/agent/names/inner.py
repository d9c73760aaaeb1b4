"""Which internal networks have containers here, so that these can ask for names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import structlog
from pyroute2.netlink.exceptions import NetlinkError

from socketplane.agent.askport import Asking
from socketplane.agent.state import NetworkRecord, State
from socketplane.agent.wake import woken
from socketplane.errors import SocketPlaneError

LINGER = 60.0
"""Seconds for which a network's port stays after its last container: the next may come soon."""
_PATIENCE = 3.0
_RETRY = 5.0
_log = structlog.get_logger()

Ask = Callable[[Collection[Asking]], Awaitable[None]]


class Inner:
    """Has `ask` called with these networks, as often as they change."""

    def __init__(self, state: State, ask: Ask, *, clock: Callable[[], float], linger: float = LINGER) -> None:
        self._state = state
        self._ask = ask
        self._clock = clock
        self._linger = linger
        self._used: dict[UUID, float] = {}
        self._asking: frozenset[Asking] | None = None
        self._wanted = asyncio.Event()
        self._lock = asyncio.Lock()
        self.alarms: list[str] = []
        state.on_change(self._wanted.set)

    async def join(self, network: NetworkRecord) -> None:
        """Have a container's network ask before it starts. What fails is tried again later: it works without names."""
        self._used[network.id] = self._clock()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._apply()
        except TimeoutError:
            _log.warning("names.port_late", network=str(network.id))
        self._wanted.set()

    async def run(self) -> None:
        """Follow what changes, for ever."""
        while True:
            await self._apply()
            await woken(self._wanted, _RETRY if self.alarms else self._linger)

    async def _apply(self) -> None:
        async with self._lock:
            asking = self._due()
            if asking == self._asking:
                return
            try:
                await self._ask(asking)
            except (SocketPlaneError, NetlinkError, OSError) as error:
                self.alarms = [f"containers on internal networks find nobody of other hosts by name: {error}"]
            else:
                self._asking, self.alarms = asking, []

    def _due(self) -> frozenset[Asking]:
        now = self._clock()
        self._used |= {record.network: now for record in self._state.endpoints.values()}
        self._used = {network: at for network, at in self._used.items() if now - at < self._linger}
        return frozenset(
            Asking(record.id, record.subnet, record.gateway)
            for record in self._state.networks.values()
            if record.internal and record.id in self._used
        )
