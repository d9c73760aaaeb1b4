"""Services: a load balancer each, on the switches of all routed networks and on that of the hosts.

Where the packet starts, the address of the service becomes that of a backend; what follows (policy, the way between
networks) is as if the backend had been meant from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.lookup import Selecting, alternatives, traits_of
from socketplane.compile.match import place
from socketplane.compile.rows import Output, Value, identity
from socketplane.model.services.types import Service, ServicePort
from socketplane.model.spec import Labels, Protocol
from socketplane.model.types import Cluster, Endpoint, Network

Key = tuple[str, str]
_KEY = "services"


class Services:
    """Services by network and name, found by what they select."""

    def __init__(self) -> None:
        self._services: dict[Key, Service] = {}
        self._on: dict[str, Selecting[Key]] = {}

    def get(self, key: Key) -> Service | None:
        """Return the service of that network and name."""
        return self._services.get(key)

    def on(self, network: str | None) -> list[Key]:
        """Return the services of a network."""
        return [key for key in self._services if key[0] == network] if network in self._on else []

    def replace(self, old: Service | None, new: Service | None) -> None:
        """Put a service in the place of another."""
        if old is not None:
            del self._services[old.network, old.name]
            self._on[old.network].discard((old.network, old.name))
            if not self._on[old.network]:
                del self._on[old.network]
        if new is not None:
            self._services[new.network, new.name] = new
            found = self._on.setdefault(new.network, Selecting())
            found.add((new.network, new.name), alternatives("endpoint", new.spec.selector))

    def selecting(self, network: str | None, labels: Labels) -> Iterator[Key]:
        """Yield the services of a network that select what has these labels."""
        if network is None or (on := self._on.get(network)) is None:
            return
        for key in on.candidates(traits_of("endpoint", labels)):
            if self._services[key].spec.selector.matches(labels):
                yield key


def compile_balancers(output: Output) -> None:
    """Add the group of all services' load balancers, which exists once."""
    output.row("Load_Balancer_Group", _KEY, {"name": names.service_balancers(output.cluster)})


def serve_on(output: Output, switch: UUID) -> None:
    """Have what is on a switch reach services."""
    balancers = identity(output.cluster, "Load_Balancer_Group", _KEY)
    output.edge("Logical_Switch", switch, "load_balancer_group", balancers)


def compile_service(
    output: Output, cluster: Cluster, service: Service, network: Network, backends: Sequence[Endpoint]
) -> None:
    """Add a service's load balancers: one for each protocol, for the server has it so."""
    if service.spec.headless or network.internal:
        return
    balancers = identity(output.cluster, "Load_Balancer_Group", _KEY)
    options = {
        "reject": "true",  # without a backend a client is told at once
        "hairpin_snat_ip": f"{names.nobody(cluster)} {names.nobody(cluster, 6)}",
    }
    # Not `affinity_timeout`: with that, OVN drops a client's first packets, for it learns by them. Not `ip_src`: that is
    # IPv4's alone. The packet is on the client's own switch, and so has its MAC, which is nobody else's there.
    fields: frozenset[object] = frozenset() if service.spec.affinity is None else frozenset({"eth_src"})
    for protocol in Protocol:
        ports = [port for port in service.spec.ports if port.protocol is protocol]
        vips = dict(vip for port in ports for vip in _vips(service, port, network, backends))
        if vips:
            name = f"sp-service-{service.network}-{service.name}-{protocol}"
            columns: dict[str, Value] = {"name": name, "protocol": str(protocol), "vips": vips, "options": options}
            columns["selection_fields"] = fields
            key = f"service/{service.network}/{service.name}/{protocol}"
            row = output.row("Load_Balancer", key, columns, {"service": service.title})
            output.edge("Load_Balancer_Group", balancers, "load_balancer", row)


def _vips(service: Service, port: ServicePort, network: Network, backends: Sequence[Endpoint]) -> Iterator[tuple[str, str]]:
    if service.address is not None:
        places = ",".join(place(each.address, port.target) for each in backends)
        yield place(service.address, port.port), places
    if service.address6 is not None and network.subnet6 is not None:
        places = ",".join(place(each.address6, port.target) for each in backends if each.address6 is not None)
        yield place(service.address6, port.port), places
