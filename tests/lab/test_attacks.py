"""What a container tries that wants to get around policy: frames that no honest stack sends, from every side.

All frames of an attacker are sent at once, each with a mark of its own; what counts is which marks arrive. An honest
packet of a container that policy allows is sent behind them, so that nothing is waited for.
"""

from __future__ import annotations

import asyncio
import json
import sys
from ipaddress import IPv4Address

import pytest

from socketplane.lab import probe
from socketplane.lab.images import IMAGE
from socketplane.lab.probe import Container
from socketplane.model.types import mac_of
from support import frames
from support.frames import ARP, BROADCAST, ICMP, IP, IPV6, TCP, UDP, ethernet, icmp, ipv4, mac, mark, udp
from support.world import Host, World, allow

pytestmark = pytest.mark.lab
MULTICAST = "01:00:5e:00:00:fb"
_SEND_TO = """
import json, socket, sys
address, datagrams = json.load(sys.stdin)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for datagram in datagrams:
        sender.sendto(bytes.fromhex(datagram), (address, 6081))
"""


@pytest.fixture
async def shop(world: World) -> dict[str, Container]:
    """A database that admits `app` only, an attacker beside it and one on another host, and one on another network."""
    h1, h2, h3 = world.hosts
    await asyncio.gather(world.network("shop"), world.network("other"))
    await world.policy(allow("db", "shop", "db", "app", 8080, "UDP"))
    places = {"db": (h2, "shop"), "app": (h1, "shop"), "near": (h2, "shop"), "far": (h3, "shop"), "foreign": (h1, "other")}

    async def start(name: str, host: Host, network: str) -> tuple[str, Container]:
        return name, Container(host.machine, name, await host.run(name, network, "--label", f"app={name}"))

    return dict(await asyncio.gather(*(start(name, *place) for name, place in places.items())))


async def test_no_frame_gets_around_policy(shop: dict[str, Container]) -> None:
    db, app = shop["db"], shop["app"]
    for name in ("near", "far", "foreign"):
        attacker = shop[name]
        async with frames.listening(db) as arrived:
            await frames.send(attacker, _attacks(attacker, app, db))
            await frames.send(app, [_datagram(app, db, frames.END)])
        assert arrived == {frames.END}, f"from {name}"


async def test_nobody_but_its_holder_speaks_for_an_address_or_a_network(shop: dict[str, Container]) -> None:
    """Where no policy is: one's own address and MAC are the only ones, and nothing but IPv4 and ARP passes."""
    app, far, near = shop["app"], shop["far"], shop["near"]
    async with frames.listening(far) as arrived:
        await frames.send(near, _forgeries(near, app, far))
        await frames.send(near, [_datagram(near, far, frames.END)])
    assert arrived == {frames.END}


async def test_no_container_passes_for_a_tunnel(shop: dict[str, Container], world: World) -> None:
    """The host would masquerade such a datagram, and to the other host it would be one of its tunnels."""
    db, app = shop["db"], shop["app"]
    keys = await _tunnel_keys(world)
    network, _ = keys["db"]
    async with frames.listening(db) as arrived:
        for name in ("far", "foreign"):
            inner = _datagram(app, db, f"tunnel-{name}")
            outer = [frames.geneve(inner, network, keys["app"][1], keys["db"][1]).hex()]
            stdin = json.dumps([str(db.machine.underlay), outer])
            await probe.run(shop[name], sys.executable, "-I", "-S", "-c", _SEND_TO, stdin=stdin)
        await frames.send(app, [_datagram(app, db, frames.END)])
    assert arrived == {frames.END}


async def test_nothing_collects_fragments_in_userspace(shop: dict[str, Container], world: World) -> None:
    """Open vSwitch sent those that it gave up on with any packet it had in hand, past policy: 15 seconds later."""
    app, far = shop["app"], shop["far"]
    whole = udp(app.address, far.address, mark("fragments").ljust(2000, b"."))
    first = ipv4(app.address, far.address, UDP, whole[:1304], number=9, fragment=0x2000)
    last = ipv4(app.address, far.address, UDP, whole[1304:], number=9, fragment=1304 // 8)
    for host in world.hosts:
        if "netdev" not in (await host.machine.run("ovs-appctl", "dpctl/dump-dps")).out:
            pytest.skip("the kernel's datapath drops what it gave up on")
        assert "v4 enabled: 0" in (await host.machine.run("ovs-appctl", "dpctl/ipf-get-status")).out
    async with frames.listening(far) as arrived:
        await frames.send(app, [ethernet(mac(app), mac(far), IP, packet) for packet in (first, last)])
        await frames.send(app, [_datagram(app, far, frames.END)])
    assert arrived == {frames.END}


async def test_the_gateways_mac_is_not_for_containers(shop: dict[str, Container], world: World) -> None:
    (network,) = await world.first.read("network", "inspect", "shop")
    gateway = mac_of(IPv4Address(network["gateway"]))
    arguments = ("run", "-d", "--network", "shop", "--mac-address", gateway, IMAGE, "sleep", "60")
    refused = await world.first.docker(*arguments, check=False)
    assert refused.code, refused.out
    assert "belongs to another address" in refused.err


def _datagram(source: Container, target: Container, name: str) -> bytes:
    packet = ipv4(source.address, target.address, UDP, udp(source.address, target.address, mark(name)))
    return ethernet(mac(source), mac(target), IP, packet)


def _attacks(me: Container, app: Container, db: Container) -> list[bytes]:
    """Return what must not reach the database, whose policy denies it."""
    gateway = str(IPv4Address((int(IPv4Address(me.address)) & ~1023) + 1))
    mine, theirs, d = mac(me), mac(db), db.address

    def to_db(name: str, source: str = me.address, target: str = d) -> bytes:
        return ipv4(source, target, UDP, udp(source, target, mark(name)))

    whole = udp(me.address, d, mark("fragments").ljust(1600, b"."))
    related = ipv4(d, me.address, UDP, udp(d, me.address, mark("error"), port=4000, own=8080))
    return [
        ethernet(mine, theirs, IP, to_db("plain")),
        ethernet(mine, mac_of(IPv4Address(gateway)), IP, to_db("through the router")),
        ethernet(mine, mac(app), IP, to_db("through the app")),
        ethernet(mine, mac_of(IPv4Address(gateway)), IP, to_db("forged through the router", app.address)),
        ethernet(mine, BROADCAST, IP, to_db("broadcast frame")),
        ethernet(mine, BROADCAST, IP, to_db("broadcast", target="255.255.255.255")),
        ethernet(mine, theirs, IP, to_db("broadcast to one", target="255.255.255.255")),
        ethernet(mine, MULTICAST, IP, to_db("multicast", target="224.0.0.251")),
        ethernet(
            mine,
            theirs,
            IP,
            ipv4("0.0.0.0", "255.255.255.255", UDP, udp("0.0.0.0", "255.255.255.255", mark("dhcp"), 67, 68)),
        ),
        *(
            ethernet(mine, theirs, IP, ipv4(me.address, d, TCP, frames.tcp(me.address, d, flags, mark(f"tcp {flags}"))))
            for flags in (0, 1, frames.SYN, 4, frames.ACK, frames.SYN | frames.ACK)
        ),
        ethernet(mine, theirs, IP, ipv4(me.address, d, UDP, whole[:800], number=7, fragment=0x2000)),
        ethernet(mine, theirs, IP, ipv4(me.address, d, UDP, whole[800:], number=7, fragment=100)),
        ethernet(mine, theirs, IP, ipv4(me.address, d, UDP, mark("late fragment"), number=8, fragment=100)),
        ethernet(mine, theirs, IP, ipv4(me.address, d, ICMP, icmp(8, 0, mark("ping")))),
        ethernet(mine, theirs, IP, ipv4(me.address, d, ICMP, icmp(0, 0, mark("answer to no ping")))),
        ethernet(mine, theirs, IP, ipv4(me.address, d, ICMP, icmp(3, 4, related))),
        ethernet(mine, theirs, IP, ipv4(me.address, d, 4, to_db("tunnelled", app.address))),
        ethernet(mine, theirs, IP, ipv4(me.address, d, 253, mark("odd protocol"))),
        *_forgeries(me, app, db),
    ]


def _forgeries(me: Container, app: Container, target: Container) -> list[bytes]:
    """Return what must not reach anybody, policy or not."""
    mine, theirs = mac(me), mac(target)
    gateway = str(IPv4Address((int(IPv4Address(target.address)) & ~1023) + 1))

    def packet(name: str, source: str) -> bytes:
        return ipv4(source, target.address, UDP, udp(source, target.address, mark(name)))

    own = packet("tagged", me.address)
    all_nodes = "33:33:00:00:00:01"
    claims = {"peer": app.address, "gateway": gateway, "nobody": "0.0.0.0", "outside": "198.51.100.7"}
    claims |= {f"host {number}": f"169.254.192.{number}" for number in range(1, 5)}
    advertised = b"\x40\0\7\x08" + bytes(8) + b"\x0e\x03" + mark("router").ljust(22, b".")
    return [
        *(ethernet(mine, theirs, IP, packet(f"as {name}", address)) for name, address in claims.items()),
        ethernet(mac(app), theirs, IP, packet("peer's MAC", me.address)),
        ethernet(mac(app), theirs, IP, packet("peer's both", app.address)),
        ethernet(mac_of(IPv4Address(gateway)), theirs, IP, packet("router's MAC", app.address)),
        ethernet(mine, theirs, ARP, frames.arp(2, (mine, app.address), (theirs, target.address), mark("ARP for a peer"))),
        ethernet(
            mine, BROADCAST, ARP, frames.arp(1, (mine, app.address), (BROADCAST, app.address), mark("gratuitous ARP"))
        ),
        ethernet(mine, theirs, ARP, frames.arp(2, (mine, gateway), (theirs, target.address), mark("ARP for the gateway"))),
        ethernet(
            mine, theirs, ARP, frames.arp(2, (mac(app), me.address), (theirs, target.address), mark("ARP, another MAC"))
        ),
        ethernet(mine, theirs, 0x8100, b"\0\0\x08\0" + own),
        ethernet(mine, theirs, 0x8100, b"\0\5\x08\0" + own),
        ethernet(mine, theirs, 0x88A8, b"\0\0\x81\0\0\0\x08\0" + own),
        ethernet(mine, theirs, 0x8847, b"\0\1\1\x40" + packet("MPLS", me.address)),
        ethernet(mine, theirs, 0x88B5, mark("no IP")),
        ethernet(mine, BROADCAST, 0x88B5, mark("no IP to all")),
        ethernet(mine, theirs, IPV6, frames.ipv6("fe80::1", "fe80::2", UDP, mark("IPv6"))),
        ethernet(mine, all_nodes, IPV6, frames.ipv6("fe80::1", "ff02::1", UDP, mark("IPv6 to all"))),
        ethernet(
            mine,
            all_nodes,
            IPV6,
            frames.ipv6("fe80::1", "ff02::1", 58, frames.icmp6("fe80::1", "ff02::1", 134, advertised)),
        ),
    ]


async def _tunnel_keys(world: World) -> dict[str, tuple[int, int]]:
    """Return the numbers of every endpoint's network and port in tunnels: small ones, that a stranger would guess."""
    keys: dict[str, tuple[int, int]] = {}
    for endpoint in await world.endpoints():
        command = ("ovn-sbctl", "--no-leader-only", "--bare", "--columns=tunnel_key", "find", "port_binding")
        port = await world.first.machine.run(*command, f"logical_port=sp-{endpoint['id']}")
        command = (*command[:4], "find", "datapath_binding", f"external_ids:name=sp-{endpoint['network']}")
        network = await world.first.machine.run(*command)
        keys[endpoint["name"]] = int(network.out), int(port.out)
    return keys
