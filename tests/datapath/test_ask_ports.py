"""Containers of internal networks ask the resolver, and that is all that passes, whatever OVN would let through."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import topology
from datapath_site import OUTSIDE, UPLINK, Container, Start, running, until
from machine import Machine, Namespace
from traffic import connects, listening, ping, tcp_socket, udp

from socketplane.agent import poolroute
from socketplane.agent.askport import Asking
from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.switch import Switch
from socketplane.config import RESOLVER_PORT
from socketplane.identity import HostIdentity

SERVER = "198.51.100.53"
GATEWAY = str(topology.GATEWAY)
ASKING = [Asking(network, subnet, subnet[1]) for network, subnet in topology.CLOSED_IDS.items()]


@pytest.fixture
async def asking(gateway: Gateway) -> Gateway:
    """The gateway, with both networks asking at SERVER."""
    await gateway.set_internal([asking.subnet for asking in ASKING])
    await gateway.set_resolvers([topology.IPv4Address(SERVER)])
    await gateway.ask(ASKING)
    return gateway


@pytest.fixture
async def one(start: Start, asking: Gateway) -> AsyncIterator[Container]:
    yield await start("closed", "10.192.8.10")


@pytest.fixture
def resolver(machine: Machine) -> Iterator[socket.socket]:
    """Where questions should arrive."""
    with udp(machine, GATEWAY, RESOLVER_PORT) as handle:
        yield handle


def asked(one: Container, resolver: socket.socket, to: str = SERVER, port: int = 53) -> str | None:
    """Ask by UDP; return who asked, as the resolver sees it, once its answer has come from where was asked."""
    with udp(one.namespace, one.address, 0) as client:
        client.sendto(b"?", (to, port))
        try:
            data, source = resolver.recvfrom(9)
        except TimeoutError:
            return None
        resolver.sendto(data + b"!", source)
        assert client.recvfrom(9) == (b"?!", (to, port))
    return str(source[0])


async def test_questions_and_answers_pass(one: Container, machine: Machine, resolver: socket.socket) -> None:
    await until(lambda: asked(one, resolver) == one.address, "an answer by UDP")
    with listening(machine, RESOLVER_PORT) as listener, tcp_socket(one.namespace) as client:
        client.connect((SERVER, 53))
        server, (source, _) = listener.accept()
        with server:
            assert source == one.address
            server.sendall(b"answer")
            assert client.recv(9) == b"answer"


async def test_nothing_else_passes(
    one: Container, start: Start, machine: Machine, outside: Namespace, resolver: socket.socket, router: None
) -> None:
    """Also on a machine that forwards everything and checks no addresses."""
    await until(lambda: asked(one, resolver) == one.address, "an answer")
    other, routed = await start("also", "10.192.12.10"), await start()
    for key, value in (("forwarding", "1"), ("rp_filter", "0"), ("arp_ignore", "0")):
        machine.run("sh", "-c", f"echo {value} > /proc/sys/net/ipv4/conf/{ASKING[0].link}/{key}")
    resolver.settimeout(0.3)
    for address, port in ((SERVER, 54), ("198.51.100.54", 53), (GATEWAY, RESOLVER_PORT), (GATEWAY, 53)):
        assert asked(one, resolver, address, port) is None
    with (
        listening(machine) as host,
        listening(outside) as there,
        listening(other.namespace) as next_door,
        listening(one.namespace) as inside,
        ThreadPoolExecutor() as at_once,
    ):
        ways: list[tuple[Namespace, str, socket.socket]] = [
            (one.namespace, GATEWAY, host),
            (one.namespace, UPLINK, host),
            (one.namespace, str(topology.CLOSED[1]), host),
            (one.namespace, OUTSIDE, there),
            (one.namespace, other.address, next_door),
            *((source, one.address, inside) for source in (machine, routed.namespace, other.namespace, outside)),
        ]
        pings = at_once.map(lambda way: ping(*way[:2]), ways)
        opened = at_once.map(lambda way: connects(*way[:2], way[2].getsockname()[1]), ways)
        assert not [way[:2] for way, one_way, other_way in zip(ways, pings, opened, strict=True) if one_way or other_way]
    assert ping(routed.namespace, OUTSIDE), "others get out as ever"


async def test_no_address_of_the_host_is_told_there(one: Container, machine: Machine, resolver: socket.socket) -> None:
    await until(lambda: asked(one, resolver) == one.address, "an answer")
    one.namespace.run("ip", "route", "add", UPLINK, "dev", "eth0")
    assert not ping(one.namespace, UPLINK)
    assert "lladdr" not in one.namespace.run("ip", "neigh", "show", UPLINK)


async def test_it_is_repaired_and_repeating_changes_nothing(
    one: Container, asking: Gateway, machine: Machine, resolver: socket.socket
) -> None:
    link = ASKING[0].link
    async with running(asking):
        for damage in (
            f"ip link set {link} down",
            f"ip route del {topology.CLOSED} table {poolroute.TABLE}",
            f"ip link set {link} mtu 1300",
            "nft delete table inet socketplane",
        ):
            machine.run("sh", "-c", damage)
            await until(lambda: asked(one, resolver) == one.address, f"an answer after {damage}")
        machine.vsctl("del-port", "br-int", link)
        await until(lambda: asked(one, resolver) == one.address, "an answer after the port was deleted")
    routes = machine.run("ip", "route", "show", "table", str(poolroute.TABLE))
    await asking.ask(ASKING)
    assert await asking._set_up() == [], "the pool's own route is right beside them"
    assert machine.run("ip", "route", "show", "table", str(poolroute.TABLE)) == routes


async def test_a_new_agent_knows_what_an_old_one_made(
    one: Container, machine: Machine, switch: Switch, netlink: Netlink, identity: HostIdentity, resolver: socket.socket
) -> None:
    successor = Gateway(switch, netlink, identity, machine.paths, 1442)
    await successor.set_internal([asking.subnet for asking in ASKING])
    await successor.set_resolvers([topology.IPv4Address(SERVER)])
    await successor.ensure()
    assert _links(machine) == {asking.link for asking in ASKING}, "nothing is touched before it is said what is wanted"
    await successor.ask(ASKING[:1])
    assert _links(machine) == {ASKING[0].link}
    await until(lambda: asked(one, resolver) == one.address, "an answer")
    await successor.ask([])
    assert _links(machine) == set()
    await successor.ask(ASKING)
    await successor.remove()
    assert _links(machine) == set()


def _links(machine: Machine) -> set[str]:
    return {word.rstrip(":") for word in machine.run("ip", "-br", "link").split() if word.startswith("spn")}
