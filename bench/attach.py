"""What a network adds to `docker run -d`: each kind's median over that of `--network none`, in turns."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from statistics import median

from bench.peers import BRIDGE, FLOOR, OURS, OVERLAY, Peers
from bench.table import Figure
from socketplane.lab.images import IMAGE
from socketplane.lab.machine import Machine

NONE = "none"
KINDS = (NONE, BRIDGE, OVERLAY, FLOOR, OURS)
ROUNDS = 15
LABEL = {
    BRIDGE: "user-defined bridge",
    OVERLAY: "Swarm overlay",
    FLOOR: "a driver that does nothing (floor)",
    OURS: "SocketPlane",
}


async def measure(peers: Peers, ports: str, rounds: int = ROUNDS) -> list[Figure]:
    """Return the extra time of each kind; `ports` says in words how many ports are present."""
    extra = await _extra(peers.near, KINDS, rounds)
    figures = [Figure(f"docker run --network none, {ports}", "s", extra.pop(NONE))]
    middle = {kind: median(values) for kind, values in extra.items()}
    for kind in (BRIDGE, OVERLAY):
        figures.append(Figure(f"extra: {LABEL[kind]}, {ports}", "s", extra[kind]))
    for kind, against, goal in ((FLOOR, BRIDGE, ""), (OURS, BRIDGE, "at most 1.0"), (OURS, OVERLAY, "at most 0.35")):
        ratio = middle[kind] / middle[against]
        figures.append(Figure(f"extra: {LABEL[kind]}, {ports}", "s", extra[kind], LABEL[against], ratio, goal))
    return figures


async def measure_ours(peers: Peers, ports: str, rounds: int) -> list[Figure]:
    """Return our extra time alone."""
    extra = await _extra(peers.near, (NONE, OURS), rounds)
    return [Figure(f"extra: {LABEL[OURS]}, {ports}", "s", extra[OURS])]


async def _extra(near: Machine, kinds: Sequence[str], rounds: int) -> dict[str, tuple[float, ...]]:
    """Return what each kind takes longer than the median of `none`, which is given as it is."""
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    keep = [kind for kind in kinds if kind != NONE]
    for kind in keep:  # a network's first container on a host makes what later ones share
        await near.run("docker", "run", "-d", "--name", f"keep-{kind}", "--network", kind, IMAGE, "sleep", "900")
    for number, kind in itertools.product(range(rounds), kinds):
        name = f"run-{kind}-{number}"
        begin = time.perf_counter()
        await near.run("docker", "run", "-d", "--name", name, "--network", kind, IMAGE, "sleep", "900")
        seconds[kind].append(time.perf_counter() - begin)
        await near.run("docker", "rm", "-f", name)
    await near.run("docker", "rm", "-f", *(f"keep-{kind}" for kind in keep))
    least = median(seconds[NONE])
    return {kind: tuple(value - (0 if kind == NONE else least) for value in seconds[kind]) for kind in kinds}
