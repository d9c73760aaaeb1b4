"""Few transactions for many callers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from socketplane.ovsdb import Operation, TransactionFailed

_MOST = 256
"""Operations in one transaction, roughly: ovs-vswitchd and ovn-controller see it as one step."""


class Transactor(Protocol):
    """What is needed of an OVSDB client."""

    async def transact(self, *operations: Operation) -> object:
        """Send one transaction."""


@dataclass(slots=True)
class _Part:
    operations: Sequence[Operation]
    done: asyncio.Future[None]
    sent: bool = False


class Gatherer:
    """Sends at once when idle; what comes while a transaction is under way goes into the next one, together.

    ovs-vswitchd looks at its whole configuration after every transaction: forty ports in one cost it as much as one.
    """

    def __init__(self, client: Transactor) -> None:
        self._client = client
        self._waiting: list[_Part] = []
        self._sender: asyncio.Task[None] | None = None

    async def transact(self, operations: Sequence[Operation]) -> None:
        """Commit these operations, all or none. Raises what the client raises for them.

        A caller who is cancelled after they were sent waits for the outcome all the same, so that it can undo them.
        """
        part = _Part(operations, asyncio.get_running_loop().create_future())
        self._waiting.append(part)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all(), name="ovsdb gatherer")
        try:
            await asyncio.shield(part.done)
        except asyncio.CancelledError:
            if part.sent:
                await asyncio.wait([part.done])
                part.done.exception()
            else:
                part.done.cancel()
            raise

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._sender is not None:
            await asyncio.wait([self._sender])

    async def _send_all(self) -> None:
        try:
            while parts := self._take():
                await self._send(parts)
        finally:
            self._sender = None
            for part in self._waiting:
                part.done.cancel()
            self._waiting.clear()

    def _take(self) -> list[_Part]:
        """Return the next parts, without those whose caller is gone."""
        taken: list[_Part] = []
        size = 0
        while self._waiting and size < _MOST:
            part = self._waiting.pop(0)
            if not part.done.done():
                part.sent = True
                taken.append(part)
                size += len(part.operations)
        return taken

    async def _send(self, parts: Sequence[_Part]) -> None:
        try:
            await self._client.transact(*(operation for part in parts for operation in part.operations))
        except TransactionFailed as error:
            if len(parts) == 1:
                _settle(parts[0], error)
                return
            for part in parts:  # one of them is at fault: the others must not suffer
                await self._send([part])
        except Exception as error:
            for part in parts:
                _settle(part, error)
        else:
            for part in parts:
                _settle(part, None)


def _settle(part: _Part, error: Exception | None) -> None:
    if part.done.done():
        return
    if error is None:
        part.done.set_result(None)
    else:
        part.done.set_exception(error)
