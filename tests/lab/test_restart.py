"""What runs keeps running while a part is restarted or killed, and an attach and a detach work afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from support.world import ECHO, STREAM, Host, World, eventually

pytestmark = [pytest.mark.lab, pytest.mark.smoke]


@dataclass
class Traffic:
    """Two open connections over two hosts: a server that streams, and one that answers each line."""

    world: World
    number: int = 0

    async def start(self) -> None:
        h1, h2, _ = self.world.hosts
        streamer = await h2.run("streamer", "web", command=STREAM)
        echo = await h2.run("echo", "web", command=ECHO)
        await h1.run(
            "listener", "web", command=("sh", "-c", f"socat -u TCP:{streamer}:9,retry=20,interval=0.2 CREATE:/tmp/got")
        )
        talk = f"(while echo line; do sleep 0.1; done) | socat TCP:{echo}:7,retry=20,interval=0.2 - > /tmp/got"
        await h1.run("talker", "web", command=("sh", "-c", talk))
        await self.flows()

    async def flows(self) -> None:
        """Fail unless more arrives on both connections: the same ones, for nothing here reconnects."""
        for name in ("listener", "talker"):
            before = await self._size(name)

            async def grown(name: str = name, before: int = before) -> bool:
                return await self._size(name) > before

            await eventually(f"{name} receives", grown, 15.0)

    async def _size(self, name: str) -> int:
        out = (await self.world.first.inside(name, "sh", "-c", "wc -c < /tmp/got")).out.strip()
        assert out.isdigit(), f"{name} ended: its connection broke"
        return int(out)

    async def attach_and_detach(self) -> None:
        """A new container on each host reaches the far server, and leaves nothing when it goes."""
        h1, h2, _ = self.world.hosts
        target = await h2.address("echo", "web")
        for host in (h1, h2):
            self.number += 1
            name = f"new{self.number}"
            await host.run(name, "web")
            assert await host.connects(name, target, 7, timeout=5)
            await host.docker("rm", "-f", name)

            async def gone(name: str = name) -> bool:
                return name not in {e["name"] for e in await self.world.endpoints()}

            await eventually(f"endpoint of {name} gone", gone)


@pytest.fixture
async def traffic(world: World) -> AsyncIterator[Traffic]:
    await world.network("web")
    traffic = Traffic(world)
    await traffic.start()
    yield traffic


async def _pid(host: Host, pidfile: str) -> int:
    return int((await host.machine.run("cat", pidfile)).out)


async def _end(host: Host, pidfile: str, signal: str = "KILL") -> None:
    """End a daemon and wait until it is gone; its monitor, where it has one, must not bring it back first."""
    pid = await _pid(host, pidfile)
    await host.machine.run("kill", f"-{signal}", str(pid))

    async def gone() -> bool:
        return (await host.machine.run("kill", "-0", str(pid), check=False)).code != 0

    await eventually(f"{pidfile} ended on {host.name}", gone, 20.0)


DAEMONS = {
    "driver's socket": ("h1", "/run/socketplane/plugin.pid"),
    "agent": ("h1", "/run/socketplane/agent.pid"),
    "controller": ("h1", "/run/socketplane/controller.pid"),
    "intent database": ("h1", "/run/socketplane/intent.pid"),
    "northbound database": ("h1", "/run/ovn/ovnnb_db.pid"),
    "southbound database": ("h1", "/run/ovn/ovnsb_db.pid"),
    "northd": ("h1", "/run/ovn/ovn-northd.pid"),
    "ovn-controller": ("h2", "/run/ovn/ovn-controller.pid"),
    "local database": ("h2", "/run/openvswitch/ovsdb-server.pid"),
    "switch": ("h2", "/run/openvswitch/ovs-vswitchd.pid"),
}


@pytest.mark.timeout(600)
async def test_a_killed_daemon_disturbs_nobody(world: World, traffic: Traffic) -> None:
    """One after the other, under the same traffic: nothing that one leaves behind may trouble the next."""
    hosts = {host.name: host for host in world}
    for daemon, (name, pidfile) in DAEMONS.items():
        print(f"the {daemon} of {name} is killed")  # shown when this fails
        await _end(hosts[name], pidfile)
        await hosts[name].cli("up", timeout=90)
        await traffic.flows()
        await traffic.attach_and_detach()
        await traffic.flows()


@pytest.mark.timeout(180)  # what nobody could hear is removed after a minute's grace
async def test_containers_removed_while_the_agent_is_down(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    await h1.run("short", "web")
    await h2.run("stays", "web")
    await _end(h1, "/run/socketplane/agent.pid")
    removing = asyncio.create_task(h1.docker("rm", "-f", "short", check=False, timeout=120))
    await asyncio.sleep(0)
    await removing
    await h1.cli("up", timeout=60)

    async def settled() -> bool:
        ports = (await h1.machine.run("ovs-vsctl", "list-ports", "br-int")).out.split()
        links = (await h1.machine.run("ip", "-o", "link")).out
        left = [port for port in ports if port.startswith("sp") and port != "sp0"]
        return {e["name"] for e in await world.endpoints()} == {"stays"} and not left and "sc" not in _prefixes(links)

    await eventually("ports, veths and leases gone", settled, 90.0)


def _prefixes(links: str) -> set[str]:
    return {line.split(": ")[1][:2] for line in links.splitlines() if line}


async def test_docker_restarted(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    address = await h2.run("server", "web", command=ECHO)
    await h1.run("always", "web", "--restart", "always")
    await _end(h1, "/run/docker.pid", "TERM")
    await h1.cli("up", timeout=90)

    async def back() -> bool:
        return await h1.connects("always", address, 7)

    await eventually("the container is back and connected", back, 60.0)
    await h1.run("fresh", "web")
    assert await h1.connects("fresh", address, 7)


async def test_docker_comes_up_without_agent_and_controller_and_containers_settle(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    address = await h2.run("server", "web", command=ECHO)
    await h1.run("always", "web", "--restart", "always")
    for pidfile in ("/run/docker.pid", "/run/socketplane/agent.pid", "/run/socketplane/controller.pid"):
        await _end(h1, pidfile, "TERM" if "docker" in pidfile else "KILL")
    began = asyncio.get_running_loop().time()
    await h1.machine.run("sh", "-c", "dockerd --pidfile /run/docker.pid >> /var/log/socketplane/dockerd.log 2>&1 &")

    async def answers() -> bool:
        return (await h1.docker("ps", check=False, timeout=30)).code == 0

    await eventually("Docker answers", answers, 25.0)
    assert asyncio.get_running_loop().time() - began < 25
    await h1.cli("up", timeout=90)

    async def settled() -> bool:
        return await h1.connects("always", address, 7)

    await eventually("the container is started and connected", settled, 60.0)


async def test_docker_killed_with_live_restore(world: World, traffic: Traffic) -> None:
    """Containers outlive their engine; the agent keeps their ports, and the new engine finds its networks."""
    h1 = world.first
    settings = "/etc/docker/daemon.json"
    await h1.machine.run("sh", "-c", f"echo '{{\"live-restore\": true}}' > {settings}")
    try:
        await h1.machine.run("kill", "-HUP", str(await _pid(h1, "/run/docker.pid")))
        await _end(h1, "/run/docker.pid")
        await h1.cli("up", timeout=90)
        await traffic.flows()
        await traffic.attach_and_detach()
        await traffic.flows()
    finally:
        await h1.machine.run("rm", "-f", settings)
        await h1.machine.run("kill", "-HUP", str(await _pid(h1, "/run/docker.pid")))


async def test_a_host_leaves_and_joins_while_others_carry_traffic(world: World, traffic: Traffic) -> None:
    h1, _, h3 = world.hosts
    await h3.cli("leave", timeout=90)
    assert {host["name"] for host in await h1.read("host", "ls")} == {"h1", "h2"}
    await traffic.flows()
    token = (await h1.cli("token", "create")).out.strip()
    arguments = ("--name", "h3", "--address", str(h3.machine.underlay), "--uplink", "eth1")
    await h3.cli("join", "-", *arguments, stdin=token + "\n", timeout=90)
    await traffic.flows()

    async def known() -> bool:
        return "web" in await h3.networks()

    await eventually("network web on the new host", known, 20.0)
    await h3.run("late", "web")
    target = await world.hosts[1].address("echo", "web")

    async def reaches() -> bool:
        return await h3.connects("late", target, 7)

    await eventually("the new host's container reaches the others", reaches, 10.0)
    await traffic.flows()
