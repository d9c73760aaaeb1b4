"""Containers on networks."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from socketplane.model.units import MAX_RATE, MIN_RATE
from socketplane.wire.base import Alias, EndpointId, Labels, Mac, Port, Wire


class Limit(Wire):
    """A rate that is held."""

    rate: int
    """Bits a second."""
    burst: int | None = None
    """Bytes that may pass above it after a pause; None: what holds the rate best."""


class Limits(Wire):
    """What an endpoint may send and get; None where it is not limited."""

    egress: Limit | None = None
    ingress: Limit | None = None


class PublishedPort(Wire):
    """A port of a container, and where its host answers for it."""

    protocol: Literal["tcp", "udp", "sctp"]
    address: IPv4Address | IPv6Address
    """One of the host's addresses; 0.0.0.0 or ::, at all of them of that version of IP."""
    host_port: Port
    port: Port
    """The container's."""


class EndpointPut(Wire):
    """A container's whole place on a network; sent again it replaces what stood."""

    network: UUID
    address: IPv4Address
    address6: IPv6Address | None = None
    mac: Mac
    container: str = ""
    name: str = ""
    labels: Labels = {}
    known: bool = True
    rate: Annotated[int, Field(ge=MIN_RATE, le=MAX_RATE)] | None = None
    """Bits a second that it asks for itself, in both directions."""
    published: Annotated[list[PublishedPort], Field(max_length=4096)] = []
    """The ports that its host answers at."""
    aliases: Annotated[list[Alias], Field(max_length=100)] = []
    """By what else it is found on this network. Docker tells them only once the container runs."""


class Endpoint(Wire):
    """A container on a network. `up` once its host installed its flows (as the northbound knows it)."""

    id: str
    network: UUID
    network_name: str
    host: str
    address: IPv4Address
    address6: IPv6Address | None = None
    mac: str
    container: str = ""
    name: str = ""
    labels: Labels = {}
    known: bool = True
    rate: int | None = None
    aliases: list[str] = []
    limits: Limits | None = None
    """What TrafficPolicies and its own `rate` come to; None where it is not limited."""
    published: list[PublishedPort] = []
    floating: list[IPv4Address | IPv6Address] = []
    """Addresses of the outside that lead to it."""
    up: bool = False
    conditions: dict[str, str] = {}
    """How its agent finds it, for services: `container`, `health`, and by NETWORK/NAME what services' probes say."""
    draining: bool = False
    """Whether it is taken out of services."""
    created: float = 0.0


class EndpointBulkPut(EndpointPut):
    """One of many."""

    id: EndpointId


class EndpointBulk(Wire):
    """Many endpoints of one host, written together."""

    put: Annotated[list[EndpointBulkPut], Field(max_length=1000)] = []
    delete: Annotated[list[EndpointId], Field(max_length=1000)] = []
    release: bool = False
    """Release the deleted endpoints' addresses too."""


class EndpointBulkReply(Wire):
    """Errors by endpoint id; what is not named was done."""

    errors: dict[str, dict[str, str | None]] = {}
