"""Tells the controller what policy refused on this host, as ovn-controller's log has it."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import structlog

from socketplane import wire
from socketplane.agent.link import Link
from socketplane.agent.state import State
from socketplane.agent.tail import LogTail, Mark
from socketplane.errors import SocketPlaneError, Unavailable

LOOK_EVERY = 1.0
_log = structlog.get_logger()


class Denials:
    """Reads the log, and sends what was refused. What the controller has taken is not sent again, across restarts."""

    def __init__(self, state: State, link: Link, tail: LogTail, *, look_every: float = LOOK_EVERY) -> None:
        self._state = state
        self._link = link
        self._tail = tail
        self._look_every = look_every
        self._batch: tuple[wire.DenialBatch, Mark] | None = None

    async def run(self) -> None:
        """Follow the log for ever."""
        while True:
            await asyncio.to_thread(self._tail.read)
            if self._state.log is None:
                self._note(self._tail.mark)
            await self._send()
            await asyncio.sleep(self._look_every)

    async def _send(self) -> None:
        """Send one batch; while it can't be sent, it stays as it is, so that a repetition is known as one."""
        if self._batch is None:
            items = [
                wire.DenialReport(**denied._asdict(), count=seen.count, first=seen.first, last=seen.last)
                for denied, seen in self._tail.take_denied()
            ]
            if not items:
                return
            self._batch = wire.DenialBatch(request=str(uuid4()), items=items), self._tail.mark
        batch, mark = self._batch
        try:
            await self._link.call("POST", f"/v1/hosts/{self._link.host}/denials", batch, patience=0)
        except Unavailable:
            return
        except SocketPlaneError as error:
            _log.warning("denials.refused", reason=str(error))
        self._batch = None
        self._note(mark)

    def _note(self, mark: Mark) -> None:
        if mark[0]:
            self._state.log = mark
            self._state.changed()
