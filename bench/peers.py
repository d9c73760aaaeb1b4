"""The networks that are compared, on one lab: none, a user-defined bridge, Swarm's overlay, ours, and one of `floor`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from socketplane.lab.labs import Lab
from socketplane.lab.machine import Machine

BRIDGE, OVERLAY, OURS, FLOOR = "bench-bridge", "bench-overlay", "bench-ours", "bench-floor"
CHECKOUT = Path(__file__).resolve().parent.parent
PATIENCE = 300.0
"""Seconds: an emulated machine is slow."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Two hosts of a lab that have all the networks."""

    near: Machine
    far: Machine
    datapath: str


async def prepare(lab: Lab) -> Peers:
    """Make the networks on the lab's first two hosts.

    Swarm has eth0 to itself: our underlay is in a userspace bridge, which would slow it down.
    """
    near, far = lab.hosts[:2]
    await near.run("docker", "network", "create", BRIDGE, timeout=PATIENCE)
    await near.run("docker", "swarm", "init", "--advertise-addr", str(near.management), timeout=PATIENCE)
    token = (await near.run("docker", "swarm", "join-token", "-q", "worker")).out.strip()
    await far.run("docker", "swarm", "join", "--token", token, f"{near.management}:2377", timeout=PATIENCE)
    await near.run("docker", "network", "create", "-d", "overlay", "--attachable", OVERLAY, timeout=PATIENCE)
    # A large one: addresses rest after use.
    await near.run("socketplane", "network", "create", OURS, "--subnet", "10.200.0.0/18", timeout=PATIENCE)
    await _make_floor(near)
    await _known(far, OURS)
    status = json.loads((await near.run("socketplane", "status", "-o", "json", timeout=PATIENCE)).out)
    datapaths = {host["report"]["datapath"] for host in status["hosts"] if host.get("report")}
    return Peers(near, far, ", ".join(sorted(datapaths)))


async def _make_floor(machine: Machine) -> None:
    socket = "/run/docker/plugins/floor.sock"
    start = f"cd {CHECKOUT} && {{ python -m bench.floor {socket} > /run/floor.log 2>&1 & }}"
    await machine.run("sh", "-c", f"{start}; until test -S {socket}; do sleep 0.05; done", timeout=PATIENCE)
    await machine.run("docker", "network", "create", "-d", "floor", "--ipam-driver", "floor", FLOOR, timeout=PATIENCE)


async def _known(machine: Machine, network: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await machine.run("docker", "network", "inspect", network, check=False)).code:
            await asyncio.sleep(0.1)


async def haunt(machine: Machine, host: str, count: int) -> None:
    """Put that many endpoints of a host that is none onto our network; returns once all hosts took them in."""
    command = f"cd {CHECKOUT} && exec python -m bench.ghosts {host} {OURS} {count}"
    await machine.run("sh", "-c", command, timeout=300)
    await machine.run("ovn-nbctl", "--wait=hv", "sync", timeout=300)


async def address(machine: Machine, container: str, network: str) -> str:
    """Return a container's address on a network."""
    template = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    return (await machine.run("docker", "inspect", "-f", template, container)).out.strip()


async def resident(machine: Machine, daemon: str) -> float:
    """Return the resident memory of one of our daemons, MiB."""
    script = f'grep VmRSS "/proc/$(cat /run/socketplane/{daemon}.pid)/status"'
    return int((await machine.run("sh", "-c", script)).out.split()[1]) / 1024
