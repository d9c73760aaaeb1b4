"""The types of columns and the Python values that stand for them.

scalar -> str, int, float, bool or UUID; optional (min 0, max 1) -> the scalar or None; set -> frozenset;
map -> dict (read-only by convention).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID, SafeUUID

from socketplane.ovsdb.errors import ProtocolError

Row = Mapping[str, Any]

UNLIMITED = sys.maxsize
_ATOMS: dict[str, type] = {"integer": int, "real": float, "boolean": bool, "string": str, "uuid": UUID}
_DEFAULTS: dict[str, Any] = {"integer": 0, "real": 0.0, "boolean": False, "string": "", "uuid": UUID(int=0)}
_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_set_slot = object.__setattr__


@dataclass(frozen=True, slots=True)
class NamedUuid:
    """A reference to the row that an insert of the same transaction calls by this `uuid_name`."""

    name: str


@lru_cache(maxsize=1 << 16)
def parse_uuid(text: str) -> UUID:
    """Return the UUID that the server wrote; the same object for the same text, as long as it is in use."""
    if _UUID.fullmatch(text) is None:
        raise ProtocolError(f"not a UUID: {text[:64]!r}")
    # UUID(text) takes several times as long, which shows when thousands of rows are loaded.
    uuid = UUID.__new__(UUID)
    _set_slot(uuid, "int", int(text.replace("-", ""), 16))
    _set_slot(uuid, "is_safe", SafeUUID.unknown)
    return uuid


@dataclass(frozen=True, slots=True)
class BaseType:
    """The type of one element: `name` is integer, real, boolean, string or uuid; `ref_table` where a uuid points to."""

    name: str
    ref_table: str | None = None
    ref_type: str = "strong"

    @property
    def python(self) -> type:
        """The Python type of an element."""
        return _ATOMS[self.name]

    @property
    def default(self) -> Any:
        """The value that an element has when nobody gave one."""
        return _DEFAULTS[self.name]

    @classmethod
    def parse(cls, wire: Any) -> BaseType:
        """Read a <base-type> of RFC 7047."""
        if isinstance(wire, str):
            wire = {"type": wire}
        if not isinstance(wire, dict) or wire.get("type") not in _ATOMS:
            raise ProtocolError(f"not a base type: {str(wire)[:200]}")
        return cls(wire["type"], wire.get("refTable"), wire.get("refType", "strong"))


@dataclass(frozen=True, slots=True)
class ColumnType:
    """The type of a column: `min` to `max` elements, or pairs when there is a `value`."""

    key: BaseType
    value: BaseType | None = None
    min: int = 1
    max: int = 1

    @property
    def is_map(self) -> bool:
        """Pairs; a dict in Python."""
        return self.value is not None

    @property
    def is_scalar(self) -> bool:
        """Exactly one element."""
        return self.value is None and self.min == 1 and self.max == 1

    @property
    def is_optional(self) -> bool:
        """One element or none; None in Python."""
        return self.value is None and self.min == 0 and self.max == 1

    @property
    def default(self) -> Any:
        """The value of a column that an insert does not name."""
        key = self.key.default
        if self.value is not None:
            return {key: self.value.default} if self.min else {}
        if self.is_scalar:
            return key
        if self.is_optional:
            return None
        return frozenset({key}) if self.min else frozenset()

    @classmethod
    def parse(cls, wire: Any) -> ColumnType:
        """Read a <type> of RFC 7047."""
        if isinstance(wire, str):
            return cls(BaseType.parse(wire))
        if not isinstance(wire, dict) or "key" not in wire:
            raise ProtocolError(f"not a type: {str(wire)[:200]}")
        value = BaseType.parse(wire["value"]) if "value" in wire else None
        low, high = wire.get("min", 1), wire.get("max", 1)
        high = UNLIMITED if high == "unlimited" else high
        if not isinstance(low, int) or not isinstance(high, int) or not 0 <= low <= high or not high:
            raise ProtocolError(f"not a range of elements: {str(wire)[:200]}")
        return cls(BaseType.parse(wire["key"]), value, low, high)
