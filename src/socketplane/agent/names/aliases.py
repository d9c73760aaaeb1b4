"""What else containers are called on a network: Docker tells it only of one that runs, and never inside the driver."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from socketplane import wire
from socketplane.agent.docker import Docker
from socketplane.agent.identity import Identity
from socketplane.agent.inventory import Container, Event
from socketplane.agent.link import Link
from socketplane.agent.locks import Locks
from socketplane.agent.puts import bulk_put_of
from socketplane.agent.state import State
from socketplane.errors import SocketPlaneError
from socketplane.model.containernames import LABEL_SERVICE, SHORT_ID

_LONGEST = 253
_AT_MOST = 100
_log = structlog.get_logger()


def aliases_of(place: Mapping[str, Any], container: Container) -> tuple[str, ...]:
    """Return the aliases that an entry of a container's networks has (from Docker 25 on also as `DNSNames`).

    What follows from its name, id and Compose service is left out: most containers have no others.
    """
    told = {str(name) for name in (*(place.get("Aliases") or ()), *(place.get("DNSNames") or ()))}
    told -= {container.name, container.id[:SHORT_ID], container.labels.get(LABEL_SERVICE, "")}
    return tuple(sorted(name for name in told if 0 < len(name) <= _LONGEST)[:_AT_MOST])


class Aliases:
    """Asks for each container once it is connected, and tells the controller. What is missed, the reconciler finds."""

    def __init__(self, state: State, link: Link, docker: Docker, locks: Locks) -> None:
        self._state = state
        self._locks = locks
        self._link = link
        self._docker = docker
        self._waiting: dict[str, None] = {}
        self._wanted = asyncio.Event()

    def on_event(self, event: Event) -> None:
        """Look at a container that was connected to a network of ours."""
        if (event.type, event.action) == ("network", "connect") and event.id in self._state.networks:
            self._waiting[str((event.attributes or {}).get("container", ""))] = None
            self._wanted.set()

    async def run(self) -> None:
        """Do so for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiting, self._waiting = list(self._waiting), {}
            for container in waiting:
                try:
                    await self._look(container)
                except SocketPlaneError as error:
                    _log.debug("aliases.later", container=container[:12], reason=str(error))

    async def _look(self, container: str) -> None:
        told = await self._docker.inspect(container)
        labels = dict((told.get("Config") or {}).get("Labels") or {})
        who = Container(str(told["Id"]), str(told["Name"]).removeprefix("/"), labels)
        identity = Identity(known=True, container=who.id, name=who.name, labels=labels)
        puts = []
        for place in ((told.get("NetworkSettings") or {}).get("Networks") or {}).values():
            record = self._state.endpoints.get(str(place.get("EndpointID") or ""))
            if record is None or record.aliases is not None:
                continue
            found = aliases_of(place, who)
            known = self._state.endpoints[record.id] = replace(record, aliases=found)
            self._state.changed()
            if found and not self._locks.busy(record.id) and record.id not in self._state.unsettled:
                puts.append(bulk_put_of(known, identity))
        if puts:
            await self._link.call("POST", "/v1/endpoints", wire.EndpointBulk(put=puts), patience=0)
