"""Services as the REST API shows them, with their backends and why some are not ready."""

from __future__ import annotations

import orjson

from socketplane import wire
from socketplane.compile.index import Index
from socketplane.compile.service import Key, Services
from socketplane.controller.intent import Intent
from socketplane.model.containernames import names_of
from socketplane.model.services.document import AFFINITY
from socketplane.model.services.readiness import ready, why_not
from socketplane.model.services.types import Service
from socketplane.model.types import Endpoint, Network, effective_labels

NOBODY_KNOWN = "Docker has not told its labels yet"
NOT_HEARD = "its host's agent is not heard any more"


class ServiceViews:
    """Makes wire types of services. `index` and `services` are the compiler's, and have each change before it is shown."""

    def __init__(self, intent: Intent, index: Index, services: Services) -> None:
        self._intent = intent
        self._index = index
        self._services = services

    def service(self, service: Service) -> wire.Service:
        """Show a service."""
        network, selected = self._network(service), self.selected(service)
        backends = {each.id for each in self.ready(service)}
        shown = [self._backend(service, each, each.id in backends) for each in selected]
        return wire.Service(
            network=service.network,
            name=service.name,
            address=service.address,
            address6=service.address6 if network and network.subnet6 else None,
            headless=service.spec.headless,
            ports=[
                wire.ServicePort(protocol=each.protocol.value, port=each.port, target=each.target, name=each.name)
                for each in service.spec.ports
            ],
            selector=str(service.spec.selector),
            affinity=service.spec.affinity,
            source="label" if service.labelled else "document",
            ready=len(backends),
            backends=shown,
            problem=_problem(service, network, len(backends), len(selected)),
            created=service.created,
            document=orjson.loads(service.document),
        )

    def selected(self, service: Service) -> list[Endpoint]:
        """Return what a service selects, in the order of addresses."""
        network = self._network(service)
        if network is None:
            return []
        keys = self._index.members((network.id, service.spec.selector))
        found = (self._intent.endpoints.get(key) for key in keys)
        return sorted((each for each in found if each is not None and each.known), key=lambda each: each.address)

    def ready(self, service: Service) -> list[Endpoint]:
        """Return a service's backends."""
        return ready(service, self.selected(service), self._intent.hosts)

    def headless(self, endpoint: Endpoint) -> list[Key]:
        """Return the headless services that select what has an endpoint's labels, whether it is there or not."""
        name = self._intent.network_name(endpoint.network)
        found = self._services.selecting(name or None, effective_labels(endpoint, name))
        return [key for key in found if (service := self._services.get(key)) is not None and service.spec.headless]

    def warnings(self, service: Service) -> list[str]:
        """Return what an author should look at in a service that was applied."""
        network, selected = self._network(service), self.selected(service)
        found = []
        if service.spec.affinity not in (None, AFFINITY):
            found.append(
                f"{service.title}: spec.sessionAffinityConfig.clientIP.timeoutSeconds has no effect: a client keeps its "
                "backend for as long as the backends stay the same"
            )
        if network is not None and not selected:
            found.append(f"{service.title} selects no container: {service.spec.selector}")
        if network is not None and (bearers := self._bearers(service, network)):
            named = ", ".join(sorted(bearers)[:3])
            found.append(
                f"{service.title}: on its network {named} is called {service.name}, too: the name stands for the service, "
                "but Docker itself answers it on that container's own host, and with the container"
            )
        return found

    def _bearers(self, service: Service, network: Network) -> list[str]:
        keys = self._intent.endpoints_of_network.get(network.id, ())
        endpoints = [self._intent.endpoints[key] for key in keys]
        return [each.name for each in endpoints if service.name in names_of(each)]

    def _network(self, service: Service) -> Network | None:
        uuid = self._intent.network_of_name.get(service.network)
        return self._intent.networks.get(uuid) if uuid else None

    def _backend(self, service: Service, endpoint: Endpoint, is_backend: bool) -> wire.Backend:
        reason = "" if is_backend else why_not(service, endpoint) or NOT_HEARD
        return wire.Backend(
            endpoint=endpoint.id,
            name=endpoint.name,
            host=endpoint.host,
            address=endpoint.address,
            address6=endpoint.address6,
            ready=is_backend,
            reason=reason,
        )


def _problem(service: Service, network: Network | None, backends: int, selected: int) -> str:
    if network is None:
        return f"there is no network {service.network}"
    if network.internal and not service.spec.headless:
        return f"network {service.network} is internal: no router is there to lead to a service's address"
    if not selected:
        return f"no container of the network has the labels {service.spec.selector}"
    return "" if backends else f"none of {selected} containers is ready"
