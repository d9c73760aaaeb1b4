"""Ways out of the overlay and into it, with real packets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import pytest
import topology
from conftest import OUTSIDE, UPLINK, Start, move
from machine import Machine, Namespace
from traffic import connects, exchange, listening, ping

from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.switch import Switch
from socketplane.identity import HostIdentity

GATEWAY = str(topology.GATEWAY)


@pytest.fixture
async def gateway(machine: Machine, switch: Switch, netlink: Netlink, identity: HostIdentity) -> AsyncIterator[Gateway]:
    gateway = Gateway(switch, netlink, identity, machine.paths, 1442)
    await switch.ensure_bridge("userspace")
    await gateway.ensure()
    yield gateway
    await gateway.remove()


@contextlib.contextmanager
def bridge_network(machine: Machine) -> Iterator[Namespace]:
    """A container on a bridge of its own, as docker0 has them."""
    machine.run("sh", "-c", "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up")
    container = Namespace(machine)
    machine.run("sh", "-c", "ip link add d0 master docker0 type veth peer name d1; ip link set d0 up")
    move(machine, "d1", container)
    container.run("sh", "-c", "ip addr add 172.17.0.2/16 dev d1; ip link set d1 up; ip route add default via 172.17.0.1")
    try:
        yield container
    finally:
        container.close()
        machine.run("ip", "link", "del", "docker0")


async def test_containers_reach_the_outside(start: Start, gateway: Gateway, outside: Namespace) -> None:
    container = await start()
    assert ping(container.namespace, OUTSIDE)
    assert exchange(container.namespace, outside, OUTSIDE) == UPLINK, "masqueraded"


async def test_containers_and_their_host_reach_each_other(start: Start, gateway: Gateway, machine: Machine) -> None:
    container = await start()
    assert exchange(machine, container.namespace, container.address) == GATEWAY
    for address in (GATEWAY, UPLINK):
        assert exchange(container.namespace, machine, address) == container.address
