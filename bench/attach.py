"""What a network adds to `docker run -d`: each kind's median over that of `--network none`, in turns."""

from __future__ import annotations

import itertools
import time
from statistics import median

from bench.peers import BRIDGE, OURS, OVERLAY, Peers
from bench.table import Figure
from socketplane.lab.images import IMAGE

NONE = "none"
KINDS = (NONE, BRIDGE, OVERLAY, OURS)
ROUNDS = 15


async def measure(peers: Peers, ports: str, rounds: int = ROUNDS) -> list[Figure]:
    """Return the extra time of each kind; `ports` says in words how many ports are present."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    keep = [kind for kind in KINDS if kind != NONE]
    for kind in keep:  # a network's first container on a host makes what later ones share
        await peers.near.run("docker", "run", "-d", "--name", f"keep-{kind}", "--network", kind, IMAGE, "sleep", "900")
    for number, kind in itertools.product(range(rounds), KINDS):
        name = f"run-{kind}-{number}"
        begin = time.perf_counter()
        await peers.near.run("docker", "run", "-d", "--name", name, "--network", kind, IMAGE, "sleep", "900")
        seconds[kind].append(time.perf_counter() - begin)
        await peers.near.run("docker", "rm", "-f", name)
    await peers.near.run("docker", "rm", "-f", *(f"keep-{kind}" for kind in keep))
    floor = median(seconds[NONE])
    extra = {kind: median(values) - floor for kind, values in seconds.items()}
    label = {BRIDGE: "user-defined bridge", OVERLAY: "Swarm overlay", OURS: "SocketPlane"}
    figures = [Figure(f"docker run --network none, {ports}", "s", tuple(seconds[NONE]))]
    for kind in (BRIDGE, OVERLAY):
        figures.append(Figure(f"extra: {label[kind]}, {ports}", "s", tuple(v - floor for v in seconds[kind])))
    ours = tuple(value - floor for value in seconds[OURS])
    for kind, goal in ((BRIDGE, "at most 1.0"), (OVERLAY, "at most 0.35")):
        ratio = extra[OURS] / extra[kind]
        figures.append(Figure(f"extra: {label[OURS]}, {ports}", "s", ours, label[kind], ratio, goal))
    return figures
