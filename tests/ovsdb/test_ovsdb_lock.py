"""Locks between clients of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from socketplane.ovsdb import Client, NotConnected, NotLockOwner, assert_lock, comment, insert
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


async def test_a_grant_that_crosses_a_release_is_not_taken_for_the_next_request(client: Client, other: Client) -> None:
    owner = client.lock("active")
    await owner.acquired()
    for _ in range(20):
        old = other.lock("active")
        await other.transact(comment("the request is in the queue"))
        releasing = asyncio.ensure_future(owner.release())
        leaving = asyncio.ensure_future(old.release())
        await asyncio.gather(releasing, leaving)
        owner, new = client.lock("active"), other.lock("active")
        await asyncio.gather(client.transact(comment("asked")), other.transact(comment("asked")))
        assert owner.held != new.held
        if new.held:
            await new.release()
            await asyncio.wait_for(owner.acquired(), 10)
        else:
            await new.release()
