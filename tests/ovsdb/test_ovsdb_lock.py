"""Locks between clients of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from socketplane.ovsdb import Client, NotConnected, NotLockOwner, assert_lock, comment, insert
from support.ovsdb_proxy import Proxy
from support.ovsdb_schema import QUICK
from support.ovsdb_server import OvsdbServer


@pytest.fixture
async def other(server: OvsdbServer) -> AsyncIterator[Client]:
    async with Client([server.remote], "Test", backoff=QUICK) as other:
        await other.wait_connected(10)
        yield other


async def test_the_lock_goes_to_who_waits_when_it_is_released(client: Client, other: Client) -> None:
    first = client.lock("active")
    await first.acquired()
    second = other.lock("active")
    with pytest.raises(NotLockOwner):
        await other.transact(assert_lock("active"), insert("Thing", {"name": "usurper"}))
    assert (first.held, second.held) == (True, False)
    await first.release()
    await asyncio.wait_for(second.acquired(), 10)
    assert (first.held, second.held) == (False, True)
    await other.transact(assert_lock("active"), insert("Thing", {"name": "successor"}))
    with pytest.raises(NotLockOwner):
        await client.transact(assert_lock("active"))


async def test_the_lock_goes_to_who_waits_when_the_owner_dies(server: OvsdbServer, other: Client) -> None:
    async with Client([server.remote], "Test") as owner:
        held = owner.lock("active")
        await held.acquired()
        waiting = other.lock("active")
        await other.transact(comment("the request is in the queue"))
        assert not waiting.held
    assert not held.held
    await asyncio.wait_for(waiting.acquired(), 10)


async def test_a_stolen_lock_is_lost_and_comes_back(client: Client, other: Client) -> None:
    victim = client.lock("active")
    await victim.acquired()
    thief = other.lock("active")
    await thief.steal()
    await asyncio.wait_for(thief.acquired(), 10)
    await asyncio.wait_for(victim.lost(), 10)
    with pytest.raises(NotLockOwner):
        await client.transact(assert_lock("active"))
    await other.transact(assert_lock("active"))
    await thief.release()
    await asyncio.wait_for(victim.acquired(), 10)
    await client.transact(assert_lock("active"))


async def test_a_lock_is_asked_for_again_after_the_server_returns(client: Client, server: OvsdbServer) -> None:
    lock = client.lock("active")
    await lock.acquired()
    await server.kill()
    await asyncio.wait_for(lock.lost(), 10)
    with pytest.raises(NotConnected):
        await lock.steal()
    await server.start()
    await asyncio.wait_for(lock.acquired(), 10)
    await client.transact(assert_lock("active"))


async def test_a_lock_asked_for_before_the_first_connection(server: OvsdbServer) -> None:
    async with Client([server.remote], "Test") as client:
        lock = client.lock("active")
        assert client.lock("active") is lock
        assert not lock.held
        await asyncio.wait_for(lock.acquired(), 10)


async def test_released_and_asked_for_again(client: Client, other: Client) -> None:
    lock = client.lock("active")
    await lock.acquired()
    await lock.release()
    await lock.release()
    again = client.lock("active")
    assert again is not lock
    await asyncio.wait_for(again.acquired(), 10)
    assert not lock.held


async def test_locks_with_different_names_are_independent(client: Client, other: Client) -> None:
    a, b = client.lock("a"), other.lock("b")
    await asyncio.gather(a.acquired(), b.acquired())
    await client.transact(assert_lock("a"))
    with pytest.raises(NotLockOwner):
        await client.transact(assert_lock("b"))


async def test_a_grant_that_crosses_a_release_counts_for_nobody(
    client: Client, other: Client, server: OvsdbServer, tmp_path: Path
) -> None:
    owner = client.lock("active")
    await owner.acquired()
    async with Proxy(server.socket, tmp_path) as proxy, Client([proxy.remote], "Test", backoff=QUICK) as late:
        await late.wait_connected(10)
        old = late.lock("active")
        await late.transact(comment("in the queue"))
        heir = other.lock("active")
        await other.transact(comment("behind it in the queue"))
        proxy.freeze()
        await owner.release()  # the server grants the lock to `late`, which does not hear of it ...
        leaving = asyncio.ensure_future(old.release())  # ... and leaves
        await asyncio.wait_for(heir.acquired(), 10)
        new = late.lock("active")
        grants = [asyncio.ensure_future(lock.acquired()) for lock in (old, new)]
        proxy.thaw()
        await leaving
        await late.transact(comment("all has been heard"))
        assert (old.held, new.held, heir.held) == (False, False, True)
        assert not any(grant.done() for grant in grants)
        await heir.release()
        await asyncio.wait_for(grants[1], 10)
        grants[0].cancel()
