"""This host as the cluster knows it: its row at the controller, and whether it is ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import quote

from socketplane.cluster import probe, rest
from socketplane.cluster.machine import Machine
from socketplane.errors import NotFound, SocketPlaneError, Unavailable

READY = 60.0
"""Seconds until a host that has all its daemons must be ready."""


def row(machine: Machine) -> dict[str, Any]:
    """Return what the controller knows of this host. Raises NotFound, Unavailable."""
    answer: dict[str, Any] = rest.call(rest.target(machine), "GET", _path(machine))
    return answer


def row_stands(machine: Machine) -> bool:
    """Return whether the controller knows this host as it is. A member's row came with its joining."""
    identity = machine.identity
    if not identity.manager:
        return True
    try:
        known = _patient(lambda: row(machine))
    except NotFound:
        return False
    stands = {"system_id": identity.system_id, "address": str(identity.address), "gateway": str(identity.gateway)}
    return all(known[key] == value for key, value in stands.items())


def put_row(machine: Machine) -> None:
    """Tell the controller of this manager, and note the gateway address that it gives."""
    identity = machine.identity
    body = {"system_id": identity.system_id, "address": str(identity.address)}
    answer = _patient(lambda: rest.call(rest.target(machine), "PUT", _path(machine), body))
    gateway = IPv4Address(answer["gateway"])
    if gateway != identity.gateway:
        replace(identity, gateway=gateway).save(machine.paths.host_file)


def ready(machine: Machine) -> bool:
    """Return whether the controller calls this host ready."""
    try:
        return bool(row(machine)["ready"])
    except Unavailable:
        return False


def wait_ready(machine: Machine) -> None:
    """Wait until the controller calls this host ready. Raises Unavailable: what is missing."""
    if not probe.wait_until(lambda: ready(machine), READY, pause=0.2):
        raise Unavailable(f"not ready after {READY:g} s: {_missing(machine)}")


def _missing(machine: Machine) -> str:
    try:
        report = row(machine).get("report")
    except SocketPlaneError as error:
        return str(error)
    if not report:
        return "its agent has not reported to the controller"
    wants = {
        "Docker does not answer": not report["docker"],
        "ovn-controller is not connected to the southbound database": not report["ovn_controller"],
        "Open vSwitch does not answer": not report["ovs"],
    }
    return "; ".join([*(text for text, missing in wants.items() if missing), *report["alarms"]]) or "no reason is known"


def _path(machine: Machine) -> str:
    return f"/v1/hosts/{quote(machine.identity.name, safe='')}"


def _patient(ask: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return an answer of a controller that may just be starting. Raises as `ask` does; Unavailable after a while."""
    answers: list[Any] = []

    def answered() -> bool:
        try:
            answers.append(ask())
        except Unavailable as error:
            answers.append(error)
            return False
        return True

    probe.wait_until(answered, seconds, pause=0.2)
    if isinstance(answers[-1], Unavailable):
        raise answers[-1]
    return answers[-1]
