"""The one way in: size of the body, right of the caller, an active controller; and every error as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from socketplane.controller.api.answers import error_answer
from socketplane.controller.api.context import Context
from socketplane.controller.api.rights import Right, absent, check, find, host_of
from socketplane.controller.service import Service
from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.transport.peer import ANONYMOUS, Peer

BODY_LIMIT = 4 * 1024 * 1024
_log = structlog.get_logger()
Count = Callable[[str, int], None]
Handler = Callable[[Request], Awaitable[Response]]
_WITHOUT_TURN = frozenset({"/v1/version", "/v1/ca"})
"""What a controller answers that isn't active, too."""


class TooLarge(InvalidInput):
    """The body is longer than any call needs."""

    status, code = 413, "too_large"


class Gate:
    """An ASGI app before the routes. `count` is told method and status of every answer.

    `busy` are handlers by method and path (as in `rights`) that are called directly: the framework would take longer
    than they do.
    """

    def __init__(self, app: ASGIApp, service: Service, count: Count, busy: Mapping[tuple[str, str], Handler]) -> None:
        self._app = app
        self._busy = busy
        self._service = service
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        started = False

        async def note(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._count(scope["method"], message["status"])
            await send(message)

        try:
            handler = self._admit(scope)
            limited = _limited(scope, receive)
            if handler is None:
                await self._app(scope, limited, note)
            else:
                await (await handler(Request(scope, limited)))(scope, limited, note)
        except SocketPlaneError as error:
            if started:
                raise
            await error_answer(error)(scope, receive, note)
        except Exception:
            _log.exception("request.failed", method=scope["method"], path=scope["path"])
            if started:
                raise
            await error_answer(SocketPlaneError("internal error; the controller's log tells more"))(scope, receive, note)

    def _admit(self, scope: Scope) -> Handler | None:
        """Check the caller's right; return the handler of a busy call, None for the others."""
        peer: Peer = scope.get("state", {}).get("peer", ANONYMOUS)
        found = find(scope["method"], scope["path"])
        right = found[0].right if found else Right.MEMBER
        check(right, peer)
        if found is None:  # the routes never see it: they may read a path otherwise than we do (one that ends in %0A)
            raise absent(scope["method"], scope["path"])
        if scope["path"] in _WITHOUT_TURN:
            scope["socketplane"] = Context(self._service, None, peer, None)
            return None
        active = self._service.require()
        caller = None if right is Right.ANYONE else host_of(active.store.committed, peer)
        scope["socketplane"] = Context(self._service, active, peer, caller)
        handler = self._busy.get((found[0].method, found[0].path))
        if handler is not None:
            scope["path_params"] = found[1]
        return handler


def _limited(scope: Scope, receive: Receive) -> Callable[[], Awaitable[Any]]:
    """Return a `receive` that stops at the limit; a body that announces more is refused before it is read."""
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value) > BODY_LIMIT):
            raise TooLarge(f"the body is larger than {BODY_LIMIT >> 20} MiB", field="body", remedy="send it in parts")
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_LIMIT:
            raise TooLarge(f"the body is larger than {BODY_LIMIT >> 20} MiB", field="body", remedy="send it in parts")
        return message

    return limited
