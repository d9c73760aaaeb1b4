"""Keeps the garbage collector's full rounds short: they stop everything, for up to a second at ten thousand endpoints."""

from __future__ import annotations

import gc
from typing import Literal

MANY = 100_000
"""Objects that may be visited in each full round, a few hundredths of a second."""


def keep_rounds_short() -> None:
    """Have full rounds pass over what an earlier one found in use. For a process that holds its data for good.

    Reference counting frees it as ever; only cycles among what was in use then are not found any more.
    """
    if _pass_over not in gc.callbacks:
        gc.callbacks.append(_pass_over)


def _pass_over(phase: Literal["start", "stop"], info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2 and len(gc.get_objects(generation=2)) > MANY:
        gc.freeze()
