"""Open streams that policy no longer allows."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import Field

from socketplane.wire.base import Mac, UdpPort, Wire


class Streams(Wire):
    """UDP streams as conntrack knows them: who sent the first packets, and to whom."""

    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    port: UdpPort
    side: Literal["egress", "ingress"]
    """Whose tracking is told of: the source's (egress), or the destination's; its container is on the host that tells."""
    source_ports: Annotated[list[UdpPort], Field(max_length=1000)] = []
    """Those to be interrupted, if they are forbidden."""


class StreamCheck(Wire):
    """Streams of containers of one host, to be judged. Of all ports in it, the first thousand are interrupted."""

    revision: str
    """Of the rules that the host has installed: other ones can't be asked about."""
    streams: Annotated[list[Streams], Field(max_length=1000)]


class StreamsForbidden(Wire):
    """Which of the streams that were asked about must not go on."""

    forbidden: list[int]
    """By their place in the request. The hosts of their sources are told to interrupt the ports that were named."""
    unheard: list[int] = []
    """Those of them whose source's host has no agent that listens."""


class Interruption(Wire):
    """A packet that is to be sent in a stream's direction, on the host of its source: OVN drops it, and then the rest."""

    endpoint: str
    """Where it comes from; empty for the host's own port: of the host itself, or from outside to a published port."""
    source: IPv4Address | IPv6Address
    source_port: UdpPort
    source_mac: Mac
    destination: IPv4Address | IPv6Address
    port: UdpPort
    destination_mac: Mac
