"""Limits and marks on real engines: they follow containers, come and go with policies, and are on the wire."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from socketplane.lab import probe
from support.world import Host, World, eventually

pytestmark = pytest.mark.lab

MBIT = 1_000_000
SECONDS = 1
# Prints the six bits of every datagram that arrives.
_LISTEN = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
    here.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    here.bind(("", int(sys.argv[1])))
    here.settimeout(10)
    print("ready", flush=True)
    _, (extra, *_), *_ = here.recvmsg(100, 100)
    print(extra[2][0] >> 2)
"""
_SEND = "import socket, sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], int(sys.argv[2])))"


def traffic(name: str, subject: dict[str, str], **spec: Any) -> str:
    head = {
        "apiVersion": "socketplane.io/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": name, "namespace": "web"},
    }
    return json.dumps({**head, "spec": {"podSelector": {"matchLabels": subject}, **spec}})


async def speed(host: Host, client: str, address: str, *options: str) -> float:
    """Return how many Mbit/s a container's TCP connection carries."""

    async def tried() -> float | None:
        done = await host.inside(client, "iperf3", "-c", address, "-t", str(SECONDS), "-J", *options)
        return float(json.loads(done.out)["end"]["sum_received"]["bits_per_second"]) / MBIT if done.code == 0 else None

    return float(await eventually("iperf3", tried))


async def test_limits_follow_a_container_and_go_with_the_policy(world: World) -> None:
    h1, h2, h3 = world.hosts
    await world.network("web")
    server = await h3.run("server", "web", command=("iperf3", "-s"))
    await world.policy(traffic("slow", {"app": "backup"}, egress={"rate": "20Mbit"}, ingress={"rate": "10Mbit"}))
    await h1.run("one", "web", "--label", "app=backup")
    assert 14 < await speed(h1, "one", server) < 22
    assert 7 < await speed(h1, "one", server, "--reverse") < 11.5
    await h1.docker("rm", "-f", "one")
    await h2.run("one", "web", "--label", "app=backup")
    assert 14 < await speed(h2, "one", server) < 22
    await h1.cli("policy", "rm", "web/slow")

    async def lifted() -> bool:
        return not await shaped(h2)

    await eventually("limits lifted", lifted)
    assert await speed(h2, "one", server) > 30


async def shaped(host: Host) -> str:
    """Return the queueing disciplines of ours that a host has."""
    shown = (await host.machine.run("tc", "qdisc", "show")).out
    return "\n".join(line for line in shown.splitlines() if "tbf 5350:" in line)


async def test_a_rate_and_labels_on_the_command_line(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    options = 'name=web,driver-opt=socketplane.rate=10mbit,"driver-opt=socketplane.labels=app=backup,tier=low"'
    await h1.docker("run", "-d", "--name", "one", "--network", options, "--label", "app=image", *_SLEEP)
    await h2.docker("create", "--name", "two", "--network", "none", *_SLEEP)
    await h2.docker("network", "disconnect", "none", "two")
    connect = ("network", "connect", "--driver-opt", "socketplane.rate=5Mbit", "--driver-opt")
    await h2.docker(*connect, "socketplane.labels=app=Two tier=low", "web", "two")
    await h2.docker("start", "two")
    one, two = sorted(await world.endpoints(), key=lambda endpoint: str(endpoint["name"]))
    assert (one["rate"], one["labels"]["app"], one["labels"]["tier"]) == (10 * MBIT, "backup", "low")
    assert (two["rate"], two["labels"]["app"], two["labels"]["tier"]) == (5 * MBIT, "Two", "low")
    assert (await shaped(h1)).count("rate 10Mbit") == (await shaped(h2)).count("rate 5Mbit") == 2
    for bad, message in (
        ("socketplane.rate=10MB", "socketplane.rate: '10mb' is not a rate; rates are bits a second: write 80Mbit"),
        ("socketplane.labels=socketplane.io/network=x", "socketplane.io/network is a label of SocketPlane's own"),
    ):
        refused = await h1.docker("run", "--rm", "--network", f"name=web,driver-opt={bad}", *_SLEEP, check=False)
        assert refused.code == 125
        assert "Error response from daemon" in refused.err
        assert message in refused.err
    assert len(await world.endpoints()) == 2


_SLEEP = ("socketplane/lab", "sleep", "600")


@asynccontextmanager
async def hearing(target: probe.Container, port: int) -> AsyncIterator[asyncio.Task[int]]:
    """Listen at a port of a container; the task ends with the mark of the first datagram."""
    program = probe.inside(target, sys.executable, "-I", "-S", "-c", _LISTEN, str(port))
    command = await asyncio.to_thread(target.machine.command, program)
    listener = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output = listener.stdout
    assert output is not None

    async def mark() -> int:
        return int(await output.readline())

    try:
        assert await asyncio.wait_for(output.readline(), 10) == b"ready\n"
        yield asyncio.create_task(mark())
    finally:
        if listener.returncode is None:
            listener.kill()
        await listener.wait()


async def test_packets_carry_the_marks(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    for host, name, app in ((h1, "client", "client"), (h1, "near", "db"), (h2, "far", "db"), (h2, "other", "x")):
        await host.run(name, "web", "--label", f"app={app}")
    db = {"podSelector": {"matchLabels": {"app": "db"}}}
    voice = {"dscp": "EF", "to": [db], "ports": [{"protocol": "UDP", "port": 5000, "endPort": 5010}]}
    await world.policy(traffic("voice", {"app": "client"}, mark=[voice, {"dscp": 8, "to": [db]}]))

    async def mark(source: str, host: Host, target: str, port: int) -> int:
        receiver = await probe.container(host.machine, target, "web")
        sender = await probe.container(h1.machine, source, "web")
        async with hearing(receiver, port) as heard:
            await probe.run(sender, sys.executable, "-I", "-S", "-c", _SEND, receiver.address, str(port))
            return await heard

    for host, target in ((h1, "near"), (h2, "far")):
        assert await mark("client", host, target, 5005) == 46
        assert await mark("client", host, target, 4000) == 8
    assert await mark("client", h2, "other", 5005) == 0
    assert await mark("near", h2, "far", 5005) == 0
    await h1.cli("policy", "rm", "web/voice")
    assert await mark("client", h2, "far", 5005) == 0
