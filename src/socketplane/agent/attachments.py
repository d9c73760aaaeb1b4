"""Ports that are being made while dockerd does something else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from socketplane.agent.link import Breaker
from socketplane.agent.plumbing import Plumbing
from socketplane.agent.state import EndpointRecord
from socketplane.errors import SocketPlaneError, Unavailable

_DETACH_TIMEOUT = 3.0
_log = structlog.get_logger()


class Attachments:
    """Endpoints' ports, each begun once and then waited for by whoever needs it.

    Callers hold the endpoint's lock.
    """

    def __init__(self, plumbing: Plumbing, clock: Callable[[], float]) -> None:
        self._plumbing = plumbing
        self._breaker = Breaker(clock, "datapath")
        self._tasks: dict[str, asyncio.Task[str]] = {}

    def begin(self, record: EndpointRecord) -> asyncio.Task[str]:
        """Make (or repair) the port, without waiting for it.

        Unavailable: Open vSwitch did not answer a moment ago. Each of forty starts would wait for it again.
        """
        task = self._tasks.get(record.id)
        if task is None or task.done():
            self._breaker.refuse(0)
            task = asyncio.create_task(self._attach(record), name=f"attach {record.id[:12]}")
            task.add_done_callback(_heard)
            self._tasks[record.id] = task
        return task

    async def container_end(self, record: EndpointRecord) -> str:
        """Return the name of the container's end once the port is there; begins it where nobody did.

        Raises what the attempt did. The next call is another attempt.
        """
        task = self._tasks.get(record.id) or self.begin(record)
        await asyncio.wait([task])
        if task.cancelled() or task.exception() is not None:
            del self._tasks[record.id]
        if task.cancelled():
            raise Unavailable("the agent is stopping", remedy="start the container again")
        return task.result()

    async def detach(self, endpoint: str) -> None:
        """Remove the port, or leave it to the reconciler: a stop must not hang because Open vSwitch does."""
        task = self._tasks.pop(endpoint, None)
        try:
            async with asyncio.timeout(_DETACH_TIMEOUT):
                if task is not None:
                    await _end([task])
                await self._plumbing.detach(endpoint)
        except (SocketPlaneError, OSError, TimeoutError) as error:
            _log.warning("endpoint.detach_later", endpoint=endpoint[:12], reason=str(error) or "no answer in time")

    async def close(self) -> None:
        """Give up what is under way: Join makes it anew, when there is an agent again."""
        await _end([task for task in self._tasks.values() if not task.done()], _DETACH_TIMEOUT)

    async def _attach(self, record: EndpointRecord) -> str:
        try:
            name = await self._plumbing.attach(record.id, record.mac, self._plumbing.mtu)
        except Unavailable as error:
            self._breaker.failed(str(error))
            raise
        self._breaker.answered()
        return name


async def _end(tasks: Collection[asyncio.Task[str]], timeout: float | None = None) -> None:  # noqa: ASYNC109
    """Cancel attempts and wait until they are over: each undoes itself."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=timeout)


def _heard(task: asyncio.Task[str]) -> None:
    """Take the failure of an attempt that nobody waited for: it undid itself."""
    if not task.cancelled():
        task.exception()
