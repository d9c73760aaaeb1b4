"""The intent, as values. Everything else (northbound rows, REST, Docker) is derived from these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType
from uuid import UUID

from socketplane.encryption import Encryption
from socketplane.model.published import Published
from socketplane.model.spec import Labels

NO_LABELS: Labels = MappingProxyType({})

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network


def is_inside(inner: Subnet, outer: Subnet) -> bool:
    """Return whether all addresses of one are addresses of the other."""
    return inner.network_address in outer and inner.broadcast_address in outer


LINK_LOCAL6 = IPv6Network("fe80::/10")
"""Addresses that containers give themselves. No policy knows them, so nothing but neighbour discovery may use them."""

HOSTS6 = IPv6Network("fd47:14ad:c79c::/96")
"""Where hosts' own ports have their IPv6 addresses: the last four bytes are the IPv4 one. Nobody else sees them."""
POOL6_PREFIX = 48

LABEL_CONTAINER = "socketplane.io/container"
LABEL_NETWORK = "socketplane.io/network"
LABEL_HOST = "socketplane.io/host"
"""Of endpoints: the host that they are on; of hosts: their name."""
LABEL_HOST_NAME = "kubernetes.io/hostname"
"""On hosts: what selectors of nodes name a node by."""
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
    services: IPv4Network | None = None
    """Part of the pool that services have their addresses from, and no network; None until the first needs one."""
    services6: IPv6Network | None = None
    encryption: Encryption | None = None
    """How hosts encrypt what they send one another; None: they don't."""

    @property
    def pool6(self) -> IPv6Network:
        """What networks' IPv6 subnets are cut from: the /48 of unique local addresses that the id gives."""
        return _pool6(self.id)

    @property
    def hosts6(self) -> IPv6Network:
        """What the hosts' own ports have over IPv6: the same numbers as in `hosts`."""
        return hosts6(self.hosts)

    def pool_of(self, version: int) -> Subnet:
        """Return the pool of IPv4 or IPv6."""
        return self.pool if version == 4 else self.pool6

    def hosts_of(self, version: int) -> Subnet:
        """Return the range of the hosts' own ports, of IPv4 or IPv6."""
        return self.hosts if version == 4 else self.hosts6


@lru_cache(maxsize=16)
def _pool6(cluster: UUID) -> IPv6Network:
    digest = sha256(b"socketplane pool6 " + cluster.bytes).digest()
    return IPv6Network((b"\xfd" + digest[:5] + bytes(10), POOL6_PREFIX))


def order(address: Address) -> tuple[int, int]:
    """Return what addresses of both versions of IP are sorted by."""
    return address.version, int(address)


def pool6_around(subnet: IPv6Network) -> IPv6Network:
    """Return the pool that a network's subnet was cut from."""
    return subnet.supernet(new_prefix=POOL6_PREFIX)


def hosts6(hosts: IPv4Network) -> IPv6Network:
    """Return the range of IPv6 that belongs to hosts' own ports."""
    return IPv6Network((int(host6(hosts.network_address)), HOSTS6.prefixlen + hosts.prefixlen))


def host6(address: IPv4Address) -> IPv6Address:
    """Return the IPv6 address beside an IPv4 one on the switch of hosts."""
    return HOSTS6[int(address)]


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
    resolvers: tuple[IPv4Address, ...] = ()
    """Addresses at which its containers reach its resolver, at port 53; sorted."""
    underlay_mtu: int = 0
    """MTU of the link that carries its tunnels; 0 while it has not told."""
    lost: bool = False
    """Whether its agent was not heard for so long that nobody knows how its containers are."""
    public_key: str = ""
    """Of its WireGuard device, in base64; empty while its agent has not told it."""

    @property
    def gateway6(self) -> IPv6Address:
        """IPv6 address of `sp0`; the port has it while any network has IPv6."""
        return host6(self.gateway)


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
    subnet6: IPv6Network | None = None
    """None: the network has IPv4 only."""
    gateway6: IPv6Address | None = None
    """There with `subnet6`, and only then."""
    reserved: Mapping[Address, str] = field(default_factory=lambda: MappingProxyType({}))
    """Addresses that are kept for the containers of these names."""
    routed: bool = False
    """Whether the outside meets its containers at their own addresses, both ways; never with `internal`."""

    @property
    def subnets(self) -> tuple[Subnet, ...]:
        """Its subnets, IPv4's first."""
        return (self.subnet,) if self.subnet6 is None else (self.subnet, self.subnet6)

    @property
    def gateways(self) -> tuple[Address, ...]:
        """Its gateways, IPv4's first."""
        return (self.gateway,) if self.gateway6 is None else (self.gateway, self.gateway6)


class LeaseKind(StrEnum):
    """What an address is held for."""

    GATEWAY = "gateway"
    ENDPOINT = "endpoint"
    AUXILIARY = "auxiliary"


@dataclass(frozen=True, slots=True)
class Lease:
    """An address of a network that is held, or was until `released` (seconds since the epoch) and rests."""

    network: UUID
    address: Address
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
    address6: IPv6Address | None = None
    """None: it has IPv4 only."""
    published: tuple[Published, ...] = ()
    """Its ports that its host answers at."""
    aliases: tuple[str, ...] = ()
    """What its user calls it on this network, beside its name; sorted."""
    conditions: Labels = field(default_factory=lambda: NO_LABELS)
    """How its agent finds it, for services; see `services.readiness`."""
    draining: bool = False
    """Whether an administrator wants it to be no service's backend any more."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Its addresses, IPv4's first."""
        return (self.address,) if self.address6 is None else (self.address, self.address6)


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
    ours = {LABEL_CONTAINER: endpoint.name, LABEL_NETWORK: network_name or "", LABEL_HOST: endpoint.host}
    return {**endpoint.labels, **{key: value for key, value in ours.items() if value}}


def network_labels(network: Network) -> Labels:
    """Return the labels that selectors of networks see: its own, and its name under Kubernetes' key, which wins."""
    return {**network.labels, **({LABEL_NETWORK_NAME: network.name} if network.name else {})}


def host_labels(host: Host) -> Labels:
    """Return the labels that selectors of hosts see: its own, and its name under our key and Kubernetes', which win."""
    return {**host.labels, LABEL_HOST: host.name, LABEL_HOST_NAME: host.name}


MAC_PREFIX = "02:53:"
"""Locally administered. What begins so belongs to the address that the rest says."""


def mac_of(address: IPv4Address) -> str:
    """Return the MAC that belongs to an address: our prefix and its four bytes."""
    return MAC_PREFIX + ":".join(f"{byte:02x}" for byte in address.packed)
