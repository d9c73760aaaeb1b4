"""Which of the forbidden streams to interrupt next: not all need it, and not all can be at once."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

AT_ONCE = 1000
"""Streams that one look has interrupted."""
PERSISTENCE = 60.0
"""Seconds after which a stream that was interrupted in vain is done with: nobody answers in it.

OVN marks a connection as blocked only once it has been answered. Where it was not, what its sender sends is dropped, and
there is nothing to end: a sender of metrics or logs may go on for ever.
"""
_LIVELY = 1.5
"""Seconds by which the end of an idle stream may seem to move: timers are told in whole seconds."""
_SPENT = 3.0
"""Seconds before its end at which a stream is left alone: it ends by itself."""

S = TypeVar("S")


class Pursuit(Generic[S]):
    """Follows forbidden streams from look to look, until none is left that an interruption would end."""

    def __init__(self) -> None:
        self._ends: dict[S, float] = {}
        self._told: dict[S, float] = {}
        self.unheard = 0
        """How many could not be interrupted at the last look, for lack of an agent where they begin."""

    def choose(self, streams: Mapping[S, float], now: float) -> list[S]:
        """Return which to interrupt now: first those in which something was sent since they were seen first.

        `streams` are those that are open and forbidden, with the time at which each ends if nothing is sent any more.
        """
        waiting = [stream for stream in self.left(streams, now) if streams[stream] - now > _SPENT]
        random.shuffle(waiting)  # those that nobody ends must not delay others
        waiting.sort(key=lambda stream: streams[stream] <= self._ends.setdefault(stream, streams[stream]) + _LIVELY)
        return waiting[:AT_ONCE]

    def note(self, chosen: Collection[S], interrupted: Collection[S], now: float) -> None:
        """Note which of those that were chosen were interrupted."""
        for stream in interrupted:
            self._told.setdefault(stream, now)
        self.unheard = len(chosen) - len(interrupted)

    def left(self, streams: Collection[S], now: float) -> list[S]:
        """Return those of the open ones that are not done with."""
        return [stream for stream in streams if now - self._told.get(stream, now) < PERSISTENCE]
