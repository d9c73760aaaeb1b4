"""A schema with every kind of column."""

from __future__ import annotations

from typing import Any

from socketplane.ovsdb import Backoff

QUICK = Backoff(first=0.01, longest=0.05)


def a_set(of: Any, low: int = 0, high: int | str = "unlimited") -> dict[str, Any]:
    """Return a column of several elements."""
    return {"type": {"key": of, "min": low, "max": high}}


def a_map(key: Any, value: Any, high: int | str = "unlimited") -> dict[str, Any]:
    """Return a column of pairs."""
    return {"type": {"key": key, "value": value, "min": 0, "max": high}}


SCHEMA: dict[str, Any] = {
    "name": "Test",
    "version": "1.0.0",
    "tables": {
        "Thing": {
            "isRoot": True,
            "indexes": [["name"]],
            "columns": {
                "name": {"type": "string"},
                "number": {"type": {"key": {"type": "integer", "minInteger": -100, "maxInteger": 100}}},
                "big": {"type": "integer"},
                "ratio": {"type": "real"},
                "flag": {"type": "boolean"},
                "ident": {"type": "uuid"},
                "kind": {"type": {"key": {"type": "string", "enum": ["set", ["", "red", "blue"]]}}},
                "born": {"type": "string", "mutable": False},
                "nick": a_set("string", 0, 1),
                "size": a_set("integer", 0, 1),
                "tags": a_set("string"),
                "numbers": a_set("integer"),
                "two": a_set("string", 0, 2),
                "some": a_set("integer", 1),
                "props": a_map("string", "string"),
                "counts": a_map("integer", "real"),
                "pair": a_map("string", "integer", 1),
                "parts": a_set({"type": "uuid", "refTable": "Part"}),
                "first": a_set({"type": "uuid", "refTable": "Part", "refType": "weak"}, 0, 1),
                "friends": a_set({"type": "uuid", "refTable": "Thing", "refType": "weak"}),
                "by_name": a_map("string", {"type": "uuid", "refTable": "Part", "refType": "weak"}),
            },
        },
        "Part": {"columns": {"name": {"type": "string"}}},
        "Single": {"isRoot": True, "maxRows": 1, "columns": {"epoch": {"type": "integer"}}},
    },
}
