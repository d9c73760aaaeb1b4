"""Quantities as people write them: rates in bits a second, sizes in bytes, classes of traffic by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from socketplane.errors import InvalidInput
from socketplane.model.fields import kind_of, nearest, text

RATE = r"[0-9]{1,12}([.][0-9]{1,9})?[kKmMgG]?[bB][iI][tT](/s)?"
SIZE = r"[0-9]{1,12}([.][0-9]{1,9})?([kKmMgG]i?)?B"
MIN_RATE, MAX_RATE = 8_000, 34_000_000_000
"""Bits a second: a byte a millisecond, and what the kernel's token bucket has 32 bits for."""
MIN_SIZE, MAX_SIZE = 1_000, 1_000_000_000
DSCP: Mapping[str, int] = {
    "DF": 0,
    "LE": 1,
    **{f"CS{number}": 8 * number for number in range(8)},
    **{f"AF{one}{drop}": 8 * one + 2 * drop for one in range(1, 5) for drop in range(1, 4)},
    "VOICE-ADMIT": 44,
    "EF": 46,
}
"""Differentiated services by the names of the RFCs (2474, 2597, 3246, 5865, 8622)."""
MAX_DSCP = 63

_PARTS = re.compile(r"([0-9.]+)([kmg]?i?)(bit|b).*", re.IGNORECASE)
_BYTES = re.compile(r"([0-9]{1,12}(?:[.][0-9]{1,9})?)([kmg]?)(b|bps|b/s)?", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3}


def rate(value: object, path: str) -> int:
    """Return the bits a second of a rate such as 100Mbit or 1.5Gbit; k, M and G are powers of 1,000."""
    given = _quantity(value, path, RATE, "a rate", "100Mbit")
    found = _number(given)
    if not MIN_RATE <= found <= MAX_RATE:
        raise InvalidInput(f"has to be from 8kbit to 34Gbit, not {given}", field=path)
    return found


def size(value: object, path: str) -> int:
    """Return the bytes of a size such as 64kB (64,000) or 64KiB (65,536)."""
    given = _quantity(value, path, SIZE, "a size", "64kB")
    found = _number(given)
    if not MIN_SIZE <= found <= MAX_SIZE:
        raise InvalidInput(f"has to be from 1kB to 1GB, not {given}", field=path)
    return found


def dscp(value: object, path: str) -> int:
    """Return a differentiated services code point: its number, or that of its name."""
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value <= MAX_DSCP:
            return value
        raise InvalidInput(f"has to be from 0 to {MAX_DSCP}, not {kind_of(value)}", field=path)
    name = text(value, path, what=f"a number from 0 to {MAX_DSCP} or a name such as EF")
    if name.upper() not in DSCP:
        raise InvalidInput(f"unknown class {name[:60]!r}", field=path, remedy=nearest(name.upper(), DSCP))
    return DSCP[name.upper()]


def show_rate(bits: int) -> str:
    """Return a rate for people, in the unit that suits it: 100Mbit, 1.5Gbit."""
    for unit, power in (("G", 3), ("M", 2), ("k", 1)):
        if bits >= 1000**power:
            return f"{bits / 1000**power:.12g}{unit}bit"
    return f"{bits}bit"


def _quantity(value: object, path: str, form: str, what: str, example: str) -> str:
    remedy = f"write a number and its unit: {example}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise InvalidInput(f"{kind_of(value)} has no unit", field=path, remedy=remedy)
    given = text(value, path, what=what).strip()
    if re.fullmatch(form, given):
        return given
    if form is RATE and (meant := _BYTES.fullmatch(given)):
        remedy = f"rates are bits a second: write {show_rate(_scaled(meant[1], meant[2]) * (8 if meant[3] else 1))}"
    raise InvalidInput(f"{given[:60]!r} is not {what}", field=path, remedy=remedy)


def _number(given: str) -> int:
    parts = _PARTS.fullmatch(given)
    return _scaled(parts[1], parts[2]) if parts else 0


def _scaled(number: str, unit: str) -> int:
    base = 1024 if unit.lower().endswith("i") else 1000
    return int(Fraction(number) * base ** _POWER[unit.lower().removesuffix("i")])
