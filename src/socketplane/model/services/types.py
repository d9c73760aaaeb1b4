"""What a service is: whom it leads to, at which address and ports, and when a backend is ready. No syntax here."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from socketplane.model.spec import Protocol, Selector


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a service, and that of its backends."""

    protocol: Protocol
    port: int
    target: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked of each backend, again and again, by the agent of its host."""

    kind: str
    """`http` (a status from 200 to 399 is good) or `tcp` (a connection is)."""
    port: int
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    delay: int = 0
    """Seconds from the container's start to the first time."""
    period: int = 10
    timeout: int = 1
    successes: int = 1
    """How many in a row make a backend ready, and how many failures take it out again."""
    failures: int = 3

    def __str__(self) -> str:
        return f"GET {self.path} at port {self.port}" if self.kind == "http" else f"connecting to port {self.port}"


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service's meaning."""

    selector: Selector
    """Of endpoints on the service's network; never empty."""
    ports: tuple[ServicePort, ...]
    headless: bool = False
    """No address of its own: its name stands for all ready backends."""
    affinity: int | None = None
    """Not None: a client's address chooses its backend. The seconds are the document's, and nothing follows from them."""
    probe: Probe | None = None
    address: IPv4Address | None = None
    """The one that its author wants."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service on the network of that name, whether or not the network exists now (it outlives it, as policies do)."""

    network: str
    name: str
    spec: ServiceSpec
    address: IPv4Address | None = None
    """Its virtual address; None: headless."""
    address6: IPv6Address | None = None
    """Used where its network has IPv6."""
    labelled: bool = False
    """Whether labels of containers made it, and no document."""
    created: float = 0.0
    document: str = field(compare=False, default="")
    """The document in canonical JSON."""

    @property
    def title(self) -> str:
        """Return NETWORK/NAME."""
        return f"{self.network}/{self.name}"

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Its virtual addresses, IPv4's first."""
        return tuple(address for address in (self.address, self.address6) if address is not None)
