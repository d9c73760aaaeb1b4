"""Replicas of a real server: differences of every kind of column, what the server lacks, what callbacks get."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from socketplane.ovsdb import Client, Disconnected, Row, RowChange, by_uuid, delete, insert, mutate, select, update
from support.ovsdb_server import OvsdbServer

CHOICES: dict[str, list[Any]] = {
    "number": [0, 1, -5],
    "ratio": [0.0, 0.5],
    "flag": [True, False],
    "ident": [uuid4(), uuid4()],
    "nick": [None, "", "a", "b"],
    "size": [None, 0, 1],
    "tags": [set(), {"a"}, {"b"}, {"a", "b"}, {"a", "c"}],
    "numbers": [set(), {1}, {1, 2, 3}],
    "two": [set(), {"x"}, {"y"}, {"x", "y"}],
    "some": [{1}, {2}, {1, 2}],
    "props": [{}, {"a": "1"}, {"a": "2"}, {"a": "1", "b": "1"}],
    "counts": [{}, {1: 1.0}, {1: 2.0, 3: 0.0}],
    "pair": [{}, {"a": 1}, {"a": 2}, {"b": 1}],
}


class Sum:
    """Adds up what on_change reports."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, UUID], Row] = {}
        self.calls = 0

    def __call__(self, changes: Sequence[RowChange]) -> None:
        self.calls += 1
        for change in changes:
            key = (change.table, change.uuid)
            assert self.rows.get(key) == change.old
            assert change.old != change.new
            if change.members is not None:
                assert change.members == toggled(change)
            if change.new is None:
                del self.rows[key]
            else:
                self.rows[key] = change.new


def toggled(change: RowChange) -> dict[str, object]:
    assert change.old is not None
    assert change.new is not None
    sets = ((name, old, change.new[name]) for name, old in change.old.items() if isinstance(old, frozenset))
    return {name: old ^ new for name, old, new in sets if old != new}


async def content(client: Client, table: str) -> dict[UUID, Row]:
    (read,) = await client.transact(select(table))
    return {row["_uuid"]: {k: v for k, v in row.items() if k not in ("_uuid", "_version")} for row in read.rows}


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_changes_replica_and_reports_equal_the_database(
    client: Client, server: OvsdbServer, seed: int
) -> None:
    chance = random.Random(seed)
    total = Sum()
    replica = await client.monitor({"Thing": None}, total)
    rows: list[UUID] = []
    async with Client([server.remote], "Test") as other:
        for step in range(150):
            values = {column: chance.choice(CHOICES[column]) for column in chance.sample(sorted(CHOICES), 4)}
            action = chance.choice(["insert", "update", "update", "mutate", "delete"]) if rows else "insert"
            if action == "insert":
                rows.append(uuid4())
                await other.transact(insert("Thing", {"name": str(step), **values}, rows[-1]))
            elif action == "update":
                await other.transact(update("Thing", by_uuid(chance.choice(rows)), values))
            elif action == "mutate":
                changes = [("tags", "insert", {"z"}), ("props", "insert", {"z": "z"}), ("numbers", "delete", {1})]
                await other.transact(mutate("Thing", (), changes))
            else:
                await other.transact(delete("Thing", by_uuid(rows.pop(chance.randrange(len(rows))))))
    expected = await content(client, "Thing")
    assert dict(replica["Thing"]) == expected
    assert total.rows == {("Thing", uuid): row for uuid, row in expected.items()}


async def test_weak_references_leave_with_their_row_in_the_same_report(client: Client) -> None:
    a, b = uuid4(), uuid4()
    await client.transact(insert("Thing", {"name": "a", "friends": {b}}, a), insert("Thing", {"name": "b"}, b))
    reports: list[Sequence[RowChange]] = []
    replica = await client.monitor({"Thing": ["friends"]}, reports.append)
    await client.transact(delete("Thing", by_uuid(b)))
    assert len(reports) == 2
    assert {change.uuid: change.new for change in reports[1]} == {a: {"friends": frozenset()}, b: None}
    assert dict(replica["Thing"]) == {a: {"friends": frozenset()}}


async def test_what_the_server_lacks_is_left_out(client: Client) -> None:
    await client.transact(insert("Thing", {"name": "a"}))
    replica = await client.monitor({"Thing": ["name", "colour"], "Nothing": None})
    assert list(replica["Thing"].values()) == [{"name": "a"}]
    assert dict(replica["Nothing"]) == {}
    assert set(replica) == {"Thing", "Nothing"}
    with pytest.raises(KeyError):
        replica["Part"]
    schema = client.schema
    assert (schema.has("Thing"), schema.has("Thing", "name"), schema.has("Thing", "colour")) == (True, True, False)
    assert (schema.has("Nothing"), schema.has("Nothing", "name")) == (False, False)


async def test_rows_and_views(client: Client) -> None:
    replica = await client.monitor({"Thing": ["name", "props"]})
    view = replica["Thing"]
    await client.transact(insert("Thing", {"name": "a", "props": {"x": "1"}}))
    ((uuid, before),) = view.items()
    await client.transact(mutate("Thing", (), [("props", "insert", {"y": "2"})]))
    assert before == {"name": "a", "props": {"x": "1"}}  # a row never changes ...
    assert view[uuid] == {"name": "a", "props": {"x": "1", "y": "2"}}  # ... a view does
    with pytest.raises(TypeError):
        view[uuid] = {}  # type: ignore[index]


async def test_wait_for(client: Client, server: OvsdbServer) -> None:
    replica = await client.monitor({"Thing": ["name"]})

    def names(replica: Any) -> set[str]:
        return {row["name"] for row in replica["Thing"].values()}

    with pytest.raises(TimeoutError):
        await replica.wait_for(names, 0.01)
    waiting = asyncio.ensure_future(replica.wait_for(lambda r: names(r) >= {"a", "b"}, 10))
    failing = asyncio.ensure_future(replica.wait_for(lambda r: [][len(names(r))] if names(r) else None, 10))
    async with Client([server.remote], "Test") as other:
        await other.transact(insert("Thing", {"name": "a"}))
        await other.transact(insert("Thing", {"name": "b"}))
    assert await waiting is True
    with pytest.raises(IndexError):
        await failing
    assert await replica.wait_for(names, 0) == {"a", "b"}


async def test_an_exception_in_on_change_is_logged_and_harmless(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def careless(changes: Sequence[RowChange]) -> None:
        calls.append(changes)
        raise RuntimeError("careless")

    replica = await client.monitor({"Thing": ["name"]}, careless)
    with caplog.at_level(logging.ERROR, "socketplane.ovsdb"):
        await client.transact(insert("Thing", {"name": "a"}))
        await client.transact(insert("Thing", {"name": "b"}))
    assert len(calls) == 2
    assert {row["name"] for row in replica["Thing"].values()} == {"a", "b"}
    assert caplog.text.count("careless") >= 2
    assert client.connected


async def test_a_cancelled_monitor_is_followed_no_more(client: Client) -> None:
    total = Sum()
    replica = await client.monitor({"Thing": ["name"]}, total)
    await client.cancel_monitor(replica)
    await client.transact(insert("Thing", {"name": "a"}))
    assert total.calls == 0
    assert len(replica["Thing"]) == 0
    assert len((await client.monitor({"Thing": ["name"]}))["Thing"]) == 1


async def test_a_monitor_before_the_first_connection_and_one_that_is_given_up(server: OvsdbServer) -> None:
    await server.stop()
    async with Client([server.remote], "Test") as client:
        early = asyncio.ensure_future(client.monitor({"Thing": ["name"]}))
        given_up = asyncio.ensure_future(client.monitor({"Thing": ["name"]}))
        closed = asyncio.ensure_future(client.monitor({"Thing": ["name"]}))
        await asyncio.sleep(0)
        given_up.cancel()
        await server.start()
        assert len((await early)["Thing"]) == 0
        await closed
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await server.stop()
        late = asyncio.ensure_future(client.monitor({"Thing": ["name"]}))
        await asyncio.sleep(0)
    with pytest.raises(Disconnected):
        await late


async def test_two_replicas_of_the_same_table(client: Client) -> None:
    one, two = await asyncio.gather(client.monitor({"Thing": ["name"]}), client.monitor({"Thing": ["number"]}))
    await client.transact(insert("Thing", {"name": "a", "number": 4}))
    assert list(one["Thing"].values()) == [{"name": "a"}]
    assert list(two["Thing"].values()) == [{"number": 4}]
