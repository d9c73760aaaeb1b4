"""The intent, as values. Everything else (northbound rows, REST, Docker) is derived from these."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType
from uuid import UUID

from socketplane.model.spec import Labels

NO_LABELS: Labels = MappingProxyType({})

LABEL_CONTAINER = "socketplane.io/container"
LABEL_NETWORK = "socketplane.io/network"
LABEL_NETWORK_NAME = "kubernetes.io/metadata.name"
"""On networks: what namespace selectors name a namespace by."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all hosts share. `pool` is cut into networks of `prefix` bits; `hosts` holds the hosts' own ports."""

    id: UUID
    pool: IPv4Network = IPv4Network("10.192.0.0/10")
    prefix: int = 22
    hosts: IPv4Network = IPv4Network("169.254.192.0/20")
    """Link-local: not CGNAT space, which other VPNs drop, and nobody's LAN."""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine of the cluster. `system_id` is its OVN chassis name and its certificate's common name."""

    name: str
    system_id: str
    address: str
    """Underlay address: the tunnel's end."""
    gateway: IPv4Address
    """Address of the host's own port `sp0` on the switch of hosts."""
    labels: Labels = field(default_factory=lambda: NO_LABELS)
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class Network:
    """A Docker network on every host. `name` is None while Docker has not told it (design §5)."""

    id: UUID
    name: str | None
    subnet: IPv4Network
    gateway: IPv4Address
    ip_range: IPv4Network | None = None
    internal: bool = False
    labels: Labels = field(default_factory=lambda: NO_LABELS)
    created: float = 0.0
    """Seconds since the epoch."""
    origin: str = ""
    """Name of the host on which Docker asked for it; empty when made with `socketplane network create`."""
    request: str = ""
    """Id that an agent made: the same request twice means the same network."""


class LeaseKind(StrEnum):
    """What an address is held for."""

    GATEWAY = "gateway"
    ENDPOINT = "endpoint"
    AUXILIARY = "auxiliary"


@dataclass(frozen=True, slots=True)
class Lease:
    """An address of a network that is held, or was until `released` (seconds since the epoch) and rests."""

    network: UUID
    address: IPv4Address
    kind: LeaseKind
    host: str
    """Host that holds it; empty for what all hosts share (the gateway)."""
    request: str = ""
    """Id that the agent made: the same request twice means the same lease."""
    created: float = 0.0
    released: float | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container on a network: one port on Open vSwitch. `id` is Docker's endpoint id, new at every start."""

    id: str
    network: UUID
    host: str
    address: IPv4Address
    mac: str
    container: str = ""
    """Docker's container id; empty while unknown."""
    name: str = ""
    """Docker's container name; empty while unknown."""
    labels: Labels = field(default_factory=lambda: NO_LABELS)
    """The container's own labels as Docker tells them, image labels included."""
    known: bool = True
    """False while Docker did not tell in time who it is: cut off wherever any policy applies."""
    created: float = 0.0
    rate: int | None = None
    """Bits a second that it asks for itself, in both directions."""


@dataclass(frozen=True, slots=True)
class Token:
    """A permission to join. Only the secret's hash is kept."""

    id: str
    hash: str
    """Hex SHA-256 of the secret, which has 256 random bits."""
    created: float
    expires: float
    uses: int
    """Joins that are left."""


def effective_labels(endpoint: Endpoint, network_name: str | None) -> Labels:
    """Return the labels that selectors see: the container's own, and ours, which win."""
    ours = {LABEL_CONTAINER: endpoint.name, LABEL_NETWORK: network_name or ""}
    return {**endpoint.labels, **{key: value for key, value in ours.items() if value}}


def network_labels(network: Network) -> Labels:
    """Return the labels that selectors of networks see: its own, and its name under Kubernetes' key, which wins."""
    return {**network.labels, **({LABEL_NETWORK_NAME: network.name} if network.name else {})}


MAC_PREFIX = "02:53:"
"""Locally administered. What begins so belongs to the address that the rest says."""


def mac_of(address: IPv4Address) -> str:
    """Return the MAC that belongs to an address: our prefix and its four bytes."""
    return MAC_PREFIX + ":".join(f"{byte:02x}" for byte in address.packed)
