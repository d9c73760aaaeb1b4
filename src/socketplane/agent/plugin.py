"""The driver's socket: Docker's plugin protocol over HTTP, whatever the methods do."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from pydantic import BaseModel, ValidationError

from socketplane.errors import SocketPlaneError

LONGEST_BODY = 4 * 1024 * 1024
FOREVER = 10 * 365 * 86400.0
"""Idle connections are dockerd's to close: a call on one that we closed is repeated without its body."""

_FIRST_PASSED_FD = 3
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the protocol: what it takes (None: no arguments), and who does it."""

    call: Callable[[Any], Awaitable[Mapping[str, Any]]]
    request: type[BaseModel] | None = None


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Plugin:
    """ASGI app of the plugin socket.

    Every answer is a JSON object; a failure carries its sentence under both keys that libnetwork reads, `Err` (drivers)
    and `Error` (IPAM). Malformed requests, and an empty body where there should be arguments (dockerd's repetition
    after a broken connection has none), are 400; an unknown method is 404; all else that fails is 500.
    No call lasts longer than `bound` seconds.
    """

    def __init__(self, methods: Mapping[str, Method], *, bound: float = 60.0) -> None:
        self._methods = methods
        self._bound = bound

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        name = str(scope["path"]).lstrip("/")
        try:
            answer = await self._answer(name, str(scope["method"]), receive)
            status = 200
        except _Refused as refused:
            status, answer = refused.status, _failure(str(refused))
        except SocketPlaneError as error:
            _log.warning("plugin.failed", method=name, reason=str(error))
            status, answer = 500, _failure(f"socketplane: {error}")
        except TimeoutError:
            _log.error("plugin.timeout", method=name)
            status, answer = 500, _failure(f"socketplane: {name} took longer than {self._bound:g} s")
        except Exception:
            _log.exception("plugin.error", method=name)
            status, answer = 500, _failure(f"socketplane: internal error in {name}; the agent's log has it")
        await _send(send, status, answer)

    async def _answer(
        self, name: str, verb: str, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
    ) -> Mapping[str, Any]:
        method = self._methods.get(name)
        if method is None:
            raise _Refused(404, f"socketplane: no method {name[:100]!r}")
        if verb != "POST":
            raise _Refused(405, "socketplane: only POST")
        body = await _read(receive)
        if method.request is None:
            argument = None
        elif not body:
            raise _Refused(400, f"socketplane: {name} came without its arguments; nothing was changed")
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
        raise _Refused(400, f"socketplane: malformed request: {where + ': ' if where else ''}{first['msg']}") from None


async def _read(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _Refused(400, "socketplane: the connection broke")
        part = message.get("body", b"")
        size += len(part)
        if size <= LONGEST_BODY:
            parts.append(part)
        more = message.get("more_body", False)
    if size > LONGEST_BODY:
        raise _Refused(400, "socketplane: the request is too long")
    return b"".join(parts).strip()


def _failure(sentence: str) -> dict[str, str]:
    return {"Err": sentence, "Error": sentence}


async def _send(
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]], status: int, answer: Mapping[str, Any]
) -> None:
    body = orjson.dumps(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def passed_socket(environment: Mapping[str, str]) -> socket.socket | None:
    """Return the socket that systemd holds for us (LISTEN_FDS), or None. It stays bound while we restart."""
    if environment.get("LISTEN_PID") != str(os.getpid()) or environment.get("LISTEN_FDS", "0") == "0":
        return None
    return socket.socket(fileno=_FIRST_PASSED_FD)
