"""Progress, a line for each step."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Takes the step that begins now."""


def silent(_step: str) -> None:
    """Keep progress to ourselves."""
