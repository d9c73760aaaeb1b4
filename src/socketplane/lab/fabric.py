"""The network of a lab: two bridges in the fabric, and two cables to every host."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from socketplane.lab import layout
from socketplane.lab.machine import Machine

CABLES = (("eth0", "mgmt", layout.MANAGEMENT), ("eth1", "underlay", layout.UNDERLAY))
"""A host's interface, the fabric's bridge, and their network."""
MTU = 1500


async def connect(fabric: Machine, hosts: Sequence[Machine], *, offload: bool) -> None:
    """Make the bridges and cable every host; `offload`: cables carry what NICs with offloads do.

    A userspace switch at the end of a cable would see checksums that nobody computed.
    """
    lines = []
    for _, bridge, network in CABLES:
        lines += [
            f"link add {bridge} type bridge mcast_snooping 0",
            f"address add {layout.address(network, layout.FABRIC)}/{network.prefixlen} dev {bridge}",
            f"link set {bridge} up",
        ]
    for host in hosts:
        for interface, bridge, _ in CABLES:
            port = f"{host.name}-{interface}"
            peer = f"peer name {interface} netns {host.init.pid} mtu {MTU}"
            lines += [f"link add {port} mtu {MTU} type veth {peer}", f"link set {port} master {bridge} up"]
    await fabric.network(*lines)
    async with asyncio.TaskGroup() as tasks:
        if not offload:
            tasks.create_task(fabric.no_offload(*(bridge for _, bridge, _ in CABLES)))
        for host in hosts:
            tasks.create_task(_address(host, offload=offload))


async def _address(host: Machine, *, offload: bool) -> None:
    lines = []
    for interface, _, network in CABLES:
        lines += [
            f"address add {layout.address(network, host.name)}/{network.prefixlen} dev {interface}",
            f"link set {interface} up",
        ]
    await host.network(*lines)
    if not offload:
        await host.no_offload(*(interface for interface, _, _ in CABLES))
