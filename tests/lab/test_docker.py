"""Docker's own habits on SocketPlane networks: create, run, connect, compose, rm; and what clashes do."""

from __future__ import annotations

import asyncio
import json

import pytest

from socketplane.lab import probe
from socketplane.lab.images import IMAGE
from support.world import SERVE, Host, World, allow, eventually

pytestmark = pytest.mark.lab
CREATE = ("network", "create", "-d", "socketplane", "--ipam-driver", "socketplane")


async def _appears(host: Host, name: str, timeout: float = 10.0) -> None:
    async def there() -> bool:
        return name in await host.networks()

    await eventually(f"network {name} on {host.name}", there, timeout)


async def _vanishes(host: Host, name: str) -> None:
    async def gone() -> bool:
        return name not in await host.networks()

    await eventually(f"network {name} gone from {host.name}", gone, 15.0)


async def test_a_network_made_through_docker_is_everywhere_with_its_labels(world: World) -> None:
    h1, h2, h3 = world.hosts
    await h2.docker(*CREATE, "--label", "team=blue", "web")
    for host in world:
        await _appears(host, "web")
        seen = json.loads((await host.docker("network", "inspect", "web")).out)[0]
        assert seen["Labels"].get("team") == "blue"
    (network,) = [one for one in await h1.read("network", "ls") if one["name"] == "web"]
    assert network["labels"]["team"] == "blue"
    a, b = await h1.run("one", "web", command=SERVE), await h3.run("two", "web", command=SERVE)
    assert a != b
    assert await h1.connects("one", b)
    await asyncio.gather(h1.docker("rm", "-f", "one"), h3.docker("rm", "-f", "two"))
    await h2.docker("network", "rm", "web")
    for host in world:
        await _vanishes(host, "web")


async def test_dockers_own_addresses_are_refused_with_the_right_command(world: World) -> None:
    refused = await world.first.docker("network", "create", "-d", "socketplane", "plain", check=False)
    assert refused.code == 1
    assert "docker network create -d socketplane --ipam-driver socketplane" in refused.err
    assert "plain" not in await world.first.networks()


async def test_addresses_and_macs_as_asked_for(world: World) -> None:
    h1, h2, _ = world.hosts
    await h1.docker(
        *CREATE, "--subnet", "10.200.0.0/24", "--gateway", "10.200.0.254", "--ip-range", "10.200.0.128/28", "custom"
    )
    await _appears(h2, "custom")
    dynamic = await h2.run("dynamic", "custom")
    assert dynamic.startswith("10.200.0.1") and 128 <= int(dynamic.split(".")[-1]) <= 143
    fixed = await h1.run("fixed", "custom", "--ip", "10.200.0.9", "--mac-address", "02:11:22:33:44:55", command=SERVE)
    assert fixed == "10.200.0.9"
    link = await h1.inside("fixed", "ip", "link", "show", "eth0")
    assert "02:11:22:33:44:55" in link.out
    route = await h1.inside("fixed", "ip", "route")
    assert "default via 10.200.0.254" in route.out
    assert await h2.connects("dynamic", fixed)
    taken = await h2.docker(
        "run", "-d", "--name", "again", "--network", "custom", "--ip", "10.200.0.9", IMAGE, "true", check=False
    )
    assert taken.code == 125 and "10.200.0.9" in taken.err and "held by" in taken.err
    await h1.docker("rm", "-f", "fixed")
    again = await h2.run("moved", "custom", "--ip", "10.200.0.9")
    assert again == "10.200.0.9"


async def test_several_networks_connect_and_disconnect(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("front")
    await world.network("back")
    front = await h2.run("front", "front", command=SERVE)
    back = await h2.run("back", "back", command=SERVE)
    await h1.run("both", "front")
    assert await h1.connects("both", front)
    assert not await h1.connects("both", back, timeout=1)
    await h1.docker("network", "connect", "back", "both")
    assert await h1.connects("both", back)
    assert await h1.connects("both", front)
    await h1.docker("network", "disconnect", "back", "both")
    assert not await h1.connects("both", back, timeout=1)
    assert await h1.connects("both", front)

    async def only_front() -> bool:
        return {e["network_name"] for e in await world.endpoints() if e["name"] == "both"} == {"front"}

    await eventually("endpoint on back gone", only_front)
    await h1.docker("restart", "-t", "0", "both")
    assert await h1.connects("both", front)
    bridges = await h1.docker("network", "ls", "--format", "{{.Name}}")
    assert "docker_gwbridge" not in bridges.out.split()


async def test_an_internal_networks_default_route_leads_nowhere(world: World) -> None:
    """It is there for questions about names (tests/lab/test_names.py)."""
    h1, h2, _ = world.hosts
    await world.network("inner", "--internal")
    address = await h2.run("there", "inner", command=SERVE)
    await h1.run("here", "inner")
    (network,) = await h1.read("network", "inspect", "inner")
    assert f"default via {network['gateway']} dev eth0" in (await h1.inside("here", "ip", "route")).out
    tried = await h1.inside(
        "here", "socat", "-u", "OPEN:/dev/null", f"TCP:{world.lab.fabric.management}:54,connect-timeout=9"
    )
    assert "refused" in tried.err, "at once"
    assert await h1.connects("here", address)


async def test_compose_with_a_network_of_its_own_and_an_external_one(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("shared")
    text = f"""
version: "3.5"
services:
  one: {{image: {IMAGE}, command: [httpd, -f, -p, "8080", -h, /www], networks: [own, shared]}}
  two: {{image: {IMAGE}, command: [sleep, "600"], networks: [own]}}
networks:
  own: {{driver: socketplane, ipam: {{driver: socketplane}}}}
  shared: {{external: true}}
"""
    folder = h1.machine.path("/tmp/project")
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    await asyncio.to_thread((folder / "compose.yaml").write_text, text)
    compose = await _compose(h1)
    await h1.machine.run(*compose, "up", "-d", timeout=120)
    await _appears(h2, "project_own")
    names = (await h1.docker("ps", "--format", "{{.Names}}")).out.split()
    (one,) = [name for name in names if "one" in name]
    (two,) = [name for name in names if "two" in name]
    assert await h1.connects(two, await h1.address(one, "project_own"))
    await h2.run("far", "shared")
    assert await h2.connects("far", await h1.address(one, "shared"))
    labelled = [e for e in await world.endpoints() if e["labels"].get("com.docker.compose.service") == "one"]
    assert {e["network_name"] for e in labelled} == {"project_own", "shared"}
    # The same project on another host finds the network that it asks for, whichever host made it.
    other = h2.machine.path("/tmp/project")
    await asyncio.to_thread(other.mkdir, exist_ok=True)
    await asyncio.to_thread((other / "compose.yaml").write_text, text)
    await h2.machine.run(*compose, "up", "-d", timeout=120)
    assert await h2.connects(two, await h1.address(one, "project_own"))
    await h2.machine.run(*compose, "down", "-t", "0", timeout=120)
    await _appears(h2, "project_own")
    # While another host uses the project's network, `down` takes it from no one: it comes back.
    await h2.run("user", "project_own")
    await h1.machine.run(*compose, "down", "-t", "0", timeout=120)
    await _appears(h1, "project_own")
    assert "shared" in await h1.networks()
    await h2.docker("rm", "-f", "user", "far")


async def _compose(host: Host) -> list[str]:
    """Return the Compose command of this release."""
    plugin = (await host.docker("compose", "version", check=False)).code == 0
    program = ["docker", "compose"] if plugin else ["docker-compose"]
    return [*program, "-f", "/tmp/project/compose.yaml", "-p", "project"]


async def test_a_bridge_of_the_same_name_on_another_host(world: World) -> None:
    h1, h2, h3 = world.hosts
    await h2.docker("network", "create", "web")
    await h1.cli("network", "create", "web")
    await _appears(h1, "web")
    await _appears(h3, "web")

    async def told() -> bool:
        return any("web" in line for line in (await h1.read("host", "inspect", "h2"))[0]["report"]["conflicts"])

    await eventually("the clash is reported", told, 20.0)
    assert "web" not in await h2.networks()
    await h2.docker("network", "rm", "web")
    await _appears(h2, "web", 20.0)


async def test_two_hosts_make_a_network_of_one_name_at_once(world: World) -> None:
    h1, h2, _ = world.hosts
    made = await asyncio.gather(*(host.docker(*CREATE, "twin", check=False) for host in (h1, h2)))
    assert 0 in {one.code for one in made}

    async def one_network() -> bool:
        if len([n for n in await h1.read("network", "ls") if n["name"] == "twin"]) != 1:
            return False
        seen = [await host.docker("network", "inspect", "twin", check=False) for host in world]
        if any(one.code for one in seen):
            return False
        subnets = {json.loads(one.out)[0]["IPAM"]["Config"][0]["Subnet"] for one in seen}
        return len(subnets) == 1

    await eventually("one network twin on all hosts", one_network, 20.0)
    await h1.run("one", "twin")
    b = await h2.run("two", "twin", command=SERVE)
    assert await h1.connects("one", b)


async def test_a_network_with_endpoints_is_not_removed(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("busy")
    await h2.run("user", "busy")
    refused = await h1.cli("network", "rm", "busy", check=False)
    assert refused.code == 1 and "busy" in refused.err and "h2" in refused.err
    assert (await h2.docker("network", "rm", "busy", check=False)).code == 1
    # Docker on a host that does not use it may remove it; it comes back.
    await h1.docker("network", "rm", "busy")
    await _appears(h1, "busy")


async def test_forty_containers_at_once_on_two_engines(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("crowd")

    await world.policy(allow("even-only", "crowd", "even", "even", 8080))
    apps = {f"c{number}": ("even", "odd")[number % 2] for number in range(40)}

    async def start(host: Host, number: int) -> None:
        labels = ("--label", f"app={apps[f'c{number}']}")
        await host.docker("run", "-d", "--name", f"c{number}", "--network", "crowd", *labels, IMAGE, *SERVE, timeout=120)

    await asyncio.gather(*(start(h, n) for h, numbers in ((h1, range(20)), (h2, range(20, 40))) for n in numbers))
    endpoints = await world.endpoints()
    assert len(endpoints) == 40
    assert len({e["address"] for e in endpoints}) == 40

    async def known() -> bool:
        """Whether all are known by name: on a busy machine Docker may tell some of them late."""
        return {e["name"] for e in await world.endpoints() if e["known"]} == {f"c{n}" for n in range(40)}

    await eventually("all forty are known", known)
    endpoints = await world.endpoints()
    # Every one of them tries the first two of each host: the odd ones are open to all, the even ones to even ones.
    machines = {host.name: host.machine for host in world}
    crowd = {e["name"]: probe.Container(machines[e["host"]], e["name"], e["address"]) for e in endpoints}
    servers = [crowd[name] for name in ("c0", "c1", "c20", "c21")]
    turns = asyncio.Semaphore(probe.AT_ONCE)

    async def reached(source: probe.Container) -> set[str]:
        async with turns:
            tried = await probe.probe(source, [server.target(8080) for server in servers])
        return {s.name for s in servers if tried[s.target(8080)] is probe.Outcome.OPEN}

    seen = dict(zip(crowd, await asyncio.gather(*map(reached, crowd.values())), strict=True))
    assert seen == {name: {"c1", "c21", *(("c0", "c20") if apps[name] == "even" else ())} for name in crowd}


async def test_odd_labels_are_no_reason_to_refuse_a_container(world: World) -> None:
    h1 = world.first
    await world.network("web")
    odd = {"a/b": "c=d", "söcket": "plåne\n2", "x" * 300: "y" * 5000, "empty": "", 'quo"te': "'$(x)"}
    await h1.run("odd", "web", *(part for key, value in odd.items() for part in ("--label", f"{key}={value}")))
    (endpoint,) = await h1.read("endpoint", "ls", "--network", "web")
    assert {key: endpoint["labels"][key] for key in odd} == odd
