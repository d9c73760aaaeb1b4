"""What containers are found by."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from socketplane.wire.base import Wire


class Named(Wire):
    """By which names an endpoint is found, lower case, its container's own first."""

    id: str
    address: IPv4Address
    address6: IPv6Address | None = None
    container: str
    host: str
    names: list[str]


class NetworkNames(Wire):
    """Names on a network; `whole`: what is not in it is not there."""

    whole: bool = False
    put: list[Named] = []
    gone: list[str] = []
    """Endpoints' ids."""
