"""A published port asked from the LAN: ours beside Docker's own port publishing on a bridge, in turns."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.peers import BRIDGE, OURS, Peers
from bench.table import Figure
from socketplane.lab import probe
from socketplane.lab.images import IMAGE
from socketplane.lab.machine import Machine

TITLE = "Published ports"
ABOUT = (
    "A client in the namespace that plays the LAN asks a container by its host's address: a line is answered with 200"
    " bytes. Docker's port mapping has its defaults: the kernel rewrites what comes from another machine."
)
ROUNDS = 5
SECONDS = 2
CLIENTS = 32
PORT = 80
GOAL = "at least 0.9 on the kernel's datapath"
HERE = Path(__file__).resolve().parent


class Way(NamedTuple):
    """A network, and the port of the host that leads to a container on it."""

    name: str
    network: str
    host_port: int


async def measure(peers: Peers, lan: Machine, rounds: int = ROUNDS) -> list[Figure]:
    """Return requests a second and what one takes, with a new connection for each and with connections that stay."""
    near = peers.near
    ways = [Way("Docker's bridge", BRIDGE, 7001), Way(f"SocketPlane ({peers.datapath})", OURS, 7002)]
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    async with AsyncExitStack() as stack:
        for way in ways:
            name = f"publishing-{way.host_port}"
            options = ("--name", name, "--network", way.network, "-p", f"{way.host_port}:{PORT}")
            await near.run("docker", "run", "-d", *options, IMAGE, "sleep", "900")
            stack.push_async_callback(near.run, "docker", "rm", "-f", name)
            command = probe.inside(
                probe.Container(near, name, ""), sys.executable, "-I", "-S", str(HERE / "answering.py"), str(PORT)
            )
            server = asyncio.create_task(near.run(*command, timeout=900.0, check=False))
            stack.callback(server.cancel)
            await _answers(lan, near, way)
        for _ in range(rounds):
            for how in ("once", "kept"):
                for way in ways:
                    for key, value in (await _ask(lan, near, way, CLIENTS, SECONDS, how)).items():
                        found.setdefault((how, way.name), {}).setdefault(key, []).append(value)
    return [
        figure
        for how in ("once", "kept")
        for figure in _figures(how, found[how, ways[0].name], found[how, ways[1].name], ways)
    ]


def _figures(how: str, peer: dict[str, list[float]], ours: dict[str, list[float]], ways: list[Way]) -> list[Figure]:
    what = "a connection for each request" if how == "once" else f"{CLIENTS} connections that stay"
    figures = []
    for key, text, unit, goal in (
        ("rate", "requests/s", "1/s", GOAL),
        ("median", "a request takes", "ms", ""),
        ("p99", "99 % of requests take at most", "ms", ""),
    ):
        ratio = median(ours[key]) / median(peer[key])
        figures.append(Figure(f"{text}, {what}: {ways[0].name}", unit, tuple(peer[key])))
        figures.append(Figure(f"{text}, {what}: {ways[1].name}", unit, tuple(ours[key]), ways[0].name, ratio, goal))
    failed = sum(peer["failed"]) + sum(ours["failed"])
    if failed:
        figures.append(Figure(f"requests that failed, {what}", "", (failed,)))
    return figures


async def _answers(lan: Machine, host: Machine, way: Way) -> None:
    async with asyncio.timeout(30.0):
        while not (await _ask(lan, host, way, 1, 0.2, "once"))["rate"]:
            await asyncio.sleep(0.1)


async def _ask(lan: Machine, host: Machine, way: Way, clients: int, seconds: float, how: str) -> dict[str, float]:
    script = (sys.executable, "-I", "-S", str(HERE / "asking.py"))
    asked = (str(host.management), str(way.host_port), str(clients), str(seconds), how)
    return dict(json.loads((await lan.run(*script, *asked)).out))
