"""Connections that are really tried."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from socketplane.wire.base import EndpointId, Wire


class Probe(Wire):
    """A connection from one container to another; without a port, a ping."""

    source: EndpointId
    destination: EndpointId
    protocol: Literal["tcp", "udp", "icmp"]
    port: Annotated[int | None, Field(ge=1, le=65535)] = None
    version: Literal[4, 6] = 4
    """Of IP."""


class ReachSample(Probe):
    """One that shows whether a line is true, and the groups that it is for."""

    source_name: str
    """NETWORK/NAME of the container."""
    destination_name: str
    source_group: str
    destination_group: str
    expected: Literal["allow", "deny"]


class ReachSamples(Wire):
    """Of every line some. Hosts and what is outside are left out."""

    items: list[ReachSample]
    complete: bool
    """Whether the limit cut nothing off."""


class ProbeRequest(Wire):
    """Try these connections at once."""

    items: Annotated[list[Probe], Field(min_length=1, max_length=64)]
    wait: Annotated[float, Field(ge=0.1, le=3)] = 1.0
    """Seconds after which silence is an outcome."""


class ProbeSeen(Wire):
    """How a try ended: TCP is open once connected, UDP and pings once an answer came."""

    outcome: Literal["open", "refused", "timeout", "unreachable", "skipped"]
    detail: str = ""
    """Why it was skipped, that is not tried at all."""


class ProbeResult(Probe, ProbeSeen):
    """What was tried, beside what policy says of it."""

    expected: Literal["allow", "deny"] | None = None
    """None where an end is gone."""
    agrees: bool | None = None
    """None where it says nothing: skipped, or UDP that nobody answers."""


class ProbeResults(Wire):
    """In the order of the request."""

    items: list[ProbeResult]


class ProbeItem(Wire):
    """A connection that a host's agent is to try."""

    endpoint: str
    """Of the source, which is on that host; `container` is its container's id."""
    container: str
    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    protocol: Literal["tcp", "udp", "icmp"]
    port: int | None = None


class ProbeOrder(Wire):
    """Connections that a host's agent is to try at once."""

    id: str
    wait: float
    items: list[ProbeItem]


class ProbeAnswer(Wire):
    """How an order's connections ended, in its order."""

    order: Annotated[str, StringConstraints(max_length=64)]
    seen: Annotated[list[ProbeSeen], Field(max_length=64)]
