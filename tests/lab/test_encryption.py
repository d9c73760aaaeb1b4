"""Hosts that encrypt, by a kernel's WireGuard, with real dockerd: what the underlay sees, and what happens as parts go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from socketplane.cluster.openvswitch import kernel_datapath, kernel_has
from socketplane.encryption import DEVICE, Encryption
from socketplane.lab import Lab, build, labs, leftovers, remove
from support.capture import capturing
from support.world import Host, World, eventually

pytestmark = [pytest.mark.lab, pytest.mark.kernel, pytest.mark.timeout(300)]
GENEVE, WIREGUARD, MTU = 6081, 51820, 1382
H2 = Encryption().network[3]
"""Where the second host's tunnels end."""
PATTERN = b"nobody on the underlay may read this"
SERVER = "socat TCP-LISTEN:7,fork,reuseaddr EXEC:cat & exec socat -b 65536 UDP-RECVFROM:7,fork EXEC:cat"


@pytest.fixture(scope="module")
def secure(lab_name: str) -> Iterator[Lab]:
    """Two hosts that encrypt."""
    if not (kernel_datapath() and kernel_has("wireguard", "wireguard")):
        pytest.skip("this kernel lacks Open vSwitch or WireGuard")
    name = f"{lab_name}-secure"
    made = asyncio.run(build.up(name, 2, encrypt=True, say=print))
    yield made
    print(f"\nlogs of the hosts: {labs.keep_logs(made)}")
    remove(name)
    assert leftovers(name) == []


@pytest.fixture
async def world(secure: Lab) -> AsyncIterator[World]:
    world = World(secure)
    await world.network("web")
    yield world
    await world.clean()


async def _pair(world: World) -> str:
    """Start `one` on the first host and an echo server on the second; return the server's address."""
    h1, h2 = world.hosts
    await h1.run("one", "web")
    address = await h2.run("two", "web", command=("sh", "-c", SERVER))
    await eventually("the server listens", lambda: h1.connects("one", address, 7), 30.0)
    return address


async def _echo(host: Host, address: str, *, protocol: str = "TCP", size: int = 0) -> bool:
    """Return whether the pattern comes back, filled up to a packet of that size; UDP with DF set."""
    fill = f"head -c {size - 28 - len(PATTERN)} /dev/zero" if size else "true"
    options = ",ip-mtu-discover=2" if protocol == "UDP" else ",connect-timeout=3"
    command = f"(printf '%s' '{PATTERN.decode()}'; {fill}) | socat -b 65536 -t 2 - {protocol}:{address}:7{options} | wc -c"
    out = (await host.inside("one", "sh", "-c", command)).out.strip()
    return out == str(size - 28 if size else len(PATTERN))


async def _agent(host: Host, signal: str) -> None:
    await host.machine.run("sh", "-c", f"kill -{signal} $(cat /run/socketplane/agent.pid)")


async def test_the_underlay_sees_wireguard_and_nothing_of_what_is_in_it(world: World) -> None:
    h1, _ = world.hosts
    two = await _pair(world)
    async with capturing(world.lab.fabric, "underlay") as outside, capturing(h1.machine, DEVICE) as within:
        assert await _echo(h1, two)
        assert await _echo(h1, two, protocol="UDP")
    assert within.sees(PATTERN), "or the pattern would not be seen in the clear either"
    assert within.ports() == {GENEVE}
    assert not outside.sees(PATTERN)
    assert WIREGUARD in outside.ports()
    assert GENEVE not in outside.ports()
    status = await world.first.read("status")
    assert status["encrypted"]
    assert not [alarm for alarm in status["alarms"] if "encrypted" in alarm]
    assert "encrypted" in (await world.first.cli("status")).out


async def test_packets_of_exactly_the_mtu_pass_whole(world: World) -> None:
    h1, _ = world.hosts
    two = await _pair(world)
    shown = await h1.inside("one", "cat", "/sys/class/net/eth0/mtu", check=True)
    assert int(shown.out) == MTU == (await world.first.read("status"))["mtu"]
    async with capturing(world.lab.fabric, "underlay") as outside:
        assert await _echo(h1, two, protocol="UDP", size=MTU)
        assert await _echo(h1, two, size=200_000)
    assert not await _echo(h1, two, protocol="UDP", size=MTU + 1)
    sent = [packet for packet in outside.packets if packet.udp_port == WIREGUARD]
    assert max(packet.size for packet in sent) == 1500, "the underlay is used to the full"
    assert not any(packet.fragment for packet in outside.packets)


async def test_without_the_device_nothing_leaves_in_the_clear_and_the_agent_makes_it_anew(world: World) -> None:
    h1, _ = world.hosts
    two = await _pair(world)
    async with capturing(world.lab.fabric, "underlay") as outside:
        await _agent(h1, "STOP")
        try:
            await h1.machine.run("ip", "link", "delete", DEVICE)
            assert not await _echo(h1, two)
            assert not await _echo(h1, two, protocol="UDP")
        finally:
            await _agent(h1, "CONT")
        await eventually("tunnels are back", lambda: _echo(h1, two), 60.0)
    assert GENEVE not in outside.ports()
    assert not outside.sees(PATTERN)
    assert not any(packet.ip[16:20] == H2.packed for packet in outside.packets)
