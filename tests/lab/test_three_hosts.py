"""A Compose file whose services are spread over three hosts, and a container that takes its address along."""

from __future__ import annotations

import ipaddress

import pytest

from socketplane.lab import layout
from socketplane.lab.images import IMAGE
from support.world import ECHO, Host, World, eventually

pytestmark = pytest.mark.lab
FILE = layout.checkout() / "examples/three-hosts/compose.yaml"


async def _compose(host: Host, *arguments: str) -> None:
    """Run what this release has: `docker compose`, or `docker-compose` of Debian 12."""
    plugin = (await host.docker("compose", "version", check=False)).code == 0
    program = "docker compose" if plugin else "docker-compose"
    words = " ".join(arguments)
    await host.machine.run("sh", "-c", f"IMAGE={IMAGE} {program} -f {FILE} -p orders {words}", timeout=120)


async def test_one_compose_file_on_three_hosts(world: World) -> None:
    h1, h2, h3 = world.hosts
    await world.network("orders")
    placed = ((h1, "db"), (h2, "app"), (h3, "web"))
    try:
        for host, service in placed:
            await _compose(host, "up", "-d", service)
        question = f"printf 'GET /cgi-bin/order HTTP/1.0\\r\\n\\r\\n' | socat -t 5 - TCP:{h3.machine.underlay}:8080"

        async def answered() -> bool:
            answer = await h1.machine.run("sh", "-c", question, check=False)
            return "You can order what is in stock: 42 crates" in answer.out

        await eventually("an order, from outside through all three services", answered)
        labels = {e["host"]: e["labels"]["com.docker.compose.service"] for e in await world.endpoints()}
        assert labels == {host.name: service for host, service in placed}
        # The whole file on one host more: what is there is left, the rest is started, and names mean all of them.
        await _compose(h1, "up", "-d")
        await eventually("an order as before", answered)
    finally:
        for host in world:
            await _compose(host, "down", "-t", "0")
    assert "orders" in await h1.networks()


async def test_a_reserved_address_returns_to_its_container_on_another_host(world: World) -> None:
    h1, h2, h3 = world.hosts
    await world.network("web")
    (network,) = await world.first.read("network", "inspect", "web")
    address = str(ipaddress.ip_network(network["subnet"])[50])
    await h1.cli("network", "reserve", "web", address, "db")
    await h3.run("client", "web")
    run = ("run", "-d", "--network", "web", "--ip", address)
    for host, other in ((h1, h2), (h2, h1)):
        refused = await host.docker(*run, "--name", "app", IMAGE, *ECHO, check=False)
        assert "reserved for container db" in refused.err
        await host.docker("rm", "-f", "app")
        await host.docker(*run, "--name", "db", IMAGE, *ECHO)

        async def connects() -> bool:
            return await h3.connects("client", address, 7)

        await eventually(f"db at its address on {host.name}", connects)
        refused = await other.docker(*run, "--name", "db", IMAGE, check=False)
        assert f"held by container db on host {host.name}" in refused.err
        await other.docker("rm", "-f", "db")
        await host.docker("rm", "-f", "db")
    await h1.cli("network", "unreserve", "web", address)
    await h1.docker(*run, "--name", "app", IMAGE, *ECHO)
