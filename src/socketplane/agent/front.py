"""The daemon `socketplane-plugin`: the driver as dockerd sees it, which is there while the agent is not.

dockerd repeats a call for fifteen seconds when nobody listens on a driver's socket, and repeats it without its body when
the connection broke. So this small process owns the socket and passes every call on to the agent, whole.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import orjson
import structlog

from socketplane.agent import daemon
from socketplane.agent.answers import CONSTANT, FOREVER, Receive, Refused, Scope, Send, failure, read, reply
from socketplane.agent.upstream import Upstream
from socketplane.config import Paths
from socketplane.errors import SocketPlaneError
from socketplane.transport.server import serve

_FIRST_PASSED_FD = 3
_ANSWERS = {name: orjson.dumps(answer) for name, answer in CONSTANT.items()}
_log = structlog.get_logger()


class Front:
    """ASGI app of the plugin socket: what never changes is answered here, all else by the agent, status and body.

    A call that the agent does not answer is status 500 with a sentence that says so.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            status, body = await self._answer(str(scope["path"]).lstrip("/"), str(scope["method"]), receive)
        except Refused as refused:
            status, body = refused.status, failure(str(refused))
        except SocketPlaneError as error:
            status, body = 500, failure(f"socketplane: {error}")
        except Exception:
            _log.exception("plugin.error")
            status, body = 500, failure("socketplane: internal error; the log of socketplane-plugin has it")
        await reply(send, status, body)

    async def _answer(self, method: str, verb: str, receive: Receive) -> tuple[int, bytes]:
        interface, _, name = method.partition(".")
        if not (interface.isascii() and interface.isalpha() and name.isascii() and name.isalpha()):
            raise Refused(404, f"socketplane: no method {method[:100]!r}")
        if verb != "POST":
            raise Refused(405, "socketplane: only POST")
        body = await read(receive)
        if method in _ANSWERS:
            return 200, _ANSWERS[method]
        answer = await self._upstream.call(method, body)
        return answer.status, answer.body


def passed_socket(environment: Mapping[str, str]) -> socket.socket | None:
    """Return the socket that systemd holds for us (LISTEN_FDS), or None. It stays bound while we restart."""
    if environment.get("LISTEN_PID") != str(os.getpid()) or environment.get("LISTEN_FDS", "0") == "0":
        return None
    return socket.socket(fileno=_FIRST_PASSED_FD)


async def run(paths: Paths, stop: asyncio.Event) -> int:
    """Be the daemon until `stop`, then until the calls in flight are answered; returns the exit code."""
    listener = passed_socket(os.environ)
    where: dict[str, Any] = {"passed": listener} if listener else {"unix": paths.plugin_socket}
    try:
        async with AsyncExitStack() as stack:
            upstream = Upstream(paths.agent_socket)
            stack.push_async_callback(upstream.close)
            await stack.enter_async_context(serve(Front(upstream), keep_alive=FOREVER, **where))
            _log.info("plugin.serving", path=str(paths.plugin_socket), passed=listener is not None)
            await stop.wait()
    except SocketPlaneError as error:
        _log.error("plugin.not_served", reason=str(error))
        return 1
    _log.info("plugin.stopped")
    return 0


def main() -> None:
    """Run the front: `socketplane-plugin [--root DIR] [--log-level LEVEL]`."""
    daemon.start("socketplane-plugin", "The driver's socket, always there; calls go on to SocketPlane's agent.", run)
