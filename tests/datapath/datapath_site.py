"""Addresses of the machine and its neighbourhood, and what the tests pass around."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from machine import Machine, Namespace, eventually

UPLINK, OUTSIDE, LAN = "192.0.2.1", "192.0.2.9", "192.0.2.0/24"


@dataclass(frozen=True, slots=True)
class Container:
    """An endpoint with a namespace around it, as Docker would set it up."""

    id: str
    address: str
    namespace: Namespace


Start = Callable[..., Awaitable[Container]]


def move(machine: Machine, link: str, namespace: Namespace) -> None:
    """Move a link of the machine into a namespace."""
    subprocess.run(["ip", "link", "set", link, "netns", str(namespace.pid)], check=True)
    assert machine.pid  # the caller is inside the machine's namespace, but counts PIDs as the test process does
    eventually(lambda: link in namespace.run("ip", "link"), f"{link} has moved")
