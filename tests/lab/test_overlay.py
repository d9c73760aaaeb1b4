"""Traffic: on one host and across, bulk both ways, from a container's first instruction on, and not where it must not."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from socketplane.lab.images import IMAGE
from support.world import SERVE, Host, World, allow

pytestmark = [pytest.mark.lab, pytest.mark.smoke]
MEGABYTES = 4
RUNS, AT_ONCE = 50, 4


async def _push(source: Host, name: str, address: str) -> str:
    """Send bulk through the echo server and return how many bytes came back."""
    command = f"head -c {MEGABYTES}000000 /dev/zero | socat -t 20 - TCP:{address}:7 | wc -c"
    return (await source.inside(name, "sh", "-c", command, timeout=60)).out.strip()


async def test_hosts_run_the_chosen_release(world: World) -> None:
    """What tests outside a lab take by PATH, a lab's machines take as well: make test-versions counts on it."""
    daemons = {"ovs-vswitchd": "/run/openvswitch", "ovn-controller": "/run/ovn"}
    for host in world.hosts:
        for daemon, folder in daemons.items():
            chosen = (await asyncio.to_thread(subprocess.check_output, [daemon, "--version"], text=True)).splitlines()[0]
            control = (await host.machine.run("sh", "-c", f"echo {folder}/{daemon}.*.ctl")).out.strip()
            assert (await host.machine.run("ovs-appctl", "-t", control, "version")).out.splitlines()[0] == chosen


async def test_ping_and_bulk_on_one_host_and_across(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    echo = ("socat", "TCP-LISTEN:7,fork,reuseaddr", "EXEC:cat")
    here = await h1.run("here", "web", command=echo)
    there = await h2.run("there", "web", command=echo)
    await h1.run("client", "web")
    for address in (here, there):
        ping = await h1.inside("client", "ping", "-c", "3", "-w", "6", address)
        assert " 0% packet loss" in ping.out, ping.out
        assert await _push(h1, "client", address) == f"{MEGABYTES}000000"
    # The other way round: what the far one sends is as whole.
    assert await _push(h2, "there", here) == f"{MEGABYTES}000000"


async def test_containers_leave_segments_to_a_switch_that_cuts_them(world: World) -> None:
    """Where Open vSwitch's own datapath can't, containers finish their packets: TCP would hang."""
    h1, h2, _ = world.hosts
    counter = ("ovs-appctl", "coverage/read-counter", "netdev_soft_seg_good")
    cut = await h1.machine.run(*counter, check=False)
    kernel = (await h1.read("status"))["hosts"][0]["report"]["datapath"] == "kernel"
    await world.network("web")
    there = await h2.run("there", "web", command=("socat", "TCP-LISTEN:7,fork,reuseaddr", "EXEC:cat"))
    await h1.run("client", "web")
    pid = (await h1.docker("inspect", "-f", "{{.State.Pid}}", "client")).out.strip()
    features = (await h1.machine.run("nsenter", "--target", pid, "--net", "ethtool", "-k", "eth0")).out
    assert ("tx-checksumming: on" in features) == (kernel or cut.code == 0), features
    assert await _push(h1, "client", there) == f"{MEGABYTES}000000"
    if not kernel and cut.code == 0:
        assert int((await h1.machine.run(*counter)).out) > int(cut.out), (
            "nothing larger than a packet came out of a container"
        )


@pytest.mark.parametrize(("server", "patience"), [("h1", 1), ("h2", 4)])
async def test_a_first_instruction_that_connects(world: World, server: str, patience: int) -> None:
    """Allowed succeeds, denied never: 50 containers whose first instruction is a connect.

    A container's own host is ready before it starts: within 1 s means that no SYN was lost. Another host may lag behind
    by more than a container takes to start when the machine is busy: there the SYN may have to be sent again.
    """
    h1 = world.first
    far = next(host for host in world if host.name == server)
    await world.network("web")
    address = await far.run("server", "web", "--label", "app=server", command=SERVE)
    await world.policy(allow("only-clients", "web", "server", "client", 8080))
    connect = ("socat", "-u", "OPEN:/dev/null", f"TCP:{address}:8080,connect-timeout={{}}")
    turns = asyncio.Semaphore(AT_ONCE)

    async def run(label: str, seconds: int) -> int:
        async with turns:
            options = ("--rm", "--network", "web", "--label", f"app={label}", IMAGE)
            command = ("run", *options, *connect[:-1], connect[-1].format(seconds))
            return (await h1.docker(*command, check=False)).code

    allowed = await asyncio.gather(*(run("client", patience) for _ in range(RUNS)))
    denied = await asyncio.gather(*(run("stranger", 1) for _ in range(RUNS)))
    assert allowed == [0] * RUNS
    assert 0 not in denied


async def test_two_networks_do_not_reach_each_other(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("red")
    await world.network("blue")
    near = await h1.run("red-here", "red", command=SERVE)
    far = await h2.run("red-there", "red", command=SERVE)
    await h1.run("blue", "blue")
    await h1.run("red", "red")
    for address in (near, far):
        assert await h1.connects("red", address)
        assert not await h1.connects("blue", address, timeout=1)


async def test_neither_docker0_nor_a_lan_host_gets_in(world: World) -> None:
    """The host's own stack is no way around policy, though it has a route to every container."""
    h1, _, h3 = world.hosts
    await world.network("web")
    address = await h1.run("server", "web", command=SERVE)
    await h1.docker("run", "-d", "--name", "bridged", IMAGE, "sleep", "600")
    own = await h1.machine.run("curl", "-sS", "-m", "3", f"http://{address}:8080/")
    assert own.out == "socketplane\n"  # the host itself may
    assert not await h1.connects("bridged", address, timeout=1)
    lan = ("socat", "-u", "OPEN:/dev/null", f"TCP:{address}:8080,connect-timeout=1")
    await world.lab.fabric.network(f"route add {address}/32 via {h1.machine.management}")
    try:
        assert (await world.lab.fabric.run(*lan, check=False)).code != 0
    finally:
        await world.lab.fabric.network(f"route del {address}/32")
    assert h3.name == "h3"


async def test_containers_reach_out_and_internal_ones_do_not(world: World) -> None:
    h1, h2, _ = world.hosts
    outside = str(world.lab.fabric.management)
    await world.network("web")
    await world.network("inner", "--internal")
    await h1.run("one", "web")
    await h2.run("two", "web")
    await h1.run("locked", "inner")
    server = world.lab.fabric.run("timeout", "60", "socat", "TCP-LISTEN:8081,fork,reuseaddr", "EXEC:cat", check=False)
    serving = asyncio.create_task(server)
    try:
        for host, name in ((h1, "one"), (h2, "two")):
            await _reaches(host, name, outside)
        assert not await h1.connects("locked", outside, 8081, timeout=1)
    finally:
        await world.lab.fabric.run("sh", "-c", "kill $(pidof socat)", check=False)
        await serving


async def _reaches(host: Host, name: str, outside: str) -> None:
    for _ in range(100):
        if await host.connects(name, outside, 8081):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"{name} on {host.name} does not reach {outside}")
