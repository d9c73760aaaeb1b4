"""The driver's socket: Docker's plugin protocol over HTTP, whatever the methods do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from pydantic import BaseModel, ValidationError

from socketplane.agent.answers import Receive, Refused, Scope, Send, failure, read, reply
from socketplane.errors import SocketPlaneError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the protocol: what it takes (None: no arguments), and who does it."""

    call: Callable[[Any], Awaitable[Mapping[str, Any]]]
    request: type[BaseModel] | None = None


class Plugin:
    """ASGI app of the agent's socket.

    Every answer is a JSON object; a failure carries its sentence as libnetwork reads it. Malformed requests, and an empty
    body where there should be arguments (dockerd's repetition after a broken connection has none), are 400; an unknown
    method is 404; all else that fails is 500.
    No call lasts longer than `bound` seconds.
    """

    def __init__(self, methods: Mapping[str, Method], *, bound: float = 60.0) -> None:
        self._methods = methods
        self._bound = bound

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        name = str(scope["path"]).lstrip("/")
        try:
            status, answer = 200, orjson.dumps(await self._answer(name, str(scope["method"]), receive))
        except Refused as refused:
            status, answer = refused.status, failure(str(refused))
        except SocketPlaneError as error:
            _log.warning("plugin.failed", method=name, reason=str(error))
            status, answer = 500, failure(f"socketplane: {error}")
        except TimeoutError:
            _log.error("plugin.timeout", method=name)
            status, answer = 500, failure(f"socketplane: {name} took longer than {self._bound:g} s")
        except Exception:
            _log.exception("plugin.error", method=name)
            status, answer = 500, failure(f"socketplane: internal error in {name}; the agent's log has it")
        await reply(send, status, answer)

    async def _answer(self, name: str, verb: str, receive: Receive) -> Mapping[str, Any]:
        method = self._methods.get(name)
        if method is None:
            raise Refused(404, f"socketplane: no method {name[:100]!r}")
        if verb != "POST":
            raise Refused(405, "socketplane: only POST")
        body = await read(receive)
        if method.request is None:
            argument = None
        elif not body:
            raise Refused(400, f"socketplane: {name} came without its arguments; nothing was changed")
        else:
            argument = _parse(method.request, body)
        async with asyncio.timeout(self._bound):
            return await method.call(argument)


def _parse(request: type[BaseModel], body: bytes) -> BaseModel:
    try:
        return request.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Refused(400, f"socketplane: malformed request: {where + ': ' if where else ''}{first['msg']}") from None
