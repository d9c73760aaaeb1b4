"""How well TrafficPolicies hold their rates, for TCP both ways, across hosts and on one; and what that costs others."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable
from statistics import median

from bench.peers import OURS, Peers, address
from bench.table import Figure
from socketplane.lab.images import IMAGE
from socketplane.lab.machine import Machine
from socketplane.lab.shell import Completed

RATES = (10, 100, 500)
"""Mbit/s."""
WAYS = (("out of", ()), ("into", ("--reverse",)))
HEADROOM = 1.1
ROUNDS = 3
SECONDS = 4
FAR_ABOVE = 20_000
PINGS = 200
CLIENT = "shaped"
_PATIENCE = 15.0


async def measure(peers: Peers, rounds: int = ROUNDS) -> list[Figure]:
    """Return figures for a container with limits on the near host."""
    near, far = peers.near, peers.far
    await near.run(
        "docker", "run", "-d", "--name", CLIENT, "--label", "bench=shaped", "--network", OURS, IMAGE, "sleep", "3600"
    )
    targets = {}
    for where, host in (("across", far), ("one host", near)):
        name = f"shaping-{where.replace(' ', '-')}"
        await host.run("docker", "run", "-d", "--name", name, "--network", OURS, IMAGE, "iperf3", "-s")
        targets[where] = await address(host, name, OURS)
    figures = [*await _cost(near, targets["one host"], rounds)]
    ways = {
        f"{way} the container, {where}": (target, options) for where, target in targets.items() for way, options in WAYS
    }
    free = {}
    for name, (target, options) in ways.items():
        values = [await _speed(near, target, *options) for _ in range(rounds)]
        free[name] = median(values)
        figures.append(Figure(f"TCP, no limit, {name}", "Mbit/s", tuple(values)))
    for rate in RATES:
        await _limit(near, rate)
        for name, (target, options) in ways.items():
            values = tuple([await _speed(near, target, *options) for _ in range(rounds)])
            name_here = f"TCP, limit {rate} Mbit/s, {name}"
            if free[name] < rate * HEADROOM:  # the switch is slower than the limit: then it is to cost nothing
                figures.append(Figure(name_here, "Mbit/s", values, "without a limit", median(values) / free[name]))
            else:
                figures.append(Figure(name_here, "Mbit/s", values, "the limit", median(values) / rate, "0.90 to 1.00"))
    figures += await _bystander(near, far)
    await near.run("socketplane", "policy", "rm", f"{OURS}/bench")
    await near.run("docker", "rm", "-f", CLIENT, "shaping-one-host", "bystander", "flood1", "flood2", check=False)
    await far.run("docker", "rm", "-f", "shaping-across", "flooder", "pinger", check=False)
    return figures


async def _cost(near: Machine, target: str, rounds: int) -> list[Figure]:
    """Compare a connection without limits with one whose limits are far above what it could need."""
    free, held = [], []
    for _ in range(rounds):
        free.append(await _speed(near, target))
        await _limit(near, FAR_ABOVE)
        held.append(await _speed(near, target))
        await near.run("socketplane", "policy", "rm", f"{OURS}/bench")
        await _until(near, "")
    ratio = median(held) / median(free)
    return [
        Figure("TCP, one host, without limits", "Mbit/s", tuple(free)),
        Figure("TCP, one host, limits far above", "Mbit/s", tuple(held), "without", ratio),
    ]


async def _bystander(near: Machine, far: Machine) -> list[Figure]:
    """Return what a container without limits loses while two others are sent ten times what they may get."""
    floods = (("flood1", ("--label", "bench=shaped")), ("flood2", ("--label", "bench=shaped")), ("bystander", ()))
    for name, labels in floods:
        await near.run("docker", "run", "-d", "--name", name, *labels, "--network", OURS, IMAGE, "iperf3", "-s")
    for name in ("flooder", "pinger"):
        await far.run("docker", "run", "-d", "--name", name, "--network", OURS, IMAGE, "sleep", "600")
    await near.run("socketplane", "policy", "rm", f"{OURS}/bench")
    await _until(near, "")
    without = await _lost(near, far)
    await _limit(near, RATES[0])
    held = await _lost(near, far)
    text = "ping of a container without limits while two others get 100 Mbit/s of UDP each"
    return [
        Figure(f"{text}, no limits", "% lost", (without,)),
        Figure(f"{text}, limit {RATES[0]} Mbit/s", "% lost", (held,)),
    ]


async def _lost(near: Machine, far: Machine) -> float:
    floods = [
        far.run("docker", "exec", "flooder", "iperf3", "-u", "-b", "100M", "-t", "8", "-c", await address(near, name, OURS))
        for name in ("flood1", "flood2")
    ]
    target = await address(near, "bystander", OURS)
    pings = far.run("docker", "exec", "pinger", "ping", "-q", "-i", "0.02", "-c", str(PINGS), target, check=False)
    *_, answer = await asyncio.gather(*floods, _later(2.0, pings))
    found = re.search(r"([\d.]+)% packet loss", answer.out)
    if not found:
        raise RuntimeError(answer.out or answer.err)
    return float(found[1])


async def _later(seconds: float, what: Awaitable[Completed]) -> Completed:
    await asyncio.sleep(seconds)
    return await what


async def _limit(near: Machine, rate: int) -> None:
    """Limit the containers that are labelled so, and return once they are."""
    sides = {"egress": {"rate": f"{rate}Mbit"}, "ingress": {"rate": f"{rate}Mbit"}}
    spec = {"podSelector": {"matchLabels": {"bench": "shaped"}}, **sides}
    head = {"apiVersion": "socketplane.io/v1alpha1", "kind": "TrafficPolicy"}
    document = {**head, "metadata": {"name": "bench", "namespace": OURS}, "spec": spec}
    await near.run("socketplane", "policy", "apply", "-f", "-", stdin=json.dumps(document))
    await _until(near, f"rate {rate // 1000}Gbit" if rate % 1000 == 0 else f"rate {rate}Mbit")


async def _until(near: Machine, wanted: str) -> None:
    """Return once the buckets have the rate; without one, once there are none."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            shown = (await near.run("tc", "qdisc", "show")).out
            buckets = [line for line in shown.splitlines() if "tbf 5350:" in line]
            if bool(buckets) == bool(wanted) and all(wanted in line for line in buckets):
                return
            await asyncio.sleep(0.1)


async def _speed(machine: Machine, target: str, *options: str) -> float:
    command = ("docker", "exec", CLIENT, "iperf3", "-c", target, "-t", str(SECONDS), "-J", *options)
    for _ in range(20):  # the server may still be starting
        done = await machine.run(*command, check=False)
        if done.code == 0:
            return float(json.loads(done.out)["end"]["sum_received"]["bits_per_second"]) / 1e6
        await asyncio.sleep(0.2)
    raise RuntimeError(f"iperf3 to {target}: {done.out or done.err}")
