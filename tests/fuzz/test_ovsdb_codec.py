"""The codec against anything: framing however bytes are cut, values there and back, differences, nonsense."""

from __future__ import annotations

import itertools
import time
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from socketplane.ovsdb import NamedUuid, ProtocolError, Replica, Schema, operations
from socketplane.ovsdb.codec import applier, decoder, encoder, operand_encoder
from socketplane.ovsdb.errors import OvsdbError
from socketplane.ovsdb.jsonstream import JsonStream
from socketplane.ovsdb.monitor import Monitor
from socketplane.ovsdb.operations import Operation
from socketplane.ovsdb.schema import Column
from socketplane.ovsdb.transaction import decode_results, encode_transaction
from socketplane.ovsdb.types import UNLIMITED, BaseType, ColumnType, parse_uuid

# Framing

awkward = st.text(st.sampled_from('{}[]"\\ \n,:ax€😀'), max_size=20)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | awkward
)
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(awkward, inner, max_size=4), max_leaves=10
)
json_objects = st.dictionaries(awkward, json_values, max_size=4)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(
    st.lists(json_objects, max_size=6),
    st.sampled_from([b"", b"\n", b" \r\n\t"]),
    st.booleans(),
    st.lists(st.integers(0, 10**6)),
)
def test_objects_come_out_however_the_bytes_are_cut(
    objects: list[dict[str, Any]], gap: bytes, spaced: bool, cuts: list[int]
) -> None:
    option = orjson.OPT_INDENT_2 if spaced else 0
    data = gap + gap.join(orjson.dumps(each, option=option) for each in objects) + gap
    stream = JsonStream()
    assert [message for piece in pieces(data, cuts) for message in stream.feed(piece)] == objects


@given(st.lists(json_objects, min_size=1, max_size=3))
def test_each_object_comes_out_with_its_last_byte(objects: list[dict[str, Any]]) -> None:
    stream = JsonStream()
    for each in objects:
        data = orjson.dumps(each)
        for index in range(len(data) - 1):
            assert stream.feed(data[index : index + 1]) == []
        assert stream.feed(data[-1:]) == [each]


@given(
    st.lists(
        st.binary(max_size=30) | st.sampled_from([b"{", b"}", b'"', b"\\", b'{"a":', b"}{", b"[", b"null"]), max_size=12
    )
)
def test_nonsense_is_refused_or_waited_for(chunks: list[bytes]) -> None:
    stream = JsonStream()
    try:
        messages = [message for chunk in chunks for message in stream.feed(chunk)]
    except ProtocolError:
        return
    assert all(type(message) is dict for message in messages)


@pytest.mark.parametrize(
    "data",
    [b"[]", b"1", b'"{}"', b"}", b"nul", b'{"a":1}x', b"{]}", b"{}}", b'{"a":NaN}', b"{}\x00", b"{" * 5000 + b"}" * 5000],
)
def test_what_is_not_an_object_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        JsonStream().feed(data)


def test_a_message_beyond_the_limit_is_refused_before_it_is_whole() -> None:
    stream = JsonStream(limit=1000)
    stream.feed(b'{"a":"' + b"x" * 900)
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        stream.feed(b"x" * 900)


AWKWARD = [
    b'"plain",',
    b'"}{",',
    b'"}{ ",',
    b'"\\\\\\"}{",',
    b'["map",[["key","value"]]],',
    b'{"a":{"b":"c"}},',
    b'{"}{":"{"},',
    b'"' + b"x" * 1000 + b'",',
    b'"' + b"}{" * 1000 + b'",',
    b'"' + b"} " * 1000 + b'",',
]


@pytest.mark.parametrize("unit", AWKWARD)
def test_the_cost_of_framing_is_linear(unit: bytes) -> None:
    def cost(size: int) -> float:
        data = b'{"a":[' + unit * (size // len(unit))
        stream = JsonStream()
        started = time.process_time()
        assert not any(stream.feed(data[start : start + 65536]) for start in range(0, len(data), 65536))
        return time.process_time() - started

    assert cost(20_000_000) < 40 * max(0.005, cost(2_000_000))  # quadratic cost would be a factor of 100


def test_a_hundred_megabytes_in_small_pieces() -> None:
    data = b'{"a":[' + b",".join([b'"' + b'x{}\\"' * 1_000_000 + b'"'] * 21) + b"]}{}"
    assert len(data) > 100_000_000
    stream = JsonStream()
    first, second = (message for at in range(0, len(data), 4096) for message in stream.feed(data[at : at + 4096]))
    assert [len(text) for text in first["a"]] == [4_000_000] * 21
    assert second == {}


# Values

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
atoms: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "string": texts | st.sampled_from(["set", "map", "uuid", "named-uuid"]),
    "uuid": st.uuids(),
}
names = st.sampled_from(sorted(atoms))
column_types = st.builds(
    lambda key, value, low, high: ColumnType(BaseType(key), value and BaseType(value), low, max(low, high)),
    names,
    st.none() | names,
    st.sampled_from([0, 1]),
    st.sampled_from([1, 2, 2**63 - 1]),
)


def values_of(column: ColumnType) -> st.SearchStrategy[Any]:
    high = min(column.max, 5)
    key = atoms[column.key.name]
    if column.value is not None:
        return st.dictionaries(key, atoms[column.value.name], min_size=column.min, max_size=high)
    if column.is_scalar:
        return key
    if column.is_optional:
        return st.none() | key
    return st.frozensets(key, min_size=column.min, max_size=high)


typed = column_types.flatmap(lambda column: st.tuples(st.just(column), values_of(column), values_of(column)))


def over_the_wire(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value))


@given(typed)
def test_values_survive_the_wire(case: tuple[ColumnType, Any, Any]) -> None:
    column, value, _ = case
    wire = over_the_wire(encoder(column)(value))
    read = decoder(column)(wire)
    assert read == value
    assert type(read) is type(value)
    if isinstance(wire, list) and wire[0] == "set" and len(wire[1]) == 1:
        assert decoder(column)(wire[1][0]) == value  # a server's short form
    assert decoder(column)(over_the_wire(operand_encoder(column)(value))) == value


def difference(column: ColumnType, old: Any, new: Any) -> Any:
    """Return what ovsdb-server(7) 4.1.14 says a server sends."""
    if column.max == 1:
        return encoder(column)(new)
    free = ColumnType(column.key, column.value, 0, UNLIMITED)
    if column.is_map:
        return encoder(free)(
            {k: new.get(k, old.get(k)) for k in old.keys() | new.keys() if k not in old or k not in new or old[k] != new[k]}
        )
    return encoder(free)(old ^ new)


@given(typed)
def test_a_difference_leads_from_old_to_new(case: tuple[ColumnType, Any, Any]) -> None:
    column, old, new = case
    assume(old != new)
    decode, apply = applier(column)
    before = dict(old) if column.is_map else old
    assert apply(old, decode(over_the_wire(difference(column, old, new)))) == new
    assert old == before
    if column.is_optional:  # the other reading of the manual: what is in only one of the two
        both = [value for value in (old, new) if value is not None]
        assert apply(old, decode(over_the_wire(["set", [encoder(column)(value) for value in both]]))) == new


@given(column_types, json_values, st.none() | st.integers() | texts | st.uuids())
def test_values_of_other_types_raise_only_our_errors(column: ColumnType, wire: Any, value: Any) -> None:
    for function, argument in (
        (decoder(column), wire),
        (applier(column)[0], wire),
        (encoder(column), value),
        (operand_encoder(column), value),
    ):
        try:
            function(argument)
        except OvsdbError:
            continue
        except (TypeError, ValueError):
            assert function in (decoder(column), applier(column)[0]) or wire is argument  # the replica turns these


@given(st.uuids())
def test_uuids(uuid: UUID) -> None:
    read = parse_uuid(str(uuid))
    assert read == uuid
    assert (hash(read), str(read), repr(read), read.is_safe) == (hash(uuid), str(uuid), repr(uuid), uuid.is_safe)


@given(
    st.text(max_size=40) | st.uuids().map(lambda uuid: uuid.hex) | st.text("0123456789abcdef-_ +", min_size=36, max_size=36)
)
def test_what_is_not_a_uuid(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_uuid(text)


@given(st.uuids().map(str), st.integers(0, 35), st.sampled_from("-_ +gx\u0665"))
def test_what_is_nearly_a_uuid(text: str, at: int, other: str) -> None:
    assume(text[at] != other)
    with pytest.raises(ProtocolError):
        parse_uuid(text[:at] + other + text[at + 1 :])


# Whole messages

SCHEMA = Schema.parse(
    {
        "name": "Fuzz",
        "version": "1.0.0",
        "tables": {
            "T": {
                "columns": {
                    "s": {"type": "string"},
                    "o": {"type": {"key": "integer", "min": 0, "max": 1}},
                    "set": {"type": {"key": "uuid", "min": 0, "max": "unlimited"}},
                    "map": {"type": {"key": "string", "value": "real", "min": 0, "max": "unlimited"}},
                }
            }
        },
    }
)
keys = st.sampled_from(
    ["T", "s", "o", "set", "map", "initial", "insert", "modify", "delete", "00000000-0000-0000-0000-000000000001"]
)
wires = st.recursive(
    leaves | keys | st.sampled_from([["set", []], ["map", []], ["uuid", "00000000-0000-0000-0000-000000000001"]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
rows = st.dictionaries(st.sampled_from(["s", "o", "set", "map", "x"]), wires, max_size=3)
updates = st.dictionaries(
    st.sampled_from(["T", "T", "X"]),
    st.dictionaries(
        st.uuids().map(str) | st.just("00000000-0000-0000-0000-000000000001"),
        st.dictionaries(
            st.sampled_from(["initial", "insert", "modify", "delete"]), rows | st.none(), min_size=1, max_size=1
        ),
        max_size=3,
    ),
)


@given(updates | wires, st.booleans())
def test_an_update_is_taken_whole_or_refused_whole(update: Any, whole: bool) -> None:
    replica = Replica(["T"])
    replica.set_columns({"T": SCHEMA.tables["T"].columns})
    start = {"T": {"00000000-0000-0000-0000-000000000001": {"initial": {"s": "x", "map": ["map", [["a", 1]]]}}}}
    replica.replace(start)
    before = dict(replica["T"])
    try:
        (replica.replace if whole else replica.apply)(update)
    except ProtocolError:
        assert dict(replica["T"]) == before
    else:
        assert all(set(row) == {"s", "o", "set", "map"} for row in replica["T"].values())


@given(st.lists(wires, max_size=4) | wires)
async def test_answers_to_a_monitor(answer: Any) -> None:
    monitor = Monitor("m", {"T": None}, None)
    monitor.requests(SCHEMA)
    for take, argument in ((monitor.take_since, answer), (lambda params: monitor.update("update3", params), answer)):
        try:
            take(argument)
        except (ProtocolError, ValueError, TypeError):
            continue


some_operations: st.SearchStrategy[list[Operation]] = st.lists(
    st.sampled_from(
        [
            operations.insert("T", {"s": "x", "set": {NamedUuid("n")}}, UUID(int=5), "n"),
            operations.update("T", operations.by_uuid(UUID(int=1)), {"o": None}),
            operations.mutate("T", (), [("map", "delete", {"a"})]),
            operations.select("T"),
            operations.delete("T", ()),
            operations.comment("x"),
        ]
    ),
    max_size=4,
)
outcomes = st.fixed_dictionaries(
    {}, optional={"uuid": wires, "count": wires, "rows": wires, "error": wires, "details": wires}
)


@given(some_operations, st.lists(outcomes | wires, max_size=5) | wires)
def test_answers_to_a_transaction(of: list[Operation], answer: Any) -> None:
    orjson.dumps(encode_transaction(SCHEMA, of))
    try:
        results = decode_results(SCHEMA, of, answer)
    except OvsdbError:
        return
    assert len(results) == len(of)


@given(
    wires
    | st.fixed_dictionaries({"name": wires, "tables": st.dictionaries(keys, st.fixed_dictionaries({"columns": wires}))})
)
def test_schemas(wire: Any) -> None:
    try:
        schema = Schema.parse(wire)
    except ProtocolError:
        return
    assert all(isinstance(column, Column) for table in schema.tables.values() for column in table.columns.values())
