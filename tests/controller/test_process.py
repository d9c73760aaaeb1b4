"""The controller as a process of its own, as a service manager runs it."""

import asyncio
import json
import os
import signal

import pytest

from socketplane.config import Paths
from socketplane.transport.client import ControllerClient
from support.controller_process import answer, manager, start


@pytest.fixture
def paths(tmp_path):
    """A manager's files."""
    return manager(tmp_path / "root")


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
