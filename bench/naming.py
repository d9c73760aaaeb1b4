"""Names: answers a second and how long they take, beside Docker's own resolver; and how soon a name comes and goes."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from statistics import median, quantiles

from bench import lookups
from bench.peers import OURS, Peers
from bench.table import Figure
from socketplane.config import RESOLVER_ADDRESS
from socketplane.lab import probe
from socketplane.lab.images import IMAGE
from socketplane.lab.probe import Container

TITLE = "Names"
DOCKERS = "127.0.0.11"
ROUNDS = 5
SECONDS = 1.0
AT_ONCE = 16
CHANGES = 10
PERIOD = 0.005
_IN_A_ROW = 5
_PATIENCE = 20.0
ABOUT = (
    "A container asks for an address record. *Docker's resolver* answers a name of its own host itself, one of another "
    "host it asks of ours. Answers a second are with 16 questions under way, times with one after the other."
)


async def measure(peers: Peers, rounds: int = ROUNDS, changes: int = CHANGES) -> list[Figure]:
    """Return figures for a container on the near host that asks for one beside it and one on the far host."""
    near, far = peers.near, peers.far
    for host, name in ((near, "asker"), (near, "beside"), (far, "faraway")):
        await host.run("docker", "run", "-d", "--name", name, "--network", OURS, IMAGE, "sleep", "3600")
    asker = await probe.container(near, "asker", OURS)
    await _Watch(asker, "faraway").until(there=True)
    figures = [*await _answers(asker, rounds), *await _changes(peers, asker, changes)]
    await near.run("docker", "rm", "-f", "asker", "beside")
    await far.run("docker", "rm", "-f", "faraway")
    return figures


async def _answers(asker: Container, rounds: int) -> list[Figure]:
    peer = "Docker's resolver, a name of its host"
    ways = {
        peer: (DOCKERS, "beside"),
        "SocketPlane's resolver, a name of its host": (str(RESOLVER_ADDRESS), "beside"),
        "SocketPlane's resolver, a name of another host": (str(RESOLVER_ADDRESS), "faraway"),
        "Docker's resolver asking SocketPlane's": (DOCKERS, "faraway"),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    ends: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (server, name) in ways.items():
            seconds, *took = await _load(asker, server, name, AT_ONCE)
            rates[way].append(len(took) / seconds)
            _, *took = await _load(asker, server, name, 1)
            ends[way].append(quantiles(took, n=100)[-1] * 1000)
    return [
        Figure(f"{what}: {way}", unit, tuple(values[way]), *_ratio(values, way, peer))
        for what, unit, values in (("answers", "a second", rates), ("99 of 100 answers within", "ms", ends))
        for way in ways
    ]


def _ratio(values: dict[str, list[float]], way: str, peer: str) -> tuple[str, float] | tuple[()]:
    return () if way == peer else (peer, median(values[way]) / median(values[peer]))


async def _load(asker: Container, server: str, name: str, at_once: int) -> list[float]:
    argv = probe.inside(asker, *_script("load", server, name, str(SECONDS), str(at_once)))
    return [float(word) for word in (await asker.machine.run(*argv)).out.split()]


async def _changes(peers: Peers, asker: Container, changes: int) -> list[Figure]:
    come, after, gone = [], [], []
    for number in range(changes):
        name = f"late-{number}"
        watch = _Watch(asker, name)
        begin = time.monotonic()
        seen = asyncio.create_task(watch.until(there=True))
        await peers.far.run("docker", "run", "-d", "--name", name, "--network", OURS, IMAGE, "sleep", "600")
        ran = time.monotonic()
        at = await seen
        come.append(at - begin)
        after.append(max(0.0, at - ran))
        begin = time.monotonic()
        seen = asyncio.create_task(_Watch(asker, name).until(there=False, since=begin))
        await peers.far.run("docker", "kill", name)
        gone.append(await seen - begin)
        await peers.far.run("docker", "rm", "-f", name)
    return [
        Figure("from `docker run` to its name on another host", "s", tuple(come), goal="below 1"),
        Figure("the same, after `docker run` has returned", "s", tuple(after)),
        Figure("from `docker kill` until its name is gone on another host", "s", tuple(gone), goal="below 1"),
    ]


class _Watch:
    """Asks for a name all the time."""

    def __init__(self, asker: Container, name: str) -> None:
        argv = probe.inside(asker, *_script("watch", DOCKERS, name, str(PERIOD)))
        self._command = asker.machine.command(argv)

    async def until(self, *, there: bool, since: float = 0.0) -> float:
        """Return since when the name is there, or is not."""
        process = await asyncio.create_subprocess_exec(*self._command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        row: list[float] = []
        try:
            async with asyncio.timeout(_PATIENCE):
                while len(row) < _IN_A_ROW:
                    at, was = (await process.stdout.readline()).decode().split()
                    row = [*row, float(at)] if (was == "1") is there and float(at) >= since else []
        finally:
            process.kill()
            await process.wait()
        return row[0]


def _script(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(lookups.__file__).resolve()), *arguments]
