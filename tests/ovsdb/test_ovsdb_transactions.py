"""Transactions on a real server: values there and back, each error as its type, many at once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from uuid import UUID, uuid4

import pytest

from socketplane.ovsdb import (
    Aborted,
    Client,
    ConstraintViolation,
    Disconnected,
    DuplicateName,
    DuplicateUuid,
    InvalidMutation,
    InvalidOperation,
    Malformed,
    NamedUuid,
    NotConnected,
    NotLockOwner,
    Operation,
    ReferentialViolation,
    TransactionFailed,
    Unanswered,
    WaitFailed,
    abort,
    assert_lock,
    by_uuid,
    comment,
    commit,
    delete,
    insert,
    mutate,
    select,
    update,
    wait,
)
from support.ovsdb_server import OvsdbServer

IDENT = uuid4()
VALUES: list[dict[str, Any]] = [
    {},
    {"name": 'quo"te \\ {brace} }{ \u20ac\n', "number": -100, "big": 2**63 - 1, "ratio": 0.5, "flag": True, "ident": IDENT},
    {"big": -(2**63), "ratio": 3.0, "kind": "red", "born": "today", "nick": "", "size": 0},
    {"nick": "n", "size": -1, "tags": frozenset({"a"}), "numbers": frozenset({1, 2, 3}), "two": frozenset({"x", "y"})},
    {"some": frozenset({4}), "props": {"a": "1", "b": ""}, "counts": {1: 1.5, 2: 2.0}, "pair": {"p": 1}},
    {"tags": frozenset({"", "set"}), "props": {"map": "map"}, "two": frozenset({"uuid", "map"})},
]


@pytest.mark.parametrize("row", VALUES)
async def test_values_come_back_as_they_were_sent(client: Client, row: dict[str, Any]) -> None:
    _, selected = await client.transact(insert("Thing", row), select("Thing"))
    replica = await client.monitor({"Thing": None})
    (read,) = selected.rows
    (replicated,) = replica["Thing"].values()
    defaults = {name: column.default for name, column in client.schema.tables["Thing"].columns.items()}
    assert {k: v for k, v in read.items() if k not in ("_uuid", "_version")} == defaults | row
    assert replicated == defaults | row
    assert [type(value) for value in replicated.values()] == [type(value) for value in (defaults | row).values()]


async def test_results_tell_uuid_count_and_rows(client: Client) -> None:
    uuid = uuid4()
    inserted, _, updated, mutated, deleted, read, *_ = await client.transact(
        insert("Thing", {"name": "a"}, uuid=uuid),
        insert("Thing", {"name": "b"}),
        update("Thing", (), {"number": 3}),
        mutate("Thing", by_uuid(uuid), [("number", "+=", 4)]),
        delete("Thing", [("name", "==", "b")]),
        select("Thing", [("number", ">", 3)], ["name", "number", "_uuid"]),
        comment("why"),
        commit(durable=True),
    )
    assert inserted.uuid == uuid
    assert (updated.count, mutated.count, deleted.count) == (2, 1, 1)
    assert read.rows == [{"name": "a", "number": 7, "_uuid": uuid}]


async def test_references_within_a_transaction_by_name_and_by_own_uuid(client: Client) -> None:
    part = uuid4()
    named, _, thing = await client.transact(
        insert("Part", {"name": "named"}, uuid_name="p"),
        insert("Part", {"name": "own"}, uuid=part),
        insert("Thing", {"parts": {NamedUuid("p"), part}, "first": NamedUuid("p"), "by_name": {"own": part}}),
    )
    (read,) = await client.transact(select("Thing", by_uuid(thing.uuid)))  # type: ignore[arg-type]
    assert read.rows[0]["parts"] == {named.uuid, part}
    assert read.rows[0]["first"] == named.uuid
    assert read.rows[0]["by_name"] == {"own": part}


async def test_mutations_of_sets_maps_and_optional_columns(client: Client) -> None:
    await client.transact(insert("Thing", {"tags": {"a", "b"}, "props": {"a": "1", "b": "2"}, "size": 5}))
    await client.transact(
        mutate(
            "Thing",
            (),
            [
                ("tags", "insert", {"c"}),
                ("tags", "delete", "a"),
                ("props", "delete", {"a"}),
                ("props", "delete", {"b": "other value, so it stays"}),
                ("props", "insert", {"c": "3"}),
                ("size", "+=", 1),
                ("nick", "insert", "n"),
            ],
        )
    )
    (read,) = await client.transact(select("Thing", [("tags", "includes", "c")], ["tags", "props", "size", "nick"]))
    assert read.rows == [{"tags": {"b", "c"}, "props": {"b": "2", "c": "3"}, "size": 6, "nick": "n"}]


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        (("nick", "==", None), False),
        (("nick", "==", "n"), True),
        (("tags", "includes", {"a"}), True),
        (("tags", "excludes", {"a"}), False),
        (("props", "includes", {"k": "v"}), True),
        (("size", "<", 5), True),
        (("flag", "!=", True), True),
    ],
)
async def test_conditions(client: Client, condition: tuple[str, str, Any], matches: bool) -> None:
    await client.transact(insert("Thing", {"nick": "n", "tags": {"a", "b"}, "props": {"k": "v"}, "size": 4}))
    (read,) = await client.transact(select("Thing", [condition]))
    assert bool(read.rows) is matches


FIXED = UUID(int=7)
FAILURES: list[tuple[str, list[Operation], type[TransactionFailed], int, str]] = [
    ("index", [insert("Thing", {"name": "x"}), insert("Thing", {"name": "x"})], ConstraintViolation, 2, "identical values"),
    ("range", [insert("Thing", {"number": 101})], ConstraintViolation, 0, "101"),
    ("enumeration", [insert("Thing", {"kind": "green"})], ConstraintViolation, 0, "green"),
    ("immutable", [insert("Thing", {}), update("Thing", (), {"born": "x"})], ConstraintViolation, 1, "born"),
    ("rows", [insert("Single", {}), insert("Single", {})], ConstraintViolation, 2, "Single"),
    (
        "many",
        [insert("Thing", {"two": {"a", "b"}}), mutate("Thing", (), [("two", "insert", {"c"})])],
        ConstraintViolation,
        1,
        "2",
    ),
    ("strong", [insert("Thing", {"parts": {FIXED}})], ReferentialViolation, 1, str(FIXED)),
    ("uuid", [insert("Thing", {"name": "1"}, FIXED), insert("Thing", {"name": "2"}, FIXED)], DuplicateUuid, 1, str(FIXED)),
    ("name", [insert("Part", {}, uuid_name="p"), insert("Part", {}, uuid_name="p")], DuplicateName, 1, "p"),
    ("lock", [comment("first"), assert_lock("mine")], NotLockOwner, 1, "mine"),
    ("wait", [wait("Thing", (), ["name"], [{"name": "x"}])], WaitFailed, 0, ""),
    ("abort", [insert("Thing", {}), abort()], Aborted, 1, ""),
    ("division", [insert("Thing", {}), mutate("Thing", (), [("number", "/=", 0)])], InvalidMutation, 1, ""),
    ("mutator", [mutate("Thing", (), [("number", "**=", 0)])], Malformed, 0, "**="),
]


@pytest.mark.parametrize(("operations", "error", "index", "text"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
async def test_each_failure_has_its_type(
    client: Client, operations: list[Operation], error: type[TransactionFailed], index: int, text: str
) -> None:
    before = await client.transact(select("Thing"), select("Single"))
    with pytest.raises(error) as caught:
        await client.transact(*operations)
    assert type(caught.value) is error
    assert caught.value.index == index
    assert text in str(caught.value)
    assert await client.transact(select("Thing"), select("Single")) == before


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (insert("Nothing", {}), "no table Nothing"),
        (insert("Thing", {"colour": "red"}), "Thing has no column colour"),
        (insert("Thing", {"name": 5}), "Thing.name: expected a string, not int"),
        (insert("Thing", {"number": True}), "Thing.number: expected an integer"),
        (insert("Thing", {"big": 2**63}), "Thing.big: expected an integer of 64 bits"),
        (insert("Thing", {"ratio": float("nan")}), "Thing.ratio: expected a finite number"),
        (insert("Thing", {"flag": 1}), "Thing.flag: expected a bool"),
        (insert("Thing", {"tags": "abc"}), "Thing.tags: expected a set, not str"),
        (insert("Thing", {"props": {"a"}}), "Thing.props: expected a mapping, not set"),
        (insert("Thing", {"two": {"a", "b", "c"}}), "Thing.two: 3 elements where 0 to 2 are allowed"),
        (insert("Thing", {"parts": {"text"}}), "Thing.parts: expected a UUID or a NamedUuid"),
        (insert("Thing", {"name": "\ud800"}), "JSON"),
        (delete("Thing", [("colour", "==", "red")]), "Thing has no column colour"),
        (mutate("Thing", (), [("tags", "insert", {5})]), "Thing.tags: expected a string"),
        ("insert", "not an operation: str"),
    ],
)
async def test_what_the_schema_does_not_allow_is_not_sent(client: Client, operation: Any, text: str) -> None:
    with pytest.raises(InvalidOperation, match=text):
        await client.transact(operation)
    assert client.connected


async def test_a_hundred_transactions_at_once_keep_their_order_and_answers(client: Client) -> None:
    await client.transact(insert("Single", {}))
    replica = await client.monitor({"Single": None, "Thing": ["name"]})

    async def add(number: int) -> int:
        await client.transact(mutate("Single", (), [("epoch", "+=", 1)]), insert("Thing", {"name": str(number)}))
        assert str(number) in {row["name"] for row in replica["Thing"].values()}  # own effects are visible
        (read,) = await client.transact(select("Thing", [("name", "==", str(number))], ["name"]))
        assert read.rows == [{"name": str(number)}]
        return number

    assert sorted(await asyncio.gather(*(add(number) for number in range(100)))) == list(range(100))
    assert [row["epoch"] for row in replica["Single"].values()] == [100]


async def test_failures_among_many_hit_only_their_own_transaction(client: Client) -> None:
    outcomes = await asyncio.gather(
        *(client.transact(insert("Thing", {"name": str(number // 2)})) for number in range(40)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [list, ConstraintViolation] * 20


async def test_a_wait_is_woken_by_another_transaction(client: Client) -> None:
    waiting = asyncio.ensure_future(
        client.transact(wait("Thing", [("name", "==", "x")], ["flag"], [{"flag": True}], timeout=None), comment("seen"))
    )
    await client.transact(insert("Thing", {"name": "x"}))
    assert not waiting.done()
    await client.transact(update("Thing", (), {"flag": True}))
    assert len(await waiting) == 2


@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_a_transaction_given_up_is_cancelled_on_the_server(client: Client, how: str) -> None:
    blocked = client.transact(
        wait("Thing", (), ["name"], [{"name": "go"}], timeout=None),
        insert("Single", {}),
        timeout=0.05 if how == "timeout" else 30,
    )
    if how == "timeout":
        with pytest.raises(Unanswered):
            await blocked
    else:
        task = asyncio.ensure_future(blocked)
        await client.transact(comment("after the blocked one was sent"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await client.transact(insert("Thing", {"name": "go"}))
    (read,) = await client.transact(select("Single"))
    assert read.rows == []


async def test_a_server_that_does_not_answer(client: Client, server: OvsdbServer) -> None:
    server.pause()
    with pytest.raises(Unanswered):
        await client.transact(comment("hello"), timeout=0.05)
    server.resume()
    await client.transact(comment("hello"))


async def test_backpressure_holds_a_sender_and_times_out_before_anything_is_sent(
    client: Client, server: OvsdbServer
) -> None:
    server.pause()
    big = [asyncio.ensure_future(client.transact(insert("Thing", {"name": f"{n}" + "x" * 2_000_000}))) for n in range(3)]
    with pytest.raises(NotConnected, match="nothing was sent"):
        while True:  # the first ones may still find room
            with contextlib.suppress(Unanswered):
                await client.transact(comment("x"), timeout=0.05)
    server.resume()
    assert len(await asyncio.gather(*big)) == 3


async def test_a_closed_client_says_so(server: OvsdbServer) -> None:
    async with Client([server.remote], "Test") as client:
        await client.wait_connected(10)
        waiting = asyncio.ensure_future(client.transact(wait("Thing", (), ["name"], [{"name": "go"}], timeout=None)))
        await client.transact(comment("after"))
    with pytest.raises(Disconnected):
        await waiting
    with pytest.raises(NotConnected, match="closed"):
        await client.transact(comment("late"))
