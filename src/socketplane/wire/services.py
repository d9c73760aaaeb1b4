"""Services, and how containers fare as their backends."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from socketplane.wire.base import EndpointId, Name, Wire

ShortText = Annotated[str, StringConstraints(max_length=300)]


class ServiceApply(Wire):
    """Create or replace these services, all or none; `network` stands in where `metadata.namespace` is absent."""

    documents: Annotated[list[dict[str, object]], Field(min_length=1, max_length=1000)]
    network: Name | None = None


class ServiceApplied(Wire):
    """What became of one service."""

    network: str
    name: str
    change: Literal["created", "configured", "unchanged", "removed"]
    address: IPv4Address | None = None
    network_exists: bool = True
    """False: it waits for a network of that name."""


class ServiceOutcome(Wire):
    """What applying did."""

    items: list[ServiceApplied]
    warnings: list[str] = []


class ServicePort(Wire):
    """A port of a service, and that of its backends."""

    protocol: Literal["tcp", "udp", "sctp"]
    port: int
    target: int
    name: str = ""


class Backend(Wire):
    """A container that a service selects."""

    endpoint: str
    name: str
    host: str
    address: IPv4Address
    address6: IPv6Address | None = None
    ready: bool
    reason: str = ""
    """Why it is not ready."""


class Service(Wire):
    """A service. Without an address of its own it is headless: its name stands for the addresses of what is ready."""

    network: str
    name: str
    address: IPv4Address | None = None
    address6: IPv6Address | None = None
    headless: bool = False
    ports: list[ServicePort]
    selector: str
    affinity: int | None = None
    """Set: a client stays with its backend while the backends stay the same. The number is what its document says."""
    source: Literal["document", "label"] = "document"
    """label: containers ask for it with `socketplane.io/service`."""
    ready: int
    """Backends that are ready."""
    backends: list[Backend]
    problem: str = ""
    """Why nobody reaches it, where that is so."""
    created: float = 0.0
    document: dict[str, object]


class Conditions(Wire):
    """How endpoints of a host are, all that matters to services of each: what is not in it is not so any more."""

    items: Annotated[dict[EndpointId, Annotated[dict[ShortText, ShortText], Field(max_length=200)]], Field(max_length=5000)]


class EndpointDrain(Wire):
    """Whether an endpoint is to be no service's backend any more."""

    draining: bool


class Drained(Wire):
    """What is so in OVN's northbound now."""

    sequence: int
    """OVN's number (`nb_cfg`): hosts whose report has at least this as `installed` have it."""


class Check(Wire):
    """What an agent asks of one of its containers again and again, for a service."""

    service: str
    """NETWORK/NAME."""
    kind: Literal["http", "tcp"]
    port: int
    path: str = "/"
    headers: list[tuple[str, str]] = []
    delay: int = 0
    period: int = 10
    timeout: int = 1
    successes: int = 1
    failures: int = 3
