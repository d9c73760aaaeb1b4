"""Holds this host's endpoints to the limits that the controller tells."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import structlog
from pyroute2.netlink.exceptions import NetlinkError

from socketplane import wire
from socketplane.agent.link import Link
from socketplane.agent.locks import Locks
from socketplane.agent.plumbing import Plumbing
from socketplane.agent.wake import woken
from socketplane.errors import NotFound, SocketPlaneError
from socketplane.model.traffic import NO_LIMITS, Limit, Limits

INTERVAL = 60.0
"""Seconds between two looks at what should be there already."""
RETRY = 5.0
_BUSY = 0.2
_AT_ONCE = 8
UNFINISHED = 12
"""Digits of an endpoint's id that are known of what a crash left unfinished: the reconciler's to remove."""
_log = structlog.get_logger()


class Shaper:
    """Applies limits: to a new endpoint before it is told to be ready, to others as soon as theirs change.

    What can't be limited runs without limits, and is an alarm.
    """

    def __init__(self, plumbing: Plumbing, link: Link, locks: Locks, *, interval: float = INTERVAL) -> None:
        self._plumbing = plumbing
        self._link = link
        self._locks = locks
        self._interval = interval
        self._wanted = asyncio.Event()
        self._due: set[str] = set()
        self._failed: dict[str, str] = {}
        link.on_limits(self._hear)

    @property
    def alarms(self) -> list[str]:
        """Endpoints that are not held to their limits, and why."""
        return [f"endpoint {key[:12]} is not held to its limits: {why}" for key, why in sorted(self._failed.items())]

    async def join(self, endpoint: str) -> None:
        """Hold a new endpoint, whose lock the caller holds, to the limits that are known of it."""
        if self._link.limits.get(endpoint) or endpoint in self._plumbing.shaped():
            await self._shape(endpoint)

    async def run(self) -> None:
        """Apply what changes, and now and then look at everything, for ever."""
        while True:
            if self._link.synced:
                due, self._due = self._due or {*self._link.limits, *self._plumbing.shaped()}, set()
                await self._look(due)
            await woken(self._wanted, _BUSY if self._due else RETRY if self._failed else self._interval)
            self._due |= set(self._failed)

    def _hear(self, endpoints: Collection[str]) -> None:
        self._due |= {*endpoints} or {*self._link.limits, *self._plumbing.shaped()}
        self._wanted.set()

    async def _look(self, endpoints: Collection[str]) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)
        ports = self._plumbing.ports()

        async def one(endpoint: str) -> None:
            async with slots, self._locks.hold(endpoint):
                await self._shape(endpoint)

        async with asyncio.TaskGroup() as tasks:
            for endpoint in ports.intersection(endpoints):
                if self._locks.busy(endpoint):  # a start under way may have passed what is new
                    self._due.add(endpoint)
                elif len(endpoint) > UNFINISHED:
                    tasks.create_task(one(endpoint))
        self._failed = {key: why for key, why in self._failed.items() if key in ports}
        for endpoint in self._link.limits.keys() - ports:
            if not self._locks.busy(endpoint):
                del self._link.limits[endpoint]

    async def _shape(self, endpoint: str) -> None:
        limits = limits_of(self._link.limits.get(endpoint))
        try:
            changed = await self._plumbing.shape(endpoint, limits)
        except NotFound:
            self._failed.pop(endpoint, None)  # it has gone, or is not there yet
        except (SocketPlaneError, NetlinkError, OSError) as error:
            if self._failed.get(endpoint) != str(error):
                _log.warning("endpoint.not_shaped", endpoint=endpoint[:12], reason=str(error))
            self._failed[endpoint] = str(error)
        else:
            self._failed.pop(endpoint, None)
            if changed:
                rates = {"egress": limits.egress, "ingress": limits.ingress}
                told = {way: limit.rate for way, limit in rates.items() if limit}
                _log.info("endpoint.shaped", endpoint=endpoint[:12], bits_per_second=told)


def limits_of(told: wire.Limits | None) -> Limits:
    """Return what the controller told as a value."""

    def one(limit: wire.Limit | None) -> Limit | None:
        return None if limit is None else Limit(limit.rate, limit.burst)

    return NO_LIMITS if told is None else Limits(one(told.egress), one(told.ingress))
