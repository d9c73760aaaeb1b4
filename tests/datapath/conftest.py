"""One machine for the tests of a module; each test runs inside its network namespace and leaves it as it was."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest
import topology
from datapath_site import OUTSIDE, UPLINK, Container, Start, move
from machine import Machine, Namespace

from socketplane.agent.datapath import Datapath
from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.switch import Switch
from socketplane.identity import HostIdentity
from socketplane.model.forwarding import USERSPACE
from socketplane.model.traffic import NO_LIMITS, Limits
from socketplane.model.types import mac_of


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("m") / "r")
    try:
        machine.run("sh", "-c", "ip link add eth0 type veth peer name lan && ip link set eth0 up")
        machine.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
        machine.run("ip", "address", "add", f"{UPLINK}/24", "dev", "eth0")
        machine.start_databases()
        machine.start_vswitchd()
        machine.vsctl("--no-wait", "set", "open", ".", "external_ids:ovn-bridge-datapath-type=netdev")
        machine.start_ovn("chassis-1")
        topology.make(machine)
        yield machine
    finally:
        machine.close()


@pytest.fixture(scope="module")
def outside(machine: Machine) -> Iterator[Namespace]:
    """A machine of the LAN: the default route of ours, with a static route to the pool through ours."""
    outside = Namespace(machine)
    with machine.inside():
        move(machine, "lan", outside)
    outside.run("sh", "-c", f"ip addr add {OUTSIDE}/24 dev lan; ip link set lo up; ip link set lan up")
    outside.run("ip", "route", "add", str(topology.POOL), "via", UPLINK)
    machine.run("ip", "route", "add", "default", "via", OUTSIDE)
    yield outside
    outside.close()


@pytest.fixture(autouse=True)
def inside(machine: Machine) -> Iterator[None]:
    with machine.inside():
        yield


@pytest.fixture
async def switch(machine: Machine) -> AsyncIterator[Switch]:
    async with Switch(machine.paths) as switch:
        yield switch


@pytest.fixture
async def netlink() -> AsyncIterator[Netlink]:
    async with Netlink() as netlink:
        yield netlink


@pytest.fixture
async def datapath(switch: Switch, netlink: Netlink) -> AsyncIterator[Datapath]:
    async with Datapath(switch, netlink, UPLINK) as datapath:
        await switch.ensure_bridge(datapath.traits)
        yield datapath
        for endpoint_id in datapath.ports():
            await datapath.detach(endpoint_id)
        assert datapath.ports() == frozenset()


@pytest.fixture
async def start(machine: Machine, datapath: Datapath) -> AsyncIterator[Start]:
    """Start containers: port and membership first, then everything inside, as with Docker."""
    async with AsyncExitStack() as stack:

        async def start(network: str = "web", address: str = "10.192.0.10", limits: Limits = NO_LIMITS) -> Container:
            endpoint_id = secrets.token_hex(32)
            topology.add_port(machine, network, endpoint_id, IPv4Address(address))
            stack.callback(topology.remove_port, machine, endpoint_id)
            name = await datapath.attach(endpoint_id, mac_of(IPv4Address(address)), datapath.mtu)
            await datapath.shape(endpoint_id, limits)
            namespace = Namespace(machine)
            stack.callback(namespace.close)
            move(machine, name, namespace)
            routers = [ip_network(f"{address}/22", strict=False), topology.subnet6(IPv4Address(address))]
            address6 = topology.address6(IPv4Address(address))
            script = (
                f"ip link set {name} name eth0; ip addr add {address}/22 dev eth0; ip link set lo up; ip link set eth0 up"
            )
            script += f"; ip addr add {address6}/64 dev eth0 nodad"
            namespace.run("sh", "-c", "; ".join([script, *(f"ip route add default via {net[1]}" for net in routers)]))
            await datapath.installed(endpoint_id, 5)
            return Container(endpoint_id, address, str(address6), namespace)

        yield start


@pytest.fixture
def identity() -> HostIdentity:
    return HostIdentity(
        topology.HOST,
        "chassis-1",
        "manager",
        IPv4Address(UPLINK),
        (),
        (),
        topology.GATEWAY,
        None,
        topology.POOL,
        topology.HOSTS,
    )


def root_of(machine: Machine) -> Path:
    return machine.paths.root


@pytest.fixture
async def gateway(machine: Machine, switch: Switch, netlink: Netlink, identity: HostIdentity) -> AsyncIterator[Gateway]:
    gateway = Gateway(switch, netlink, identity, machine.paths, 1442)
    await switch.ensure_bridge(USERSPACE)
    await gateway.ensure()
    await gateway.installed(10)
    yield gateway
    await gateway.remove()


@pytest.fixture
def router(machine: Machine) -> Iterator[None]:
    """Docker or the administrator made this machine a router, with a policy that lets everything through."""
    machine.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    yield
    machine.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")


@pytest.fixture
def docker_rules(machine: Machine, router: None) -> Iterator[None]:
    """The filter rules that Docker makes."""
    script = """*filter
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
:DOCKER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
"""
    machine.run("iptables-restore", stdin=script.encode())
    yield
    machine.run("sh", "-c", "iptables -P FORWARD ACCEPT; iptables -F; iptables -X")
