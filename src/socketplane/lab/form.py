"""Make a cluster of a lab's machines with the very commands that an administrator types on real ones."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

from socketplane.errors import Unavailable
from socketplane.lab import images
from socketplane.lab.labs import Lab
from socketplane.lab.machine import Machine
from socketplane.lab.say import Say
from socketplane.lab.shell import CommandFailed

UPLINK = "eth1"
START = 900.0
"""Seconds that a host's own start may take, an emulated machine included."""
AT_ONCE = "SOCKETPLANE_LAB_AT_ONCE"
"""Variable of the environment: how many hosts join at the same time, where that would be too much for the machine.

dockerd gives its containerd 15 s, whatever else goes on.
"""
READY = 180.0
WARM = 120.0


async def form(lab: Lab, *, datapath: str, say: Say) -> None:
    """Start SocketPlane on every host; return once the first container on any of them would work.

    Raises CommandFailed with what `socketplane` said, Unavailable where hosts do not become ready in time.
    """
    first, others = lab.hosts[0], lab.hosts[1:]
    image = asyncio.create_task(images.tarball())
    try:
        say(f"socketplane up on {first.name}")
        encrypt = ["--encrypt"] if lab.encrypted else []
        await first.run("socketplane", "up", *_arguments(first, datapath), *encrypt, timeout=START)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_load(first, image))
            if others:
                say(f"socketplane join on {', '.join(host.name for host in others)}")
                token = (await first.run("socketplane", "token", "create", "--uses", str(len(others)))).out.strip()
                slots = asyncio.Semaphore(int(os.environ.get(AT_ONCE) or len(others)))
                for host in others:
                    tasks.create_task(_join(host, token, datapath, image, slots))
    finally:
        image.cancel()
    say("waiting for the tunnels and for every host to be ready")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ready(first, len(lab.hosts)))
        for source, target in itertools.permutations(lab.hosts, 2):
            tasks.create_task(_warm(source, target))


async def ready(host: Machine, hosts: int) -> None:
    """Return once `socketplane status` calls all hosts ready. Raises Unavailable with what it said last."""
    deadline = time.monotonic() + READY
    while True:
        answer = await host.run("socketplane", "status", "-o", "json", check=False)
        waiting = _waiting(answer.out) if answer.code == 0 else answer.err.strip()
        known = json.loads(answer.out)["hosts"] if answer.code == 0 else []
        if not waiting and len(known) == hosts:
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"not every host is ready: {waiting or f'{len(known)} of {hosts} are known'}")
        await asyncio.sleep(0.3)


async def _join(host: Machine, token: str, datapath: str, image: asyncio.Task[Path], slots: asyncio.Semaphore) -> None:
    async with slots:
        # By standard input: an argument could be read by everybody in the process list.
        await host.run("socketplane", "join", "-", *_arguments(host, datapath), stdin=token + "\n", timeout=START)
    await _load(host, image)


async def _load(host: Machine, image: asyncio.Task[Path]) -> None:
    await images.load(host, await image)


async def _warm(source: Machine, target: Machine) -> None:
    """Wait until a host found its peer: until then the first packets into the tunnel are lost.

    Its agent tells Open vSwitch's userspace datapath; the kernel's asks by itself, which the ping has it do.
    """
    deadline = time.monotonic() + WARM
    while True:
        answer = await source.run("busybox", "ping", "-c", "1", "-W", "1", str(target.underlay), check=False)
        moved = (await source.run("ip", "link", "show", "br-phy", check=False)).code == 0
        found = (await source.run("ovs-appctl", "tnl/neigh/show", check=False)).out.split() if moved else []
        if answer.code == 0 and (not moved or str(target.underlay) in found):
            return
        if time.monotonic() > deadline:
            raise CommandFailed(f"{source.name} does not reach {target.name} ({target.underlay}): {answer.out}", answer)
        await asyncio.sleep(0.2)


def _arguments(host: Machine, datapath: str) -> list[str]:
    arguments = ["--name", host.name, "--address", str(host.underlay), "--uplink", UPLINK]
    return arguments if datapath == "auto" else [*arguments, "--datapath", datapath]


def _waiting(status: str) -> str:
    answer: dict[str, Any] = json.loads(status)
    late = [host["name"] for host in answer["hosts"] if not (host["ready"] and _met(answer, host))]
    return "; ".join([*late, *answer["alarms"]]) if late else ""


def _met(status: dict[str, Any], host: dict[str, Any]) -> bool:
    """Return whether a host agreed on keys with all others, where they encrypt: what it sends them waits for that."""
    met = [peer for peer in host["report"]["peers"] if peer["handshake"]]
    return not status["encrypted"] or len(met) == len(status["hosts"]) - 1
