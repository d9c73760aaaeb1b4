"""Lost connections: what is resumed, what is compared, what in-flight and waiting transactions see."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from socketplane.ovsdb import (
    Backoff,
    Client,
    Disconnected,
    NotConnected,
    RowChange,
    by_uuid,
    comment,
    delete,
    insert,
    mutate,
    select,
    update,
    wait,
)
from support.ovsdb_proxy import Proxy
from support.ovsdb_schema import QUICK, SCHEMA
from support.ovsdb_server import OvsdbServer, run


@pytest.fixture
async def clustered(tmp_path: Path) -> AsyncIterator[OvsdbServer]:
    async with OvsdbServer(SCHEMA, tmp_path / "clustered", cluster=True) as server:
        yield server


async def change_behind(server: OvsdbServer, names: Sequence[str]) -> None:
    """Update the first row, delete the second, insert a third, in the absence of the client under test."""
    async with Client([server.remote], "Test", backoff=QUICK) as other:
        await other.transact(update("Thing", [("name", "==", names[0])], {"number": 7, "tags": {"b", "c"}}))
        await other.transact(delete("Thing", [("name", "==", names[1])]))
        await other.transact(insert("Thing", {"name": names[2]}))


async def settle(client: Client, report: list[list[RowChange]]) -> dict[str | None, str | None]:
    await client.wait_connected(10)
    await client.transact(comment("all that came before this has been reported"))
    (changes,) = report
    return {c.old["name"] if c.old else None: c.new["name"] if c.new else None for c in changes}


@pytest.mark.parametrize("restart", [False, True])
async def test_a_clustered_server_sends_only_what_was_missed(tmp_path: Path, clustered: OvsdbServer, restart: bool) -> None:
    report: list[list[RowChange]] = []
    async with Proxy(clustered.socket, tmp_path) as proxy, Client([proxy.remote], "Test", backoff=QUICK) as client:
        bulk = [insert("Thing", {"name": f"bulk {number}", "born": "x" * 500}) for number in range(200)]
        await client.transact(insert("Thing", {"name": "a", "tags": {"a", "b"}}), insert("Thing", {"name": "b"}), *bulk)
        replica = await client.monitor({"Thing": None}, lambda changes: report.append(list(changes)))
        await client.transact(insert("Thing", {"name": "z"}))
        report.clear()
        await proxy.cut()
        if restart:
            await clustered.kill()
            await clustered.start()
        await change_behind(clustered, "abc")
        proxy.received.clear()
        await proxy.listen()
        assert await settle(client, report) == {"a": "a", "b": None, None: "c"}
        assert {row["name"] for row in replica["Thing"].values()} >= {"a", "c", "z", "bulk 7"}
        assert b"bulk" not in proxy.received
        assert next(r for r in replica["Thing"].values() if r["name"] == "a")["tags"] == {"b", "c"}


async def test_a_standalone_server_sends_all_and_only_true_differences_are_reported(
    tmp_path: Path, server: OvsdbServer
) -> None:
    report: list[list[RowChange]] = []
    async with Proxy(server.socket, tmp_path) as proxy, Client([proxy.remote], "Test", backoff=QUICK) as client:
        await client.transact(*(insert("Thing", {"name": name}) for name in ("a", "b", "same")))
        replica = await client.monitor({"Thing": None}, lambda changes: report.append(list(changes)))
        view = replica["Thing"]
        kept = next(row for row in view.values() if row["name"] == "same")
        report.clear()
        await proxy.cut()
        await change_behind(server, "abc")
        proxy.received.clear()
        await proxy.listen()
        assert await settle(client, report) == {"a": "a", "b": None, None: "c"}
        assert b"same" in proxy.received
        assert {row["name"] for row in view.values()} == {"a", "c", "same"}
        assert any(row is kept for row in view.values())


async def test_nothing_changed_meanwhile_means_no_report(client: Client, server: OvsdbServer) -> None:
    reports: list[Sequence[RowChange]] = []
    await client.transact(insert("Thing", {"name": "a", "ratio": 0.1, "props": {"a": "b"}}))
    await client.monitor({"Thing": None}, reports.append)
    await server.stop()
    await server.start()
    await client.transact(comment("connected again"))
    assert len(reports) == 1


async def test_an_update_after_a_resume_applies_to_the_right_base(tmp_path: Path, clustered: OvsdbServer) -> None:
    async with Proxy(clustered.socket, tmp_path) as proxy, Client([proxy.remote], "Test", backoff=QUICK) as client:
        uuid = uuid4()
        await client.transact(insert("Thing", {"tags": {"0"}}, uuid))
        replica = await client.monitor({"Thing": ["tags"]})
        for round_ in range(1, 6):
            await client.transact(mutate("Thing", (), [("tags", "insert", {str(round_)})]))
            await proxy.cut()
            async with Client([clustered.remote], "Test") as other:
                await other.transact(mutate("Thing", (), [("tags", "delete", {str(round_ - 1)})]))
            await proxy.listen()
            await client.wait_connected(10)
        (read,) = await client.transact(select("Thing", by_uuid(uuid), ["tags"]))
        assert replica["Thing"][uuid] == read.rows[0] == {"tags": {"5"}}


@pytest.mark.parametrize("crash", [False, True])
async def test_a_transaction_in_flight_when_the_server_goes(client: Client, server: OvsdbServer, crash: bool) -> None:
    in_flight = [
        asyncio.ensure_future(client.transact(wait("Thing", (), ["name"], [{"name": "never"}], timeout=None)))
        for _ in range(3)
    ]
    await client.transact(insert("Thing", {"name": "before"}))
    await (server.kill() if crash else server.stop())
    for outcome in await asyncio.gather(*in_flight, return_exceptions=True):
        assert type(outcome) is Disconnected
        assert "outcome is unknown" in str(outcome)
    await server.start()
    (read,) = await client.transact(select("Thing", (), ["name"]))
    assert read.rows == [{"name": "before"}]


async def test_a_transaction_repeated_after_an_unknown_outcome_is_recognised(tmp_path: Path, server: OvsdbServer) -> None:
    async with Proxy(server.socket, tmp_path) as proxy, Client([proxy.remote], "Test", backoff=QUICK) as client:
        await client.wait_connected(10)
        proxy.freeze()  # the answer won't arrive, the request does
        lost = asyncio.ensure_future(client.transact(insert("Thing", {"name": "a"}, uuid4())))
        async with Client([server.remote], "Test") as other:
            replica = await other.monitor({"Thing": ["name"]})
            await replica.wait_for(lambda r: r["Thing"], 10)
        await proxy.cut()
        with pytest.raises(Disconnected) as caught:
            await lost
        assert not isinstance(caught.value, NotConnected)
        proxy.thaw()
        await proxy.listen()
        (read,) = await client.transact(select("Thing"))
        assert len(read.rows) == 1


async def test_transactions_wait_for_the_server_as_long_as_they_may(client: Client, server: OvsdbServer) -> None:
    await server.stop()
    with pytest.raises(NotConnected):
        await client.transact(insert("Thing", {"name": "too early"}), timeout=0.05)
    assert not client.connected
    waiting = asyncio.ensure_future(client.transact(insert("Thing", {"name": "patient"}), timeout=30))
    await asyncio.sleep(0)
    await server.start()
    await waiting
    (read,) = await client.transact(select("Thing", (), ["name"]))
    assert read.rows == [{"name": "patient"}]


async def test_remotes_are_tried_in_their_order(tmp_path: Path) -> None:
    first, second = OvsdbServer(SCHEMA, tmp_path / "1"), OvsdbServer(SCHEMA, tmp_path / "2")
    remotes = [f"unix:{tmp_path}/nobody", first.remote, second.tcp_remote]
    async with first, second, Client(remotes, "Test", backoff=QUICK) as client:
        for where, server in (("1", first), ("2", second)):
            async with Client([server.remote], "Test") as direct:
                await direct.transact(insert("Thing", {"name": where}))
        replica = await client.monitor({"Thing": ["name"]})

        def here(name: str) -> bool:
            return [row["name"] for row in replica["Thing"].values()] == [name]

        assert here("1")
        await first.stop()
        await replica.wait_for(lambda _: here("2"), 10)
        await first.start()
        await second.stop()
        await replica.wait_for(lambda _: here("1"), 10)


async def test_a_database_that_the_server_does_not_have(server: OvsdbServer) -> None:
    async with Client([server.remote], "Missing", backoff=QUICK) as client:
        with pytest.raises(NotConnected):
            await client.transact(comment("x"), timeout=0.1)
        with pytest.raises(NotConnected):
            _ = client.schema


async def test_a_schema_converted_under_way_brings_its_new_column(
    client: Client, server: OvsdbServer, tmp_path: Path
) -> None:
    await client.transact(insert("Thing", {"name": "a"}))
    replica = await client.monitor({"Thing": ["name", "colour"]})
    assert list(replica["Thing"].values()) == [{"name": "a"}]
    newer = copy.deepcopy(SCHEMA)
    newer["version"] = "1.1.0"
    newer["tables"]["Thing"]["columns"]["colour"] = {"type": "string"}
    file = tmp_path / "newer.ovsschema"
    file.write_text(json.dumps(newer))
    await run("ovsdb-client", "convert", server.remote, file)
    await replica.wait_for(lambda r: all("colour" in row for row in r["Thing"].values()), 10)
    assert client.schema.has("Thing", "colour")
    await client.transact(update("Thing", (), {"colour": "red"}))
    assert list(replica["Thing"].values()) == [{"name": "a", "colour": "red"}]


def test_backoff_grows_to_its_limit_and_jitters_below() -> None:
    backoff = Backoff(first=0.1, longest=2.0)
    assert [backoff.delay(n, 1.0) for n in range(8)] == pytest.approx([0, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    assert [backoff.delay(n, 0.0) for n in (1, 100)] == pytest.approx([0.05, 1.0])
    chance = random.Random(1)
    assert len({backoff.delay(10, chance.random()) for _ in range(50)}) == 50
