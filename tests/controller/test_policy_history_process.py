"""A change that waits to be confirmed, and a controller that is killed meanwhile: it is the database that remembers."""

import asyncio
import os
import time
from contextlib import asynccontextmanager

from socketplane.transport.client import ControllerClient
from support.controller_process import answer, manager, start

DOCUMENT = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "web"},
    "spec": {"podSelector": {}},
}


@asynccontextmanager
async def until_killed(paths):
    """A controller's process, and a client of it; SIGKILL at the end."""
    process = await start(paths)
    try:
        async with ControllerClient(paths.controller_socket) as client:
            yield client
    finally:
        process.kill()
        await process.communicate()
        await asyncio.to_thread(paths.controller_socket.unlink)


async def test_a_waiting_change_survives_kills_and_is_taken_back_at_the_next_start(tmp_path, databases):
    paths = await asyncio.to_thread(manager, tmp_path / "root")
    for server, path in ((databases.intent, paths.intent_socket), (databases.northbound, paths.northbound_socket)):
        await asyncio.to_thread(os.symlink, server.socket, path)
    async with until_killed(paths) as client:
        await answer(client, "/v1/status", patient=True)
        await client.call("POST", "/v1/policies", {"documents": [DOCUMENT], "confirm_within": 60})
    async with until_killed(paths) as client:
        (waiting,) = (await answer(client, "/v1/policies/history", patient=True))["items"]
        assert waiting["state"] == "waiting"
        assert (await client.call("POST", "/v1/policies/confirm", {}))["state"] == "confirmed"
        other = {**DOCUMENT, "spec": {"podSelector": {"matchLabels": {"app": "a"}}}}
        applied = await client.call("POST", "/v1/policies", {"documents": [other], "confirm_within": 1})
    await asyncio.sleep(max(0.0, applied["confirm_by"] - time.time()) + 0.01)  # nothing but time is to pass
    async with until_killed(paths) as client:
        first = await answer(client, "/v1/policies", patient=True)
        assert [item["document"] for item in first["items"]] == [DOCUMENT], "the first answer knows it already"
        told = (await client.call("GET", "/v1/policies/history"))["items"]
        assert [(item["action"], item["state"]) for item in told] == [
            ("apply", "confirmed"),
            ("apply", "taken back"),
            ("expire", ""),
        ]
