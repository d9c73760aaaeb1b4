"""Networks, and addresses leased on them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Literal
from uuid import UUID

from pydantic import StringConstraints

from socketplane.wire.base import Labels, Name, Wire


class NetworkCreate(Wire):
    """Make a network on every host. Without a name it is pending until `NetworkPatch` gives it one."""

    name: Name | None = None
    subnet: IPv4Network | None = None
    """None: the next free one of the pool."""
    gateway: IPv4Address | None = None
    """None: the subnet's first address."""
    ip_range: IPv4Network | None = None
    ipv6: bool = False
    """Whether its containers have IPv6 addresses too; so is with `subnet6`."""
    subnet6: IPv6Network | None = None
    """None: with `ipv6`, the next free one of the cluster's IPv6 pool."""
    gateway6: IPv6Address | None = None
    internal: bool = False
    routed: bool = False
    """Whether the outside meets its containers at their own addresses; not with `internal`."""
    labels: Labels = {}
    request: str = ""
    """Id made by an agent: the same twice means once."""


class NetworkPatch(Wire):
    """What Docker told later. None leaves a field alone; gateways and IPv6 only while no endpoint exists."""

    name: Name | None = None
    gateway: IPv4Address | None = None
    ipv6: bool | None = None
    """Give it IPv6, as `NetworkCreate` does; it is not taken away again."""
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    internal: bool | None = None
    routed: bool | None = None
    """May change at any time; once the network has its name, by an administrator only."""
    labels: Labels | None = None


class Network(Wire):
    """A network. `name` is empty while pending; without `subnet6` it has IPv4 only."""

    id: UUID
    name: str
    subnet: IPv4Network
    gateway: IPv4Address
    ip_range: IPv4Network | None = None
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    internal: bool = False
    routed: bool = False
    labels: Labels = {}
    endpoints: int = 0
    created: float = 0.0
    origin: str = ""
    reserved: dict[IPv4Address | IPv6Address, str] = {}
    """Addresses that are kept for the containers of these names."""


class ReservationPut(Wire):
    """Keep an address for the container of this name, on whatever host."""

    container: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,253}$")]


class LeaseCreate(Wire):
    """Ask for an address; `address` None means any. The gateways' leases are shared by all hosts."""

    kind: Literal["gateway", "endpoint", "auxiliary"] = "endpoint"
    address: IPv4Address | IPv6Address | None = None
    version: Literal[4, 6] = 4
    """Of IP, where `address` does not tell it."""
    container: str = ""
    """Name of the container that it is for, where Docker tells it (29 and later): it gets what is reserved for it."""
    request: str
    """Id made by the agent: the same twice means once."""


class Lease(Wire):
    """A held address, with its prefix length as Docker wants it."""

    network: UUID
    address: IPv4Address | IPv6Address
    prefix: int
    kind: Literal["gateway", "endpoint", "auxiliary"]
    host: str
    created: float = 0.0
