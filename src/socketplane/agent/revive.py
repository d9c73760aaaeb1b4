"""Containers that Docker gave up on because we were absent: it does not try again, so we do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from socketplane.agent.docker import Docker
from socketplane.errors import SocketPlaneError

_PAUSE = 30.0
_TRUSTED = 60.0
"""Seconds for which a container that stands still for another reason is not looked at again."""
_POLICIES = frozenset({"always", "unless-stopped", "on-failure"})
_ABSENCE = re.compile(
    r"plugin[^:]{0,80}not found|unable to locate|connect: no such file|refused|reset by peer|broken pipe|\bEOF\b"
    r"|agent isn't running|agent ended|unreachable"
    r"|without its arguments|is not ready after|not a SocketPlane host|took longer|timeout|deadline exceeded",
    re.IGNORECASE,
)
_log = structlog.get_logger()


def gave_up(inspected: Mapping[str, Any]) -> bool:
    """Return whether a container with a restart policy stands still because its last start missed us.

    `State.Error` is of the last start; a start that succeeds clears it.
    """
    state = inspected.get("State") or {}
    policy = ((inspected.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name", "")
    error = str(state.get("Error") or "")
    still = not state.get("Running") and state.get("Status") in ("created", "exited")
    return bool(still and policy in _POLICIES and "socketplane" in error and _ABSENCE.search(error))


class Reviver:
    """Starts such containers, each at most twice a minute."""

    def __init__(self, docker: Docker, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._docker = docker
        self._clock = clock
        self._tried: dict[str, float] = {}
        self._healthy: dict[str, float] = {}

    def forget(self) -> None:
        """Look at every container again: the engine was started anew."""
        self._healthy.clear()

    async def revive(self, listed: list[dict[str, Any]]) -> None:
        """Look at the containers that stand still in what `GET /containers/json` told."""
        now = self._clock()
        still = {str(entry["Id"]) for entry in listed if entry.get("State") in ("created", "exited")}
        self._healthy = {key: at for key, at in self._healthy.items() if key in still and now - at < _TRUSTED}
        self._tried = {key: at for key, at in self._tried.items() if key in still}
        for container in sorted(still - set(self._healthy)):
            if now - self._tried.get(container, now - _PAUSE) < _PAUSE:
                continue
            try:
                await self._look_at(container)
            except SocketPlaneError as error:
                _log.warning("container.not_started", container=container[:12], reason=str(error))

    async def _look_at(self, container: str) -> None:
        inspected = await self._docker.inspect(container)
        if not gave_up(inspected):
            self._healthy[container] = self._clock()
            return
        self._tried[container] = self._clock()
        _log.info("container.starting", container=container[:12], name=inspected.get("Name"), reason="Docker gave up")
        await self._docker.start(container)
