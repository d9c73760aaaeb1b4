"""Ports of endpoints on a real Open vSwitch with OVN behind it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from ipaddress import IPv4Address
from statistics import median

import pytest
import topology
from datapath_site import UPLINK, Start, move
from machine import Machine, Namespace, eventually
from traffic import exchange, ping

from socketplane.agent import veth
from socketplane.agent.datapath import Datapath
from socketplane.agent.netlink import Netlink
from socketplane.agent.switch import Switch
from socketplane.agent.veth import Veth, VethMaker
from socketplane.errors import Conflict, NotFound, Unavailable
from socketplane.model.mtu import FALLBACK
from socketplane.model.traffic import Limit, Limits
from socketplane.model.types import mac_of

MAC = "02:53:0a:c0:00:63"
MTU = 1442


@pytest.fixture
def endpoint_id() -> str:
    return secrets.token_hex(32)


async def test_containers_talk_from_the_first_packet(start: Start) -> None:
    one, two = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    assert ping(one.namespace, two.address)
    assert exchange(one.namespace, two.namespace, two.address) == one.address
    assert exchange(two.namespace, one.namespace, one.address) == two.address


async def test_what_attach_makes(machine: Machine, datapath: Datapath, endpoint_id: str) -> None:
    name = await datapath.attach(endpoint_id, MAC, MTU)
    host_end, container_end = f"sp{endpoint_id[:12]}", f"sc{endpoint_id[:12]}"
    assert name == container_end
    inside, outside = (machine.run("ip", "-d", "link", "show", end) for end in (container_end, host_end))
    assert f"mtu {MTU}" in inside and f"mtu {MTU}" in outside
    assert MAC in inside and "UP" not in inside.split(">")[0]
    assert "UP" in outside.split(">")[0] and "NOARP" in outside and endpoint_id in outside
    assert "tx-checksumming: off" in machine.run("ethtool", "-k", container_end)
    ids = machine.vsctl("get", "interface", host_end, "external_ids")
    assert f"iface-id=sp-{endpoint_id}" in ids and f"iface-id-ver={endpoint_id}" in ids.replace('"', "")
    assert machine.vsctl("port-to-br", host_end) == "br-int"
    assert datapath.ports() == {endpoint_id}


async def test_checksum_offload_stays_off_inside_the_container(start: Start) -> None:
    container = await start()
    assert "tx-checksumming: off" in container.namespace.run("ethtool", "-k", "eth0")


async def test_attach_again_changes_nothing(machine: Machine, switch: Switch, datapath: Datapath, endpoint_id: str) -> None:
    await datapath.attach(endpoint_id, MAC, MTU)
    await switch.settled()  # ovs-vswitchd makes the link promiscuous
    before = state(machine, endpoint_id)
    await datapath.attach(endpoint_id, MAC, MTU)
    assert state(machine, endpoint_id) == before


async def test_attach_again_leaves_a_running_container_alone(machine: Machine, datapath: Datapath, start: Start) -> None:
    one, two = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    before = state(machine, one.id)
    await datapath.attach(one.id, mac_of(IPv4Address(one.address)), datapath.mtu)
    assert state(machine, one.id) == before
    assert ping(two.namespace, one.address)


@pytest.mark.parametrize(
    "damage",
    [
        "ip link del {host}",
        "ovs-vsctl --db={db} del-port {host}",
        "ovs-vsctl --db={db} set interface {host} external_ids:iface-id=other",
        "ovs-vsctl --db={db} remove interface {host} external_ids iface-id-ver",
        "ip link set {host} down mtu 1300",
        "ip link set {container} mtu 1300 address 02:00:00:00:00:01",
        "ip link set {container} name stray",
        "ip link set {host} name stray",
        "ip link set {host} alias ''",
        "ethtool -K {container} tx on",
    ],
)
async def test_attach_repairs(machine: Machine, start: Start, datapath: Datapath, damage: str) -> None:
    """Whatever a crash or a hand left behind: afterwards the endpoint works as a new one does."""
    peer = await start(address="10.192.0.11")
    endpoint_id, address = secrets.token_hex(32), "10.192.0.99"
    topology.add_port(machine, "web", endpoint_id, IPv4Address(address))
    name = await datapath.attach(endpoint_id, MAC, MTU)
    await datapath.installed(endpoint_id, 5)
    ends = {"host": f"sp{endpoint_id[:12]}", "container": name, "db": f"unix:{machine.paths.ovs_socket}"}
    machine.run("sh", "-c", damage.format(**ends))
    assert await datapath.attach(endpoint_id, MAC, MTU) == name
    container = Namespace(machine)
    try:
        move(machine, name, container)
        container.run("sh", "-c", f"ip addr add {address}/22 dev {name}; ip link set {name} up")
        await datapath.installed(endpoint_id, 5)
        assert exchange(peer.namespace, container, address, 100_000) == peer.address
        assert "stray" not in machine.run("ip", "link")
    finally:
        container.close()
        await datapath.detach(endpoint_id)
        topology.remove_port(machine, endpoint_id)


@pytest.mark.parametrize("make", ["ip link add {host} type veth peer name x", "ip link add {container} type bridge"])
async def test_a_link_of_somebody_else_is_a_conflict(
    machine: Machine, datapath: Datapath, endpoint_id: str, make: str
) -> None:
    host, container = f"sp{endpoint_id[:12]}", f"sc{endpoint_id[:12]}"
    machine.run("sh", "-c", make.format(host=host, container=container))
    before = machine.run("ip", "-o", "link")
    with pytest.raises(Conflict, match="did not make"):
        await datapath.attach(endpoint_id, MAC, MTU)
    await datapath.detach(endpoint_id)
    assert machine.run("ip", "-o", "link") == before
    assert datapath.ports() == frozenset()
    machine.run("sh", "-c", f"ip link del {host} 2>/dev/null || ip link del {container}")


async def test_a_port_of_somebody_else_is_a_conflict_and_what_was_made_goes(
    machine: Machine, datapath: Datapath, endpoint_id: str
) -> None:
    host_end = f"sp{endpoint_id[:12]}"
    machine.vsctl("add-port", "br-int", host_end, "--", "set", "interface", host_end, "type=internal")
    machine.vsctl("set", "interface", host_end, "type=patch", "options:peer=nowhere")
    eventually(lambda: host_end not in machine.run("ip", "-o", "link"), "no link of that name")
    with pytest.raises(Conflict, match="did not make"):
        await datapath.attach(endpoint_id, MAC, MTU)
    assert f"sc{endpoint_id[:12]}" not in machine.run("ip", "-o", "link")
    await datapath.detach(endpoint_id)
    assert host_end in machine.vsctl("list-ports", "br-int")
    machine.vsctl("del-port", host_end)


async def test_a_new_agent_finds_what_a_killed_one_left(
    machine: Machine, datapath: Datapath, switch: Switch, netlink: Netlink
) -> None:
    whole, no_port, no_veth, no_alias = (secrets.token_hex(32) for _ in range(4))
    await datapath.attach(whole, MAC, MTU)
    await netlink.call(VethMaker(Veth(no_port, MAC, MTU, checksum_offload=False)).ensure)
    await datapath.attach(no_veth, MAC, MTU)
    await netlink.call(lambda ipr: veth.remove(ipr, no_veth))
    await netlink.call(VethMaker(Veth(no_alias, MAC, MTU, checksum_offload=False))._make)
    async with Datapath(switch, netlink, UPLINK) as successor:
        assert successor.ports() == {whole, no_port, no_veth, no_alias[:12]}
        for found in successor.ports():
            await successor.detach(found)
        assert successor.ports() == frozenset()
    assert leftovers(machine) == []


async def test_detach_takes_the_veth_out_of_a_container(machine: Machine, datapath: Datapath, start: Start) -> None:
    container = await start()
    await datapath.detach(container.id)
    assert "eth0" not in container.namespace.run("ip", "-o", "link")
    assert leftovers(machine) == []
    await datapath.detach(container.id)
    await datapath.detach(secrets.token_hex(32))


async def test_detach_after_the_container_took_its_veth_along(machine: Machine, datapath: Datapath, start: Start) -> None:
    container = await start()
    container.namespace.close()
    eventually(lambda: container.id[:12] not in machine.run("ip", "-o", "link"), "the kernel deletes the pair")
    assert datapath.ports() == {container.id}
    await datapath.detach(container.id)
    assert leftovers(machine) == []


async def test_forty_at_once_and_others_going(machine: Machine, datapath: Datapath) -> None:
    old, new = ([secrets.token_hex(32) for _ in range(40)] for _ in range(2))
    await asyncio.gather(*(datapath.attach(one, MAC, MTU) for one in old))
    attach = [datapath.attach(one, MAC, MTU) for one in new]
    detach = [datapath.detach(one) for one in old]
    names = await asyncio.gather(*(step for pair in zip(attach, detach, strict=True) for step in pair))
    assert [name for name in names if name] == [f"sc{one[:12]}" for one in new]
    assert datapath.ports() == set(new)
    await asyncio.gather(*(datapath.detach(one) for one in new))
    assert leftovers(machine) == []


async def test_the_same_endpoint_many_times_at_once(machine: Machine, datapath: Datapath, endpoint_id: str) -> None:
    await asyncio.gather(*(datapath.attach(endpoint_id, MAC, MTU) for _ in range(10)))
    assert len(machine.vsctl("find", "port", f"name=sp{endpoint_id[:12]}").split("_uuid")) == 2
    await asyncio.gather(*(datapath.detach(endpoint_id) for _ in range(10)))
    assert leftovers(machine) == []


async def test_a_cancelled_attach_leaves_nothing(machine: Machine, datapath: Datapath) -> None:
    cancelled = 0
    for step in range(40):
        endpoint_id = secrets.token_hex(32)
        task = asyncio.create_task(datapath.attach(endpoint_id, MAC, MTU))
        await asyncio.sleep(step * 0.0002)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if task.cancelled():
            cancelled += 1
            assert datapath.ports() == frozenset()
        await datapath.detach(endpoint_id)
    assert cancelled > 5
    assert leftovers(machine) == []


async def test_installed_says_what_is_missing(machine: Machine, datapath: Datapath, endpoint_id: str) -> None:
    with pytest.raises(Unavailable, match="no such port"):
        await datapath.installed(endpoint_id, 0.1)
    await datapath.attach(endpoint_id, MAC, MTU)
    with pytest.raises(Unavailable, match=f"has not bound sp-{endpoint_id}"):
        await datapath.installed(endpoint_id, 0.3)
    machine.run("ip", "link", "del", f"sp{endpoint_id[:12]}")
    machine.vsctl("set", "interface", f"sp{endpoint_id[:12]}", "type=nonsense")
    with pytest.raises(Unavailable, match="Open vSwitch says"):
        await datapath.installed(endpoint_id, 0.3)


async def test_installed_waits_for_the_port_that_comes_later(
    machine: Machine, datapath: Datapath, endpoint_id: str
) -> None:
    await datapath.attach(endpoint_id, MAC, MTU)
    waiting = asyncio.create_task(datapath.installed(endpoint_id, 10))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    topology.add_port(machine, "web", endpoint_id, IPv4Address("10.192.0.99"))
    await waiting
    topology.remove_port(machine, endpoint_id)


async def test_how_long_it_takes(machine: Machine, datapath: Datapath) -> None:
    """Not a benchmark: an order of magnitude that must not be lost, and the figures to read."""
    attach, installed, detach = [], [], []
    for _ in range(10):
        endpoint_id = secrets.token_hex(32)
        topology.add_port(machine, "web", endpoint_id, IPv4Address("10.192.0.99"))
        times = [time.perf_counter()]
        await datapath.attach(endpoint_id, MAC, MTU)
        times.append(time.perf_counter())
        await datapath.installed(endpoint_id, 5)
        times.append(time.perf_counter())
        await datapath.detach(endpoint_id)
        times.append(time.perf_counter())
        topology.remove_port(machine, endpoint_id)
        for figures, begin, end in zip((attach, installed, detach), times, times[1:], strict=False):
            figures.append((end - begin) * 1000)
    print(f"median ms: attach {median(attach):.1f}, + installed {median(installed):.1f}, detach {median(detach):.1f}")
    assert median(attach) < 50 and median(installed) < 200 and median(detach) < 200


async def test_mtu_is_what_fits_into_the_underlay(machine: Machine, switch: Switch, netlink: Netlink) -> None:
    machine.run("sh", "-c", "ip link add u0 mtu 1400 type veth peer name u1; ip addr add 198.51.100.1/24 dev u0")
    async with Datapath(switch, netlink, "198.51.100.1") as small, Datapath(switch, netlink, "198.51.100.2") as unknown:
        assert small.mtu == 1400 - 58
        assert unknown.mtu == FALLBACK
    machine.run("ip", "link", "del", "u0")


async def test_an_mtu_that_changes_is_set_at_both_ends(
    machine: Machine, netlink: Netlink, datapath: Datapath, start: Start, endpoint_id: str
) -> None:
    """Of a container that runs, of one with a detour, and of one that Docker has not taken yet."""
    rate = Limits(Limit(100_000_000), Limit(100_000_000))
    plain = await start(address="10.192.0.10")
    limited = await start(address="10.192.0.11", limits=rate)
    waiting = await datapath.attach(endpoint_id, MAC, datapath.mtu)
    before = datapath.mtu
    assert await datapath.resize(1300) == {plain.id, limited.id, endpoint_id}
    with pytest.raises(NotFound, match="not in its network namespace"):
        await datapath.fit(plain.id, None)
    with pytest.raises(NotFound):
        await datapath.fit(plain.id, limited.namespace.pid)
    assert "mtu 1300" not in limited.namespace.run("ip", "link", "show", "eth0")
    for one in (plain, limited):
        await datapath.fit(one.id, one.namespace.pid)
        assert "mtu 1300" in one.namespace.run("ip", "link", "show", "eth0")
    await datapath.fit(endpoint_id, None)
    assert "mtu 1300" in machine.run("ip", "link", "show", waiting)
    assert await datapath.resize(1300) == frozenset()
    here = [line for line in machine.run("ip", "-o", "link", "show", "type", "veth").splitlines() if "mtu 1300" in line]
    assert len(here) == 3 + 1 + 2  # hosts' ends, one that waits, a detour
    assert exchange(plain.namespace, limited.namespace, limited.address, 100_000) == plain.address
    for one in sorted(await datapath.resize(before)):
        await datapath.fit(one, {plain.id: plain.namespace.pid, limited.id: limited.namespace.pid}.get(one))
    assert f"mtu {before}" in plain.namespace.run("ip", "link", "show", "eth0")
    assert exchange(limited.namespace, plain.namespace, plain.address, 100_000) == limited.address


def state(machine: Machine, endpoint_id: str) -> tuple[str, str]:
    """Return the links (with their indexes) and rows of an endpoint."""
    links = [line for line in machine.run("ip", "-o", "link").splitlines() if endpoint_id[:12] in line]
    rows = [
        machine.vsctl("--columns=_uuid,external_ids", "list", table, f"sp{endpoint_id[:12]}")
        for table in ("port", "interface")
    ]
    return "".join(links), "".join(rows)


def leftovers(machine: Machine) -> list[str]:
    """Return links and ports of endpoints."""
    links = [line.split(": ")[1] for line in machine.run("ip", "-o", "link").splitlines()]
    return [
        name
        for name in links + machine.vsctl("list-ports", "br-int").split()
        if name[:2] in ("sp", "sc") and len(name) > 10
    ]
