"""Which of the cluster's networks a Docker network stands for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID

from socketplane import wire
from socketplane.agent import protocol
from socketplane.agent.answers import ADDRESS_SPACE
from socketplane.agent.docker import Docker
from socketplane.agent.link import Link
from socketplane.agent.state import NetworkRecord, State
from socketplane.errors import Conflict, InvalidInput, NotFound, Unsupported

_LOOKUP = 1.0


@dataclass(frozen=True, slots=True)
class DockerNetwork:
    """A network as the engine describes it."""

    id: str
    name: str
    driver: str
    subnet: IPv4Network | None = None
    internal: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether our driver serves it."""
        return self.driver == protocol.DRIVER

    @staticmethod
    def of(told: Mapping[str, Any]) -> DockerNetwork:
        """Return what `GET /networks` says of one network."""
        subnets = [entry.get("Subnet", "") for entry in (told.get("IPAM") or {}).get("Config") or []]
        return DockerNetwork(
            id=str(told["Id"]),
            name=str(told.get("Name", "")),
            driver=str(told.get("Driver", "")),
            subnet=next((IPv4Network(text) for text in subnets if text and ":" not in text), None),
            internal=bool(told.get("Internal")),
            options=dict(told.get("Options") or {}),
            labels=dict(told.get("Labels") or {}),
        )


class Adoption:
    """Finds the cluster's network behind a Docker network and records it."""

    def __init__(self, state: State, link: Link, docker: Docker, *, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._link = link
        self._docker = docker
        self._clock = clock

    async def created(self, request: protocol.CreateNetwork) -> NetworkRecord:
        """Record what CreateNetwork is about; refuse what can't be a network of the cluster."""
        existing = self._state.networks.get(request.network)
        if existing:
            return existing
        _refuse_unsupported(request)
        network = await self._match(request)
        _agree_on_ipv6(network, request)
        other = self._state.by_network(network.id)
        if other and other.docker != request.network:
            raise Conflict(
                f"the cluster's network {network.name or network.id} exists on this host already",
                remedy=f"`docker network ls --filter driver={protocol.DRIVER}` shows it",
            )
        network = await self._agree_on_ways(network, request)
        record = self._record(request.network, network, request.internal)
        self._state.pools.pop(network.id, None)
        self._state.tombstones.discard(network.id)
        await self._state.save()
        return record

    async def known(self, docker_id: str) -> NetworkRecord:
        """Return the record of a network that Docker has, rebuilt from Docker if we forgot it. Safe in handlers."""
        record = self._state.networks.get(docker_id)
        if record is None and await self._docker.responsive():
            told = await self._docker.network(docker_id, timeout=_LOOKUP)
            record = await self.rebuilt(DockerNetwork.of(told))
        if record is None:
            raise NotFound("this network is not known here", remedy="remove it and create it again")
        return record

    async def rebuilt(self, network: DockerNetwork) -> NetworkRecord | None:
        """Record a Docker network of ours that we forgot; None where the cluster has no network for it."""
        found = await self._behind(network)
        if found is None:
            return None
        there = self._state.by_network(found.id)
        if there is not None:  # recorded while we asked, or another Docker network has it already
            return there if there.docker == network.id else None
        record = self._record(network.id, found, network.internal)
        self._state.changed()
        return record

    async def _behind(self, network: DockerNetwork) -> wire.Network | None:
        wanted = network.options.get(protocol.OPTION_NETWORK)
        if wanted is None:
            return await self._link.find_subnet(str(network.subnet)) if network.subnet else None
        try:
            return await self._named(wanted)
        except (NotFound, InvalidInput):
            return None

    async def _match(self, request: protocol.CreateNetwork) -> wire.Network:
        if len(request.ipv4) > 1 and all(entry.address_space == ADDRESS_SPACE for entry in request.ipv4):
            raise Unsupported("a network has one subnet", field="--subnet", remedy="create a network for each")
        if len(request.ipv4) != 1 or request.ipv4[0].address_space != ADDRESS_SPACE:
            raise _foreign()
        pool = request.ipv4[0].pool
        if pool is None:
            raise _foreign()
        wanted = request.generic.get(protocol.OPTION_NETWORK)
        if wanted is None:
            found = await self._link.find_subnet(str(pool))
            if found is None:
                raise _foreign()
            return found
        network = await self._named(wanted)
        if network.subnet != pool:
            option = f"{protocol.OPTION_NETWORK}={wanted}"
            raise Conflict(f"{wanted} is {network.subnet}, not {pool}", remedy=f"give --ipam-opt {option} as well")
        return network

    async def _named(self, wanted: str) -> wire.Network:
        try:
            return await self._link.network(UUID(wanted))
        except ValueError:
            raise InvalidInput("not a network's id", field=protocol.OPTION_NETWORK) from None

    async def _agree_on_ways(self, network: wire.Network, request: protocol.CreateNetwork) -> wire.Network:
        internal, routed = request.internal, request.routed
        if network.internal == internal and routed in (None, network.routed):
            return network
        if network.name and network.internal != internal:
            raise Conflict(
                f"the cluster's network {network.name} is {'' if network.internal else 'not '}internal",
                remedy="create it with --internal" if network.internal else "leave out --internal",
            )
        if network.name:
            raise Conflict(
                f"the cluster's network {network.name} is {'' if network.routed else 'not '}routed",
                field=f"--opt {protocol.OPTION_ROUTED}",
                remedy=f"leave it out; `socketplane network update --{'no-' * network.routed}routed` changes it",
            )
        patch = wire.NetworkPatch(internal=internal, routed=routed)
        return wire.Network.model_validate(await self._link.call("PATCH", f"/v1/networks/{network.id}", patch))

    def _record(self, docker_id: str, network: wire.Network, internal: bool) -> NetworkRecord:
        record = NetworkRecord(
            docker=docker_id,
            id=network.id,
            subnet=network.subnet,
            gateway=network.gateway,
            internal=internal,
            created=self._clock(),
            subnet6=network.subnet6,
            gateway6=network.gateway6,
        )
        self._state.networks[docker_id] = record
        return record


def _refuse_unsupported(request: protocol.CreateNetwork) -> None:
    if len(request.ipv6) > 1:
        raise Unsupported("a network has one IPv6 subnet", field="--subnet", remedy="create a network for each")
    foreign = sorted(set(request.generic) - {protocol.OPTION_NETWORK, protocol.OPTION_ROUTED})
    if foreign:
        raise Unsupported("no such option", field=f"--opt {foreign[0]}")


def _agree_on_ipv6(network: wire.Network, request: protocol.CreateNetwork) -> None:
    pool = request.ipv6[0].pool if request.ipv6 else None
    if pool == network.subnet6 and (pool is not None or not request.wants_ipv6):
        return
    if pool is None and network.subnet6 is None:
        raise Unsupported(
            "this Docker asks for no IPv6 subnet unless one is named",
            field="--ipv6",
            remedy="use `socketplane network create --ipv6 NAME`",
        )
    if network.name:
        remedy = f"create it with --ipv6 --subnet {network.subnet6}" if network.subnet6 else "leave out --ipv6"
        raise Conflict(f"the network's IPv6 subnet is {network.subnet6 or 'none'}", field="--ipv6", remedy=remedy)
    raise Conflict("another network got this one's IPv6 subnet", field="--ipv6", remedy="try again")


def _foreign() -> InvalidInput:
    return InvalidInput(
        "its addresses are not the cluster's, and would collide between hosts",
        remedy=f"use `{protocol.CREATE_COMMAND}` (or `socketplane network create NAME`)",
    )
