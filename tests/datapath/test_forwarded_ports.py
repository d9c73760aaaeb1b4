"""Published ports with real packets: who gets in, with which address, and what survives whom."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
import topology
from datapath_site import OUTSIDE, UPLINK, Container, Start, bridge_network, running, until
from machine import Machine, Namespace
from traffic import connects, listening, seen_from, tcp_socket, udp

from socketplane.agent.gateway import Gateway
from socketplane.agent.portrules import Forward
from socketplane.model.published import ANY, Published
from socketplane.model.spec import Protocol

GATEWAY, LOCALHOST = str(topology.GATEWAY), "127.0.0.1"
PORT = 8000


@pytest.fixture
async def shop(start: Start) -> Container:
    return await start()


def at(address: object, host_port: int, target: Container, protocol: Protocol = Protocol.TCP) -> Forward:
    return Forward(Published(protocol, IPv4Address(str(address)), host_port, PORT), IPv4Address(target.address))


async def test_the_outside_comes_with_its_own_address_and_to_nothing_else(
    shop: Container,
    gateway: Gateway,
    machine: Machine,
    outside: Namespace,
    docker_rules: None,
) -> None:
    await gateway.forward([at(ANY, 8080, shop), at(UPLINK, 8081, shop), at(LOCALHOST, 8082, shop)])
    with bridge_network(machine) as bridged:
        machine.run(
            "iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "172.17.0.0/16", "!", "-o", "docker0", "-j", "MASQUERADE"
        )
        await gateway.ensure()
        assert seen_from(outside, shop.namespace, UPLINK, 8080) == OUTSIDE
        assert seen_from(outside, shop.namespace, UPLINK, 8081) == OUTSIDE
        assert seen_from(bridged, shop.namespace, UPLINK, 8080) == "172.17.0.2", "or it would pass for the host"
        machine.run("iptables", "-t", "nat", "-F", "POSTROUTING")
    for address in (UPLINK, LOCALHOST):
        assert seen_from(machine, shop.namespace, address, 8080) == GATEWAY
    assert seen_from(machine, shop.namespace, LOCALHOST, 8082) == GATEWAY
    assert seen_from(machine, shop.namespace, LOCALHOST, 8081) == ""
    for port in (8082, PORT):
        assert seen_from(outside, shop.namespace, UPLINK, port) == ""
    assert seen_from(outside, shop.namespace, shop.address, PORT) == "", "its own address is no way in"
    await gateway.forward([])
    assert seen_from(outside, shop.namespace, UPLINK, 8080) == ""


async def test_what_others_lead_to_a_container_comes_to_its_published_ports_alone(
    shop: Container,
    gateway: Gateway,
    machine: Machine,
    outside: Namespace,
) -> None:
    led = ("-p", "tcp", "--dport", "9999", "-j", "DNAT", "--to-destination", f"{shop.address}:{PORT}")
    machine.run("iptables", "-t", "nat", "-A", "PREROUTING", *led)
    other = Published(Protocol.TCP, ANY, 8080, PORT + 1)
    await gateway.forward([Forward(other, IPv4Address(shop.address))])
    assert seen_from(outside, shop.namespace, UPLINK, 9999) == "", "the container publishes another port"
    await gateway.forward([at(ANY, 8080, shop)])
    assert seen_from(outside, shop.namespace, UPLINK, 9999) == OUTSIDE


async def test_the_hosts_loopback_is_not_behind_sp0(shop: Container, gateway: Gateway, machine: Machine) -> None:
    await gateway.forward([at(ANY, 8080, shop)])
    with listening(machine) as listener:  # type: ignore[arg-type]
        shop.namespace.run("ip", "route", "add", "127.0.0.2/32", "via", str(topology.WEB[1]))
        assert not connects(shop.namespace, "127.0.0.2", listener.getsockname()[1])


async def test_a_port_that_moves_takes_its_streams_along(
    start: Start,
    gateway: Gateway,
    outside: Namespace,
) -> None:
    """A client that goes on sending from one port comes to who has the port now, and never to who had it."""
    old, new = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    with (
        udp(old.namespace, "0.0.0.0", PORT) as before,
        udp(new.namespace, "0.0.0.0", PORT) as now,
        udp(outside, OUTSIDE, 5000) as client,
    ):
        await gateway.forward([at(ANY, 5300, old, Protocol.UDP)])
        client.sendto(b"1", (UPLINK, 5300))
        data, back = before.recvfrom(10)
        assert (data, back[0]) == (b"1", OUTSIDE)
        before.sendto(b"one", back)
        assert client.recvfrom(10) == (b"one", (UPLINK, 5300))
        await gateway.forward([at(ANY, 5300, new, Protocol.UDP)])
        client.sendto(b"2", (UPLINK, 5300))
        assert now.recv(10) == b"2"
        await gateway.forward([])
        client.sendto(b"3", (UPLINK, 5300))
        for former in (before, now):
            former.settimeout(0.2)
            with pytest.raises(TimeoutError):
                former.recv(10)


async def test_whoever_flushes_rules_does_not_close_ports_for_long(
    shop: Container,
    gateway: Gateway,
    machine: Machine,
    outside: Namespace,
    docker_rules: None,
) -> None:
    await gateway.forward([at(ANY, 8080, shop)])
    async with running(gateway):
        for damage in (
            "nft delete table inet socketplane",
            "iptables -F FORWARD",
            "nft flush map inet socketplane published_everywhere",
        ):
            machine.run("sh", "-c", damage)
            await until(lambda: seen_from(outside, shop.namespace, UPLINK, 8080) == OUTSIDE, f"open again after {damage}")


async def test_open_connections_outlast_other_ports_and_a_new_agent(
    shop: Container,
    gateway: Gateway,
    outside: Namespace,
) -> None:
    await gateway.forward([at(ANY, 8080, shop)])
    with listening(shop.namespace, PORT) as listener, tcp_socket(outside) as ours:
        ours.connect((UPLINK, 8080))
        theirs, _ = listener.accept()
        with theirs:
            await gateway.forward([at(ANY, 8080, shop), at(ANY, 8081, shop)])
            await gateway.forward([at(ANY, 8080, shop)])
            theirs.sendall(b"still")
            assert ours.recv(5) == b"still"
            ours.sendall(b"here")
            assert theirs.recv(4) == b"here"
