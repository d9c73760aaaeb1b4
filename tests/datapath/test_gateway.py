"""Ways out of the overlay and into it, with real packets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import topology
from datapath_site import OUTSIDE, UPLINK, Start, bridge_network, running, until
from machine import Machine, Namespace
from traffic import connected, connects, exchange, listening, ping

from socketplane.agent import poolroute
from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.switch import Switch
from socketplane.errors import Conflict
from socketplane.identity import HostIdentity

GATEWAY = str(topology.GATEWAY)


async def test_containers_reach_the_outside(start: Start, gateway: Gateway, outside: Namespace) -> None:
    container = await start()
    assert ping(container.namespace, OUTSIDE)
    assert exchange(container.namespace, outside, OUTSIDE) == UPLINK, "masqueraded"


async def test_strict_reverse_path_filters_are_no_obstacle(
    start: Start, gateway: Gateway, machine: Machine, outside: Namespace
) -> None:
    container = await start()
    machine.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter")
    try:
        assert exchange(container.namespace, outside, OUTSIDE, 1000) == UPLINK
        assert exchange(machine, container.namespace, container.address, 1000) == GATEWAY
    finally:
        machine.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter")


async def test_containers_and_their_host_reach_each_other(start: Start, gateway: Gateway, machine: Machine) -> None:
    container = await start()
    assert exchange(machine, container.namespace, container.address) == GATEWAY
    assert exchange(machine, container.namespace, container.address, 1000, source=UPLINK) == GATEWAY, (
        "one address for policy"
    )
    for address in (GATEWAY, UPLINK):
        assert exchange(container.namespace, machine, address) == container.address


async def test_a_docker0_container_and_a_lan_host_with_a_route_do_not_get_in(
    start: Start, gateway: Gateway, machine: Machine, outside: Namespace, router: None
) -> None:
    container = await start()
    with bridge_network(machine) as bridged, listening(container.namespace) as listener, listening(machine) as of_host:
        port = listener.getsockname()[1]
        await gateway.ensure()
        for stranger in (bridged, outside):
            assert not ping(stranger, container.address)
            assert not connects(stranger, container.address, port)
            assert not connects(stranger, GATEWAY, of_host.getsockname()[1]), "sp0's address is no door either"
        assert connects(outside, UPLINK, of_host.getsockname()[1]), "the route through this host works otherwise"
        assert connects(machine, container.address, port)
        assert exchange(container.namespace, bridged, "172.17.0.2", 1000) == "172.17.0.1"


async def test_nobody_outside_may_claim_a_containers_address(
    start: Start, gateway: Gateway, machine: Machine, outside: Namespace
) -> None:
    outside.run("ip", "address", "add", "10.192.0.77/32", "dev", "lan")
    try:
        with listening(machine) as listener:
            assert _taken(machine, outside, "10.192.0.77", listener.getsockname()[1]) == 0
            assert _taken(machine, outside, OUTSIDE, listener.getsockname()[1]) > 0
    finally:
        outside.run("ip", "address", "del", "10.192.0.77/32", "dev", "lan")


async def test_nobody_behind_this_host_may_pass_for_its_tunnels(
    start: Start, gateway: Gateway, machine: Machine, outside: Namespace, router: None
) -> None:
    """Masqueraded, a container's datagram to Geneve's port would be taken for one of this host, with all that is in it."""
    container = await start()
    with bridge_network(machine) as bridged:
        await gateway.ensure()
        for behind in (container.namespace, bridged):
            assert _arrives(behind, outside, OUTSIDE) == [6082]
        assert _arrives(machine, outside, OUTSIDE) == [6081, 6082], "the host itself may"


def _arrives(source: Namespace | Machine, target: Namespace, address: str) -> list[int]:
    """Return at which ports datagrams arrive: sent to Geneve's, then to the next, which passes."""
    with contextlib.ExitStack() as stack:
        listeners = []
        for port in (6081, 6082):
            with target.inside():
                listeners.append(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
            listeners[-1].bind((address, port))
            listeners[-1].settimeout(5)
        with source.inside():
            sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for listener in listeners:
            sender.sendto(b"?", listener.getsockname())
        listeners[1].recv(1)
        listeners[0].setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return [6081, 6082] if listeners[0].recv(1) else []
        return [6082]


def _taken(machine: Machine, source: Namespace, address: str, port: int) -> int:
    """Return how many segments the host's stack took of a connection from that source address to it."""

    def segments() -> int:
        header, values = (
            line.split() for line in machine.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Tcp:")
        )
        return int(values[header.index("InSegs")])

    with contextlib.ExitStack() as stack:
        before = segments()
        with source.inside():
            handle = stack.enter_context(socket.socket())
        handle.settimeout(0.3)
        handle.bind((address, 0))
        with contextlib.suppress(OSError):
            handle.connect((UPLINK, port))
        return segments() - before


async def test_a_container_does_not_get_around_its_port(start: Start, gateway: Gateway, machine: Machine) -> None:
    """In userspace mode the host's stack sees a copy of each frame; it must neither answer nor pass it on."""
    container = await start()
    port = f"sp{container.id[:12]}"
    mac = machine.run("cat", f"/sys/class/net/{port}/address").strip()
    inside = container.namespace
    inside.run("ip", "route", "add", UPLINK, "dev", "eth0")
    inside.run("ip", "address", "add", "198.51.100.7/32", "dev", "eth0")
    assert not ping(inside, UPLINK)
    assert "lladdr" not in inside.run("ip", "neigh", "show", UPLINK), "ARP is not answered by the host's end"
    inside.run("ip", "neigh", "replace", UPLINK, "lladdr", mac, "dev", "eth0")
    with listening(machine) as listener:
        for source in (container.address, "198.51.100.7"):
            assert _taken(machine, inside, source, listener.getsockname()[1]) == 0, "frames to the host's end are not taken"


async def test_internal_networks_get_no_egress(
    start: Start, gateway: Gateway, machine: Machine, outside: Namespace
) -> None:
    inside = await start("internal", "10.192.4.10")
    assert ping(inside.namespace, OUTSIDE), "before the network is declared internal"
    await gateway.set_internal([topology.INTERNAL])
    other = await start(address="10.192.0.12")
    with listening(outside) as there, listening(machine) as here:
        assert not connects(inside.namespace, OUTSIDE, there.getsockname()[1])
        assert not connects(inside.namespace, UPLINK, here.getsockname()[1])
        assert connects(other.namespace, OUTSIDE, there.getsockname()[1])
    await gateway.set_internal([])
    assert ping(inside.namespace, OUTSIDE)


async def test_with_dockers_policy_drop_containers_get_out_and_dockers_stay_closed(
    start: Start, gateway: Gateway, machine: Machine, outside: Namespace, docker_rules: None
) -> None:
    container = await start()
    with bridge_network(machine) as bridged, listening(bridged) as listener:
        await gateway.ensure()
        assert exchange(container.namespace, outside, OUTSIDE, 1000) == UPLINK
        assert not connects(container.namespace, "172.17.0.2", listener.getsockname()[1]), "Docker did not publish it"
        assert exchange(machine, container.namespace, container.address, 1000) == GATEWAY


async def test_the_administrators_lines_come_first(gateway: Gateway, machine: Machine, docker_rules: None) -> None:
    machine.run("iptables", "-I", "DOCKER-USER", "-s", "198.51.100.1", "-j", "DROP")
    await gateway.ensure()
    await gateway.ensure()
    assert machine.run("iptables", "-S", "DOCKER-USER").splitlines()[1:] == [
        "-A DOCKER-USER -s 198.51.100.1/32 -j DROP",
        "-A DOCKER-USER -j RETURN",
    ]
    assert machine.run("iptables", "-S", "FORWARD").splitlines()[1:3] == [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j SOCKETPLANE",
    ]


async def test_flushed_rules_come_back(gateway: Gateway, machine: Machine, docker_rules: None) -> None:
    async with running(gateway):
        table, chains = _rules(machine)
        assert "SOCKETPLANE" in chains
        machine.run("nft", "delete", "table", "inet", "socketplane")
        await until(lambda: _rules(machine)[0] == table, "our table is back")
        machine.run("iptables", "-F", "FORWARD")
        await until(lambda: "-j SOCKETPLANE" in machine.run("iptables", "-S", "FORWARD"), "our call is back")
        machine.run("nft", "flush", "chain", "inet", "socketplane", "forward")
        await until(lambda: _rules(machine)[0] == table, "a flushed chain is back")


async def test_links_forward_only_as_needed_and_are_restored(
    start: Start, gateway: Gateway, machine: Machine, outside: Namespace
) -> None:
    state = machine.paths.state / "forwarding.json"
    assert _setting(machine, "all") == "0", "Docker's own switch is left alone"
    assert _setting(machine, "eth0") == "1"
    assert "eth0" in json.loads(state.read_text())["forwarding"]
    with bridge_network(machine):
        outside.run("ip", "route", "add", "172.17.0.0/16", "via", UPLINK)
        try:
            assert not ping(outside, "172.17.0.2"), "we made no router of this machine"
            machine.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            await gateway.ensure()
            assert ping(outside, "172.17.0.2"), "somebody else did"
        finally:
            machine.run(
                "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv4/conf/eth0/forwarding"
            )
            outside.run("ip", "route", "del", "172.17.0.0/16")
    await gateway.remove()
    assert _setting(machine, "eth0") == "0"
    assert not state.exists()


async def test_a_new_agent_restores_what_an_old_one_changed(
    gateway: Gateway, machine: Machine, outside: Namespace, switch: Switch, netlink: Netlink, identity: HostIdentity
) -> None:
    successor = Gateway(switch, netlink, identity, machine.paths, 1442)
    await successor.ensure()
    await successor.remove()
    assert _setting(machine, "eth0") == "0"


async def test_ensure_repeated_changes_nothing(gateway: Gateway, machine: Machine, docker_rules: None) -> None:
    await gateway.ensure()
    before = _snapshot(machine)
    with kernel_notices() as notices:
        await gateway.ensure()
        assert notices() == []
    assert await gateway._set_up() == []
    assert _snapshot(machine) == before


async def test_the_host_port_is_repaired(start: Start, gateway: Gateway, machine: Machine) -> None:
    container = await start()
    async with running(gateway):
        route = f"ip route del {topology.POOL} table {poolroute.TABLE}"
        rule = f"ip rule del priority {poolroute.PRIORITY}"
        for damage in ("ip address flush dev sp0", route, rule, "ip link set sp0 down", "ip link set sp0 mtu 1300"):
            machine.run("sh", "-c", damage)
            await until(lambda: ping(machine, container.address), f"reachable after {damage}")
        await until(lambda: "mtu 1442" in machine.run("ip", "link", "show", "sp0"), "MTU")


@pytest.mark.parametrize("ending", ["crash", "exit"])
async def test_vswitchd_restarts(start: Start, gateway: Gateway, machine: Machine, outside: Namespace, ending: str) -> None:
    """A crash leaves the tap `sp0` behind, an end with `--cleanup` takes it away with all that was set on it."""
    one, two = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    async with running(gateway):
        with (
            connected(one.namespace, two.namespace, two.address) as east,
            connected(two.namespace, outside, OUTSIDE) as north,
            connected(machine, one.namespace, one.address) as south,
        ):
            if ending == "crash":
                machine.kill(machine.ovs, "ovs-vswitchd")
            else:
                machine.stop_vswitchd()
                assert " sp0:" not in machine.run("ip", "-o", "link")
            machine.start_vswitchd()
            began = time.monotonic()
            await until(lambda: ping(one.namespace, two.address), "containers talk again")
            await until(lambda: ping(one.namespace, OUTSIDE), "the way out is back")
            await until(lambda: ping(machine, one.address), "the host reaches containers again")
            print(f"vswitchd restarted: all ways back after {time.monotonic() - began:.2f} s")
            for survivor in (east, north, south):
                await asyncio.to_thread(survivor.exchange, 100_000)
    assert exchange(one.namespace, outside, OUTSIDE) == UPLINK


async def test_remove_leaves_nothing(gateway: Gateway, machine: Machine, docker_rules: None) -> None:
    await gateway.ensure()
    await gateway.remove()
    assert " sp0:" not in machine.run("ip", "-o", "link")
    assert "10.192" not in machine.run("ip", "route", "show", "table", "all")
    assert "10.192" not in machine.run("ip", "rule")
    assert _rules(machine)[0] == ""
    assert "SOCKETPLANE" not in _rules(machine)[1]
    assert "DOCKER-USER" in _rules(machine)[1]
    await gateway.remove()


async def test_somebody_elses_route_is_a_conflict(
    machine: Machine, switch: Switch, netlink: Netlink, identity: HostIdentity
) -> None:
    machine.run("ip", "route", "add", str(topology.POOL), "dev", "eth0")
    gateway = Gateway(switch, netlink, identity, machine.paths, 1442)
    try:
        with pytest.raises(Conflict, match=r"10\.192\.0\.0/10") as caught:
            await gateway.ensure()
        assert caught.value.field == "pool"
        assert f"{topology.POOL} dev eth0" in machine.run("ip", "route")
    finally:
        machine.run("ip", "route", "del", str(topology.POOL), "dev", "eth0")
        await gateway.remove()


@contextlib.contextmanager
def kernel_notices() -> Iterator[Callable[[], list[bytes]]]:
    """Listen to what the kernel says of changed links, addresses, routes, settings and firewall rules."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)) for protocol in (0, 12)]
        for handle, groups in zip(sockets, (0x1 | 0x10 | 0x40 | 0x80_0000, 0x40), strict=True):
            handle.bind((0, groups))
            handle.setblocking(False)

        def notices() -> list[bytes]:
            found: list[bytes] = []
            for handle in sockets:
                with contextlib.suppress(BlockingIOError):
                    while notice := handle.recv(65536):
                        found.append(notice)
            return found

        yield notices


def _rules(machine: Machine) -> tuple[str, str]:
    table = machine.run("nft", "-s", "list", "table", "inet", "socketplane", check=False)
    saved = machine.run("iptables-save", "-t", "filter").splitlines()
    return table, "\n".join(line for line in saved if not line.startswith("#"))  # the time is in there


def _snapshot(machine: Machine) -> tuple[str, ...]:
    shown = [
        machine.run("ip", *what) for what in (["address"], ["route", "show", "table", "all"], ["rule"], ["-o", "link"])
    ]
    return (*shown, *_rules(machine), machine.vsctl("list", "interface", "sp0"))


def _setting(machine: Machine, link: str) -> str:
    return machine.run("cat", f"/proc/sys/net/ipv4/conf/{link}/forwarding").strip()
