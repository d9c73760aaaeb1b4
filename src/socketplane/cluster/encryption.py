"""Encryption between hosts: whether this machine can do it, and its device before anything may be sent."""

from __future__ import annotations

import sys

from socketplane.cluster import network, openvswitch
from socketplane.cluster.machine import Machine
from socketplane.cluster.run import run
from socketplane.cluster.trust import Options
from socketplane.encryption import DEVICE
from socketplane.errors import InvalidInput
from socketplane.model.forwarding import KERNEL, USERSPACE, Traits


def obstacle(machine: Machine, options: Options) -> str:
    """Return why this machine can't encrypt what it sends to other hosts; nothing where it can."""
    if not _traits(machine, options).encrypts:
        return "Open vSwitch's own datapath, which it uses, can't send through WireGuard"
    if not openvswitch.kernel_has("wireguard", "wireguard"):
        return "its kernel has no WireGuard"
    return ""


def wanted(machine: Machine, options: Options) -> bool:
    """Return whether this machine has to encrypt."""
    identity = machine.find_identity()
    return identity.encryption is not None if identity else options.encrypt


def can(machine: Machine, options: Options) -> bool:
    """Return True; raise InvalidInput where this machine can't encrypt."""
    if why := obstacle(machine, options):
        remedy = "it takes a kernel with the modules openvswitch and wireguard, as distributions have them"
        raise InvalidInput(f"this host can't encrypt: {why}", remedy=remedy)
    return True


def stands() -> bool:
    """Return whether the device is there; how it is set up is the agent's to look after."""
    return any(link["ifname"] == DEVICE for link in network.ip("link", "show"))


def start() -> str:
    """Have the agent's own code make the device, in a process of its own: OVN must not send before it is there."""
    run([sys.executable, "-m", "socketplane.agent.encryption"], timeout=60)
    return DEVICE


def _traits(machine: Machine, options: Options) -> Traits:
    """Return the datapath that is in use here, or would be."""
    kernel = machine.record.kernel if options.kernel is None else options.kernel
    if kernel is None:
        kernel = openvswitch.kernel_datapath()
    return KERNEL if kernel else USERSPACE
