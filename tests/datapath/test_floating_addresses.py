"""Floating addresses with real packets: who gets in and as whom, who answers ARP, and what ends when it is given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import topology
from claiming import ClaimingHost, end_with_the_claim, hardware, neighbour
from datapath_site import OUTSIDE, UPLINK, Container, Start, bridge_network
from machine import Machine, Namespace, eventually
from traffic import connects, listening, ping, tcp_socket, udp

from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.ruleset import Forward
from socketplane.agent.state import State
from socketplane.agent.switch import Switch
from socketplane.identity import HostIdentity
from socketplane.model.published import ANY, Published
from socketplane.model.spec import Protocol

A, B = IPv4Address("192.0.2.70"), IPv4Address("192.0.2.71")
GATEWAY = str(topology.GATEWAY)
PORT = 8000


@pytest.fixture
async def host(tmp_path: Path, netlink: Netlink, gateway: Gateway) -> AsyncIterator[ClaimingHost]:
    host = ClaimingHost(State(tmp_path / "agent.json"), netlink, gateway)
    yield host
    await host.give()


@pytest.fixture
async def shop(start: Start) -> Container:
    return await start()


def seen_from(client: Namespace | Machine, target: Namespace, address: object, port: int = PORT) -> str:
    """Return whose address a container sees of a connection, or nothing where none opens."""
    with listening(target, port) as listener, tcp_socket(client) as ours:  # type: ignore[arg-type]
        ours.settimeout(1)
        try:
            ours.connect((str(address), port))
        except OSError:
            return ""
        theirs, (source, _) = listener.accept()
        with theirs:
            theirs.sendall(b"!")
            assert ours.recv(1) == b"!"
        return str(source)


async def test_every_protocol_and_port_with_the_clients_own_address(
    shop: Container, host: ClaimingHost, machine: Machine, outside: Namespace, docker_rules: None
) -> None:
    assert not ping(outside, str(A))
    await host.give((A, shop))
    assert host.said() == {str(A): "eth0"}
    for port in (PORT, 9):
        assert seen_from(outside, shop.namespace, A, port) == OUTSIDE
    assert ping(outside, str(A))
    with udp(shop.namespace, "0.0.0.0", 53) as server, udp(outside, OUTSIDE, 5000) as client:
        client.sendto(b"?", (str(A), 53))
        data, back = server.recvfrom(10)
        server.sendto(data, back)
        assert (back[0], client.recvfrom(10)) == (OUTSIDE, (b"?", (str(A), 53)))
    assert seen_from(machine, shop.namespace, A) == GATEWAY, "its host is the host"
    with bridge_network(machine) as bridged:
        machine.run(
            "iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "172.17.0.0/16", "!", "-o", "docker0", "-j", "MASQUERADE"
        )
        await host.claimer.reconcile()
        assert seen_from(bridged, shop.namespace, A) == "172.17.0.2", "or it would pass for the host"
        machine.run("iptables", "-t", "nat", "-F", "POSTROUTING")
    assert seen_from(shop.namespace, outside, OUTSIDE) == str(A), "what it opens comes from its own address"
    assert seen_from(outside, shop.namespace, shop.address) == "", "the address inside is no way in"
    with listening(machine, 4000):  # type: ignore[arg-type]
        assert not connects(outside, str(A), 4000), "the host does not answer in its place"
        assert connects(outside, UPLINK, 4000)
    await host.give()
    assert not ping(outside, str(A))
    assert seen_from(shop.namespace, outside, OUTSIDE) == UPLINK


async def test_published_and_floating_on_one_container(
    shop: Container, host: ClaimingHost, gateway: Gateway, outside: Namespace
) -> None:
    await gateway.forward([Forward(Published(Protocol.TCP, ANY, 8080, PORT), IPv4Address(shop.address))])
    await host.give((A, shop), (B, shop))

    def by_host() -> bool:
        with listening(shop.namespace, PORT):
            return connects(outside, UPLINK, 8080)

    assert by_host()
    assert seen_from(outside, shop.namespace, A) == seen_from(outside, shop.namespace, B) == OUTSIDE
    assert seen_from(shop.namespace, outside, OUTSIDE) == str(A), "of two, the lowest"
    await host.give((B, shop))
    assert (by_host(), ping(outside, str(A)), ping(outside, str(B))) == (True, False, True)
    await gateway.forward([])
    assert (by_host(), seen_from(outside, shop.namespace, B)) == (False, OUTSIDE)


async def test_an_address_that_somebody_has_is_left_to_him(
    shop: Container, host: ClaimingHost, machine: Machine, outside: Namespace
) -> None:
    outside.run("ip", "addr", "add", f"{A}/32", "dev", "lan")
    mac = hardware(outside, "lan")
    await host.give((A, shop), (IPv4Address(UPLINK), shop), (IPv4Address("203.0.113.7"), shop), (B, shop))
    assert host.said() == {
        str(A): f"{mac} on eth0 has it",
        UPLINK: "it is an address of this host itself",
        "203.0.113.7": "no link of this host is in its subnet, and no router is told of it by BGP",
        str(B): "eth0",
    }
    assert str(A) not in machine.run("ip", "addr") + machine.run("nft", "list", "table", "inet", "socketplane")
    assert host.claimer.alarms == []
    for _ in range(2):
        await host.claimer.reconcile()
    assert f"floating address {A} is not claimed: {mac} on eth0 has it" in host.claimer.alarms
    outside.run("ip", "addr", "del", f"{A}/32", "dev", "lan")
    await host.claimer.reconcile()
    assert host.said()[str(A)] == "eth0"
    assert seen_from(outside, shop.namespace, A) == OUTSIDE


async def test_one_of_no_link_needs_routers_that_are_told_of_it(
    shop: Container, host: ClaimingHost, outside: Namespace
) -> None:
    routed = IPv4Address("203.0.113.7")
    outside.run("ip", "route", "add", str(routed), "via", UPLINK)
    host.claimer.by_routes = lambda version: version == 4
    changes: list[dict[str, str]] = []
    host.claimer.on_change = lambda: changes.append(host.said())
    await host.give((routed, shop))
    assert changes == [{str(routed): "BGP"}]
    assert seen_from(outside, shop.namespace, routed) == OUTSIDE
    assert seen_from(shop.namespace, outside, OUTSIDE) == str(routed)
    await host.give((routed, shop), (A, shop))
    assert seen_from(outside, shop.namespace, routed) == OUTSIDE
    assert seen_from(shop.namespace, outside, OUTSIDE) == str(A), "that of the link comes first"
    host.claimer.by_routes = lambda _: False
    host.link.synced = False
    await host.claimer.reconcile()
    assert host.said()[str(routed)] == "BGP", "the controller has not said yet that it is not so"
    host.link.synced = True
    await host.claimer.reconcile()
    assert "no router is told" in host.said()[str(routed)]
    assert (seen_from(outside, shop.namespace, routed), seen_from(outside, shop.namespace, A)) == ("", OUTSIDE)
    outside.run("ip", "route", "del", str(routed))


async def test_the_lan_learns_it_at_once(shop: Container, host: ClaimingHost, machine: Machine, outside: Namespace) -> None:
    ours = hardware(machine, "eth0")
    outside.run("ip", "neigh", "replace", str(A), "lladdr", "02:00:00:00:00:99", "dev", "lan", "nud", "stale")
    await host.give((A, shop))
    eventually(lambda: ours in neighbour(outside, A), "what the neighbour remembered is replaced")


async def test_open_connections_outlast_a_new_agent_and_end_with_the_claim(
    start: Start,
    host: ClaimingHost,
    gateway: Gateway,
    switch: Switch,
    netlink: Netlink,
    identity: HostIdentity,
    machine: Machine,
    outside: Namespace,
    tmp_path: Path,
) -> None:
    shop, other = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    await host.give((A, shop))
    with listening(shop.namespace, PORT) as listener, tcp_socket(outside) as ours:
        ours.connect((str(A), PORT))
        theirs, _ = listener.accept()
        with theirs:
            again = Gateway(switch, netlink, identity, machine.paths, 1442)
            later = ClaimingHost(await asyncio.to_thread(State.load, tmp_path / "agent.json"), netlink, again)
            await later.claimer.restore()
            await again.ensure()
            await later.claimer.reconcile()
            theirs.sendall(b"still")
            assert ours.recv(5) == b"still"
            await end_with_the_claim(later, A, other, ours, theirs)
    assert seen_from(outside, other.namespace, A) == OUTSIDE
    assert seen_from(shop.namespace, outside, OUTSIDE) == UPLINK
    del later.state.endpoints[other.id]
    await later.claimer.reconcile()
    assert not ping(outside, str(A)), "gone with its container"
    await host.give()


async def test_down_leaves_nothing(shop: Container, host: ClaimingHost, gateway: Gateway, machine: Machine) -> None:
    await host.give((A, shop))
    assert str(A) in machine.run("ip", "addr", "show", "dev", "lo")
    await gateway.remove()
    assert str(A) not in machine.run("ip", "addr")
    host.claimer._places.clear()
