"""Quantities as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from socketplane.errors import InvalidInput
from socketplane.model import units


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("100Mbit", 100_000_000),
        ("100mbit", 100_000_000),
        ("1.5Gbit", 1_500_000_000),
        ("64kbit/s", 64_000),
        ("8000bit", 8_000),
        (" 34Gbit ", 34_000_000_000),
        ("0.008Mbit", 8_000),
    ],
)
def test_rates(text: str, bits: int) -> None:
    assert units.rate(text, "rate") == bits
    assert units.rate(units.show_rate(bits), "rate") == bits


@pytest.mark.parametrize(
    ("value", "message", "remedy"),
    [
        ("10MB", "'10MB' is not a rate", "rates are bits a second: write 80Mbit"),
        ("10MBps", "is not a rate", "write 80Mbit"),
        ("1.5M", "is not a rate", "write 1.5Mbit"),
        ("100", "is not a rate", "write 100bit"),
        (100, "the number 100 has no unit", "write a number and its unit: 100Mbit"),
        ("fast", "'fast' is not a rate", "write a number and its unit: 100Mbit"),
        ("10 Mbit", "is not a rate", "write a number and its unit"),
        ("1Kibit", "is not a rate", "write a number and its unit"),
        ("-1Mbit", "is not a rate", ""),
        ("1e3Mbit", "is not a rate", ""),
        ("7999bit", "has to be from 8kbit to 34Gbit, not 7999bit", ""),
        ("34.1Gbit", "has to be from 8kbit to 34Gbit", ""),
        (True, "has to be a rate, not the boolean true", "put it in quotes"),
        (None, "has to be a rate, not empty", ""),
    ],
)
def test_what_is_no_rate(value: Any, message: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        units.rate(value, "spec.egress.rate")
    assert message in caught.value.message
    assert remedy in (caught.value.remedy or "")
    assert caught.value.field == "spec.egress.rate"


@pytest.mark.parametrize(
    ("text", "size"), [("64kB", 64_000), ("64KiB", 65_536), ("1MB", 1_000_000), ("1.5kB", 1500), ("2000B", 2000)]
)
def test_sizes(text: str, size: int) -> None:
    assert units.size(text, "burst") == size


@pytest.mark.parametrize("text", ["64kbit", "64", "64k", "64kb", "999B", "1.1GB", "", "x"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        units.size(text, "burst")
    assert caught.value.field == "burst"


@pytest.mark.parametrize(("value", "code"), [(0, 0), (63, 63), ("EF", 46), ("ef", 46), ("AF41", 34), ("CS1", 8), ("LE", 1)])
def test_classes(value: Any, code: int) -> None:
    assert units.dscp(value, "dscp") == code


@pytest.mark.parametrize(
    ("value", "message"), [(64, "from 0 to 63"), (-1, "from 0 to 63"), ("AF44", "unknown class 'AF44'"), (True, "boolean")]
)
def test_what_is_no_class(value: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        units.dscp(value, "dscp")


def test_a_class_with_a_typing_error_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput) as caught:
        units.dscp("AF44", "dscp")
    assert (caught.value.remedy or "").startswith("did you mean AF4")
