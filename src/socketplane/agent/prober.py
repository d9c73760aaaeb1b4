"""Tries connections out of this host's containers when the controller asks for it, and tells how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

import structlog

from socketplane import wire
from socketplane.agent import probe
from socketplane.agent.link import Link
from socketplane.agent.probe import GONE, SKIPPED, Attempt, Outcome
from socketplane.agent.state import State
from socketplane.errors import NotFound, SocketPlaneError

_AT_ONCE = 2
"""Orders that wait: the controller gives one at a time, and gives up on one that takes too long."""
_PATIENCE = 2.0
"""Seconds for Docker to tell of a container."""
_log = structlog.get_logger()


class Engine(Protocol):
    """What is needed of `docker.Docker`."""

    async def inspect(self, container: str) -> dict[str, Any]:
        """Return all of a container."""


class Prober:
    """Carries out what the controller orders, for ever: from containers of this host, to addresses of the cluster's."""

    def __init__(self, state: State, link: Link, docker: Engine) -> None:
        self._state = state
        self._link = link
        self._docker = docker
        self._orders: asyncio.Queue[wire.ProbeOrder] = asyncio.Queue(_AT_ONCE)
        link.on_probe(self._take)

    def _take(self, order: wire.ProbeOrder) -> None:
        if not self._orders.full():
            self._orders.put_nowait(order)

    async def run(self) -> None:
        """Work."""
        while True:
            order = await self._orders.get()
            answer = wire.ProbeAnswer(order=order.id, seen=await self._carry_out(order))
            try:
                await self._link.call("POST", f"/v1/hosts/{self._link.host}/probes", answer, patience=0)
            except SocketPlaneError as error:
                _log.warning("probe.untold", reason=str(error))

    async def _carry_out(self, order: wire.ProbeOrder) -> list[wire.ProbeSeen]:
        containers = sorted({item.container for item in order.items})
        inspected = dict(zip(containers, await asyncio.gather(*map(self._inspect, containers)), strict=True))
        plan = [self._plan(item, inspected[item.container]) for item in order.items]
        attempts = [each for each in plan if isinstance(each, Attempt)]
        outcomes = iter(await probe.try_all(attempts, order.wait) if attempts else ())
        found = [next(outcomes) if isinstance(each, Attempt) else each for each in plan]
        return [wire.ProbeSeen.model_validate(each._asdict()) for each in found]

    def _plan(self, item: wire.ProbeItem, container: Mapping[str, Any] | Outcome) -> Attempt | Outcome:
        """Return what is to be tried, or why it is not: the source is not here, or the destination not in the cluster."""
        if isinstance(container, Outcome):
            return container
        record = self._state.endpoints.get(item.endpoint)
        networks = container["NetworkSettings"]["Networks"].values()
        pid = container["State"]["Pid"]
        is_here = record is not None and item.source in record.addresses
        if not is_here or not pid or item.endpoint not in map(_endpoint_of, networks):
            return Outcome(SKIPPED, GONE)
        if not any(item.destination in subnet for subnet in self._subnets()):
            return Outcome(SKIPPED, f"no network that this host knows has {item.destination}")
        return Attempt(pid, str(item.source), (item.protocol, str(item.destination), item.port or 0))

    def _subnets(self) -> Iterator[IPv4Network | IPv6Network]:
        for network in self._link.networks.values():
            yield network.subnet
            if network.subnet6 is not None:
                yield network.subnet6

    async def _inspect(self, container: str) -> Mapping[str, Any] | Outcome:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._docker.inspect(container)
        except NotFound:
            return Outcome(SKIPPED, GONE)
        except TimeoutError:
            return Outcome(SKIPPED, "Docker does not answer in time")
        except SocketPlaneError as error:
            return Outcome(SKIPPED, str(error))


def _endpoint_of(network: Mapping[str, Any]) -> str:
    return str(network.get("EndpointID", ""))
