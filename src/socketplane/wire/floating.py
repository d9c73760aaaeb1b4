"""Addresses of the outside that lead to containers."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from socketplane.wire.base import Labels, Name, Wire

AnyAddress = IPv4Address | IPv6Address


class PoolCreate(Wire):
    """Addresses that may be given to containers."""

    name: Name
    range: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """A CIDR (without its first and last address), or FIRST-LAST."""


class Pool(Wire):
    """A pool of addresses."""

    name: str
    first: AnyAddress
    last: AnyAddress
    size: int
    used: list[AnyAddress] = []
    created: float = 0.0


class Expose(Wire):
    """A container, or one of those with all these labels, is to be reached at an address of the outside."""

    container: Annotated[str, StringConstraints(max_length=255)] = ""
    labels: Labels = {}
    """As policies see them. Either these or the container's name."""
    network: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    """Its name; not needed while such containers are on one only."""
    address: AnyAddress | None = None
    """None: the lowest free one of the pool."""
    pool: Name | None = None
    """Not needed while there is only one, or with an address."""


class Floating(Wire):
    """A floating address. `claimed` when the holder's host answers for it; `vacant` while no container may have it."""

    address: AnyAddress
    pool: str
    network: str
    subject: str
    """For people: a container's name, or labels."""
    labels: Labels
    state: Literal["claimed", "pending", "refused", "vacant"]
    problem: str = ""
    """Why the host does not answer for it."""
    endpoint: str = ""
    container: str = ""
    host: str = ""
    link: str = ""
    created: float


class Claim(Wire):
    """What a host says of an address that one of its containers holds."""

    address: AnyAddress
    link: str = ""
    """Where it answers for it; empty: nowhere."""
    problem: Annotated[str, Field(max_length=500)] = ""
