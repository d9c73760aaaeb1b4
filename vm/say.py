"""Progress, for a person who waits: on standard error."""

from __future__ import annotations

import sys


def say(step: str) -> None:
    """Tell the step that begins now."""
    print(step, file=sys.stderr, flush=True)
