"""The cluster: joining it, its hosts, its state."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from socketplane.wire.base import Labels, Name, Port, PublicKey, SystemId, Wire
from socketplane.wire.bgp import BgpStatus
from socketplane.wire.floating import Claim


class Version(Wire):
    """Program and API version."""

    version: str
    api: Literal["v1"] = "v1"


class JoinRequest(Wire):
    """A new host's request: it made its own key and asks for a certificate."""

    token_id: str
    secret: str
    name: Name
    system_id: SystemId
    address: IPv4Address
    """Underlay address of the joining host."""
    csr: str
    """PEM; its common name is the system id."""
    time: float
    """The joining host's clock, seconds since the epoch: far off is its own clear error."""
    unencryptable: Annotated[str, Field(max_length=200)] = "its release can't"
    """Why it could not encrypt what it sends to other hosts; empty: it could."""


class Encryption(Wire):
    """WireGuard between all hosts."""

    network: IPv4Network
    """Where each host has an address at its WireGuard device, which is where tunnels end."""
    port: Port
    """UDP, at hosts' underlay addresses."""


class JoinReply(Wire):
    """What a host needs to be part of the cluster."""

    certificate: str
    ca: str
    host: Host
    controllers: list[str]
    """host:port of the REST API."""
    southbound: list[str]
    """OVSDB remotes for ovn-controller, ssl:address:port."""
    pool: IPv4Network
    hosts: IPv4Network
    encryption: Encryption | None = None
    """None: hosts don't encrypt what they send one another."""


class EncryptedPeer(Wire):
    """Another host, as this one's WireGuard device knows it."""

    host: str
    handshake: float | None = None
    """When the two agreed on keys last, seconds since the epoch; None: not since the device was made."""


class HostReport(Wire):
    """What an agent says of its own host."""

    version: str
    datapath: Literal["kernel", "userspace", "unknown"] = "unknown"
    docker: str = ""
    """Engine version; empty while Docker does not answer."""
    ovs: str = ""
    ovn_controller: bool = False
    """Whether it is connected to the southbound."""
    mtu: int = 0
    """Of its containers' interfaces."""
    underlay_mtu: Annotated[int, Field(ge=0, le=65535)] = 0
    """Of the link that carries its tunnels."""
    conflicts: list[str] = []
    """Networks that can't exist on this host, and why."""
    alarms: list[str] = []
    """Things that are wrong and need a person."""
    resolvers: Annotated[list[IPv4Address], Field(max_length=32)] = []
    """Addresses from which containers are led to this host's resolver, at port 53."""
    resolver: Resolver | None = None
    """None while it does not run."""
    floating: Annotated[list[Claim], Field(max_length=65536)] = []
    bgp: BgpStatus | None = None
    """None where the host has no peers."""

    installed: int = 0
    """OVN's number (`nb_cfg`) of what its Open vSwitch does, from the northbound's last count."""
    public_key: PublicKey = ""
    """Of its WireGuard device; empty without one."""
    peers: Annotated[list[EncryptedPeer], Field(max_length=65536)] = []
    """Whom it has encrypted tunnels to."""

    def says_new(self, before: HostReport) -> bool:
        """Return whether it says more than counts of the resolver and BGP, and how it stands with peers."""
        return self._without_counts() != before._without_counts()

    def _without_counts(self) -> HostReport:
        bgp = self.bgp and self.bgp.model_copy(update={"announced": 0, "announced6": 0})
        return self.model_copy(update={"resolver": None, "bgp": bgp, "peers": []})

    @property
    def met(self) -> frozenset[str]:
        """The peers that it has agreed on keys with."""
        return frozenset(peer.host for peer in self.peers if peer.handshake)


class Resolver(Wire):
    """How a host's resolver is."""

    names: int = 0
    """Entries that it knows: places of containers on networks."""
    servers: list[IPv4Address] = []
    """Whom it asks for all other names."""
    queries: dict[str, int] = {}
    """Since it started, by what became of them: answered, forwarded, unanswered, refused, malformed, ignored, failed."""
    problem: str = ""


class Host(Wire):
    """A host of the cluster; `report` is what its agent said last, `ready` whether that is recent and good."""

    name: str
    system_id: str
    address: str
    gateway: IPv4Address
    labels: Labels = {}
    endpoints: int = 0
    ready: bool = False
    seen: float | None = None
    """When its agent was heard last, seconds since the epoch."""
    report: HostReport | None = None
    underlay_mtu: int = 0
    """MTU of the link that carries its tunnels, as its agent told it last; 0 while it has not."""
    silent: bool = False
    """Whether its agent was not heard for so long that the host is probably gone: its names are not given out."""
    tunnel: IPv4Address | None = None
    """Its address at its WireGuard device; None: the cluster doesn't encrypt."""
    public_key: str = ""
    """Of that device, as its agent told it last."""


class HostPut(Wire):
    """A host that needs no token, because an administrator of the manager says so."""

    system_id: SystemId
    address: IPv4Address
    """Underlay address."""


class HostPatch(Wire):
    """Labels replace those that stand, where they are given; then some are set, and some removed."""

    labels: Labels | None = None
    add: Labels = {}
    remove: list[str] = []


class TokenCreate(Wire):
    """A permission to join."""

    ttl: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400.0
    """Seconds."""
    uses: Annotated[int, Field(ge=1, le=1000)] = 1


class Token(Wire):
    """A token, without its secret."""

    id: str
    created: float
    expires: float
    uses: int


class TokenCreated(Token):
    """A new token; `token` is the text to hand to `socketplane join`, shown once."""

    token: str


class Status(Wire):
    """The cluster at a glance."""

    version: str
    cluster: UUID
    pool: IPv4Network
    hosts: list[Host]
    networks: int
    endpoints: int
    policies: int
    services: int = 0
    published: int = 0
    """Ports of containers that hosts answer at."""
    floating: int = 0
    """Floating addresses that hosts answer for."""
    mtu: int = 0
    """Of containers, on all hosts: what fits into the smallest underlay; 0 while no host told of its own."""
    encrypted: bool = False
    """Whether hosts encrypt what they send one another."""
    warnings: list[str] = []
    """What works, and is probably not as it was meant."""
    alarms: list[str] = []
