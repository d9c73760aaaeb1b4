"""The reconciler's judgement: what of Docker, controller, datapath and leases does not fit together. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from socketplane import wire
from socketplane.agent.asked import NOTHING, Asked
from socketplane.agent.inventory import Container
from socketplane.agent.portmap import told
from socketplane.model.published import Published
from socketplane.model.types import Address

GRACE = 60.0
"""Seconds for which something must be unknown before it is removed: a start may be under way."""

_SHORT = 12
"""Digits of an endpoint's id in its interfaces' names; of an unfinished port no more may be known."""

Place = tuple[UUID, Address]


@dataclass(frozen=True, slots=True)
class Attached:
    """A running container's endpoint as Docker holds it."""

    endpoint: str
    network: UUID
    address: IPv4Address
    mac: str
    container: Container
    """With the labels that it has on this network."""
    asked: Asked = NOTHING
    """What its user asked for; the labels are in the container's."""
    published: tuple[Published, ...] = ()
    address6: IPv6Address | None = None
    aliases: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Its addresses, IPv4's first."""
        return (self.address,) if self.address6 is None else (self.address, self.address6)

    def put(self) -> wire.EndpointBulkPut:
        """Return what the controller should have of it."""
        return wire.EndpointBulkPut(
            id=self.endpoint,
            network=self.network,
            address=self.address,
            address6=self.address6,
            mac=self.mac,
            container=self.container.id,
            name=self.container.name,
            labels=dict(self.container.labels),
            rate=self.asked.rate,
            published=told(self.published),
            aliases=list(self.aliases),
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found, each part None where it could not be asked."""

    docker: Mapping[str, Attached] | None = None
    endpoints: Mapping[str, wire.Endpoint] | None = None
    """The controller's endpoints of this host."""
    leases: Collection[wire.Lease] | None = None
    """The controller's leases of this host."""
    ports: Collection[str] = ()
    held: Mapping[str, Collection[Place]] = field(default_factory=dict)
    """Endpoints that the driver made and has not deleted."""
    busy: Collection[str] = ()
    """Endpoints with a call in progress."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What to do at once (`put`), and what to remove once it has been so for long enough."""

    put: tuple[Attached, ...] = ()
    endpoints: frozenset[str] = frozenset()
    ports: frozenset[str] = frozenset()
    leases: frozenset[Place] = frozenset()
    held: frozenset[str] = frozenset()
    unplugged: tuple[Attached, ...] = ()
    """Running containers without a port: nothing but a reconnection helps them."""


def compare(seen: Seen) -> Findings:
    """Return what does not fit. Without Docker's word nothing is unknown."""
    if seen.docker is None:
        return Findings()
    alive = {*seen.docker, *seen.busy}
    short = {endpoint[:_SHORT] for endpoint in alive}
    plugged = {port[:_SHORT] for port in seen.ports}
    addresses = {(entry.network, address) for entry in seen.docker.values() for address in entry.addresses}
    addresses |= {place for endpoint, places in seen.held.items() if endpoint in seen.busy for place in places}
    endpoints = seen.endpoints or {}
    leases = [lease for lease in seen.leases or () if lease.kind == "endpoint"]
    return Findings(
        put=tuple(
            entry
            for entry in seen.docker.values()
            if seen.endpoints is not None and entry.endpoint not in seen.busy and _differs(entry, endpoints)
        ),
        endpoints=frozenset(endpoints) - alive,
        ports=frozenset(port for port in seen.ports if port[:_SHORT] not in short),
        leases=frozenset((lease.network, lease.address) for lease in leases) - addresses,
        held=frozenset(seen.held) - alive,
        unplugged=tuple(
            entry
            for entry in seen.docker.values()
            if entry.endpoint[:_SHORT] not in plugged and entry.endpoint not in seen.busy
        ),
    )


def _differs(entry: Attached, endpoints: Mapping[str, wire.Endpoint]) -> bool:
    """Return whether the controller lacks the endpoint, or does not know well who it is and what it asks for."""
    known = endpoints.get(entry.endpoint)
    if known is None:
        return True
    container = entry.container
    seen = (known.known, known.address6, known.name, known.container, dict(known.labels), known.rate)
    return (*seen, known.published, sorted(known.aliases)) != (
        True,
        entry.address6,
        container.name,
        container.id,
        dict(container.labels),
        entry.asked.rate,
        told(sorted(entry.published)),
        sorted(entry.aliases),
    )


class Ages:
    """Since when each thing has been unknown. What is known again in between starts anew."""

    def __init__(self, grace: float = GRACE) -> None:
        self._grace = grace
        self._since: dict[object, float] = {}

    def ripe(self, found: Findings, now: float) -> Findings:
        """Return of the removals in `found` those that have been due for long enough; `put` is never delayed."""
        kinds = {
            "endpoints": found.endpoints,
            "ports": found.ports,
            "leases": found.leases,
            "held": found.held,
        }
        keys = {(kind, key) for kind, group in kinds.items() for key in group}
        self._since = {key: self._since.get(key, now) for key in keys}

        def due(kind: str) -> frozenset[object]:
            return frozenset(key for key in kinds[kind] if now - self._since[kind, key] >= self._grace)

        return Findings(
            put=found.put,
            endpoints=due("endpoints"),  # type: ignore[arg-type]
            ports=due("ports"),  # type: ignore[arg-type]
            leases=due("leases"),  # type: ignore[arg-type]
            held=due("held"),  # type: ignore[arg-type]
            unplugged=found.unplugged,
        )
