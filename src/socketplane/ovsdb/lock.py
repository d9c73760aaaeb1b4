"""Named locks of an OVSDB server (RFC 7047, 4.1.8 to 4.1.10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Request = Callable[["Lock"], Awaitable[None]]


class Lock:
    """A place in the queue for a lock, asked for again on every connection until it is released.

    It is only as good as the connection: use assert_lock(name) in the transactions that it protects. In a cluster
    each server grants its own locks, so connect with leader_only, and fence.
    """

    def __init__(self, name: str, steal: Request, release: Request) -> None:
        self.name = name
        self._steal = steal
        self._release = release
        self._held = asyncio.Event()
        self._lost = asyncio.Event()
        self._lost.set()

    @property
    def held(self) -> bool:
        """Whether this connection owns the lock, as far as the server has told."""
        return self._held.is_set()

    async def acquired(self) -> None:
        """Return when the lock is held."""
        await self._held.wait()

    async def lost(self) -> None:
        """Return when the lock is not held: stolen, released, or the connection is gone."""
        await self._lost.wait()

    async def steal(self) -> None:
        """Take the lock from whoever owns it, who is told and waits in the queue. Raises NotConnected."""
        await self._steal(self)

    async def release(self) -> None:
        """Give the lock up and leave the queue."""
        await self._release(self)

    def set_held(self, held: bool) -> None:
        """Record what the server said, or that the connection is gone."""
        here, there = (self._held, self._lost) if held else (self._lost, self._held)
        there.clear()
        here.set()
