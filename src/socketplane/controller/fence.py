"""Only one controller writes: an OVSDB lock elects it, an epoch that every transaction checks keeps a former one out.

A lock alone does not do: each server of a RAFT cluster grants its own, and one that was cut off still believes it holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from socketplane.errors import Unavailable
from socketplane.ovsdb import Lock, Operation, assert_lock

LOCK = "socketplane"


class Fence:
    """Guards the transactions of one database. `condition` is the operation that holds while our epoch is the latest."""

    def __init__(self, lock: Lock, condition: Callable[[], Operation]) -> None:
        self._lock = lock
        self._condition = condition
        self._deposed = asyncio.Event()

    @property
    def deposed(self) -> bool:
        """Whether a later controller has taken over; there is no way back."""
        return self._deposed.is_set()

    @property
    def lock_name(self) -> str:
        """Name of the lock."""
        return self._lock.name

    def depose(self) -> None:
        """Note that a later controller has taken over."""
        self._deposed.set()

    async def wait_deposed(self) -> None:
        """Return when a later controller has taken over."""
        await self._deposed.wait()

    def guards(self) -> tuple[Operation, ...]:
        """Return what every transaction begins with."""
        return assert_lock(self._lock.name), self._condition()

    def check(self) -> None:
        """Raise Unavailable if a later controller has taken over."""
        if self.deposed:
            raise Unavailable("another controller has become the active one", remedy="ask again")

    async def ready(self, seconds: float) -> None:
        """Return when the lock is held (after a reconnect it has to be asked for anew).

        Raises:
            Unavailable: it isn't within `seconds`, or a later controller has taken over.
        """
        self.check()
        if self._lock.held:
            return
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._lock.acquired()
        except TimeoutError:
            raise Unavailable(
                "the database does not answer, or another controller holds its lock",
                remedy="ask again; `socketplane status` tells more",
            ) from None
