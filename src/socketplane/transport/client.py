"""The client of the controller's REST API: finds the active controller, repeats what may be repeated."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
import structlog
from pydantic import BaseModel

from socketplane import wire
from socketplane.errors import SocketPlaneError, Unauthenticated, Unavailable, from_dict
from socketplane.transport.lines import Lines

Target = Path | tuple[Sequence[str], ssl.SSLContext]
"""A unix socket, or `host:port` of each controller and the context to speak to them with."""

STANDBY_HEADER = "socketplane-standby"
"""A controller that isn't the active one sets it on its 503: ask another."""

_ONCE = frozenset({"/v1/join", "/v1/tokens"})  # a POST to these isn't repeated when its answer was lost
_PING_TIMEOUT = 15.0
_log = structlog.get_logger()


class ControllerClient:
    """Speaks to whichever controller is active; use as an async context manager.

    Every call but a POST to /v1/join and /v1/tokens is sent again when the connection breaks before its answer: callers
    give POSTs that create something their `request` id.
    `down_since` is the monotonic time of the first failure since any controller answered, None while one does.
    """

    def __init__(self, target: Target) -> None:
        self._unix = target if isinstance(target, Path) else None
        if isinstance(target, Path):
            self._bases, self._tls = ["http://localhost"], None
        else:
            self._bases, self._tls = [f"https://{address}" for address in target[0]], target[1]
        self._current = 0
        self._session: aiohttp.ClientSession | None = None
        self.down_since: float | None = None

    async def __aenter__(self) -> Self:
        # The server keeps idle connections for 75 s; giving up earlier, we never write to one it just closed.
        connector: aiohttp.BaseConnector = (
            aiohttp.UnixConnector(str(self._unix), limit=0, keepalive_timeout=30.0)
            if self._unix
            else aiohttp.TCPConnector(ssl=self._tls or True, limit=0, keepalive_timeout=30.0)
        )
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        body: BaseModel | Mapping[str, Any] | None = None,
        params: Mapping[str, str | int | float | Sequence[str]] | None = None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - a bound on the HTTP exchange, not on the coroutine
    ) -> Any:
        """Return the parsed answer (text for a `text/plain` one, None for an empty one).

        Raises:
            SocketPlaneError: what the controller answered.
            Unavailable: no controller answered within `timeout`; a change may or may not have been made.
        """
        data = _encode(body)
        reasons: list[str] = []
        repeatable = not (method == "POST" and path in _ONCE)
        deadline = time.monotonic() + timeout
        for attempt in range(len(self._bases) + 1):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                answer = await self._once(method, path, data, params, left)
            except _Standby as standby:
                reasons.append(str(standby))
            except (aiohttp.ClientConnectorError, TimeoutError) as error:
                _refuse_certificate(error)
                reasons.append(self._reason(error))
                if isinstance(error, TimeoutError) and not repeatable:
                    break
            except (aiohttp.ClientError, OSError) as error:
                _refuse_certificate(error)
                reasons.append(self._reason(error))
                if not repeatable:
                    break
                if attempt == 0:
                    continue  # the server may just have restarted: the same one again, on a new connection
            else:
                self.down_since = None
                if isinstance(answer, SocketPlaneError):
                    raise answer
                return answer
            self._current = (self._current + 1) % len(self._bases)
        self.down_since = self.down_since or time.monotonic()
        raise Unavailable(
            f"no controller answers ({'; '.join(dict.fromkeys(reasons))})",
            remedy="`socketplane status` on a manager tells why",
        )

    async def watch(self) -> AsyncIterator[wire.Change]:
        """Yield networks' and hosts' changes for ever: a snapshot first, and again after every reconnection."""
        pause = 0.2
        while True:
            try:
                async for change in self._watch_once():
                    pause = 0.2
                    if change.type != "ping":
                        yield change
            except (aiohttp.ClientError, OSError, SocketPlaneError, ValueError) as error:
                _log.info("watch.interrupted", controller=self._bases[self._current], reason=str(error) or repr(error))
            self._current = (self._current + 1) % len(self._bases)
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - hosts must not come back in step
            pause = min(pause * 2, 5.0)

    async def _watch_once(self) -> AsyncIterator[wire.Change]:
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=_PING_TIMEOUT)
        async with self._open().get(f"{self._bases[self._current]}/v1/watch", timeout=limits) as response:
            if response.status != 200:
                raise _error_of(await response.read(), response.status)
            lines = Lines()
            async for chunk in response.content.iter_any():
                for line in lines.feed(chunk):
                    yield wire.Change.model_validate_json(line)

    async def _once(
        self, method: str, path: str, data: bytes | None, params: Mapping[str, Any] | None, seconds: float
    ) -> Any:
        connect = min(5.0, max(0.2, seconds / len(self._bases)))
        async with self._open().request(
            method,
            self._bases[self._current] + path,
            data=data,
            params=params,
            headers={"content-type": "application/json"} if data is not None else None,
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=connect),
        ) as response:
            content = await response.read()
            if response.status >= 400:
                if STANDBY_HEADER in response.headers:
                    raise _Standby(f"{self._bases[self._current]}: {_error_of(content, response.status).message}")
                return _error_of(content, response.status)
            if not content:
                return None
            if response.content_type != "application/json":
                return content.decode()
            return orjson.loads(content)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use the client as an async context manager")
        return self._session

    def _reason(self, error: BaseException) -> str:
        where = str(self._unix) if self._unix else self._bases[self._current].removeprefix("https://")
        if isinstance(error, TimeoutError):
            return f"{where}: no answer in time"
        if isinstance(error, aiohttp.ClientConnectorError):
            return f"{where}: {error.os_error.strerror or error.os_error}"
        if isinstance(error, aiohttp.ServerDisconnectedError) and self._tls:
            # TLS 1.3 verifies us after our end of the handshake, and asyncio drops the alert that says so.
            return f"{where}: it hung up, as it does when it does not trust this host's certificate"
        return f"{where}: {error or type(error).__name__}"


class _Standby(Exception):
    """A controller answered that another one is active."""


def _refuse_certificate(error: BaseException) -> None:
    """Raise what can't be helped by asking another: a certificate that one of both ends doesn't trust."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise Unauthenticated(
                f"the controller's certificate is not trusted: {cause.verify_message}", remedy="join the cluster again"
            ) from None
        if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
            raise Unauthenticated(
                f"the controller refuses this host's certificate: {cause.reason}", remedy="join the cluster again"
            ) from None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield what lies below an error; aiohttp's own classes, which pose as ssl's without their fields, are left out."""
    while error is not None:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            error = error.certificate_error
        elif isinstance(error, aiohttp.ClientConnectorError):
            error = error.os_error
        else:
            yield error
            error = error.__cause__ or error.__context__


def _encode(body: BaseModel | Mapping[str, Any] | None) -> bytes | None:
    if body is None:
        return None
    return body.model_dump_json().encode() if isinstance(body, BaseModel) else orjson.dumps(body)


def _error_of(content: bytes, status: int) -> SocketPlaneError:
    try:
        return from_dict(orjson.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        text = content[:200].decode(errors="replace")
        return SocketPlaneError(f"the controller answered {status}: {text}")
