"""Addresses of the machine and its neighbourhood, and what the tests pass around."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from machine import Machine, Namespace, eventually

from socketplane.agent.gateway import Gateway

UPLINK, OUTSIDE, LAN = "192.0.2.1", "192.0.2.9", "192.0.2.0/24"


@dataclass(frozen=True, slots=True)
class Container:
    """An endpoint with a namespace around it, as Docker would set it up."""

    id: str
    address: str
    address6: str
    namespace: Namespace


Start = Callable[..., Awaitable[Container]]


def move(machine: Machine, link: str, namespace: Namespace) -> None:
    """Move a link of the machine into a namespace."""
    subprocess.run(["ip", "link", "set", link, "netns", str(namespace.pid)], check=True)
    assert machine.pid  # the caller is inside the machine's namespace, but counts PIDs as the test process does
    eventually(lambda: link in namespace.run("ip", "link"), f"{link} has moved")


def setting6(machine: Machine, link: str, key: str = "forwarding", value: str = "") -> str:
    """Return a link's setting of IPv6, after it was set if there is a value."""
    path = f"/proc/sys/net/ipv6/conf/{link}/{key}"
    return machine.run("sh", "-c", f"{f'echo {value} > {path}; ' if value else ''}cat {path}").strip()


@contextlib.contextmanager
def bridge_network(machine: Machine) -> Iterator[Namespace]:
    """A container on a bridge of its own, as docker0 has them."""
    machine.run(
        "sh", "-c", "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up"
    )
    container = Namespace(machine)
    machine.run("sh", "-c", "ip link add d0 master docker0 type veth peer name d1 && ip link set d0 up")
    move(machine, "d1", container)
    container.run("sh", "-c", "ip addr add 172.17.0.2/16 dev d1; ip link set d1 up; ip route add default via 172.17.0.1")
    try:
        yield container
    finally:
        machine.run("sh", "-c", "ip link del d0; ip link del docker0")  # now, and not when the kernel gets to it
        container.close()


@contextlib.asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[None]:
    """Let the gateway look after itself."""
    task = asyncio.create_task(gateway.run())
    try:
        await gateway.ensure()
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition while the loop runs."""
    await asyncio.to_thread(eventually, condition, what)
