"""Floating addresses of IPv6 with real packets: who gets in and as whom, and who answers neighbours."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
import topology
from claiming import ClaimingHost, end_with_the_claim, hardware, neighbour
from datapath_site import OUTSIDE as OUTSIDE4
from datapath_site import Container, Start
from machine import Machine, Namespace, eventually
from traffic import connects, listening, ping, seen_from, tcp_socket, udp

from socketplane.agent.floating import nd
from socketplane.agent.floating.kernel import Place
from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.state import State
from socketplane.agent.switch import Switch
from socketplane.identity import HostIdentity

A, B = IPv6Address("2001:db8:9::70"), IPv6Address("2001:db8:9::71")
UPLINK, OUTSIDE = "2001:db8:9::1", "2001:db8:9::9"
FOUR = IPv4Address("192.0.2.70")
GATEWAY = str(topology.GATEWAY6)
PORT = 8000


@pytest.fixture
def lan6(machine: Machine, outside: Namespace) -> Iterator[Namespace]:
    """The LAN has a subnet of IPv6."""
    outside.run("ip", "address", "add", f"{OUTSIDE}/64", "dev", "lan", "nodad")
    machine.run("ip", "address", "add", f"{UPLINK}/64", "dev", "eth0", "nodad")
    yield outside
    outside.run("sh", "-c", f"ip addr del {OUTSIDE}/64 dev lan; ip -6 neigh flush dev lan")
    machine.run("ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global")


@pytest.fixture
async def host(tmp_path: Path, netlink: Netlink, gateway: Gateway, lan6: Namespace) -> AsyncIterator[ClaimingHost]:
    await gateway.set_pool6(topology.POOL6)
    host = ClaimingHost(State(tmp_path / "agent.json"), netlink, gateway)
    yield host
    await host.give()


@pytest.fixture
async def shop(start: Start) -> Container:
    return await start()


def on_eth0(machine: Machine) -> str:
    return machine.run("ip", "-6", "address", "show", "dev", "eth0")


async def test_every_protocol_and_port_with_the_clients_own_address(
    shop: Container, start: Start, host: ClaimingHost, machine: Machine, lan6: Namespace, docker_rules: None
) -> None:
    other = await start(address="10.192.0.11")
    assert not ping(lan6, str(A))
    await host.give((A, shop), (FOUR, shop))
    assert host.said() == {str(A): "eth0", str(FOUR): "eth0"}
    for port in (PORT, 9):
        assert seen_from(lan6, shop.namespace, str(A), port, port) == OUTSIDE
    assert seen_from(lan6, shop.namespace, str(FOUR), PORT) == OUTSIDE4
    assert ping(lan6, str(A))
    with udp(shop.namespace, "::", 53) as server, udp(lan6, OUTSIDE, 5000) as client:
        client.sendto(b"?", (str(A), 53))
        data, back = server.recvfrom(10)
        server.sendto(data, back)
        assert (back[0], client.recvfrom(10)[0]) == (OUTSIDE, b"?")
    assert seen_from(machine, shop.namespace, str(A), PORT) == GATEWAY, "its host is the host"
    assert seen_from(shop.namespace, lan6, OUTSIDE, PORT) == str(A), "what it opens comes from its own address"
    assert seen_from(other.namespace, lan6, OUTSIDE, PORT) == UPLINK
    assert seen_from(machine, lan6, OUTSIDE, PORT) == UPLINK, "nobody else has it as a source"
    assert seen_from(lan6, shop.namespace, shop.address6, PORT) == "", "the address inside is no way in"
    with listening(machine, 4000, socket.AF_INET6):
        assert not connects(lan6, str(A), 4000), "the host does not answer in its place"
        assert connects(lan6, UPLINK, 4000)
    await host.give((FOUR, shop))
    assert not ping(lan6, str(A))
    assert seen_from(lan6, shop.namespace, str(FOUR), PORT) == OUTSIDE4
    assert seen_from(shop.namespace, lan6, OUTSIDE, PORT) == UPLINK


async def test_neighbours_that_remember_it_may_ask_it(shop: Container, host: ClaimingHost, lan6: Namespace) -> None:
    await host.give((A, shop))
    assert ping(lan6, str(A))
    mac = neighbour(lan6, A).split()[4]
    lan6.run("ip", "-6", "neigh", "change", str(A), "lladdr", mac, "dev", "lan", "nud", "probe")
    eventually(lambda: "PROBE" not in neighbour(lan6, A), "an answer, or none")
    assert "REACHABLE" in neighbour(lan6, A)


async def test_an_address_that_somebody_has_is_left_to_him(
    shop: Container, host: ClaimingHost, machine: Machine, lan6: Namespace
) -> None:
    lan6.run("ip", "addr", "add", f"{A}/128", "dev", "lan", "nodad")
    mac = hardware(lan6, "lan")
    far, first = IPv6Address("2001:db8:77::7"), IPv6Address("2001:db8:9::")
    await host.give((A, shop), (IPv6Address(UPLINK), shop), (far, shop), (first, shop), (B, shop))
    assert host.said() == {
        str(A): f"{mac} on eth0 has it",
        UPLINK: "it is an address of this host itself",
        str(far): "no link of this host is in its subnet, and no router is told of it by BGP",
        str(first): "nobody can have it: it is the first or last address of 2001:db8:9::/64",
        str(B): "eth0",
    }
    assert str(A) not in on_eth0(machine) + machine.run("nft", "list", "table", "inet", "socketplane")
    lan6.run("ip", "addr", "del", f"{A}/128", "dev", "lan")
    await host.claimer.reconcile()
    assert host.said()[str(A)] == "eth0"
    assert seen_from(lan6, shop.namespace, str(A), PORT) == OUTSIDE
    lan6.run("ip", "addr", "add", f"{A}/128", "dev", "lan")
    eventually(lambda: "dadfailed" in lan6.run("ip", "addr", "show", "dev", "lan"), "who comes later learns of it")
    lan6.run("ip", "addr", "del", f"{A}/128", "dev", "lan")


async def test_one_of_no_link_needs_routers_that_are_told_of_it(
    shop: Container, host: ClaimingHost, machine: Machine, lan6: Namespace
) -> None:
    routed = IPv6Address("2001:db8:77::7")
    lan6.run("ip", "route", "add", str(routed), "via", UPLINK)
    host.claimer.by_routes = lambda version: version == 6
    await host.give((routed, shop))
    assert host.said() == {str(routed): "BGP"}
    assert seen_from(lan6, shop.namespace, str(routed), PORT) == OUTSIDE
    assert seen_from(shop.namespace, lan6, OUTSIDE, PORT) == str(routed)
    assert seen_from(machine, lan6, OUTSIDE, PORT) == UPLINK, "nobody else has it as a source"
    machine.run("ip", "address", "add", "2001:db8:77::1/64", "dev", "eth0", "nodad")
    await host.claimer.reconcile()
    assert host.said() == {str(routed): "eth0"}, "a link has its subnet now"
    assert f"{routed}/128" in on_eth0(machine)
    assert str(routed) not in machine.run("ip", "-6", "address", "show", "dev", "lo")
    machine.run("ip", "address", "del", "2001:db8:77::1/64", "dev", "eth0")
    host.claimer.by_routes = lambda version: version == 4
    await host.claimer.reconcile()
    assert "no router is told" in host.said()[str(routed)]
    assert seen_from(lan6, shop.namespace, str(routed), PORT) == ""
    lan6.run("ip", "route", "del", str(routed))


async def test_of_two_who_ask_at_once_one_at_most_takes_it(machine: Machine, lan6: Namespace) -> None:
    found: dict[str, dict[IPv6Address, str]] = {}
    together = threading.Barrier(2, timeout=10)

    def ask(where: Namespace, link: str) -> None:
        with where.inside():
            place = Place(link, socket.if_nametoindex(link), hardware(where, link))
            together.wait()
            found[link] = nd.taken(place, [A, B] if link == "lan" else [A])

    threads = [threading.Thread(target=ask, args=each) for each in ((lan6, "lan"), (machine, "eth0"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    others = {"lan": {A: hardware(machine, "eth0")}, "eth0": {A: hardware(lan6, "lan")}}
    assert found.keys() == others.keys()
    assert any(found.values()), "who has heard of the other stops asking"
    assert all(heard in ({}, others[link]) for link, heard in found.items())


async def test_the_lan_learns_it_at_once(shop: Container, host: ClaimingHost, machine: Machine, lan6: Namespace) -> None:
    ours = hardware(machine, "eth0")
    lan6.run("ip", "neigh", "replace", str(A), "lladdr", "02:00:00:00:00:99", "dev", "lan", "nud", "stale")
    await host.give((A, shop))
    eventually(lambda: ours in neighbour(lan6, A), "what the neighbour remembered is replaced")


async def test_what_the_kernel_gives_up_with_a_link_is_claimed_again(
    shop: Container, host: ClaimingHost, machine: Machine, lan6: Namespace
) -> None:
    await host.give((A, shop))
    host.claimer._wanted.clear()
    await host.claimer.look()
    assert not host.claimer._wanted.is_set()
    machine.run("ip", "address", "del", f"{A}/128", "dev", "eth0")
    await host.claimer.look()
    assert host.claimer._wanted.is_set()
    await host.claimer.reconcile()
    assert seen_from(lan6, shop.namespace, str(A), PORT) == OUTSIDE


async def test_it_moves_to_the_link_that_has_the_subnet(
    shop: Container, host: ClaimingHost, machine: Machine, lan6: Namespace
) -> None:
    await host.give((A, shop))
    machine.run("sh", "-c", "ip link add other type veth peer name far; ip link set far up; ip link set other up")
    machine.run("sh", "-c", "ip address add 2001:db8:9::2/80 dev other nodad")
    try:
        await host.claimer.reconcile()
        assert host.said() == {str(A): "other"}, "the longer prefix"
        held = json.loads(machine.run("ip", "-json", "-6", "address", "show", "to", f"{A}/128"))
        assert [link["ifname"] for link in held if link] == ["other"]
    finally:
        machine.run("ip", "link", "del", "other")


async def test_open_connections_outlast_a_new_agent_and_end_with_the_claim(
    start: Start,
    host: ClaimingHost,
    switch: Switch,
    netlink: Netlink,
    identity: HostIdentity,
    machine: Machine,
    lan6: Namespace,
    tmp_path: Path,
) -> None:
    shop, other = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    await host.give((A, shop))
    with listening(shop.namespace, PORT, socket.AF_INET6) as listener, tcp_socket(lan6, socket.AF_INET6) as ours:
        ours.connect((str(A), PORT))
        theirs, _ = listener.accept()
        with theirs:
            again = Gateway(switch, netlink, identity, machine.paths, 1442)
            later = ClaimingHost(await asyncio.to_thread(State.load, tmp_path / "agent.json"), netlink, again)
            async with again.together():
                await again.set_pool6(topology.POOL6)
                await later.claimer.restore()
            await again.ensure()
            await later.claimer.reconcile()
            assert later.said() == {str(A): "eth0"}
            theirs.sendall(b"still")
            assert ours.recv(5) == b"still"
            await end_with_the_claim(later, A, other, ours, theirs)
    assert seen_from(lan6, other.namespace, str(A), PORT) == OUTSIDE
    assert seen_from(shop.namespace, lan6, OUTSIDE, PORT) == UPLINK
    del later.state.endpoints[other.id]
    await later.claimer.reconcile()
    assert not ping(lan6, str(A)), "gone with its container"
    await host.give()


async def test_down_leaves_nothing(shop: Container, host: ClaimingHost, gateway: Gateway, machine: Machine) -> None:
    await host.give((A, shop), (FOUR, shop))
    assert f"{A}/128" in on_eth0(machine)
    await gateway.remove()
    assert f"{A}/128" not in on_eth0(machine)
    assert str(FOUR) not in machine.run("ip", "addr")
    assert UPLINK in on_eth0(machine), "what isn't ours stays"
    host.claimer._places.clear()
