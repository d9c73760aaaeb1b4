"""Tunnels have no way around the WireGuard device, nor others a way into it. A veth has its name here."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from datapath_site import OUTSIDE, UPLINK
from machine import Namespace
from pyroute2 import IPRoute
from traffic import udp

from socketplane.agent import ruleset
from socketplane.agent.encryption import device
from socketplane.agent.encryption.device import Wanted
from socketplane.agent.encryption.key import load_or_make
from socketplane.agent.ruleset import Boundary
from socketplane.cluster.openvswitch import kernel_has
from socketplane.config import GENEVE_PORT as GENEVE
from socketplane.encryption import DEVICE, Encryption
from socketplane.errors import Conflict, Unavailable

ENCRYPTION = Encryption()
HERE, THERE = str(ENCRYPTION.network[2]), str(ENCRYPTION.network[3])
BOUNDARY = Boundary(
    IPv4Network("10.192.0.0/10"),
    IPv4Network("169.254.192.0/20"),
    IPv4Address("169.254.192.2"),
    underlay=IPv4Address(UPLINK),
    ends=frozenset({"eth0"}),
    encryption=ENCRYPTION,
)
END = 6099
"""A port that nobody closes: what was sent before has arrived, or never will, once something comes there."""


@pytest.fixture
def inside() -> None:
    """These tests have machines of their own."""


@dataclass
class Site:
    host: Namespace
    peer: Namespace
    container: Namespace

    def apply(self, boundary: Boundary) -> None:
        self.host.run("nft", "-f", "-", stdin=ruleset.nftables(boundary).encode())

    def gets_through(self, source: Namespace, target: Namespace, address: str, port: int, end: str) -> bool:
        """Return whether a datagram arrives; `end` is an address of the target that is open to the source."""
        with (
            udp(target, "0.0.0.0", port) as asked,
            udp(target, "0.0.0.0", END) as last,
            udp(source, "0.0.0.0", 0) as sender,
        ):
            with contextlib.suppress(PermissionError):  # how a sender hears of its own firewall
                sender.sendto(b"asked", (address, port))
            sender.sendto(b"last", (end, END))
            assert last.recv(50) == b"last"
            asked.setblocking(False)
            try:
                return asked.recv(50) == b"asked"
            except BlockingIOError:
                return False

    def leaves(self, address: str) -> bool:
        return self.gets_through(self.host, self.peer, address, GENEVE, OUTSIDE)

    def enters(self, address: str, port: int = GENEVE) -> bool:
        return self.gets_through(self.peer, self.host, address, port, UPLINK)


def cable(one: Namespace, other: Namespace, link: str, address: str, peer_link: str, peer_address: str) -> None:
    one.run("ip", "link", "add", link, "type", "veth", "peer", "name", peer_link, "netns", str(other.pid))
    for namespace, name, held in ((one, link, address), (other, peer_link, peer_address)):
        namespace.run("ip", "address", "add", held, "dev", name)
        namespace.run("ip", "link", "set", name, "up")


@pytest.fixture
def site() -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        namespaces = [Namespace() for _ in range(3)]
        for namespace in namespaces:
            stack.callback(namespace.close)
            namespace.run("ip", "link", "set", "lo", "up")
            namespace.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
        made = Site(*namespaces)
        cable(made.host, made.peer, "eth0", f"{UPLINK}/24", "eth0", f"{OUTSIDE}/24")
        cable(made.host, made.peer, DEVICE, f"{HERE}/20", "wg", f"{THERE}/20")
        cable(made.host, made.container, "c0", "172.17.0.1/16", "eth0", "172.17.0.2/16")
        made.host.run("ip", "route", "add", "default", "via", OUTSIDE)
        made.peer.run("ip", "address", "add", f"{THERE}/32", "dev", "lo")  # it has it however a packet comes
        made.container.run("ip", "route", "add", "default", "via", "172.17.0.1")
        made.host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield made


def test_tunnels_leave_by_the_device_or_not_at_all(site: Site) -> None:
    site.apply(BOUNDARY)
    assert site.leaves(THERE)
    assert not site.leaves(OUTSIDE)
    site.host.run("ip", "link", "delete", DEVICE)
    assert not site.leaves(THERE), "the default route leads there"
    site.apply(replace(BOUNDARY, encryption=None))
    assert site.leaves(THERE), "it was the rules that held it"
    assert site.leaves(OUTSIDE)


def test_tunnels_come_by_the_device_or_not_at_all(site: Site) -> None:
    site.apply(BOUNDARY)
    assert site.enters(HERE)
    assert not site.enters(UPLINK)
    site.peer.run("ip", "route", "replace", f"{HERE}/32", "via", UPLINK)
    assert not site.enters(HERE), "an address of the device, by another link"
    site.apply(replace(BOUNDARY, encryption=None))
    assert site.enters(UPLINK)
    assert site.enters(HERE)


def test_nothing_but_tunnels_comes_by_the_device(site: Site) -> None:
    site.apply(BOUNDARY)
    assert not site.enters(HERE, 7000)
    with site.host.inside():
        server = socket.create_server((HERE, 7000))
    with server, site.peer.inside(), socket.socket() as client:
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.connect((HERE, 7000))
    site.apply(replace(BOUNDARY, encryption=None))
    assert site.enters(HERE, 7000)


@pytest.mark.parametrize("port", [GENEVE, 7000])
def test_what_is_behind_a_host_has_no_tunnel(site: Site, port: int) -> None:
    site.apply(BOUNDARY)
    assert not site.gets_through(site.container, site.peer, THERE, port, OUTSIDE)
    site.apply(replace(BOUNDARY, encryption=None))
    assert site.gets_through(site.container, site.peer, THERE, port, OUTSIDE)


def test_peers_may_be_pinged(site: Site) -> None:
    site.apply(BOUNDARY)
    site.host.run("busybox", "ping", "-c", "1", "-W", "2", "-I", DEVICE, THERE)


@pytest.fixture
def want(tmp_path: Path) -> Wanted:
    return Wanted(load_or_make(tmp_path / "key"), ENCRYPTION, IPv4Address(UPLINK), IPv4Address(HERE))


def test_a_kernel_without_wireguard_says_so(site: Site, want: Wanted) -> None:
    if kernel_has("wireguard", "wireguard"):
        pytest.skip("this kernel has it")
    site.host.run("ip", "link", "delete", DEVICE)
    with site.host.inside(), IPRoute() as ipr, pytest.raises(Unavailable, match="this kernel has no WireGuard"):
        device.set_up(ipr, want)


def test_a_link_of_somebody_else_is_left_alone(site: Site, want: Wanted) -> None:
    before = site.host.run("ip", "address", "show", DEVICE)
    with site.host.inside(), IPRoute() as ipr, pytest.raises(Conflict, match="there is a link sp-wg0 that isn't ours"):
        device.set_up(ipr, want)
    assert site.host.run("ip", "address", "show", DEVICE) == before
