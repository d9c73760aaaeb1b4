"""From a change of policy until connections go as it says on all hosts: seen by attempts that are made all the time."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bench import attempts
from bench.table import Figure
from socketplane.lab import probe
from socketplane.lab.probe import Container

CHANGES = 100
PERIOD = 0.003
PORT = 9000
"""Nobody listens there: an attempt that arrives is refused at once."""
_IN_A_ROW = 5
"""So many attempts that go as the change says show that it is enforced, since the first of them."""
_PATIENCE = 30.0


async def measure(
    client: Container, servers: Sequence[Container], change: Callable[[bool], Awaitable[None]]
) -> list[Figure]:
    """Return how long changes took; `change` allows the port to the client on all servers, or denies it."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    async with _Attempts(client, servers) as seen:
        for number in range(CHANGES + 1):
            allow = number % 2 == 0
            began = time.monotonic()
            await change(allow)
            took = await seen.since(began, answered=allow) - began
            if number:  # the first one finds a container of which nothing is known yet
                taken[allow].append(took * 1000)
    return [
        Figure(f"{what} on all {len(servers)} hosts, as connections show, {len(values)} changes", "ms", tuple(values))
        for what, values in (("allowed", taken[True]), ("denied", taken[False]))
    ]


class _Attempts:
    """What becomes of a client's attempts."""

    def __init__(self, client: Container, servers: Sequence[Container]) -> None:
        script = str(Path(attempts.__file__).resolve())
        arguments = [str(PERIOD), str(PORT), *(server.address for server in servers)]
        argv = probe.inside(client, sys.executable, "-I", "-S", script, *arguments)
        self._command = client.machine.command(argv)
        self._servers = len(servers)

    async def __aenter__(self) -> _Attempts:
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=asyncio.subprocess.PIPE)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()

    async def since(self, began: float, *, answered: bool) -> float:
        """Return since when all servers' attempts are answered, or are not."""
        rows: list[list[float]] = [[] for _ in range(self._servers)]
        async with asyncio.timeout(_PATIENCE):
            while any(len(row) < _IN_A_ROW for row in rows):
                line = await self._line()
                place, at, was = int(line[0]), float(line[1]), line[2] == "1"
                if at < began or len(rows[place]) >= _IN_A_ROW:
                    continue
                rows[place] = [*rows[place], at] if was is answered else []
        return max(row[0] for row in rows)

    async def _line(self) -> list[str]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("nobody tries any more")
        return line.decode().split()
