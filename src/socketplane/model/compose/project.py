"""What a Compose file says about networks: services, their containers, and what each declares to need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, ip_address

from socketplane.model.spec import Labels, Port

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
ONE_OFF = "com.docker.compose.oneoff"
NETWORK = "com.docker.compose.network"
DRIVER = "socketplane"


@dataclass(frozen=True, slots=True)
class Publication:
    """A container's port (or range) that the host offers, to everyone or at the host's address `host` only."""

    port: Port
    host: str = ""

    @property
    def local(self) -> bool:
        """Whether only the host itself can use it."""
        return bool(self.host) and ip_address(self.host).is_loopback


@dataclass(frozen=True, slots=True)
class Attachment:
    """A service's place on a network, named by its key in the file."""

    network: str
    address: IPv4Address | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """A service that another one declares to use, and by which field."""

    service: str
    how: str


@dataclass(frozen=True, slots=True)
class Service:
    """A service. `containers` are the names of its containers: as many as it has replicas.

    One without networks of its own has none (`mode` none or host), or is in those of the service `joins`.
    """

    name: str
    containers: tuple[str, ...]
    labels: Labels
    attachments: tuple[Attachment, ...] = ()
    mode: str = ""
    joins: str = ""
    needs: tuple[Need, ...] = ()
    exposed: tuple[Port, ...] = ()
    published: tuple[Publication, ...] = ()

    @property
    def ports(self) -> tuple[Port, ...]:
        """What it declares to listen on."""
        return tuple(sorted({*self.exposed, *(publication.port for publication in self.published)}, key=_order))


def _order(port: Port) -> tuple[str, int, int]:
    return port.protocol, port.port or 0, port.end or 0


@dataclass(frozen=True, slots=True)
class ProjectNetwork:
    """A network that the project makes or (external) finds. `name` is Docker's; what Docker chooses is None."""

    key: str
    name: str
    external: bool = False
    internal: bool = False
    routed: bool = False
    driver: str = ""
    labels: Labels = field(default_factory=dict)
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A Compose file. `inactive` has the services that no active profile starts, with their profiles."""

    name: str
    filename: str
    services: Mapping[str, Service]
    networks: Mapping[str, ProjectNetwork]
    """By key; those that a service uses."""
    inactive: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()

    def home(self, service: Service) -> Service:
        """Return the service in whose networks this one is: itself, or the one that it joins."""
        while service.joins:
            service = self.services[service.joins]
        return service
