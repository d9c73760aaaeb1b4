"""Who reaches whom: real connections and pings out of containers, many at once, each within a bounded time.

A connection is made in the container's own network namespace: through its interface, under its policy. Only the
program that makes it is this machine's, so that the container needs none.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from socketplane.agent import attempt
from socketplane.lab.machine import Machine

WAIT = 2.0
AT_ONCE = 4
"""Containers that try at the same time."""
_SCRIPT = str(Path(attempt.__file__).resolve())
# $1: the container, then what to run in its network.
_INSIDE = 'pid=$(docker inspect -f "{{.State.Pid}}" "$1") && shift && exec nsenter --target "$pid" --net "$@"'


class Outcome(StrEnum):
    """How an attempt ended."""

    OPEN = attempt.OPEN
    """TCP: connected. UDP and pings: an answer came."""
    REFUSED = attempt.REFUSED
    """Reset, or an ICMP message that says: nobody listens."""
    TIMEOUT = attempt.TIMEOUT
    """Nothing came back in time: what a policy's drop looks like."""
    UNREACHABLE = attempt.UNREACHABLE
    """No way there, as the kernel or a router says."""


@dataclass(frozen=True, slots=True)
class Container:
    """A running container, where it runs, and its address on the network in question."""

    machine: Machine
    name: str
    address: str

    def target(self, port: int, protocol: str = "tcp") -> Target:
        """Return a port of this container."""
        return Target(self.address, port, protocol)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to; protocol icmp is a ping, whatever the port."""

    address: str
    port: int
    protocol: str = "tcp"


async def container(machine: Machine, name: str, network: str) -> Container:
    """Return a running container with its address on a network. Raises CommandFailed where it has none."""
    template = f'{{{{with index .NetworkSettings.Networks "{network}"}}}}{{{{.IPAddress}}}}{{{{end}}}}'
    answer = await machine.run("docker", "inspect", "-f", template, name)
    return Container(machine, name, answer.out.strip())


async def run(source: Container, *argv: str, stdin: str | None = None, check: bool = True) -> str:
    """Run a program of the host's in a container's network and return what it wrote."""
    done = await source.machine.run(*inside(source, *argv), stdin=stdin, check=check)
    return done.out


def inside(source: Container, *argv: str) -> list[str]:
    """Return the command, for its machine, that runs a program of the host's in a container's network."""
    return ["sh", "-c", _INSIDE, "inside", source.name, *argv]


async def probe(source: Container, targets: Iterable[Target], wait: float = WAIT) -> dict[Target, Outcome]:
    """Try every target from a container, all at once. Raises CommandFailed where the container does not run."""
    wanted = list(dict.fromkeys(targets))
    request = {"wait": wait, "targets": [[target.protocol, target.address, target.port] for target in wanted]}
    answer = await run(source, sys.executable, "-I", "-S", _SCRIPT, stdin=json.dumps(request))
    return {target: Outcome(outcome) for target, outcome in zip(wanted, json.loads(answer), strict=True)}


async def matrix(
    containers: Sequence[Container], ports: Sequence[int], *, protocol: str = "tcp", wait: float = WAIT
) -> dict[tuple[str, str, int], Outcome]:
    """Try every port of every container from every other; by (source's name, destination's name, port)."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def row(source: Container) -> dict[tuple[str, str, int], Outcome]:
        others = {
            other.target(port, protocol): (source.name, other.name, port)
            for other in containers
            if other != source
            for port in ports
        }
        async with slots:
            found = await probe(source, others, wait)
        return {others[target]: outcome for target, outcome in found.items()}

    async with asyncio.TaskGroup() as tasks:
        rows = [tasks.create_task(row(source)) for source in containers]
    return {key: outcome for task in rows for key, outcome in task.result().items()}
