"""Whatever stands in an endpoint's driver options is understood, or refused with an error of ours."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from socketplane.agent.asked import LABELS, RATE, RESERVED, asked
from socketplane.errors import InvalidInput
from socketplane.model.units import MAX_RATE, MIN_RATE

_names = st.sampled_from([RATE, LABELS, "socketplane.x", "com.docker.network.portmap", "c"]) | st.text(max_size=5)
_pieces = st.sampled_from(["a", "=", ",", " ", "10", "Mbit", "bit/s", ".", "MB", "socketplane.io/", "\t", "\n"])
_texts = st.lists(_pieces | st.text(max_size=3), max_size=8).map("".join)
_values = _texts | st.none() | st.integers() | st.floats() | st.lists(st.text(max_size=3), max_size=2)


@given(st.dictionaries(_names, _values, max_size=4))
def test_any_options(options: dict[str, Any]) -> None:
    with suppress(InvalidInput):
        found = asked(options)
        assert found.rate is None or MIN_RATE <= found.rate <= MAX_RATE
        assert all(key and not key.startswith(RESERVED) for key in found.labels)
        assert all(isinstance(part, str) for pair in found.labels.items() for part in pair)
