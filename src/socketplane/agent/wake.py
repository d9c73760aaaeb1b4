"""Waiting for an occasion, but not for ever."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def woken(occasion: asyncio.Event, seconds: float) -> None:
    """Return when `occasion` is set, or after so many seconds. It is clear then: what comes later counts anew."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await occasion.wait()
    occasion.clear()
