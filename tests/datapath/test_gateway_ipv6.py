"""IPv6 out of the overlay and into it, with real packets. The machine has its own way out from router advertisements."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from ipaddress import IPv6Address

import pytest
import topology
from datapath_site import Container, Start, bridge_network, running, setting6, until
from machine import Machine, Namespace, eventually
from traffic import connects, exchange, listening, ping, seen_from, tcp_socket, udp

from socketplane.agent import poolroute
from socketplane.agent.forwarding6 import Forwarding6
from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.portrules import Forward
from socketplane.agent.switch import Switch
from socketplane.identity import HostIdentity
from socketplane.model.published import ANY6, Published
from socketplane.model.spec import Protocol

GATEWAY, POOL = str(topology.GATEWAY6), topology.POOL6
LAN, OUTSIDE, BRIDGED = "2001:db8:9::/64", "2001:db8:9::9", "2001:db8:17::2"
PORT = 8000
listening6 = partial(listening, family=socket.AF_INET6)


def advertise(router: Namespace) -> None:
    """Send a router advertisement: a default route for half an hour, and a prefix for addresses."""
    prefix = socket.inet_pton(socket.AF_INET6, LAN.partition("/")[0])
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    message += struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 7200, 7200, 0) + prefix
    with router.inside(), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as handle:
        handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        handle.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex("lan")))


def default_route(machine: Machine) -> str:
    """Return the machine's default route, that it has from its router."""
    return machine.run("ip", "-6", "route", "show", "default", "proto", "ra")


def own_address(machine: Machine) -> str:
    """Return the address that the machine made from the advertised prefix."""
    (link,) = json.loads(machine.run("ip", "-json", "-6", "address", "show", "dev", "eth0", "scope", "global"))
    return str(link["addr_info"][0]["local"])


@pytest.fixture
def router(machine: Machine, outside: Namespace) -> Iterator[Namespace]:
    """The LAN's router, which the machine has heard; it has a static route to the pool through the machine."""
    setting6(machine, "eth0", "accept_dad", "0")
    outside.run("ip", "address", "add", f"{OUTSIDE}/64", "dev", "lan", "nodad")

    def heard() -> bool:
        advertise(outside)
        return "default" in default_route(machine)

    eventually(heard, "the machine has a default route")
    outside.run("ip", "route", "add", str(POOL), "via", own_address(machine))
    yield outside
    outside.run("sh", "-c", f"ip route del {POOL}; ip addr del {OUTSIDE}/64 dev lan")
    machine.run("sh", "-c", "ip -6 route del default; ip -6 addr flush dev eth0 scope global")


@pytest.fixture
async def gateway6(gateway: Gateway) -> AsyncIterator[Gateway]:
    """A network has IPv6."""
    await gateway.set_pool6(POOL)
    yield gateway


@contextlib.contextmanager
def bridged6(machine: Machine) -> Iterator[Namespace]:
    """A container on a bridge of Docker's with IPv6."""
    with bridge_network(machine) as container:
        machine.run("sh", "-c", "ip addr add 2001:db8:17::1/64 dev docker0 nodad")
        container.run("sh", "-c", f"ip addr add {BRIDGED}/64 dev d1 nodad; ip route add default via 2001:db8:17::1")
        yield container


async def test_containers_reach_the_outside(start: Start, machine: Machine, router: Namespace, gateway6: Gateway) -> None:
    container = await start()
    assert ping(container.namespace, OUTSIDE)
    assert exchange(container.namespace, router, OUTSIDE) == own_address(machine), "masqueraded"


async def test_a_new_life_of_the_agent_begins_with_it(
    start: Start,
    machine: Machine,
    router: Namespace,
    gateway6: Gateway,
    switch: Switch,
    netlink: Netlink,
    identity: HostIdentity,
) -> None:
    container = await start()
    assert ping(container.namespace, OUTSIDE)
    rules = machine.run("nft", "list", "table", "inet", "socketplane")
    successor = Gateway(switch, netlink, identity, machine.paths, 1442, pool6=POOL)
    async with successor.together():
        pass
    assert machine.run("nft", "list", "table", "inet", "socketplane") == rules
    assert ping(container.namespace, OUTSIDE)


async def test_a_host_without_a_way_out_says_so_at_once(start: Start, machine: Machine, gateway6: Gateway) -> None:
    container = await start()
    with container.namespace.inside(), socket.socket(socket.AF_INET6) as handle:
        handle.settimeout(5)
        began = time.monotonic()
        with pytest.raises(OSError, match=r"unreachable|No route"):
            handle.connect(("2001:db8:77::1", 80))
        assert time.monotonic() - began < 1


async def test_containers_and_their_host_reach_each_other(
    start: Start, machine: Machine, router: Namespace, gateway6: Gateway
) -> None:
    container = await start()
    own = own_address(machine)
    assert exchange(machine, container.namespace, container.address6) == GATEWAY
    assert exchange(machine, container.namespace, container.address6, 1000, source=own) == GATEWAY, "one address for policy"
    for address in (GATEWAY, own):
        assert exchange(container.namespace, machine, address) == container.address6


async def test_a_docker_container_and_a_lan_host_with_a_route_do_not_get_in(
    start: Start, machine: Machine, router: Namespace, gateway6: Gateway
) -> None:
    container = await start()
    setting6(machine, "default", value="1")  # as Docker does it
    try:
        with bridged6(machine) as bridged, listening6(container.namespace) as listener, listening6(machine) as of_host:
            await gateway6.ensure()
            port, mine = listener.getsockname()[1], of_host.getsockname()[1]
            for stranger in (bridged, router):
                assert not ping(stranger, container.address6)
                assert not connects(stranger, container.address6, port)
                assert not connects(stranger, GATEWAY, mine), "sp0's address is no door either"
            assert connects(router, own_address(machine), mine)
            assert connects(machine, container.address6, port)
            # Between these two the machine routes, as its owner wants it.
            router.run("ip", "route", "add", "2001:db8:17::/64", "via", own_address(machine))
            assert ping(bridged, OUTSIDE)
            router.run("ip", "route", "del", "2001:db8:17::/64")
    finally:
        setting6(machine, "default", value="0")


async def test_we_make_no_router_of_this_machine(machine: Machine, router: Namespace, gateway6: Gateway) -> None:
    with bridged6(machine) as bridged:
        router.run("ip", "route", "add", "2001:db8:17::/64", "via", own_address(machine))
        try:
            assert setting6(machine, "all") == "1"
            assert not ping(router, BRIDGED)
            assert not ping(bridged, OUTSIDE)
            setting6(machine, "default", value="1")  # Docker did
            await gateway6.ensure()
            assert ping(router, BRIDGED)
        finally:
            setting6(machine, "default", value="0")
            router.run("ip", "route", "del", "2001:db8:17::/64")


async def test_nobody_outside_may_claim_a_containers_address(
    machine: Machine, router: Namespace, gateway6: Gateway
) -> None:
    claimed = str(topology.WEB6[77])
    router.run("ip", "address", "add", f"{claimed}/128", "dev", "lan", "nodad")
    try:
        with listening6(machine) as listener:
            target = own_address(machine), listener.getsockname()[1]
            for source, taken in ((claimed, False), (OUTSIDE, True)):
                before = _segments(machine)
                with router.inside(), socket.socket(socket.AF_INET6) as handle:
                    handle.settimeout(0.3)
                    handle.bind((source, 0))
                    with contextlib.suppress(OSError):
                        handle.connect(target)
                assert (_segments(machine) > before) is taken
    finally:
        router.run("ip", "address", "del", f"{claimed}/128", "dev", "lan")


def _segments(machine: Machine) -> int:
    header, values = (row.split() for row in machine.run("cat", "/proc/net/snmp").splitlines() if row.startswith("Tcp:"))
    return int(values[header.index("InSegs")])


async def test_internal_networks_get_no_egress(
    start: Start, machine: Machine, router: Namespace, gateway6: Gateway
) -> None:
    inside, other = await start("internal", "10.192.4.10"), await start(address="10.192.0.12")
    assert ping(inside.namespace, OUTSIDE), "before the network is declared internal"
    await gateway6.set_internal([topology.INTERNAL, topology.INTERNAL6])
    with listening6(router) as there, listening6(machine) as here:
        assert not connects(inside.namespace, OUTSIDE, there.getsockname()[1])
        assert not connects(inside.namespace, own_address(machine), here.getsockname()[1])
        assert connects(other.namespace, OUTSIDE, there.getsockname()[1])


async def test_with_dockers_policy_drop_containers_get_out(
    start: Start, machine: Machine, router: Namespace, gateway6: Gateway
) -> None:
    container = await start()
    script = (
        "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\nCOMMIT\n"
    )
    machine.run("ip6tables-restore", stdin=script.encode())
    try:
        assert not ping(container.namespace, OUTSIDE)
        await gateway6.ensure()
        assert exchange(container.namespace, router, OUTSIDE, 1000) == own_address(machine)
        assert seen_from(router, container.namespace, container.address6, PORT) == ""
        await gateway6.set_routed([topology.WEB6], [])
        assert seen_from(router, container.namespace, container.address6, PORT) == OUTSIDE
        await gateway6.remove()
        assert "SOCKETPLANE" not in machine.run("ip6tables-save")
    finally:
        machine.run("sh", "-c", "ip6tables -P FORWARD ACCEPT; ip6tables -F; ip6tables -X")


async def test_the_machine_keeps_its_own_way_out(machine: Machine, router: Namespace, gateway: Gateway) -> None:
    state = machine.paths.state / "forwarding6.json"
    before, settings = default_route(machine).split(" expires")[0], _settings(machine)
    await gateway.set_pool6(POOL)
    assert default_route(machine).split(" expires")[0] == before
    assert {**_settings(machine), "all": ("0", "1")} == settings, "the one switch, and nothing else"
    assert setting6(machine, "all") == "1"
    machine.run("ip", "-6", "route", "del", "default")

    def heard() -> bool:
        advertise(router)
        return default_route(machine) != ""

    await until(heard, "advertisements are still taken")
    await gateway.set_pool6(None)
    assert _settings(machine) == settings
    assert not state.exists()
    assert default_route(machine).split(" expires")[0] == before


def _settings(machine: Machine) -> dict[str, tuple[str, str]]:
    links = [link for link in machine.run("ls", "/proc/sys/net/ipv6/conf").split() if link != "sp0"]
    return {link: (setting6(machine, link), setting6(machine, link, "accept_ra")) for link in links}


def test_a_crash_between_two_settings_is_made_good(machine: Machine, router: Namespace) -> None:
    state = machine.paths.state / "forwarding6.json"
    settings = _settings(machine)
    forwarding = Forwarding6(state)
    assert forwarding.guarded()
    assert forwarding.ensure()
    assert not forwarding.ensure()
    kept = {link: {"forwarding": was[0], "accept_ra": was[1]} for link, was in settings.items() if link != "all"}
    del kept["default"]
    state.write_text(json.dumps({"links": kept}))
    setting6(machine, "eth0", value="1")
    setting6(machine, "eth0", "accept_ra", "2")
    assert Forwarding6(state).ensure()
    assert {**_settings(machine), "all": ("0", "1")} == settings
    state.write_text("{")
    Forwarding6(state).restore()
    assert _settings(machine) == settings
    Forwarding6(state).restore()
    assert default_route(machine)


async def test_what_somebody_else_turned_on_stays(machine: Machine, gateway: Gateway) -> None:
    setting6(machine, "all", value="1")
    try:
        await gateway.set_pool6(POOL)
        await gateway.set_pool6(None)
        assert setting6(machine, "all") == setting6(machine, "eth0") == "1"
    finally:
        setting6(machine, "all", value="0")


async def test_the_host_port_is_repaired_and_undone(start: Start, machine: Machine, gateway6: Gateway) -> None:
    container = await start()
    assert await gateway6._set_up() == []
    assert "fe80" not in machine.run("ip", "-6", "address", "show", "dev", "sp0")
    async with running(gateway6):
        route = f"ip -6 route del {POOL} table {poolroute.TABLE}"
        rule = f"ip -6 rule del priority {poolroute.PRIORITY}"
        off = "echo 1 > /proc/sys/net/ipv6/conf/sp0/disable_ipv6"
        for damage in ("ip -6 address flush dev sp0", "ip -6 neigh flush dev sp0 nud permanent", route, rule, off):
            machine.run("sh", "-c", damage)
            await until(lambda: ping(machine, container.address6), f"reachable after {damage}")
    await gateway6.set_pool6(None)
    assert not ping(machine, container.address6)
    assert machine.run("ip", "-6", "address", "show", "dev", "sp0") == ""
    assert "fd53" not in machine.run("ip", "-6", "rule") + machine.run("ip", "-6", "route", "show", "table", "all")
    assert ping(machine, container.address)


@contextlib.contextmanager
def half_seen(machine: Machine) -> Iterator[None]:
    """Have the kernel not see what comes from the LAN as part of a connection, as where it came by another host."""
    script = 'table inet half { chain c { type filter hook prerouting priority -310; iifname "eth0" notrack; }; }'
    machine.run("nft", "-f", "-", stdin=script.encode())
    try:
        yield
    finally:
        machine.run("nft", "delete", "table", "inet", "half")


async def test_routed_networks_meet_the_outside_as_they_are(
    start: Start, machine: Machine, router: Namespace, gateway6: Gateway
) -> None:
    shop, other = await start(), await start("internal", "10.192.4.10")
    own = own_address(machine)
    await gateway6.set_routed([topology.WEB, topology.WEB6], [])
    assert ping(router, shop.address6)
    assert exchange(router, shop.namespace, shop.address6) == OUTSIDE
    assert exchange(shop.namespace, router, OUTSIDE) == shop.address6, "not masqueraded"
    assert exchange(machine, shop.namespace, shop.address6, 1000) == GATEWAY, "its host as ever"
    with half_seen(machine):
        assert seen_from(router, shop.namespace, shop.address6, PORT) == OUTSIDE
        assert seen_from(router, shop.namespace, shop.address6, PORT) == OUTSIDE
    assert seen_from(router, other.namespace, other.address6, PORT) == "", "another network stays closed"
    assert exchange(other.namespace, router, OUTSIDE, 1000) == own
    claimed = str(topology.WEB6[77])
    router.run("ip", "address", "add", f"{claimed}/128", "dev", "lan", "nodad")
    try:
        with listening6(shop.namespace) as listener, tcp_socket(router, socket.AF_INET6) as forged:
            forged.settimeout(0.3)
            forged.bind((claimed, 0))
            assert forged.connect_ex((shop.address6, listener.getsockname()[1])) != 0
            listener.settimeout(0)
            with pytest.raises(BlockingIOError):
                listener.accept()
    finally:
        router.run("ip", "address", "del", f"{claimed}/128", "dev", "lan")
    await gateway6.set_routed([topology.WEB], [])
    assert seen_from(router, shop.namespace, shop.address6, PORT) == ""
    assert exchange(shop.namespace, router, OUTSIDE, 1000) == own


def at(address: object, host_port: int, target: Container, protocol: Protocol = Protocol.TCP) -> Forward:
    published = Published(protocol, IPv6Address(str(address)), host_port, PORT)
    return Forward(published, IPv6Address(target.address6))


async def test_published_ports_are_reached_at_the_hosts_addresses_and_nothing_else(
    start: Start, machine: Machine, router: Namespace, gateway6: Gateway
) -> None:
    shop = await start()
    own = own_address(machine)
    await gateway6.forward([at(ANY6, 8080, shop), at(own, 8081, shop)])
    assert seen_from(router, shop.namespace, own, 8080) == OUTSIDE
    assert seen_from(router, shop.namespace, own, 8081) == OUTSIDE
    assert seen_from(machine, shop.namespace, own, 8080) == GATEWAY
    with listening6(machine, 8080), tcp_socket(machine, socket.AF_INET6) as handle:  # as our reservation does
        assert handle.connect_ex(("::1", 8080)) == errno.ECONNREFUSED
    assert seen_from(router, shop.namespace, own, PORT) == ""
    assert seen_from(router, shop.namespace, shop.address6, PORT) == "", "its own address is no way in"
    await gateway6.forward([])
    assert seen_from(router, shop.namespace, own, 8080) == ""


async def test_a_published_port_that_moves_takes_its_streams_along(
    start: Start, machine: Machine, router: Namespace, gateway6: Gateway
) -> None:
    old, new = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    target = own_address(machine), 5300
    with udp(old.namespace, "::", PORT) as before, udp(new.namespace, "::", PORT) as now, udp(router, "::", 5000) as client:
        await gateway6.forward([at(ANY6, 5300, old, Protocol.UDP)])
        client.sendto(b"1", target)
        data, back = before.recvfrom(10)
        assert (data, back[0]) == (b"1", OUTSIDE)
        await gateway6.forward([at(ANY6, 5300, new, Protocol.UDP)])
        client.sendto(b"2", target)
        assert now.recv(10) == b"2"
        before.settimeout(0.2)
        with pytest.raises(TimeoutError):
            before.recv(10)
