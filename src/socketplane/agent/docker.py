"""A thin client of the Docker engine's API: the few calls that the agent needs.

While dockerd calls the driver it holds the container's lock, so of these only `ping`, `network` and `containers` may be
awaited in a handler, and only for a bounded time: a dockerd that boots accepts connections and answers none.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson

from socketplane.errors import Conflict, Forbidden, InvalidInput, NotFound, SocketPlaneError, Unavailable
from socketplane.transport.lines import Lines

NEWEST_API = (1, 51)
OLDEST_API = (1, 40)
_EVENTS = (
    *("create", "rename", "destroy", "start", "kill", "die", "pause", "unpause", "health_status", "connect", "disconnect"),
)
_CLOSED_FOR = 5.0

_BY_STATUS: Mapping[int, type[SocketPlaneError]] = {400: InvalidInput, 403: Forbidden, 404: NotFound, 409: Conflict}


class DockerError(SocketPlaneError):
    """The engine refused or failed."""

    code = "docker"


class Docker:
    """The engine behind a unix socket; use as an async context manager. Negotiates the API version at first use."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._api: str | None = None
        self._silent_until = 0.0
        self.version = ""
        """The engine's version; empty while it does not answer."""

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(str(self._path), limit=0)
        self._session = aiohttp.ClientSession(connector=connector, base_url="http://docker")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def responsive(self, seconds: float = 0.3) -> bool:
        """Return whether the engine answers a ping in time. After a failure it isn't asked again for a while."""
        if self._clock() < self._silent_until:
            return False
        try:
            await self._exchange("GET", "/_ping", timeout=seconds)
        except SocketPlaneError:
            self._silent_until = self._clock() + _CLOSED_FOR
            return False
        return True

    async def connect(self) -> str:
        """Wait for nothing, ask the engine who it is, agree on the API's version and return the engine's."""
        try:
            told = orjson.loads(await self._exchange("GET", "/version", timeout=5.0))
            api = min(NEWEST_API, _parse_api(told["ApiVersion"]))
            lowest = _parse_api(told.get("MinAPIVersion") or "1.12")
        except (ValueError, KeyError, TypeError):
            self.version = ""
            raise Unavailable("the Docker socket answers something else than Docker", field=str(self._path)) from None
        except SocketPlaneError:
            self.version = ""
            raise
        if api < OLDEST_API or lowest > NEWEST_API:
            raise Unavailable(
                f"Docker {told.get('Version')} speaks API {lowest} to {api}", remedy="use Docker 20.10 or later"
            )
        self._api = f"/v{api[0]}.{api[1]}"
        self._silent_until = 0.0
        self.version = str(told.get("Version", ""))
        return self.version

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Yield container and network events until the engine ends the stream; first an empty dict once it listens."""
        filters = {"type": ["container", "network"], "event": list(_EVENTS)}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
        path = await self._versioned("/events")
        try:
            async with self._open().get(path, params={"filters": json.dumps(filters)}, timeout=timeout) as response:
                if response.status != 200:
                    raise _error(response.status, await response.read())
                yield {}
                lines = Lines()
                async for chunk in response.content.iter_any():
                    for line in lines.feed(chunk):
                        yield orjson.loads(line)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._unavailable(error) from None

    async def networks(self) -> list[dict[str, Any]]:
        """Return all networks, without their containers."""
        return list(await self._json("GET", "/networks"))

    async def network(self, network: str, *, timeout: float = 5.0) -> dict[str, Any]:  # noqa: ASYNC109 - of the exchange
        """Return a network with its containers, those that are joining (`ep-ENDPOINT`) included."""
        return dict(await self._json("GET", f"/networks/{quote(network, safe='')}", timeout=timeout))

    async def containers(
        self,
        *,
        name: str | None = None,
        container: str | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> list[dict[str, Any]]:
        """Return containers in whatever state; with `name` or an id in `container` the one that has exactly this."""
        params = {"all": "1"}
        if name is not None:
            params["filters"] = json.dumps({"name": [f"^/?{re.escape(name)}$"]})
        elif container is not None:
            params["filters"] = json.dumps({"id": [container]})
        return list(await self._json("GET", "/containers/json", params=params, timeout=timeout))

    async def inspect(self, container: str) -> dict[str, Any]:
        """Return all of a container. Never in a handler: dockerd would wait for us while we wait for it."""
        return dict(await self._json("GET", f"/containers/{quote(container, safe='')}/json"))

    async def start(self, container: str) -> None:
        """Start a container. Never in a handler."""
        await self._json("POST", f"/containers/{quote(container, safe='')}/start", timeout=90.0)

    async def create_network(self, body: Mapping[str, Any]) -> str:
        """Create a network and return its id. Never in a handler."""
        answer = await self._json("POST", "/networks/create", body=body, timeout=60.0)
        return str(answer["Id"])

    async def remove_network(self, network: str) -> None:
        """Remove a network. Never in a handler."""
        await self._json("DELETE", f"/networks/{quote(network, safe='')}", timeout=60.0)

    async def _json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> Any:
        try:
            async with asyncio.timeout(timeout):
                content = await self._exchange(method, await self._versioned(path), params, body, timeout=timeout)
        except TimeoutError as error:
            raise self._unavailable(error) from None
        return orjson.loads(content) if content else None

    async def _versioned(self, path: str) -> str:
        if self._api is None:
            await self.connect()
        return f"{self._api}{path}"

    async def _exchange(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> bytes:
        try:
            async with self._open().request(
                method, path, params=params, json=body, timeout=aiohttp.ClientTimeout(total=timeout)
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(error) from None
        if response.status >= 400:
            raise _error(response.status, content)
        return content

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use the client as an async context manager")
        return self._session

    def _unavailable(self, error: BaseException) -> Unavailable:
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return Unavailable(f"Docker does not answer: {reason}", field=str(self._path))


def _parse_api(text: str) -> tuple[int, int]:
    major, _, minor = str(text).partition(".")
    return int(major), int(minor)


def _error(status: int, content: bytes) -> SocketPlaneError:
    try:
        message = str(orjson.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        message = content[:200].decode(errors="replace")
    return _BY_STATUS.get(status, DockerError)(f"Docker: {message}")
