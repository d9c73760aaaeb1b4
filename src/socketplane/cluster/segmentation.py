"""Segmentation in Open vSwitch's own datapath: containers hand over large segments, which it cuts only where it must.

A process of it that can do so counts what it has cut. Where it can't, containers have to finish all packets themselves.
"""

from __future__ import annotations

import json

from socketplane.cluster import daemons, openvswitch, probe
from socketplane.cluster.daemons import Daemon
from socketplane.cluster.machine import Machine
from socketplane.cluster.run import run
from socketplane.config import Paths
from socketplane.model.forwarding import SEGMENTATION

_COUNTER = "netdev_soft_seg_good"


def stands(machine: Machine) -> bool:
    """Return whether nothing is to be done. Settings of others stay, and so does an Open vSwitch that others run."""
    record = machine.record
    switch = _switch(machine)
    if not record.traits.learns_segmentation or not machine.ours(switch):
        return True
    current = _current(machine.paths)
    match record.segmentation:
        case "":
            return current is not None or not _able(switch)
        case "on":
            return current != "true" or _able(switch)
        case "wanted":
            return False


def turn(machine: Machine) -> str:
    """Turn it on where the process can do it, and off where another release can't any more; restart the process."""
    switch = _switch(machine)
    able = _able(switch)
    machine.note(segmentation="wanted")
    if able:
        openvswitch.vsctl(machine.paths, "set", "Open_vSwitch", ".", f"other_config:{SEGMENTATION}=true", wait=False)
    else:
        _clear(machine.paths)
    machine.stop(switch)
    machine.start(switch)
    machine.note(segmentation="on" if able else "")
    return "on" if able else "off"


def take_back(machine: Machine) -> None:
    """Undo `turn`, if nobody set something else; the process that runs goes on as it is."""
    if _current(machine.paths) == "true":
        _clear(machine.paths)
    machine.note(segmentation="")


def _switch(machine: Machine) -> Daemon:
    return daemons.ovs_switch(machine.paths, machine.record.traits)


def _able(switch: Daemon) -> bool:
    control = probe.control_socket(switch)
    asked = ["ovs-appctl", f"--timeout={probe.SECONDS}", "-t", str(control), "coverage/read-counter", _COUNTER]
    return control is not None and run(asked, check=False).code == 0


def _current(paths: Paths) -> str | None:
    arguments = ("--format=json", "--columns=other_config", "list", "Open_vSwitch")
    rows = json.loads(openvswitch.vsctl(paths, *arguments, wait=False))["data"]
    return openvswitch.only_map(rows).get(SEGMENTATION)


def _clear(paths: Paths) -> None:
    openvswitch.vsctl(paths, "remove", "Open_vSwitch", ".", "other_config", SEGMENTATION, wait=False)
