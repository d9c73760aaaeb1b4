"""The one writer of the intent: gathers waiting requests and commits them in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import structlog

from socketplane.controller.draft import Draft
from socketplane.controller.fence import Fence
from socketplane.controller.store import Store
from socketplane.errors import Conflict, InUse, SocketPlaneError, Unavailable
from socketplane.ovsdb import (
    Client,
    ConstraintViolation,
    Disconnected,
    DuplicateUuid,
    NotLockOwner,
    OvsdbError,
    ReferentialViolation,
    ResourcesExhausted,
    TransactionFailed,
    WaitFailed,
    commit,
)

R = TypeVar("R")
GATHER = 512
"""Requests in one transaction, at most."""
STEPS = 4000
"""Rows in one transaction: no further request is taken in beyond it."""
PATIENCE = 5.0
"""Seconds that a request waits for the database to come back."""
_log = structlog.get_logger()


class _Request:
    __slots__ = ("future", "plan")

    def __init__(self, plan: Callable[[Draft], Any], future: asyncio.Future[Any]) -> None:
        self.plan = plan
        self.future = future

    def succeed(self, result: Any) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Writer:
    """Takes plans, checks each against the intent and what the batch did before it, and commits what it accepts.

    A plan is a function that reads and changes a `Draft`; what it returns is the request's answer, and what it raises
    undoes its changes alone. A plan that changes nothing costs no transaction. Where the database refuses a batch, each
    of its requests is tried alone: one bad request never fails another.
    """

    def __init__(
        self, client: Client, store: Store, fence: Fence, *, clock: Callable[[], float] = time.time, durable: bool = True
    ) -> None:
        self._client = client
        self._store = store
        self._fence = fence
        self._clock = clock
        self._durable = durable
        self._queue: deque[_Request] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        self.transactions = 0
        self.requests = 0

    async def submit(self, plan: Callable[[Draft], R]) -> R:
        """Return the plan's result once it is committed.

        Raises:
            SocketPlaneError: what the plan raised, or why the database did not take it.
        """
        if self._ended:
            raise Unavailable("the controller's turn has ended", remedy="ask again")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append(_Request(plan, cast("asyncio.Future[Any]", future)))
        self._wake.set()
        return await future

    async def first(self, plan: Callable[[Draft], R]) -> R:
        """Commit a plan before `run` serves any: what has to be so before anything else is.

        Raises:
            SocketPlaneError: what the plan raised, or why the database did not take it.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        await self._serve([_Request(plan, cast("asyncio.Future[Any]", future))])
        return await future

    async def run(self) -> None:
        """Serve requests until cancelled; those that still wait then are answered with Unavailable."""
        batch: list[_Request] = []
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    batch = [self._queue.popleft() for _ in range(min(GATHER, len(self._queue)))]
                    self.requests += len(batch)
                    await self._serve(batch)
        finally:
            self._ended = True
            for request in (*batch, *self._queue):
                request.fail(Unavailable("the controller stops", remedy="ask again"))
            self._queue.clear()

    async def _serve(self, batch: list[_Request]) -> None:
        try:
            await self._commit_patiently(batch)
        except (ConstraintViolation, DuplicateUuid, ReferentialViolation) as error:
            _log.warning("intent.refused", requests=len(batch), reason=str(error))
            if len(batch) > 1:
                for request in batch:
                    await self._serve([request])
            else:
                batch[0].fail(_translate(error))
        except Exception as error:
            if not isinstance(error, OvsdbError | SocketPlaneError):
                _log.exception("intent.failed", requests=len(batch))
            for request in batch:
                request.fail(_translate(error))

    async def _commit_patiently(self, batch: Sequence[_Request]) -> None:
        """Commit a batch; where the connection is lost, plan it anew on what the database says then."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                await self._fence.ready(deadline - time.monotonic())
                return await self._commit(batch, deadline)
            except (Disconnected, NotLockOwner) as error:
                _log.info("intent.again", requests=len(batch), reason=str(error))
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(0.02)
            except WaitFailed:
                self._fence.check()
                raise

    async def _commit(self, batch: Sequence[_Request], deadline: float) -> None:
        # Milliseconds: the server keeps 15 digits of a real, and what it keeps must equal what was planned.
        draft = Draft(self._store.working, self._store.addresses, round(self._clock(), 3))
        accepted: list[tuple[_Request, Any]] = []
        late: list[_Request] = []
        for request in batch:
            if request.future.done():
                continue
            if draft.mark() > STEPS:
                late.append(request)
                continue
            mark = draft.mark()
            try:
                accepted.append((request, request.plan(draft)))
            except SocketPlaneError as error:
                draft.undo(mark)
                request.fail(error)
            except Exception as error:
                draft.undo(mark)
                _log.exception("intent.plan_failed")
                request.fail(error)
        operations = draft.operations(self._store.committed)
        if operations:
            left = max(0.5, deadline - time.monotonic())
            try:
                await self._client.transact(*self._fence.guards(), *operations, commit(durable=self._durable), timeout=left)
            except BaseException:
                self._store.reset(draft)
                raise
            self.transactions += 1
        for request, result in accepted:
            request.succeed(result)
        if late:
            self._queue.extendleft(reversed(late))


def _translate(error: Exception) -> Exception:
    """Return what the caller is told of a database's refusal."""
    match error:
        case SocketPlaneError():
            return error
        case ConstraintViolation() | DuplicateUuid():
            return Conflict(f"the intent database refuses it: {error.details or error.error}")
        case ReferentialViolation():
            return InUse(f"something still refers to it: {error.details or error.error}")
        case ResourcesExhausted():
            return Unavailable(
                f"the intent database can't write its file: {error.details or error.error}",
                remedy="make room on the disk of the manager; nothing was changed",
            )
        case WaitFailed() | NotLockOwner():
            return Unavailable("another controller has become the active one", remedy="ask again")
        case Disconnected():
            return Unavailable("the intent database does not answer", remedy="ask again; `socketplane status` tells more")
        case TransactionFailed() | OvsdbError():
            return SocketPlaneError(f"the intent database refuses it: {error}")
        case _:
            return SocketPlaneError("internal error; the controller's log tells more")
