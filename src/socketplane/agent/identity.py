"""Who is joining: Docker tells the driver neither name nor labels, so it is asked, and never for longer than a second."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Address
from typing import Any

import structlog

from socketplane.agent.docker import Docker
from socketplane.agent.inventory import Container, Inventory, container_of
from socketplane.errors import SocketPlaneError

BUDGET = 1.0
_PING = 0.3
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an endpoint is. Not `known`: Docker did not say in time; policy cuts it off until that is settled."""

    known: bool = False
    container: str = ""
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: IPv4Interface | None = None
    """As Docker holds it; for an agent that forgot."""
    address6: IPv6Address | None = None
    mac: str = ""


UNKNOWN = Identity()


class Identifier:
    """Asks the engine for the container behind an endpoint. Safe inside Join, and only from there on."""

    def __init__(self, docker: Docker, inventory: Inventory, *, budget: float = BUDGET) -> None:
        self._docker = docker
        self._inventory = inventory
        self._budget = budget

    async def of(self, network: str, endpoint: str) -> Identity:
        """Return who has this endpoint of this Docker network; an unknown identity instead of an error."""
        found = UNKNOWN
        try:
            async with asyncio.timeout(self._budget):
                if not await self._docker.responsive(_PING):
                    return UNKNOWN
                found = _placed(await self._docker.network(network, timeout=self._budget), endpoint)
                container = await self._container(found)
        except (SocketPlaneError, TimeoutError) as error:
            # The engine answered at first and then became slow: what events told of that name is better than nothing.
            _log.warning("identity.slow", endpoint=endpoint[:12], reason=str(error) or "no answer in time")
            container = self._inventory.by_name(found.name) if found.name else None
        if container is None:
            return found
        return Identity(True, container.id, container.name, container.labels, found.address, found.address6, found.mac)

    async def _container(self, found: Identity) -> Container | None:
        """Return the container as the engine knows it now.

        Asked rather than taken from the cache, though that would save 2 ms: a name can have moved to another container,
        with other labels, an instant ago.
        """
        if not found.name:
            return None
        listed = await self._docker.containers(name=found.name, timeout=self._budget)
        self._inventory.learn(listed)
        return next((entry for entry in map(container_of, listed) if entry.name == found.name), None)


def _placed(network: Mapping[str, Any], endpoint: str) -> Identity:
    for entry in (network.get("Containers") or {}).values():
        if entry.get("EndpointID") == endpoint:
            address = entry.get("IPv4Address") or None
            address6 = str(entry.get("IPv6Address") or "").partition("/")[0]
            return Identity(
                name=str(entry.get("Name", "")),
                address=IPv4Interface(address) if address else None,
                address6=IPv6Address(address6) if address6 else None,
                mac=str(entry.get("MacAddress", "")),
            )
    return UNKNOWN
