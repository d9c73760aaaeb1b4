"""The agent and a real bgpd, without a router: what is announced follows containers, and who restarts what."""

import asyncio
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address

import pytest

from socketplane.agent.bgp.settings import parse
from socketplane.agent.bgp.vty import Refused, Vty
from socketplane.errors import Unavailable
from support.frr import frr

PEER = {"address": "203.0.113.254", "asn": 64600, "password": "geheim"}
PEER6 = {**PEER, "address": "2001:db8::fe"}


@pytest.fixture
async def programs():
    return await asyncio.to_thread(frr)


@asynccontextmanager
async def bgpd(host, programs):
    """Run it as `socketplane up` would; it listens nowhere, and its router is nobody's address."""
    folder = host.paths.bgp
    folder.mkdir(parents=True, exist_ok=True)
    files = ("-f", "/dev/null", "-i", str(folder / "bgpd.pid"), "--vty_socket", str(folder))
    process = await asyncio.create_subprocess_exec(
        str(programs / "bgpd"), "-S", "-Z", "-n", "-p", "0", "-P", "0", *files, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def running(host):
    """Return what bgpd is set to."""
    vty = await Vty.open(host.paths.bgp_socket)
    try:
        return parse(await vty.run("show running-config"))
    finally:
        vty.close()


def places(box):
    """Return a container's addresses."""
    (place,) = box.places.values()
    return [address.split("/")[0] for address in (place.address, place.address6)]


async def test_what_is_announced_follows_containers(world, h1, until, programs):
    await world.admin.call("PUT", "/v1/bgp", {"asn": 64512})
    await world.admin.call("POST", "/v1/bgp/peers", PEER)
    await until(lambda: h1.agent.bgp.alarms)
    assert "bgpd does not run; install the package frr, then `socketplane up`" in h1.agent.bgp.alarms[0]
    await world.admin.call("POST", "/v1/networks", {"name": "front", "routed": True, "ipv6": True})
    await world.admin.call("POST", "/v1/networks", {"name": "web", "ipv6": True})
    await until(lambda: {"front", "web"} <= h1.engine.names())

    async def announces(*addresses):
        try:
            found = await running(h1)
        except Unavailable:  # it is starting
            return False
        return sorted(map(str, found.addresses)) == sorted(addresses) and found

    async with bgpd(h1, programs) as process:
        first = await h1.engine.run("a", "front")
        await h1.engine.run("b", "web")
        one, one6 = places(first)
        found = await until(lambda: announces(one), 10)
        assert (found.asn, str(found.router)) == (64512, "127.0.0.1")
        assert [(str(peer), about.password) for peer, about in found.neighbors.items()] == [(PEER["address"], "geheim")]
        status = await until(lambda: h1.agent.bgp.status.sessions and h1.agent.bgp.status)
        assert (status.running, status.version[:1].isdigit(), status.sessions[0].established) == (True, True, False)
        second = await h1.engine.run("c", "front")
        two, two6 = places(second)
        await until(lambda: announces(one, two))
        floating = [IPv4Address("192.0.2.70"), IPv6Address("2001:db8::70")]
        h1.agent.bgp.sources.append(lambda: floating)
        h1.agent.bgp.wake()
        await until(lambda: announces(one, two, "192.0.2.70"))
        await world.admin.call("POST", "/v1/bgp/peers", PEER6)
        await until(lambda: announces(one, two, "192.0.2.70", one6, two6, "2001:db8::70"))
        await until(lambda: (h1.agent.bgp.status.announced, h1.agent.bgp.status.announced6) == (6, 3))
        floating.clear()
        h1.agent.bgp.wake()
        found = await until(lambda: announces(one, two, one6, two6))
        await until(lambda: len(h1.agent.bgp.status.sessions) == 2, 5)
        assert [str(session.peer) for session in h1.agent.bgp.status.sessions] == [PEER["address"], PEER6["address"]]
        await h1.stop()
        await world.stop()
        assert await announces(one, two, one6, two6), "neither needs to be there"
        await h1.start()
        await h1.engine.rm(first)
        again = await until(lambda: announces(two, two6))
        assert again.neighbors == found.neighbors, "without a controller, sessions stay as they are"
        process.kill()
    await world.start()
    async with bgpd(h1, programs):
        await until(lambda: announces(two, two6), 20)
        await world.admin.call("DELETE", f"/v1/bgp/peers/{PEER6['address']}")
        await until(lambda: announces(two))
        await world.admin.call("DELETE", f"/v1/bgp/peers/{PEER['address']}")

        async def silent():
            return (await running(h1)).asn is None

        await until(silent, 10)
    assert (h1.agent.bgp.alarms, h1.agent.bgp.status) == ([], None)


async def test_a_refusal_tells_no_secret(h1, until, programs):
    async with bgpd(h1, programs):
        await until(lambda: h1.agent.bgp.version)
        vty = await Vty.open(h1.paths.bgp_socket)
        with pytest.raises(Refused) as refused:
            await vty.configure(["neighbor 192.0.2.1 password geheim"])
        vty.close()
    assert "geheim" not in str(refused.value)
