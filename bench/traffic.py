"""Throughput and round trip across hosts and on one host: ours beside Swarm's overlay and a bridge."""

from __future__ import annotations

import asyncio
import json
import re
from statistics import median

from bench.peers import BRIDGE, OURS, OVERLAY, Peers, address
from bench.table import Figure
from socketplane.lab.images import IMAGE
from socketplane.lab.machine import Machine

ROUNDS = 3
SECONDS = 2
PINGS = 20


async def measure(peers: Peers, rounds: int = ROUNDS) -> list[Figure]:
    """Return figures for each pair of a network and a place of the server."""
    near, far = peers.near, peers.far
    ways = {
        "Swarm overlay, across": (OVERLAY, far),
        f"SocketPlane, across ({peers.datapath})": (OURS, far),
        "bridge, one host": (BRIDGE, near),
        f"SocketPlane, one host ({peers.datapath})": (OURS, near),
    }
    gigabits: dict[str, list[float]] = {way: [] for way in ways}
    milliseconds: dict[str, list[float]] = {way: [] for way in ways}
    targets = {}
    for number, (way, (network, host)) in enumerate(ways.items()):
        await near.run("docker", "run", "-d", "--name", f"client{number}", "--network", network, IMAGE, "sleep", "900")
        await host.run("docker", "run", "-d", "--name", f"server{number}", "--network", network, IMAGE, "iperf3", "-s")
        targets[way] = (f"client{number}", await address(host, f"server{number}", network))
    for _ in range(rounds):
        for way, (client, target) in targets.items():
            gigabits[way].append(await _throughput(near, client, target))
            milliseconds[way].append(await _round_trip(near, client, target))
    for number, (_, host) in enumerate(ways.values()):
        await near.run("docker", "rm", "-f", f"client{number}")
        await host.run("docker", "rm", "-f", f"server{number}")
    return [*_rows("TCP", "Gbit/s", gigabits), *_rows("round trip", "ms", milliseconds)]


def _rows(what: str, unit: str, values: dict[str, list[float]]) -> list[Figure]:
    rows = []
    names = list(values)
    for peer, ours in (names[:2], names[2:]):
        ratio = median(values[ours]) / median(values[peer])
        rows.append(Figure(f"{what}: {peer}", unit, tuple(values[peer])))
        rows.append(Figure(f"{what}: {ours}", unit, tuple(values[ours]), peer, ratio))
    return rows


async def _throughput(machine: Machine, client: str, target: str) -> float:
    for _ in range(20):  # the server may still be starting
        command = ("docker", "exec", client, "iperf3", "-c", target, "-t", str(SECONDS), "-J")
        done = await machine.run(*command, check=False)
        if done.code == 0:
            return float(json.loads(done.out)["end"]["sum_received"]["bits_per_second"]) / 1e9
        await asyncio.sleep(0.2)
    raise RuntimeError(f"iperf3 from {client} to {target}: {done.out or done.err}")


async def _round_trip(machine: Machine, client: str, target: str) -> float:
    done = await machine.run("docker", "exec", client, "ping", "-c", str(PINGS), "-A", target)
    found = re.search(r"= [\d.]+/([\d.]+)/", done.out)
    if not found:
        raise RuntimeError(done.out)
    return float(found[1])
