"""The controller as a process of its own, on a manager's files."""

from __future__ import annotations

import asyncio
import os
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from socketplane.config import Paths
from socketplane.errors import Unavailable
from socketplane.identity import HostIdentity
from socketplane.transport.client import ControllerClient
from support import controller_keys
from support.ports import free_port


def manager(root: Path) -> Paths:
    """Make a manager's files below a directory."""
    made = Paths(root)
    controller_keys.manager(made.pki)
    port = free_port()
    HostIdentity(
        name="h1",
        system_id="system-h1",
        role="manager",
        address=IPv4Address("127.0.0.1"),
        controllers=(f"127.0.0.1:{port}",),
        southbound=("ssl:127.0.0.1:6642",),
        gateway=IPv4Address("169.254.192.2"),
    ).save(made.host_file)
    for socket in (made.intent_socket, made.northbound_socket):
        socket.parent.mkdir(parents=True, exist_ok=True)
    return made


async def start(paths: Paths) -> asyncio.subprocess.Process:
    """Start the controller of these files; its log is the process' stderr."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "socketplane.controller",
        env={**os.environ, "SOCKETPLANE_ROOT": str(paths.root)},
        stderr=asyncio.subprocess.PIPE,
    )


async def answer(client: ControllerClient, path: str, *, patient: bool = False) -> Any:
    """Return what a call is answered once the controller listens; with `patient` once it is active."""
    async with asyncio.timeout(15):
        while True:
            try:
                return await client.call("GET", path)
            except Unavailable as error:
                last = str(error)
                await asyncio.sleep(0.05)  # between two looks
                if "waits for" in last and not patient:
                    return last
