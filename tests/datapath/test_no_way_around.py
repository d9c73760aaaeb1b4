"""What machines outside and containers on Docker's bridges try against a host's stack: none of it reaches our containers.

All is put on the wire at once, each with a mark of its own. An honest datagram comes last, so that nothing is waited for.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest
import topology
from datapath_site import OUTSIDE, UPLINK, Container, Start, bridge_network
from machine import Machine, Namespace
from traffic import connects, listening, seen_from, udp

from socketplane.agent.gateway import Gateway
from socketplane.agent.hostport import NAME as SP0
from socketplane.agent.ruleset import Forward
from socketplane.config import GENEVE_PORT as GENEVE
from socketplane.model.published import ANY, Published
from socketplane.model.spec import Protocol
from support import frames
from support.frames import ACK, END, ICMP, IP, SYN, TCP, UDP, ethernet, icmp, ipv4, mark

PORT, PUBLISHED, BRIDGED = 8000, 5300, "172.17.0.2"
GATEWAY, OTHER_HOST, OTHER_CONTAINER = str(topology.GATEWAY), str(topology.HOSTS[3]), "10.192.0.77"


@pytest.fixture
async def shop(start: Start, gateway: Gateway) -> Container:
    """A container that publishes a port, for UDP."""
    container = await start()
    published = Published(Protocol.UDP, ANY, PUBLISHED, PORT)
    await gateway.forward([Forward(published, IPv4Address(container.address))])
    return container


@pytest.fixture
def bridged(machine: Machine, docker_rules: None) -> Iterator[Namespace]:
    """A container on docker0, whose packets Docker masquerades."""
    nat = "POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
    with bridge_network(machine) as container:
        machine.run("sh", "-c", f"iptables -t nat -A {nat}")
        yield container
        machine.run("sh", "-c", f"iptables -t nat -D {nat}")


class Attacker:
    """Puts packets on its link, to the host's MAC."""

    def __init__(self, machine: Machine, namespace: Namespace, link: str, towards: str, address: str) -> None:
        self.namespace, self.address, self._link = namespace, address, link
        self._mac = namespace.run("cat", f"/sys/class/net/{link}/address", check=False).strip() or "02:00:00:00:00:01"
        self._host = machine.run("cat", f"/sys/class/net/{towards}/address").strip()

    def put(self, packets: Sequence[bytes]) -> None:
        with self.namespace.inside():
            handle = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with handle:
            handle.bind((self._link, 0))
            for packet in packets:
                handle.send(ethernet("02:00:00:00:00:01", self._host, IP, packet))


@contextmanager
def watching(target: Namespace, link: str = "eth0") -> Iterator[set[str]]:
    """Collect the marks of what comes in by a link until `END` is among them; complete when the context is left."""
    found: set[str] = set()
    with target.inside():
        handle = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with handle:
        handle.bind((link, 3))
        handle.settimeout(5)
        yield found
        while END not in found:
            frame, origin = handle.recvfrom(65535)
            if origin[2] != socket.PACKET_OUTGOING:
                found.update(name.decode() for name in re.findall(rb"<([ -;=?-~]+)>", frame))


def honest(client: Namespace) -> None:
    """Send the datagram that passes."""
    with udp(client, "0.0.0.0", 0) as sender:
        sender.sendto(mark(END), (UPLINK, PUBLISHED))


def datagram(name: str, source: str, target: str, port: int = PORT) -> bytes:
    return ipv4(source, target, UDP, frames.udp(source, target, mark(name), port))


def source_routed(packet: bytes, hop: str) -> bytes:
    """Have a packet go on to `hop` from where it arrives."""
    option = struct.pack("!BBB4sB", 131, 7, 4, IPv4Address(hop).packed, 0)
    head = (
        bytes([0x47]) + packet[1:2] + struct.pack("!H", len(packet) + 8) + packet[4:10] + b"\0\0" + packet[12:20] + option
    )
    return head[:10] + struct.pack("!H", frames._sum(head)) + head[12:] + packet[20:]


def attempts(me: str, target: str) -> list[bytes]:
    """Return what must not reach a container."""
    sources = {"me": me, "its host": GATEWAY, "another host": OTHER_HOST, "a container": OTHER_CONTAINER}
    sources |= {"itself": target, "the underlay": UPLINK, "loopback": "127.0.0.1", "nobody": "0.0.0.0"}
    whole = frames.udp(me, target, mark("fragments").ljust(1000, b"."), PORT)
    inner = ipv4(target, me, UDP, frames.udp(target, me, mark("an error of no connection"), own=PORT, port=4000))
    return [
        *(datagram(f"to its address as {name}", source, target) for name, source in sources.items()),
        *(datagram(f"to another port as {name}", source, UPLINK, 5301) for name, source in sources.items()),
        *(
            datagram(f"published as {name}", sources[name], UPLINK, PUBLISHED)
            for name in ("its host", "a container", "itself")
        ),
        *(
            ipv4(me, target, TCP, frames.tcp(me, target, flags, mark(f"TCP {flags}")))
            for flags in (0, 1, SYN, 4, ACK, SYN | ACK)
        ),
        ipv4(me, target, UDP, whole[:800], number=7, fragment=0x2000),
        ipv4(me, target, UDP, whole[800:], number=7, fragment=100),
        ipv4(me, UPLINK, UDP, mark("a fragment without a port"), number=8, fragment=100),
        ipv4(me, target, ICMP, icmp(8, 0, mark("ping"))),
        ipv4(me, target, ICMP, icmp(0, 0, mark("answer to no ping"))),
        ipv4(me, target, ICMP, icmp(3, 4, inner)),
        ipv4(me, target, ICMP, icmp(5, 1, inner)),
        ipv4(me, UPLINK, 4, datagram("tunnelled", me, target)),
        ipv4(me, UPLINK, 47, b"\0\0\x08\0" + datagram("GRE", me, target)),
        source_routed(datagram("source-routed", me, UPLINK), target),
        ipv4(me, target, 253, mark("odd protocol")),
    ]


async def test_nothing_forged_reaches_a_container(
    shop: Container, gateway: Gateway, machine: Machine, outside: Namespace, bridged: Namespace
) -> None:
    await gateway.ensure()
    machine.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/accept_source_route")
    try:
        for attacker in (
            Attacker(machine, outside, "lan", "eth0", OUTSIDE),
            Attacker(machine, bridged, "d1", "docker0", BRIDGED),
        ):
            with watching(shop.namespace) as arrived:
                attacker.put(attempts(attacker.address, shop.address))
                honest(outside)
            assert arrived == {END}
        with watching(bridged, "d1") as arrived:  # with Docker's rules gone, the host does as such packets say
            machine.run("sh", "-c", "iptables -P FORWARD ACCEPT; iptables -F FORWARD")
            Attacker(machine, outside, "lan", "eth0", OUTSIDE).put(
                [source_routed(datagram("source-routed", OUTSIDE, UPLINK), BRIDGED), datagram(END, OUTSIDE, BRIDGED)]
            )
        assert arrived == {"source-routed", END}
    finally:
        machine.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/all/accept_source_route")


async def test_a_bridged_container_does_not_pass_for_another_client(
    shop: Container, gateway: Gateway, machine: Machine, outside: Namespace, bridged: Namespace
) -> None:
    """Policy judges clients of published ports by their addresses."""
    await gateway.ensure()
    attacker = Attacker(machine, bridged, "d1", "docker0", BRIDGED)
    with watching(shop.namespace) as arrived:
        attacker.put([datagram(f"as {source}", source, UPLINK, PUBLISHED) for source in (BRIDGED, OUTSIDE, "198.51.100.7")])
        honest(outside)
    assert arrived == {f"as {BRIDGED}", END}


async def test_nobody_behind_this_host_passes_for_another_hosts_tunnel(
    shop: Container, gateway: Gateway, machine: Machine, outside: Namespace, bridged: Namespace
) -> None:
    """Docker's containers may send raw packets, and with another host's address one would be that host's tunnel."""
    await gateway.ensure()
    with udp(machine, UPLINK, GENEVE) as tunnels, udp(machine, UPLINK, GENEVE + 1) as other:
        for port in (GENEVE, GENEVE + 1):
            Attacker(machine, bridged, "d1", "docker0", BRIDGED).put([datagram("as a host", OUTSIDE, UPLINK, port)])
            with udp(shop.namespace, "0.0.0.0", 0) as sender:
                sender.sendto(b"from a container", (UPLINK, port))
        assert {other.recv(50), other.recv(50)} == {mark("as a host"), b"from a container"}, "no other port is closed"
        with udp(outside, OUTSIDE, 0) as sender:
            sender.sendto(b"a host", (UPLINK, GENEVE))
        assert tunnels.recv(50) == b"a host"


async def test_while_one_of_our_locks_is_gone_the_other_holds(
    shop: Container, gateway: Gateway, machine: Machine, outside: Namespace, bridged: Namespace
) -> None:
    """Nobody mends here, as while no agent runs. Masqueraded by Docker, its containers would pass for the host."""
    await gateway.ensure()
    with listening(shop.namespace) as listener:
        port = listener.getsockname()[1]

        def gets_in() -> bool:
            return any(connects(stranger, shop.address, port) for stranger in (bridged, outside))

        machine.run("iptables", "-F", "SOCKETPLANE")
        assert not gets_in(), "our table"
        await gateway.ensure()
        machine.run("nft", "delete", "table", "inet", "socketplane")
        assert not gets_in(), "our lines in iptables"
        assert connects(machine, shop.address, port)
        machine.run("iptables", "-F", "SOCKETPLANE")
        assert connects(bridged, shop.address, port), "what both are for"
        await gateway.ensure()
        assert not gets_in()


async def test_what_the_host_was_told_by_a_packet_it_does_not_do(
    shop: Container, gateway: Gateway, machine: Machine
) -> None:
    """Redirects and source routes are the administrator's to allow on other links, and never on ours."""
    settings = ("accept_redirects", "accept_source_route", "send_redirects")
    shown = machine.run("sh", "-c", " ".join(["cat", *(f"/proc/sys/net/ipv4/conf/{SP0}/{key}" for key in settings)]))
    assert shown.split() == ["0", "0", "0"]


async def test_with_the_older_iptables(
    start: Start, gateway: Gateway, machine: Machine, outside: Namespace, router: None
) -> None:
    """Docker may have made its rules with either kind; the other kind's are in force all the same."""
    container = await start()
    published = Published(Protocol.TCP, ANY, 8080, PORT)
    await gateway.forward([Forward(published, IPv4Address(container.address))])
    machine.run(
        "sh",
        "-c",
        "iptables-legacy -P FORWARD DROP; iptables-legacy -N DOCKER-USER; iptables-legacy -A FORWARD -j DOCKER-USER",
    )
    try:
        assert seen_from(outside, container.namespace, UPLINK, 8080, PORT) == "", "Docker's policy"
        await gateway.ensure()
        with listening(outside) as there:
            assert connects(container.namespace, OUTSIDE, there.getsockname()[1])
        assert seen_from(outside, container.namespace, UPLINK, 8080, PORT) == OUTSIDE
        await gateway.remove()
        assert "SOCKETPLANE" not in machine.run("iptables-legacy-save")
    finally:
        machine.run("sh", "-c", "iptables-legacy -P FORWARD ACCEPT; iptables-legacy -F; iptables-legacy -X")
