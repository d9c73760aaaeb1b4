"""Deletions that the controller is yet to hear of. Nothing that Docker removes waits for the controller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from uuid import UUID

import structlog

from socketplane import wire
from socketplane.agent.link import Link
from socketplane.errors import NotFound, SocketPlaneError, Unavailable
from socketplane.model.types import Address

Place = tuple[UUID, Address]
_BULK = 1000
_RETRY = 2.0
_ECHO_FOR = 60.0
_log = structlog.get_logger()


class Outbox:
    """Collects deletions and sends them, many at once, as soon as somebody answers.

    Not kept across restarts: what the controller still has and this host has not, the reconciler finds.
    """

    def __init__(self, link: Link, *, wait: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._wait = wait
        self._clock = clock
        self._endpoints: set[str] = set()
        self._leases: set[Place] = set()
        self._sending = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._echoes: dict[Place, float] = {}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self._endpoints and not self._leases

    async def delete_endpoint(self, endpoint: str, addresses: Iterable[Place] = ()) -> None:
        """Delete an endpoint and release its addresses; returns when that is done, or after a moment anyway.

        `addresses` are what the controller releases with it: Docker will ask for that too, and by then they may be
        another's.
        """
        for address in addresses:
            self._echoes[address] = self._clock()
        self._endpoints.add(endpoint)
        await self._soon()

    async def release(self, network: UUID, address: Address) -> None:
        """Release an address; returns when that is done, or after a moment anyway."""
        echo = self._echoes.pop((network, address), None)
        if echo is not None and self._clock() - echo < _ECHO_FOR:
            return
        self._leases.add((network, address))
        await self._soon()

    async def flush(self) -> None:
        """Send everything that waits. Unavailable: it still waits."""
        async with self._sending:
            await self._send_endpoints()
            await self._send_leases()

    async def run(self) -> None:
        """Send for ever what could not be sent at once."""
        self._link.on_change(self._wanted.set)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.flush()
            except Unavailable:
                await asyncio.sleep(_RETRY)
                self._wanted.set()

    async def _soon(self) -> None:
        if self._link.down:
            self._wanted.set()
            return
        try:
            async with asyncio.timeout(self._wait):
                await self.flush()
        except (Unavailable, TimeoutError):
            self._wanted.set()

    async def _send_endpoints(self) -> None:
        while self._endpoints:
            batch = sorted(self._endpoints)[:_BULK]
            body = wire.EndpointBulk(delete=batch, release=True)
            try:
                answer = await self._link.call("POST", "/v1/endpoints", body, patience=0)
            except Unavailable:
                raise
            except SocketPlaneError as error:
                _log.error("outbox.refused", endpoints=len(batch), reason=str(error))
            else:
                for endpoint, reason in wire.EndpointBulkReply.model_validate(answer or {}).errors.items():
                    _log.error("outbox.refused", endpoint=endpoint, reason=reason.get("message"))
            self._endpoints.difference_update(batch)

    async def _send_leases(self) -> None:
        while self._leases:
            network, address = next(iter(self._leases))
            try:
                await self._link.call("DELETE", f"/v1/networks/{network}/leases/{address}", patience=0)
            except NotFound:
                pass
            except Unavailable:
                raise
            except SocketPlaneError as error:
                _log.error("outbox.refused", network=str(network), address=str(address), reason=str(error))
            self._leases.discard((network, address))
