"""A RAFT cluster of three real servers: following the leader, leaving a server that lost its cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from socketplane.ovsdb import Client, NotConnected, comment, insert, select
from support.eventually import eventually
from support.ovsdb_schema import QUICK, SCHEMA
from support.ovsdb_server import OvsdbServer


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[list[OvsdbServer]]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(OvsdbServer(SCHEMA, tmp_path / "1", cluster=True))
        others = [OvsdbServer(SCHEMA, tmp_path / name, join=first.raft) for name in "23"]
        for server in others:
            await stack.enter_async_context(server)
            async with Client([server.remote], "Test", backoff=QUICK) as client:
                await client.wait_connected(30)  # it has joined
        yield [first, *others]


async def leader_of(servers: list[OvsdbServer]) -> OvsdbServer:
    async with asyncio.timeout(30):
        while True:
            for server in servers:
                if "Role: leader" in await server.appctl("cluster/status", "Test"):
                    return server


async def test_leader_only_follows_the_leader_and_others_stay(cluster: list[OvsdbServer]) -> None:
    remotes = [server.remote for server in reversed(cluster)]
    async with (
        Client(remotes, "Test", leader_only=True, backoff=QUICK) as following,
        Client([cluster[2].remote], "Test", backoff=QUICK) as staying,
    ):
        replica = await following.monitor({"Thing": ["name"]})
        seen = await staying.monitor({"Thing": ["name"]})
        lock = following.lock("active")
        await lock.acquired()
        await following.transact(insert("Thing", {"name": "before"}))
        await cluster[0].stop()  # hands over its leadership
        await asyncio.wait_for(lock.lost(), 30)
        await asyncio.wait_for(lock.acquired(), 30)
        leader = await leader_of(cluster[1:])
        await following.transact(insert("Thing", {"name": "after"}), timeout=30)
        assert {row["name"] for row in replica["Thing"].values()} == {"before", "after"}
        await seen.wait_for(lambda r: len(r["Thing"]) == 2, 30)
        follower = next(server for server in cluster[1:] if server is not leader)
        async with Client([follower.remote], "Test", leader_only=True, backoff=QUICK) as refused:
            with pytest.raises(NotConnected):
                await refused.transact(comment("not here"), timeout=0.3)
        await cluster[0].start()


async def test_a_server_that_lost_its_cluster_is_left(cluster: list[OvsdbServer]) -> None:
    first, second, third = cluster
    async with Client([second.remote, third.remote, first.remote], "Test", backoff=QUICK) as client:
        await client.transact(insert("Thing", {"name": "a"}))
        await first.stop()
        await third.kill()
        await eventually(lambda: not client.connected, within=60)
        await third.start()
        (read,) = await client.transact(select("Thing", (), ["name"]), timeout=60)
        assert read.rows == [{"name": "a"}]
        await first.start()
