"""Services: requests a second and how long they take, beside Swarm's; and how soon a dead container is led to no more."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles

from bench import http_load
from bench.peers import OURS, OVERLAY, Peers
from bench.table import Figure
from socketplane.lab import probe
from socketplane.lab.images import IMAGE
from socketplane.lab.machine import Machine
from socketplane.lab.probe import Container

TITLE = "Services"
ROUNDS = 5
SECONDS = 0.5
"""Short: a client that uses its 14,000 ports again within a minute measures what conntrack makes of that."""
AT_ONCE = 8
DEATHS = 5
WATCHED = 2.5
"""Seconds for which requests go on around a death; it comes after the first second."""
PERIOD = 0.01
PORT = 8080
SLEEP = ("sleep", "3600")
CLIENTS = ("client", "client-straight", "client-deaths")
ABOUT = (
    "A container asks for a small page, each time on a new connection; two containers serve it, one on its host and one "
    "on another. Requests a second are with 8 under way, times with one after the other. Swarm's address (VIP) needs "
    "IPVS in the kernel: where that is missing, nothing answers there, and its rows are left out. *Straight* is the "
    "container on the other host at its own address. A death is `docker kill`; its time is that of the last request "
    "that was led to the dead one."
)
_PATIENCE = 20.0
Way = tuple[Container, str]
"""Who asks, and at which address."""


class Servers:
    """Programs that answer in containers' networks, by the container's name; busybox's drops connections under load."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[object]] = {}

    def begin(self, host: Machine, name: str) -> None:
        """Have a container answer."""
        argv = probe.inside(Container(host, name, ""), *_script("serve", str(PORT)))
        self._running[name] = asyncio.create_task(host.run(*argv, timeout=900.0, check=False))

    def end(self, *names: str) -> None:
        """Have these answer no more; without a name, all."""
        for name in names or list(self._running):
            self._running.pop(name).cancel()


async def measure(peers: Peers, rounds: int = ROUNDS, deaths: int = DEATHS) -> list[Figure]:
    """Return figures for both addresses in turns."""
    servers = Servers()
    try:
        return await _measure(peers, servers, rounds, deaths)
    finally:
        servers.end()


async def _measure(peers: Peers, servers: Servers, rounds: int, deaths: int) -> list[Figure]:
    ours, straight, watching = await _ours(peers, servers)
    swarm = await _swarm(peers, servers)
    ways = {**({"Swarm's VIP": swarm} if swarm else {}), "a SocketPlane service": ours, "straight": straight}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    middles: dict[str, list[float]] = {way: [] for way in ways}
    ends: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds, _, *took = await _load(way, AT_ONCE)
            rates[name].append(len(took) / seconds)
            _, _, *took = await _load(way, 1)
            middles[name].append(median(took) * 1000)
            ends[name].append(quantiles(took, n=100)[-1] * 1000)
    against = "Swarm's VIP" if swarm else "straight"
    tables = (("requests", "a second", rates), ("half within", "ms", middles), ("99 of 100 within", "ms", ends))
    figures = [
        Figure(f"{what}: {way}", unit, tuple(values[way]), *_ratio(values, way, against))
        for what, unit, values in tables
        for way in ways
    ]
    figures += await _deaths(peers, servers, watching, deaths)
    await _clean(peers, swarm is not None)
    return figures


def _ratio(values: dict[str, list[float]], way: str, against: str) -> tuple[str, float] | tuple[()]:
    return () if way == against else (against, median(values[way]) / median(values[against]))


async def _ours(peers: Peers, servers: Servers) -> tuple[Way, Way, Way]:
    near, far = peers.near, peers.far
    document = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bench", "namespace": OURS},
        "spec": {"selector": {"app": "bench"}, "ports": [{"port": PORT}]},
    }
    await near.run("socketplane", "service", "apply", "-f", "-", stdin=json.dumps(document))
    for host, name in ((near, "served-near"), (far, "served-far")):
        await _serve(servers, host, name)
    # A client each: conntrack remembers ports for a minute, and to which backend they led.
    for name in CLIENTS:
        await near.run("docker", "run", "-d", "--name", name, "--network", OURS, IMAGE, *SLEEP)
    client, straight, watching = [await probe.container(near, name, OURS) for name in CLIENTS]
    shown = json.loads((await near.run("socketplane", "service", "inspect", f"{OURS}/bench")).out)[0]
    far_one = await probe.container(far, "served-far", OURS)
    address = str(shown["address"])
    ways = (client, address), (straight, far_one.address), (watching, address)
    for way in ways:
        if not await _answers(way):
            raise RuntimeError(f"nobody answers at {way[1]}")
    return ways


async def _serve(servers: Servers, host: Machine, name: str) -> None:
    await host.run("docker", "run", "-d", "--name", name, "--network", OURS, "--label", "app=bench", IMAGE, *SLEEP)
    servers.begin(host, name)


async def _swarm(peers: Peers, servers: Servers) -> Way | None:
    """Return the way through Swarm's address; None where nothing answers at it."""
    create = ("docker", "service", "create", "-d", "--name", "bench", "--network", OVERLAY, "--replicas", "2")
    await peers.near.run(*create, "--no-resolve-image", IMAGE, *SLEEP, timeout=60)
    tasks = await _tasks(peers)
    for host, name in tasks:
        servers.begin(host, name)
    await peers.near.run("docker", "run", "-d", "--name", "client-swarm", "--network", OVERLAY, IMAGE, *SLEEP)
    template = "{{range .Endpoint.VirtualIPs}}{{.Addr}} {{end}}"
    found = (await peers.near.run("docker", "service", "inspect", "-f", template, "bench")).out.split()
    way = await probe.container(peers.near, "client-swarm", OVERLAY), found[-1].partition("/")[0]
    return way if await _answers(way) else None


async def _tasks(peers: Peers) -> list[tuple[Machine, str]]:
    """Return the containers of Swarm's service, once both run."""
    find = ("docker", "ps", "--filter", "label=com.docker.swarm.service.name=bench", "--format", "{{.Names}}")
    found: list[tuple[Machine, str]] = []

    async def both() -> bool:
        found[:] = [(host, name) for host in (peers.near, peers.far) for name in (await host.run(*find)).out.split()]
        return len(found) == 2

    await _eventually(both)
    return found


async def _answers(way: Way) -> bool:
    """Return whether requests are answered, several in a row, before patience ends."""

    async def good() -> bool:
        _, failed, *took = await _load(way, 1, 0.3)
        return failed == 0 and len(took) > 2

    return await _eventually(good)


async def _eventually(condition: Callable[[], Awaitable[bool]]) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while not await condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


async def _load(way: Way, at_once: int, seconds: float = SECONDS) -> list[float]:
    client, address = way
    argv = probe.inside(client, *_script("load", address, str(PORT), str(seconds), str(at_once)))
    return [float(word) for word in (await client.machine.run(*argv)).out.split()]


async def _deaths(peers: Peers, servers: Servers, way: Way, deaths: int) -> list[Figure]:
    """Return how long after its death requests are led to a container on another host."""
    last = []
    client, address = way
    for _ in range(deaths):
        argv = probe.inside(client, *_script("watch", address, str(PORT), str(WATCHED), str(PERIOD)))
        watched = asyncio.create_task(client.machine.run(*argv))
        await asyncio.sleep(1.0)
        began = time.monotonic()
        servers.end("served-far")
        await peers.far.run("docker", "kill", "served-far")
        lines = [line.split() for line in (await watched).out.splitlines()]
        failed = [float(at) - began for at, answered in lines if answered == "0"]
        last.append(max(failed, default=0.0))
        await peers.far.run("docker", "rm", "-f", "served-far")
        await _serve(servers, peers.far, "served-far")
        if not await _answers(way):
            raise RuntimeError("the service does not answer any more")
    what = "from `docker kill` until a container on another host is led to no more"
    return [Figure(what, "s", tuple(last), goal="below 1")]


async def _clean(peers: Peers, swarm: bool) -> None:
    await peers.near.run("docker", "service", "rm", "bench", check=swarm)
    await peers.near.run("socketplane", "service", "rm", f"{OURS}/bench")
    await peers.near.run("docker", "rm", "-f", *CLIENTS, "client-swarm", "served-near")
    await peers.far.run("docker", "rm", "-f", "served-far")


def _script(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(http_load.__file__).resolve()), *arguments]
