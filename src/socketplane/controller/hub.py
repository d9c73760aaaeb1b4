"""Handing changes on to those who watch. A reader that falls behind is dropped; it comes back for a new snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

LIMIT = 1000
"""Lines that may wait for one reader."""


class Subscription:
    """One reader's queue. `host` names the host whose agent reads; empty for others."""

    def __init__(self, host: str = "") -> None:
        self.host = host
        self._lines: list[bytes] = []
        self._wake = asyncio.Event()
        self.closed = False

    def push(self, line: bytes) -> None:
        """Add a line; a queue that is full is closed."""
        if len(self._lines) >= LIMIT:
            self.close()
        elif not self.closed:
            self._lines.append(line)
            self._wake.set()

    def close(self) -> None:
        """End the stream; what still waits is dropped."""
        self.closed = True
        self._lines.clear()
        self._wake.set()

    async def take(self, seconds: float) -> bytes:
        """Return all lines that wait; nothing if none came within `seconds`, or the stream has ended."""
        if not self._lines and not self.closed:
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                return b""
        lines, self._lines = self._lines, []
        self._wake.clear()
        return b"".join(lines)


class Hub:
    """All readers."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._subscriptions)

    def subscribe(self, host: str = "") -> Subscription:
        """Add a reader: it gets every line published from now on, and what is told its host."""
        subscription = Subscription(host)
        self._subscriptions.add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Remove a reader."""
        self._subscriptions.discard(subscription)

    def publish(self, line: bytes) -> None:
        """Hand a line to every reader."""
        for subscription in list(self._subscriptions):
            self._push(subscription, line)

    def tell(self, host: str, line: bytes) -> bool:
        """Hand a line to a host's agent alone; return whether it reads."""
        return self.tell_all((host,), line)

    def tell_all(self, hosts: Collection[str], line: bytes) -> bool:
        """Hand a line to the agents of these hosts; return whether any reads."""
        readers = [each for each in self._subscriptions if each.host in hosts]
        for subscription in readers:
            self._push(subscription, line)
        return bool(readers)

    def _push(self, subscription: Subscription, line: bytes) -> None:
        subscription.push(line)
        if subscription.closed:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End all streams."""
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()
