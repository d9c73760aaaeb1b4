"""Published ports of this host's containers: reserved, led to their container, and given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from socketplane.agent.portmap import Wish
from socketplane.agent.portrules import Forward
from socketplane.agent.reserve import Reservations, again
from socketplane.agent.state import State
from socketplane.errors import Conflict, NotFound, SocketPlaneError
from socketplane.model.published import Published

INTERVAL = 10.0
_log = structlog.get_logger()


class Forwarder(Protocol):
    """What leads packets: the gateway."""

    async def forward(self, forwards: Collection[Forward]) -> None:
        """Lead packets so, and no others; it is so when this returns."""


class Publisher:
    """Keeps ports. What is published is in the endpoints' records; sockets and firewall follow from these."""

    def __init__(
        self,
        state: State,
        forwarder: Forwarder | None,
        running: Callable[[], Awaitable[Collection[str]]],
        *,
        interval: float = INTERVAL,
    ) -> None:
        """`running` tells the endpoints of running containers; Unavailable where Docker does not answer."""
        self._state = state
        self._forwarder = forwarder
        self._running = running
        self._interval = interval
        self._reservations = Reservations()
        self._lock = asyncio.Lock()
        self.alarms: list[str] = []
        """What only a person can put right."""

    async def publish(self, endpoint: str, wishes: Sequence[Wish]) -> tuple[Published, ...]:
        """Reserve a port for each wish and lead it to the endpoint, all or nothing. Asked again, it starts anew.

        NotFound: there is no such endpoint. Else what `Reservations.take` raises, or the firewall.
        """
        if endpoint not in self._state.endpoints:
            raise NotFound("this endpoint is not known here", remedy="start the container again")
        self._reserve_again()
        self._reservations.release(endpoint)
        published = await self._take(endpoint, wishes)
        try:
            self._note(endpoint, published)
            await self._state.save()  # Docker tells it this once
            await self._apply()
        except BaseException:
            self._reservations.release(endpoint)
            self._note(endpoint, ())
            raise
        _log.info("endpoint.published", endpoint=endpoint[:12], ports=list(map(str, published)))
        return published

    async def withdraw(self, endpoint: str) -> None:
        """Give an endpoint's ports back. Never fails: what the firewall could not do now is done later."""
        if not self._reservations.held(endpoint) and not self._published(endpoint):
            return
        self._reservations.release(endpoint)
        self._note(endpoint, ())
        try:
            await self._apply()
        except (SocketPlaneError, OSError) as error:
            _log.warning("endpoint.withdraw_later", endpoint=endpoint[:12], reason=str(error))

    async def restore(self) -> None:
        """Reserve again what is published, and lead it: after a restart, or where a port was taken meanwhile."""
        self._reserve_again()
        for endpoint in self._reservations.endpoints():
            if endpoint not in self._state.endpoints:
                self._reservations.release(endpoint)
        await self._apply()

    async def run(self) -> None:
        """Keep it so for ever."""
        while True:
            await self.restore()
            await asyncio.sleep(self._interval)

    def close(self) -> None:
        """Let go of the sockets; packets are led on."""
        for endpoint in self._reservations.endpoints():
            self._reservations.release(endpoint)

    async def _take(self, endpoint: str, wishes: Sequence[Wish]) -> tuple[Published, ...]:
        try:
            return self._reservations.take(endpoint, wishes)
        except Conflict:
            if not await self._evict(self._reservations.rivals(wishes)):
                raise
        return self._reservations.take(endpoint, wishes)

    async def _evict(self, rivals: Collection[str]) -> bool:
        """Take the ports of containers that are gone, as after a crash of dockerd, which does not tell us."""
        try:
            gone = set(rivals).difference(await self._running()) if rivals else set()
        except SocketPlaneError:
            return False
        for rival in gone:
            await self.withdraw(rival)
        return bool(gone)

    def _reserve_again(self) -> None:
        self.alarms = []
        for endpoint, record in self._state.endpoints.items():
            for published in record.published:
                if published not in self._reservations.held(endpoint):
                    try:
                        self._reservations.take(endpoint, [again(published)])
                    except SocketPlaneError as error:
                        self.alarms.append(f"published port {published} of {record.address} is not served: {error.message}")

    def _note(self, endpoint: str, published: tuple[Published, ...]) -> None:
        record = self._state.endpoints.get(endpoint)
        if record is not None and record.published != published:
            self._state.endpoints[endpoint] = replace(record, published=published)
            self._state.changed()

    def _published(self, endpoint: str) -> tuple[Published, ...]:
        record = self._state.endpoints.get(endpoint)
        return record.published if record else ()

    async def _apply(self) -> None:
        """Have the firewall as the records say; what changed while it was at work is in the next step."""
        if self._forwarder is None:
            return
        async with self._lock:
            await self._forwarder.forward(
                {
                    Forward(published, target)
                    for endpoint, record in self._state.endpoints.items()
                    for published in self._reservations.held(endpoint)
                    if (target := record.address if published.address.version == 4 else record.address6) is not None
                }
            )
