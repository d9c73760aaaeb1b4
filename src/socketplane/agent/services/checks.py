"""Probes of this host's containers, each again and again while its container runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from socketplane import wire
from socketplane.agent.services.ask import Place
from socketplane.model.services.readiness import GOOD

AT_ONCE = 32
"""Probes under way, at most."""
Key = tuple[str, str]
"""Endpoint and service."""
Found = Callable[[str, str, str], None]
"""Called with endpoint, service, and what holds now: GOOD or why not."""


class Asking(Protocol):
    """What is needed of `ask.Asker`."""

    async def ask(self, place: Place, check: wire.Check) -> str:
        """Return GOOD or why not."""


@dataclass
class Standing:
    """What a probe's results come to: so many in a row turn it."""

    check: wire.Check
    now: str = ""
    """GOOD, why not, or nothing before the first result."""
    good: int = 0
    bad: int = 0

    def take(self, result: str) -> bool:
        """Take in a result; return whether what holds is another now."""
        if result == GOOD:
            self.good, self.bad = self.good + 1, 0
            turns = self.now != GOOD and self.good >= self.check.successes
        else:
            self.good, self.bad = 0, self.bad + 1
            turns = self.now != result and (self.now != GOOD or self.bad >= self.check.failures)
        if turns:
            self.now = result
        return turns


class Checks:
    """Runs the probes that are wanted of containers that run."""

    def __init__(self, asker: Asking, found: Found) -> None:
        self._asker = asker
        self._found = found
        self._tasks: dict[Key, tuple[wire.Check, Place, asyncio.Task[None]]] = {}
        self._limit = asyncio.Semaphore(AT_ONCE)

    def want(self, endpoint: str, place: Place | None, checks: Mapping[str, wire.Check], known: Mapping[str, str]) -> None:
        """Have exactly these probes of an endpoint go on; none where it has no place. `known` is what held before."""
        wanted = checks if place is not None else {}
        for key in [key for key in self._tasks if key[0] == endpoint]:
            check, where, task = self._tasks[key]
            if wanted.get(key[1]) != check or where != place or task.done():
                task.cancel()
                del self._tasks[key]
        for service, check in wanted.items():
            if (endpoint, service) not in self._tasks and place is not None:
                task = asyncio.create_task(self._run(endpoint, place, Standing(check, known.get(service, ""))))
                self._tasks[endpoint, service] = (check, place, task)

    def close(self) -> None:
        """End all."""
        for _, _, task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _run(self, endpoint: str, place: Place, standing: Standing) -> None:
        check = standing.check
        loop = asyncio.get_running_loop()
        if not standing.now:
            await asyncio.sleep(check.delay)
        while True:
            began = loop.time()
            async with self._limit:
                result = await self._asker.ask(place, check)
            if standing.take(result):
                self._found(endpoint, check.service, standing.now)
            # What is not ready is asked every second at least: that is what somebody waits for.
            period = check.period if standing.now == GOOD else min(check.period, 1)
            await asyncio.sleep(max(0.05, period - (loop.time() - began)))
