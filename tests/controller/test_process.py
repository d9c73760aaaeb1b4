"""The controller as a process of its own, as a service manager runs it."""

import asyncio
import json
import os
import signal
import sys
from ipaddress import IPv4Address

import pytest

from socketplane.config import Paths
from socketplane.errors import Unavailable
from socketplane.identity import HostIdentity
from socketplane.transport.client import ControllerClient
from support import controller_keys
from support.ovsdb_server import free_port


@pytest.fixture
def paths(tmp_path):
    """A manager's files."""
    made = Paths(tmp_path / "root")
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


async def start(paths):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "socketplane.controller",
        env={**os.environ, "SOCKETPLANE_ROOT": str(paths.root)},
        stderr=asyncio.subprocess.PIPE,
    )


async def answer(client, path, *, patient=False):
    async with asyncio.timeout(15):
        while True:
            try:
                return await client.call("GET", path)
            except Unavailable as error:
                last = str(error)
                await asyncio.sleep(0.05)  # between two looks
                if "waits for" in last and not patient:
                    return last


async def test_it_waits_for_its_databases_serves_and_ends(paths, databases):
    process = await start(paths)
    async with ControllerClient(paths.controller_socket) as client:
        assert "waits for" in await answer(client, "/v1/status")
        for server, path in ((databases.intent, paths.intent_socket), (databases.northbound, paths.northbound_socket)):
            await asyncio.to_thread(os.symlink, server.socket, path)
        assert (await answer(client, "/v1/status", patient=True))["networks"] == 0
        token = (await client.call("POST", "/v1/tokens", {}))["token"]
        async for change in client.watch():
            assert change.type == "snapshot"
            process.send_signal(signal.SIGTERM)
            break
    _, log = await asyncio.wait_for(process.communicate(), 10)
    events = [json.loads(line)["event"] for line in log.decode().splitlines()]
    assert process.returncode == 0
    assert events[0] == "controller.serving"
    assert events[-1] == "controller.stopping"
    assert "controller.active" in events
    assert token not in log.decode()
    assert not await asyncio.to_thread(paths.controller_socket.exists)


async def test_it_refuses_to_run_where_it_does_not_belong(tmp_path):
    process = await start(Paths(tmp_path))
    _, log = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 1
    assert "not a SocketPlane host yet" in json.loads(log)["reason"]
