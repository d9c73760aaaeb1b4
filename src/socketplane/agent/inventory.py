"""The engine's containers as its events tell them, and those events for whoever wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from socketplane.agent.docker import Docker
from socketplane.errors import SocketPlaneError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Container:
    """What policy wants to know of a container: its id, name and labels (image labels included)."""

    id: str
    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the engine; `connected` is ours: the stream stands and the cache is whole."""

    type: str
    action: str
    id: str = ""
    attributes: Mapping[str, str] | None = None


CONNECTED = Event("engine", "connected")
LOST = Event("engine", "lost")


class Inventory:
    """A cache of containers by name. It lags by what an event takes, so it is the second source, never the only one."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker
        self._by_id: dict[str, Container] = {}
        self._listeners: list[Callable[[Event], None]] = []
        self.connected = False

    def on_event(self, listener: Callable[[Event], None]) -> None:
        """Have `listener` called with every event, after the cache took it in."""
        self._listeners.append(listener)

    def by_name(self, name: str) -> Container | None:
        """Return the container that has this name now, as far as events told."""
        return next((entry for entry in reversed(self._by_id.values()) if entry.name == name), None)

    def learn(self, listed: list[dict[str, Any]]) -> None:
        """Take in what `GET /containers/json` says of some containers."""
        for entry in map(container_of, listed):
            self._by_id[entry.id] = entry

    async def run(self) -> None:
        """Follow the engine for ever, across its restarts."""
        pause = 0.2
        while True:
            try:
                await self._docker.connect()
                await self._follow()
                pause = 0.2
            except SocketPlaneError as error:
                _log.debug("docker.lost", reason=str(error))
                pause = min(pause * 2, 2.0)
            if self.connected:
                self.connected = False
                _log.warning("docker.lost")
                self._tell(LOST)
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        async for told in self._docker.events():
            if not told:
                # Listening first and listing second: what happens between the two is in both.
                listed = await self._docker.containers()
                self._by_id = {entry.id: entry for entry in map(container_of, listed)}
                self.connected = True
                _log.info("docker.connected", version=self._docker.version, containers=len(listed))
                self._tell(CONNECTED)
                continue
            event = event_of(told)
            self._take(event)
            self._tell(event)

    def _take(self, event: Event) -> None:
        if event.type != "container":
            return
        attributes = event.attributes or {}
        if event.action == "create":
            # The engine writes its own `name` and `image` over labels of the same key, so these two are not known.
            labels = {key: value for key, value in attributes.items() if key not in ("name", "image")}
            self._by_id[event.id] = Container(event.id, attributes.get("name", ""), labels)
        elif event.action == "rename" and event.id in self._by_id:
            self._by_id[event.id] = replace(self._by_id[event.id], name=attributes.get("name", ""))
        elif event.action == "destroy":
            self._by_id.pop(event.id, None)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def container_of(listed: Mapping[str, Any]) -> Container:
    """Return the container that an entry of `GET /containers/json` describes. Names of links have two slashes."""
    names = [name.removeprefix("/") for name in listed.get("Names") or []]
    name = next((name for name in names if "/" not in name), "")
    return Container(str(listed["Id"]), name, dict(listed.get("Labels") or {}))


def event_of(told: Mapping[str, Any]) -> Event:
    """Return an entry of `GET /events` as a value."""
    actor = told.get("Actor") or {}
    attributes = {str(key): str(value) for key, value in (actor.get("Attributes") or {}).items()}
    return Event(str(told.get("Type", "")), str(told.get("Action", "")), str(actor.get("ID", "")), attributes)
