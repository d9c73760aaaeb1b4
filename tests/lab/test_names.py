"""Names over hosts, with real engines: Docker's own resolver in every container comes to ours by itself."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.world import ECHO, Host, World, eventually

pytestmark = pytest.mark.lab
UPSTREAM = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from support.dnswire import name_server, saying

async def main():
    async with name_server(sys.argv[2], 53) as (server, _):
        server.said = saying("203.0.113.9")
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
RESOLVER = "169.254.53.53"
SERVICE = ("--label", "com.docker.compose.service=api")
OF_NAMES = ("about names", "by name:", "names of containers")
"""What alarms about names say: others' alarms may stand from tests before."""


@asynccontextmanager
async def upstream(world: World) -> AsyncIterator[None]:
    """A name server outside: all hosts' resolv.conf names it."""
    tests = str(Path(__file__).parent.parent)
    command = ("timeout", "120", sys.executable, "-c", UPSTREAM, tests, str(world.lab.fabric.management))
    serving = asyncio.create_task(world.lab.fabric.run(*command, check=False, timeout=130))
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def lookup(host: Host, container: str, name: str, *server: str) -> set[str]:
    """Return the addresses (or names) that a container finds, as a program in it would."""
    said = await host.inside(container, "nslookup", name, *server)
    answer = said.out.partition("\n\n")[2] if said.code == 0 else ""
    lines = [line for line in answer.splitlines() if line.startswith("Address") or "name = " in line]
    return {line.replace("name =", ":").rpartition(": ")[2].strip() for line in lines}


async def finds(host: Host, container: str, name: str, *found: str, server: tuple[str, ...] = ()) -> None:
    async def probe() -> bool:
        return await lookup(host, container, name, *server) == set(found)

    await eventually(f"{name} in {container} means {found}", probe, timeout=10)


async def test_names_over_hosts(world: World) -> None:
    h1, h2, h3 = world.hosts
    await world.network("web")
    await world.network("data")
    await h1.run("asker", "web")
    one = await h2.run("shop_api_1", "web", "--network-alias", "front", *SERVICE)
    two = await h3.run("shop_api_2", "web", *SERVICE)
    await h2.run("db", "data")
    async with upstream(world):
        await finds(h1, "asker", "example.com", "203.0.113.9")
        await finds(h1, "asker", "shop_api_1", one)
        await finds(h1, "asker", "front", one)
        await finds(h1, "asker", "api", one, two)
        await finds(h1, "asker", "shop_api_2.web", two)
        await finds(h1, "asker", one, "shop_api_1.web")
        # To the asker, a name of another network is one that nobody has: the server outside is asked.
        await finds(h1, "asker", "db", "203.0.113.9")
        await finds(h1, "asker", "front", one, server=(RESOLVER,))
        await h1.docker("run", "-d", "--name", "bridged", "--dns", RESOLVER, "socketplane/lab", "sleep", "600")
        await finds(h1, "bridged", "front", "203.0.113.9")

        await _is_not_open(world)

        # Isolated, it still asks; and what it is told of, it does not reach.
        isolated = (
            '{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "i", "namespace": "web"},'
        )
        await world.policy(isolated + '"spec": {"podSelector": {}, "policyTypes": ["Egress"]}}')
        await eventually("isolation", lambda: _unreachable(h1, "asker", one))
        await finds(h1, "asker", "front", one)

        await world.first.machine.run("sh", "-c", "kill -STOP $(cat /run/socketplane/controller.pid)")
        await h1.machine.run("sh", "-c", "kill -STOP $(cat /run/socketplane/agent.pid)")
        try:
            assert await lookup(h1, "asker", "front") == {one}
            assert await lookup(h1, "asker", "api") == {one, two}
        finally:
            await h1.machine.run(
                "sh", "-c", "kill -CONT $(cat /run/socketplane/agent.pid) $(cat /run/socketplane/controller.pid)"
            )

        await h2.docker("rm", "-f", "shop_api_1")
        await finds(h1, "asker", "api", two)
        await finds(h1, "asker", "front", "203.0.113.9")
    status = await world.first.read("status")
    (host,) = [host for host in status["hosts"] if host["name"] == "h1"]
    assert host["report"]["resolver"]["queries"]["answered"] > 0
    assert not [alarm for alarm in status["alarms"] if any(words in alarm for words in OF_NAMES)]


async def test_names_on_internal_networks(world: World) -> None:
    """Nothing leads out of them, and names of their own containers on all hosts are found."""
    h1, h2, _ = world.hosts
    await world.network("inner", "--internal")
    await world.network("other", "--internal")
    await h1.run("asker", "inner")
    one = await h2.run("vault", "inner", "--network-alias", "front", command=ECHO)
    hidden = await h1.run("hidden", "other", command=ECHO)
    async with upstream(world):
        await finds(h1, "asker", "front", one)
        await finds(h1, "asker", one, "vault.inner")
        await finds(h1, "asker", "vault", one, server=(RESOLVER,))
        assert await lookup(h1, "asker", "example.com") == set()
        assert await lookup(h1, "asker", "hidden") == set()
        assert await h1.connects("asker", "vault", 7)
        refused = await h1.inside("asker", "socat", "-u", "OPEN:/dev/null", f"TCP:{hidden}:7,connect-timeout=5")
        assert "refused" in refused.err, "at once"
        assert (
            await h1.machine.run("socat", "-u", "OPEN:/dev/null", f"TCP:{hidden}:7,connect-timeout=1", check=False)
        ).code

        # Which way is out follows the networks that it is on; the names that it sees do as well.
        await world.network("web")
        await h1.docker("network", "connect", "web", "asker")
        await finds(h1, "asker", "example.com", "203.0.113.9")
        await finds(h1, "asker", "front", one)
        await h1.docker("network", "disconnect", "web", "asker")
        await finds(h1, "asker", "front", one)
        assert await lookup(h1, "asker", "example.com") == set()

        isolated = {"podSelector": {}, "policyTypes": ["Egress"]}
        await world.policy(
            json.dumps(
                {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "NetworkPolicy",
                    "metadata": {"name": "i", "namespace": "inner"},
                    "spec": isolated,
                }
            )
        )
        await eventually("isolation", lambda: _unreachable(h1, "asker", one))
        await finds(h1, "asker", "front", one)
    said = await h1.cli("explain", "asker", f"{RESOLVER}:53/udp")
    assert "resolver" in said.out


async def _is_not_open(world: World) -> None:
    """The resolver of h1 serves neither containers of other hosts nor the LAN, whatever leads there."""
    h1, h2, _ = world.hosts
    (host,) = [host for host in (await h1.read("status"))["hosts"] if host["name"] == "h1"]
    at = f"{host['gateway']}:6676"
    assert "REFUSED" in (await h2.inside("shop_api_1", "nslookup", "example.com", at)).out
    route = f"{host['gateway']}/32 via {h1.machine.management}"
    await world.lab.fabric.network(f"route add {route}")
    try:
        said = await world.lab.fabric.run("timeout", "3", "busybox", "nslookup", "example.com", at, check=False)
        assert said.code != 0
    finally:
        await world.lab.fabric.network(f"route del {route}")


async def _unreachable(host: Host, container: str, address: str) -> bool:
    return (await host.inside(container, "ping", "-c", "1", "-w", "1", address)).code != 0
