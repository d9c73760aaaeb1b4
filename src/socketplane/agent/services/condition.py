"""Tells the controller how this host's containers are: whether they run, what HEALTHCHECKs and probes say.

What the controller knows stays while nobody tells otherwise: neither an agent nor a controller that starts anew takes a
backend out. An agent begins with what the controller knew, and each change is told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import structlog

from socketplane import wire
from socketplane.agent.inventory import CONNECTED, Event
from socketplane.agent.link import Link
from socketplane.agent.services.ask import Asker, Place
from socketplane.agent.services.checks import Asking, Checks
from socketplane.agent.state import State
from socketplane.agent.wake import woken
from socketplane.errors import NotFound, SocketPlaneError
from socketplane.model.services.readiness import CONTAINER, HEALTH, PAUSED, RUNNING, STARTING, STOPPING

AGAIN = 30.0
"""Seconds after which everything is looked at and told without an occasion."""
_RETRY = 1.0
_GOES_ON = frozenset({"1", "10", "12", "18", "19", "20"})
"""Signals that end no container that knows them: HUP, USR1, USR2, CONT, STOP, TSTP."""
_log = structlog.get_logger()


class Engine(Protocol):
    """What is needed of `docker.Docker`."""

    async def containers(self, *, container: str | None = None) -> list[dict[str, Any]]:
        """Return containers; with an id that one."""

    async def inspect(self, container: str) -> dict[str, Any]:
        """Return all of a container."""


class Conditions:
    """What is so of each endpoint of this host, and what of it the controller was not told yet."""

    def __init__(self, state: State, link: Link, docker: Engine, asker: Asking | None = None) -> None:
        self._state = state
        self._link = link
        self._docker = docker
        self._asker = asker or Asker()
        self._now: dict[str, dict[str, str]] = {}
        self._of_container: dict[str, set[str]] = {}
        self._pids: dict[str, int] = {}
        self._checks: Mapping[str, Mapping[str, wire.Check]] = {}
        self._look_at: set[str] = set()
        self._all = True
        self._untold: set[str] = set()
        self._wanted = asyncio.Event()
        self._probes = Checks(self._asker, self._found)
        link.on_checks(self._take_checks)

    def on_event(self, event: Event) -> None:
        """Take in what the engine tells. A container that is told to stop is out before it hears of it, or just after."""
        if event == CONNECTED:
            self._all = True
            self._wanted.set()
        elif event.type != "container":
            return
        elif event.action == "kill":
            if (event.attributes or {}).get("signal", "15") not in _GOES_ON:
                self._note(event.id, STOPPING)
        elif event.action == "die":
            self._note(event.id, STOPPING)
        elif event.action == "pause":
            self._note(event.id, PAUSED)
        elif event.action in ("start", "unpause") or event.action.startswith("health_status"):
            self._look_at.add(event.id)
            self._wanted.set()

    async def run(self) -> None:
        """Keep the controller told, for ever."""
        try:
            await self._begin()
            clock = asyncio.get_running_loop().time
            due = 0.0
            while True:
                if clock() >= due:
                    self._all, due = True, clock() + AGAIN
                try:
                    await self._look()
                    await self._tell()
                except SocketPlaneError as error:
                    _log.debug("conditions.waiting", reason=str(error))
                    await asyncio.sleep(_RETRY)
                    continue
                await woken(self._wanted, max(0.0, due - clock()))
        finally:
            self._probes.close()

    async def _begin(self) -> None:
        """Learn what the controller knows: what held before this agent started holds until it is found otherwise."""
        answer = await self._link.call("GET", "/v1/endpoints", params={"host": self._link.host}, patience=0)
        for item in answer["items"]:
            if item["id"] not in self._now and item.get("conditions"):
                self._now[item["id"]] = dict(item["conditions"])

    def _take_checks(self, checks: Mapping[str, list[wire.Check]], whole: bool) -> None:
        told = {endpoint: {check.service: check for check in found} for endpoint, found in checks.items()}
        self._checks = told if whole else {**self._checks, **told}
        self._all = True
        self._wanted.set()

    async def _look(self) -> None:
        """Look at what happened since, or at everything."""
        everything, self._all = self._all, False
        wanted, self._look_at = self._look_at, set()
        try:
            if everything:
                listed = await self._docker.containers()
            else:
                listed = [entry for key in sorted(wanted) for entry in await self._docker.containers(container=key)]
        except SocketPlaneError:
            self._all = True
            raise
        for entry in listed:
            self._take(entry)
        if everything:
            self._forget(self._state.endpoints)
            self._untold |= set(self._now)
        for entry in listed:
            await self._probe(entry)

    def _take(self, entry: Mapping[str, Any]) -> None:
        """Take in an entry of the engine's list of containers."""
        state, status = str(entry.get("State") or ""), str(entry.get("Status") or "")
        if state not in ("running", "paused"):
            return
        container = str(entry["Id"])
        endpoints = {
            str(place.get("EndpointID") or "")
            for place in ((entry.get("NetworkSettings") or {}).get("Networks") or {}).values()
        } & set(self._state.endpoints)
        self._of_container[container] = endpoints
        for endpoint in endpoints:
            before = self._now.get(endpoint, {})
            told = {key: value for key, value in before.items() if key not in (CONTAINER, HEALTH)}
            stopping = before.get(CONTAINER) == STOPPING  # an endpoint is of one start of its container
            told[CONTAINER] = STOPPING if stopping else PAUSED if state == "paused" else RUNNING
            if (health := _health(status)) is not None:
                told[HEALTH] = health
            self._put(endpoint, told)

    async def _probe(self, entry: Mapping[str, Any]) -> None:
        """Have the probes go on that are wanted of a container."""
        container = str(entry["Id"])
        for endpoint in self._of_container.get(container, ()):
            record, checks = self._state.endpoints.get(endpoint), self._checks.get(endpoint, {})
            runs = self._now.get(endpoint, {}).get(CONTAINER) == RUNNING
            pid = await self._pid(container) if checks and runs else 0
            place = Place(pid, record.address) if pid and record else None
            known = {key: value for key, value in self._now.get(endpoint, {}).items() if key in checks}
            for gone in [key for key in self._now.get(endpoint, {}) if "/" in key and key not in checks]:
                del self._now[endpoint][gone]
                self._untold.add(endpoint)
            self._probes.want(endpoint, place, checks, known)

    async def _pid(self, container: str) -> int:
        try:
            return int((await self._docker.inspect(container))["State"]["Pid"])
        except (NotFound, KeyError, TypeError, ValueError):
            return 0

    def _forget(self, endpoints: Collection[str]) -> None:
        for endpoint in [key for key in self._now if key not in endpoints]:
            del self._now[endpoint]
            self._probes.want(endpoint, None, {}, {})
            self._untold.discard(endpoint)
        live = {key: found & set(endpoints) for key, found in self._of_container.items()}
        self._of_container = {key: found for key, found in live.items() if found}

    def _note(self, container: str, state: str) -> None:
        for endpoint in self._of_container.get(container, ()):
            if endpoint in self._state.endpoints:
                self._put(endpoint, {**self._now.get(endpoint, {}), CONTAINER: state})
                self._probes.want(endpoint, None, {}, {})

    def _found(self, endpoint: str, service: str, result: str) -> None:
        if endpoint in self._now:
            self._put(endpoint, {**self._now[endpoint], service: result})

    def _put(self, endpoint: str, told: dict[str, str]) -> None:
        if self._now.get(endpoint) != told:
            self._now[endpoint] = told
            self._untold.add(endpoint)
            self._wanted.set()

    async def _tell(self) -> None:
        untold, self._untold = self._untold, set()
        items = {key: self._now[key] for key in untold if key in self._now}
        if not items:
            return
        try:
            path = f"/v1/hosts/{self._link.host}/conditions"
            await self._link.call("POST", path, wire.Conditions(items=items), patience=0)
        except SocketPlaneError:
            self._untold |= untold
            raise


def _health(status: str) -> str | None:
    """Return what a container's HEALTHCHECK says, in the engine's words for people: Up 2 minutes (health: starting)."""
    for text, meaning in (("(healthy)", "healthy"), ("(unhealthy)", "unhealthy"), ("(health: starting)", STARTING)):
        if text in status:
            return meaning
    return None
