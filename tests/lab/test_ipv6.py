"""IPv6 beside IPv4, with real dockerd: on one host and across, between networks, policy, and nothing around it."""

from __future__ import annotations

import asyncio
import json
from ipaddress import IPv4Address, IPv6Address

import pytest

from socketplane.lab.images import IMAGE
from socketplane.lab.machine import Machine
from support.outside6 import WORLD, outside6
from support.world import Host, World, allow, eventually

pytestmark = [pytest.mark.lab, pytest.mark.smoke]
ECHO = ("socat", "TCP6-LISTEN:7,fork,reuseaddr", "EXEC:cat")
MEGABYTE = "1000000"


async def _run(host: Host, name: str, network: str, *command: str) -> str:
    """Start a container labelled app=NAME; return its IPv6 address."""
    await host.docker("run", "-d", "--name", name, "--network", network, "--label", f"app={name}", IMAGE, *command)
    seen = json.loads((await host.docker("inspect", name)).out)[0]
    return str(seen["NetworkSettings"]["Networks"][network]["GlobalIPv6Address"])


async def _pushes(host: Host, name: str, address: str) -> bool:
    """Return whether a megabyte comes back from an echo server."""
    command = f"head -c {MEGABYTE} /dev/zero | socat -t 10 - TCP6:[{address}]:7,connect-timeout=1 | wc -c"
    return (await host.inside(name, "sh", "-c", command)).out.strip() == MEGABYTE


async def _pings(host: Host, name: str, address: str) -> bool:
    return (await host.inside(name, "ping", "-6", "-c", "1", "-W", "2", address)).code == 0


async def test_ipv6_on_one_host_and_across_and_policy_cuts_it(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("six", "--ipv6")
    addresses = await asyncio.gather(
        _run(h1, "near", "six", *ECHO), _run(h2, "far", "six", *ECHO), _run(h1, "client", "six", "sleep", "600")
    )
    near, far, client = addresses
    for address in (near, far):
        assert await _pings(h1, "client", address)
        assert await _pushes(h1, "client", address)
    assert await _pushes(h2, "far", near)
    # By link-local addresses, which no policy knows, nobody is reached; neighbours are found all the same.
    links = (await h1.inside("near", "ip", "-6", "addr", "show", "dev", "eth0", "scope", "link")).out
    link_local = next(word for word in links.split() if word.startswith("fe80:")).partition("/")[0]
    assert not await _pings(h1, "client", f"{link_local}%eth0")
    await world.policy(allow("near", "six", "near", "far", 7))
    assert await _pushes(h2, "far", near)
    assert not await _pushes(h1, "client", near)
    assert not await _pings(h1, "client", near)
    assert await _pushes(h1, "client", far)
    told = await h1.cli("explain", client, f"[{near}]:7", check=False)
    assert "six/near" in told.out
    assert ".ingress" in told.out, told.out


async def test_ipv6_between_networks_as_policy_opens_them(world: World) -> None:
    """Networks made with Docker itself, and a container on two."""
    h1, h2, _ = world.hosts
    create = ("network", "create", "-d", "socketplane", "--ipam-driver", "socketplane")
    await h1.docker(*create, "--ipv6", "front")
    await h1.docker(*create, "--ipv6", "back")

    async def there() -> bool:
        return {"front", "back"} <= await h2.networks()

    await eventually("both networks on h2", there)
    server = await _run(h2, "server", "back", *ECHO)
    await _run(h1, "client", "front", "sleep", "600")
    assert not await _pushes(h1, "client", server)
    policy = json.loads(allow("open", "back", "server", None))
    policy["spec"]["ingress"] = [{"from": [{"namespaceSelector": {}}]}]
    await world.policy(json.dumps(policy))
    assert await _pushes(h1, "client", server)
    await h1.docker("network", "connect", "back", "client")
    assert await _pushes(h1, "client", server)


WHO = ("socat", "TCP6-LISTEN:80,fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR")


async def _seen(where: Host | Machine, address: str, port: int, inside: str = "") -> str:
    """Return as whom a server takes a container, a host or the machine outside; what went wrong where it is not reached."""
    machine = where.machine if isinstance(where, Host) else where
    within = ("docker", "exec", inside) if inside else ()
    done = await machine.run(*within, "socat", "-u", "-T2", f"TCP6:[{address}]:{port},connect-timeout=2", "-", check=False)
    told = done.out.strip().strip("[]")
    return str(IPv6Address(told)) if told else done.err.rpartition(":")[2].strip()


async def _routed(world: World, shop: str, far: str, via: str) -> None:
    """Open the network, and close it again: `shop` is on the first host, and the route leads to `via`, the second."""
    h1, h2, _ = world.hosts
    fabric = world.lab.fabric
    subnet = (await h1.read("network", "inspect", "six"))[0]["subnet6"]
    await fabric.run("ip", "-6", "route", "add", subnet, "via", via)
    try:
        await h1.cli("network", "update", "six", "--routed")

        async def opened() -> bool:
            return await _seen(fabric, shop, 80) == WORLD

        await eventually("met at its own address, by another host than its own", opened)
        assert await _seen(h2, WORLD, 80, inside="far") == far, "not masqueraded"
        policy = json.loads(allow("shop", "six", "shop", None))
        policy["spec"]["ingress"] = [{"from": [{"ipBlock": {"cidr": f"{via}/128"}}]}]
        await world.policy(json.dumps(policy))

        async def closed() -> bool:
            return await _seen(fabric, shop, 80) != WORLD

        await eventually("policy judges the client's own address", closed)
        policy["spec"]["ingress"] = [{"from": [{"ipBlock": {"cidr": f"{WORLD}/128"}}]}]
        await world.policy(json.dumps(policy))
        await eventually("opened again", opened)
        await h1.cli("network", "update", "six", "--no-routed")
        await eventually("closed", closed)
    finally:
        await fabric.run("ip", "-6", "route", "del", subnet)


async def test_ipv6_out_and_in_and_from_hosts(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("six", "--ipv6")
    create = ("run", "-d", "--network", "six", "--label", "app=shop", "-p", "8080:80", "--name", "shop", IMAGE, *WHO)
    await h1.docker(*create)
    far = await _run(h2, "far", "six", "sleep", "600")
    (shop,) = await h1.read("endpoint", "inspect", "shop")
    own = {host.name: str((await host.read("host", "inspect", host.name))[0]["gateway"]) for host in (h1, h2)}
    gateway6 = {name: str(IPv6Address((0xFD4714ADC79C << 80) + int(IPv4Address(four)))) for name, four in own.items()}

    async def reached() -> bool:
        return await _seen(h1, shop["address6"], 80) == gateway6["h1"]

    await eventually("its host reaches it", reached)
    assert await _seen(h2, shop["address6"], 80) == gateway6["h2"], "and any other"
    assert "nreachable" in await _seen(h2, WORLD, 80, inside="far"), "no way out, said at once"
    server = ("timeout", "120", *WHO)
    async with outside6(world) as (a1, a2, _):
        serving = asyncio.create_task(world.lab.fabric.run(*server, check=False))

        async def out() -> bool:
            return await _seen(h2, WORLD, 80, inside="far") == a2

        await eventually("containers reach the outside, masqueraded", out)
        assert await _seen(world.lab.fabric, a1, 8080) == WORLD, "clients keep their address"
        assert await _seen(h2, a1, 8080) == a2
        assert await _seen(h2, gateway6["h1"], 8080, inside="far") == far, "containers by OVN, as who they are"
        assert await _seen(world.lab.fabric, shop["address6"], 80) != WORLD
        assert "[::]:8080->80/tcp" in (await h1.cli("endpoint", "ls")).out
        policy = json.loads(allow("shop", "six", "shop", None))
        policy["spec"]["ingress"] = [{"from": [{"ipBlock": {"cidr": f"{WORLD}/128"}}]}]
        await world.policy(json.dumps(policy))

        async def judged() -> bool:
            answers = [await _seen(world.lab.fabric, a1, 8080), await _seen(h2, a1, 8080)]
            return answers[0] == WORLD and answers[1] != a2

        await eventually("judged by the client's own address", judged, timeout=30.0)
        assert (await h1.cli("explain", WORLD, f"[{shop['address6']}]:80", check=False)).code == 0
        assert (await h1.cli("explain", a2, f"[{shop['address6']}]:80", check=False)).code == 3
        await _routed(world, shop["address6"], far, via=a2)
        serving.cancel()
        await asyncio.wait([serving])
    state = await h1.machine.run(
        "sh", "-c", "cd /proc/sys/net/ipv6/conf; cat all/forwarding default/forwarding eth0/forwarding"
    )
    assert state.out.split() == ["1", "0", "0"], "the one switch, and no more"


FLOATING = "2001:db8:19::100"


async def _floating(world: World) -> str:
    """Return how the address is, and where."""
    (found,) = await world.first.read("expose", "ls")
    return f"{found['state']} {found['host']} {found['problem']}".strip()


async def _hardware(machine: Machine, *what: str) -> str:
    """Return the MAC of a link, or of a neighbour as far as it is known."""
    (told, *_) = json.loads((await machine.run("ip", "-6", "-json", *what)).out) or [{}]
    return str(told.get("lladdr") or told.get("address"))


async def test_a_floating_address_moves_with_its_container(world: World) -> None:
    h1, h2, _ = world.hosts
    fabric, known = world.lab.fabric, ("neigh", "show", FLOATING, "dev", "mgmt")
    await world.network("six", "--ipv6")
    await _run(h1, "shop", "six", *WHO)
    far = await _run(h2, "far", "six", "sleep", "600")
    await h1.cli("pool", "create", "lan6", f"{FLOATING}-2001:db8:19::10f")

    async def is_so(wanted: str) -> None:
        async def so() -> bool:
            return await _floating(world) == wanted

        await eventually(wanted, so)

    async def reached() -> bool:
        return await _seen(fabric, FLOATING, 80) == WORLD

    try:
        async with outside6(world):
            assert (await h1.cli("expose", "shop")).out.strip() == FLOATING
            await is_so("claimed h1")
            await eventually("a stranger reaches it, with his own address", reached)
            assert await _seen(h2, FLOATING, 80, inside="far") == far, "containers by OVN, as who they are"
            office = json.loads(allow("shop", "six", "shop", None))
            office["spec"]["ingress"] = [{"from": [{"ipBlock": {"cidr": f"{WORLD}/128"}}]}]
            await world.policy(json.dumps(office))

            async def judged() -> bool:
                return "timed out" in await _seen(h2, FLOATING, 80) and await reached()

            await eventually("policy judges the real client", judged, timeout=30.0)
            for client, code in ((WORLD, 0), ("2001:db8:19::2", 3), (far, 3)):
                assert (await h1.cli("explain", client, f"[{FLOATING}]:80", check=False)).code == code
            assert await _hardware(fabric, *known) == await _hardware(h1.machine, "link", "show", "eth0")
            await h1.docker("rm", "-f", "shop")
            await is_so("vacant")
            await _run(h2, "shop", "six", *WHO)
            await is_so("claimed h2")

            async def told() -> bool:
                return await _hardware(fabric, *known) == await _hardware(h2.machine, "link", "show", "eth0")

            await eventually("who remembers the first host is told of the second", told)
            await eventually("a stranger meets it there", reached)
            await h2.docker("rm", "-f", "shop")
            await is_so("vacant")

            async def gone() -> bool:
                held = [await host.machine.run("ip", "-6", "address", "show", "to", FLOATING) for host in (h1, h2)]
                return not any(each.out for each in held)

            await eventually("gone with its container", gone)
            assert not await reached()
    finally:
        for each in await h1.read("expose", "ls"):
            await h1.cli("expose", "rm", each["address"])
        await h1.cli("pool", "rm", "lan6")
