"""Open UDP streams in a real Open vSwitch: how they are found, and how OVN is made to block one that it does not see."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from datapath_site import Container, Start
from machine import Machine, eventually
from traffic import ping, udp

from socketplane import wire
from socketplane.agent.conntrack import Conntrack, Stream
from socketplane.agent.switch import Switch
from socketplane.errors import Unavailable
from socketplane.model.forwarding import KERNEL, USERSPACE
from socketplane.model.types import mac_of


@pytest.fixture
def conntrack(machine: Machine) -> Conntrack:
    """Find the daemons' sockets by their pid files, as on a host."""
    for folder, daemon, control in (
        (machine.ovs, "ovs-vswitchd", machine.ovs / "vswitchd.ctl"),
        (machine.ovn, "ovn-controller", None),
    ):
        named = folder / f"{daemon}.{machine.pid_of(folder, daemon)}.ctl"
        if control is not None and not named.exists():
            named.symlink_to(control)
        assert named.exists()
    return Conntrack(machine.ovs.parent)


def _interruption(source: Container, destination: Container) -> wire.Interruption:
    return wire.Interruption(
        endpoint=source.id,
        source=IPv4Address(source.address),
        source_port=5000,
        source_mac=mac_of(IPv4Address(source.address)),
        destination=IPv4Address(destination.address),
        port=9,
        destination_mac=mac_of(IPv4Address(destination.address)),
    )


@pytest.mark.parametrize("direction", ["to-lport", "from-lport"])
async def test_a_stream_that_only_the_server_sends(
    machine: Machine, switch: Switch, conntrack: Conntrack, start: Start, direction: str
) -> None:
    server, client = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    with udp(server.namespace, server.address, 9) as serving, udp(client.namespace, client.address, 5000) as listening:

        def pushes() -> bool:
            serving.sendto(b"tick", (client.address, 5000))
            try:
                return listening.recv(100) == b"tick"
            except TimeoutError:
                return False

        def greeted() -> bool:  # this datapath may remember for a moment what held before, and nobody purges it here
            listening.sendto(b"hello", (server.address, 9))
            try:
                return serving.recv(100) == b"hello"
            except TimeoutError:
                return False

        eventually(greeted, "the first end reaches the second")
        assert pushes()
        zones = {port: zone for zone, port in switch.zones().items()}
        both = {Stream(zones[f"sp-{each.id}"], client.address, 5000, server.address, 9) for each in (client, server)}
        found = await conntrack.streams(USERSPACE, set(zones.values()))
        assert found.keys() == both and all(20 <= timer <= 180 for timer in found.values())
        end = f'outport == "sp-{server.id}"' if direction == "to-lport" else f'inport == "sp-{client.id}"'
        acl = "web", direction, "10", f"{end} && ip4.src == {client.address}"
        machine.nbctl("acl-add", *acl, "drop")
        try:
            machine.nbctl("--wait=sb", "sync")
            await switch.reached(int(machine.nbctl("get", "NB_Global", ".", "nb_cfg")))
            await conntrack.settled()
            assert pushes(), "OVN does not look at what the second end sends"
            await conntrack.interrupt(f"sp-{client.id}", _interruption(client, server))
            eventually(lambda: not pushes(), "the stream ends")
            serving.settimeout(0)
            with pytest.raises(BlockingIOError):
                serving.recv(100)
            # Where it was dropped it is blocked; the other end's entry says nothing, and lets nothing through alone.
            (left,) = await conntrack.streams(USERSPACE, set(zones.values()))
            assert left.zone == zones[f"sp-{(client if direction == 'to-lport' else server).id}"]
        finally:
            machine.nbctl("--wait=hv", "acl-del", *acl)


async def test_what_open_vswitchs_own_datapath_remembers_is_forgotten(
    machine: Machine, conntrack: Conntrack, start: Start
) -> None:
    one, other = await start(address="10.192.0.10"), await start(address="10.192.0.11")

    def remembered() -> bool:
        flows = machine.run("ovs-appctl", "-t", f"{machine.ovs}/vswitchd.ctl", "dpctl/dump-flows", "-m")
        ours = [flow for flow in flows.splitlines() if f"in_port(sp{one.id[:12]})" in flow]
        return any("eth_type(0x0800)" in flow for flow in ours)  # what IPv6 begins by itself may come at any time

    assert ping(one.namespace, other.address) and remembered()
    await conntrack.forget(KERNEL)
    assert remembered()
    await conntrack.forget(USERSPACE)
    assert not remembered()
    assert ping(one.namespace, other.address)


async def test_who_is_not_there_is_named(conntrack: Conntrack, start: Start, tmp_path: Path) -> None:
    container = await start(address="10.192.0.10")  # with it, ovn-controller is ready
    with pytest.raises(Unavailable, match="port not found"):
        await conntrack.interrupt("sp-nobody", _interruption(container, container))
    with pytest.raises(Unavailable, match="ovs-vswitchd does not run"):
        await Conntrack(tmp_path).streams(USERSPACE, {1})
