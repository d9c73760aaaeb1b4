"""The controller's API and Docker's, as plain calls of a procedure without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from pydantic import BaseModel

from socketplane.cluster.machine import Machine
from socketplane.cluster.standin import serving
from socketplane.errors import SocketPlaneError, Unavailable
from socketplane.transport.client import ControllerClient, Target
from socketplane.transport.tls import client_context

T = TypeVar("T")


def target(machine: Machine) -> Target:
    """Return where the controller is: the local socket on a manager, else the cluster's controllers."""
    if machine.identity.manager:
        return machine.paths.controller_socket
    return list(machine.identity.controllers), client_context(machine.paths.pki)


def call(
    where: Target, method: str, path: str, body: BaseModel | Mapping[str, Any] | None = None, timeout: float = 10.0
) -> Any:
    """Return the controller's parsed answer; raises as `ControllerClient.call` does."""

    async def ask() -> Any:
        async with ControllerClient(where) as client:
            return await client.call(method, path, body, timeout=timeout)

    return asyncio.run(ask())


class Docker:
    """The few calls of Docker's API that `up` and `down` need."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def networks(self) -> dict[str, str]:
        """Return our networks on this engine: id -> name."""
        return {item["Id"]: item["Name"] for item in self._all("/networks") if item["Driver"] == "socketplane"}

    def running(self) -> dict[str, str]:
        """Return running containers: id -> name."""
        return {item["Id"]: item["Names"][0].lstrip("/") for item in self._all("/containers/json")}

    def attached(self) -> dict[str, str]:
        """Return running containers that are on one of our networks: id -> name."""
        ours = self.networks()
        return {
            item["Id"]: item["Names"][0].lstrip("/")
            for item in self._all("/containers/json")
            if any(net["NetworkID"] in ours for net in item["NetworkSettings"]["Networks"].values())
        }

    def stop(self, containers: Mapping[str, str]) -> None:
        """Stop containers, all at once."""
        self._each("POST", [f"/containers/{container}/stop" for container in containers], (204, 304, 404))

    def start(self, containers: tuple[str, ...]) -> None:
        """Start containers, all at once; one that is gone by now is left out."""
        self._each("POST", [f"/containers/{container}/start" for container in containers], (204, 304, 404))

    def remove_networks(self, networks: Mapping[str, str], sockets: Sequence[Path]) -> None:
        """Remove networks from this engine while the agent does not run: something has to answer on these `sockets`."""
        self._each("DELETE", [f"/networks/{network}" for network in networks], (204, 404), lambda: serving(*sockets))

    def _all(self, path: str) -> list[dict[str, Any]]:
        async def ask(session: aiohttp.ClientSession) -> list[dict[str, Any]]:
            async with session.get(f"http://localhost{path}") as response:
                rows: list[dict[str, Any]] = await response.json()
                return rows

        return self._run(ask)

    def _each(
        self,
        method: str,
        paths: list[str],
        good: tuple[int, ...],
        within: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        async def one(session: aiohttp.ClientSession, path: str) -> str | None:
            async with session.request(method, f"http://localhost{path}") as response:
                text = await response.text()
                return None if response.status in good else f"{path}: {text.strip()}"

        async def ask(session: aiohttp.ClientSession) -> list[str]:
            async with within():
                answers = await asyncio.gather(*(one(session, path) for path in paths))
            return [answer for answer in answers if answer]

        if failures := self._run(ask):
            raise SocketPlaneError("Docker: " + "; ".join(failures))

    def _run(self, ask: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, T]]) -> T:
        async def go() -> T:
            limits = aiohttp.ClientTimeout(total=120)
            connector = aiohttp.UnixConnector(str(self._socket), limit=0)
            async with aiohttp.ClientSession(connector=connector, timeout=limits) as session:
                return await ask(session)

        try:
            return asyncio.run(go())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"Docker does not answer: {error or type(error).__name__}") from error
