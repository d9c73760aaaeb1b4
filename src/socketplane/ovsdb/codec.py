"""Column values between Python and the wire.

For a column's type, one function each that decodes, encodes and applies a difference; they are made once per
schema, so that nothing is looked up per value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from socketplane.ovsdb.errors import InvalidOperation, ProtocolError
from socketplane.ovsdb.types import BaseType, ColumnType, NamedUuid, parse_uuid

Decode = Callable[[Any], Any]
Encode = Callable[[Any], Any]
Apply = Callable[[Any, Any], Any]

_EMPTY_SET = ["set", []]
_INT64 = 1 << 63


def _unexpected(wire: Any, kind: str) -> ProtocolError:
    return ProtocolError(f"not a value of a {kind} column: {str(wire)[:200]}")


# Elements


def _decode_uuid(wire: Any) -> UUID:
    if type(wire) is not list or len(wire) != 2 or wire[0] != "uuid" or type(wire[1]) is not str:
        raise _unexpected(wire, "uuid")
    return parse_uuid(wire[1])


def _decode_real(wire: Any) -> float:
    if type(wire) is not float and type(wire) is not int:
        raise _unexpected(wire, "real")
    return float(wire)


def atom_decoder(base: BaseType) -> Decode:
    """Return the function that decodes one element."""
    if base.name == "uuid":
        return _decode_uuid
    if base.name == "real":
        return _decode_real
    expected, kind = base.python, base.name

    def decode(wire: Any) -> Any:
        if type(wire) is not expected:
            raise _unexpected(wire, kind)
        return wire

    return decode


def _atoms_decoder(base: BaseType) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Return the function that decodes many elements: for strings and numbers only a check, at C's speed."""
    if base.name in ("uuid", "real"):
        one = atom_decoder(base)
        return lambda wires: [one(wire) for wire in wires]
    allowed, kind = {base.python}, base.name

    def decode(wires: Iterable[Any]) -> Iterable[Any]:
        if not allowed.issuperset(map(type, wires)):
            raise _unexpected(wires, kind)
        return wires

    return decode


def atom_encoder(base: BaseType) -> Encode:
    """Return the function that checks and encodes one element."""
    return {
        "string": _encode_string,
        "integer": _encode_integer,
        "real": _encode_real,
        "boolean": _encode_boolean,
        "uuid": _encode_uuid,
    }[base.name]


def _encode_string(value: Any) -> Any:
    if isinstance(value, str):
        return value
    raise InvalidOperation(f"expected a string, not {type(value).__name__}")


def _encode_integer(value: Any) -> Any:
    if isinstance(value, int) and value is not True and value is not False and -_INT64 <= value < _INT64:
        return value
    raise InvalidOperation(f"expected an integer of 64 bits, not {type(value).__name__}")


def _encode_real(value: Any) -> Any:
    if isinstance(value, int | float) and value is not True and value is not False and math.isfinite(value):
        return float(value)
    raise InvalidOperation(f"expected a finite number, not {type(value).__name__}")


def _encode_boolean(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise InvalidOperation(f"expected a bool, not {type(value).__name__}")


def _encode_uuid(value: Any) -> Any:
    if isinstance(value, UUID):
        return ["uuid", value]  # orjson writes UUIDs itself
    if isinstance(value, NamedUuid):
        return ["named-uuid", value.name]
    raise InvalidOperation(f"expected a UUID or a NamedUuid, not {type(value).__name__}")


# Columns


def _set_elements(wire: Any) -> Any:
    """Return the elements of a set; the wire writes a set of one element as the element."""
    if type(wire) is list and len(wire) == 2 and wire[0] == "set":
        if type(wire[1]) is not list:
            raise _unexpected(wire, "set")
        return wire[1]
    return (wire,)


def decoder(column: ColumnType) -> Decode:
    """Return the function that decodes a column's value."""
    if column.value is not None:
        return _map_decoder(column)
    atom = atom_decoder(column.key)
    if column.is_scalar:
        return atom
    if column.is_optional:
        return _optional_decoder(atom)
    atoms = _atoms_decoder(column.key)
    return lambda wire: frozenset(atoms(_set_elements(wire)))


def _optional_decoder(atom: Decode) -> Decode:
    def decode(wire: Any) -> Any:
        elements = _set_elements(wire)
        if len(elements) > 1:
            raise _unexpected(wire, "optional")
        return atom(elements[0]) if elements else None

    return decode


def _map_decoder(column: ColumnType) -> Decode:
    assert column.value is not None  # noqa: S101
    keys, values = _atoms_decoder(column.key), _atoms_decoder(column.value)

    def decode(wire: Any) -> Any:
        if type(wire) is not list or len(wire) != 2 or wire[0] != "map" or type(wire[1]) is not list:
            raise _unexpected(wire, "map")
        if not wire[1]:
            return {}
        if not {2}.issuperset(map(len, wire[1])):
            raise _unexpected(wire, "map")
        names, contents = zip(*wire[1], strict=True)
        return dict(zip(keys(names), values(contents), strict=True))

    return decode


def encoder(column: ColumnType) -> Encode:
    """Return the function that encodes a column's value as in a row: with the number of elements checked."""
    atom = atom_encoder(column.key)
    if column.is_scalar:
        return atom
    if column.is_optional:
        return lambda value: _EMPTY_SET if value is None else atom(value)
    low, high = column.min, column.max
    many = _map_encoder(column) if column.is_map else _set_encoder(atom)

    def encode(value: Any) -> Any:
        wire = many(value)
        if not low <= len(wire[1]) <= high:
            raise InvalidOperation(f"{len(wire[1])} elements where {low} to {high} are allowed")
        return wire

    return encode


def _set_encoder(atom: Encode) -> Encode:
    def encode(value: Any) -> Any:
        if not isinstance(value, frozenset | set | tuple | list):
            raise InvalidOperation(f"expected a set, not {type(value).__name__}")
        return ["set", [atom(element) for element in value]]

    return encode


def _map_encoder(column: ColumnType) -> Encode:
    assert column.value is not None  # noqa: S101
    key, content = atom_encoder(column.key), atom_encoder(column.value)

    def encode(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise InvalidOperation(f"expected a mapping, not {type(value).__name__}")
        return ["map", [[key(k), content(v)] for k, v in value.items()]]

    return encode


def operand_encoder(column: ColumnType) -> Encode:
    """Return the function that encodes the value of a condition or mutation: any part of the column's value.

    A mapping; a set (of a map's keys, too, as `delete` takes them); None; or one element.
    """
    atom = atom_encoder(column.key)
    many = _set_encoder(atom)
    pairs = _map_encoder(column) if column.is_map else None

    def encode(value: Any) -> Any:
        if isinstance(value, frozenset | set | tuple | list):
            return many(value)
        if pairs is not None and isinstance(value, Mapping):
            return pairs(value)
        return _EMPTY_SET if value is None else atom(value)

    return encode


# Differences (ovsdb-server(7) 4.1.14)


def applier(column: ColumnType) -> tuple[Decode, Apply]:
    """Return how a `modify` is decoded, and the function (old, difference) -> new."""
    if column.is_optional:
        atoms = _atoms_decoder(column.key)
        return (lambda wire: tuple(atoms(_set_elements(wire)))), _apply_optional
    if column.max == 1:
        return decoder(column), lambda _, new: new
    return decoder(column), _apply_map if column.is_map else _apply_set


def _apply_optional(old: Any, difference: tuple[Any, ...]) -> Any:
    # Servers send the new value, or what is in only one of old and new; no difference can mean both.
    rest = [element for element in difference if element != old]
    if len(rest) > 1:
        raise ProtocolError("a difference of an optional column with several new values")
    return rest[0] if rest else None


def _apply_set(old: frozenset[Any], difference: frozenset[Any]) -> frozenset[Any]:
    removed = old & difference
    if not removed:
        return old | difference
    if len(removed) == len(difference):
        return old - difference
    return (old - removed) | (difference - removed)


def _apply_map(old: dict[Any, Any], difference: dict[Any, Any]) -> dict[Any, Any]:
    new = dict(old)
    for key, content in difference.items():
        if key in old and old[key] == content:
            del new[key]
        else:
            new[key] = content
    return new
