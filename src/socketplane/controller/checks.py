"""Which hosts are told which probes: each those of its own containers, for the services that these are backends of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from socketplane import wire
from socketplane.compile.index import Index
from socketplane.compile.service import Services
from socketplane.controller.store import Change
from socketplane.model.services.types import Probe, Service
from socketplane.model.types import Endpoint, Network

Told = dict[str, dict[str, list[wire.Check]]]
"""By host and endpoint."""


class CheckBook:
    """The probes of all endpoints. `index` and `services` are the compiler's, and have each change before it comes here."""

    def __init__(self, index: Index, services: Services) -> None:
        self._index = index
        self._services = services
        self._held: dict[str, list[wire.Check]] = {}

    def all_of(self, endpoints: Iterable[str]) -> dict[str, list[wire.Check]]:
        """Return the probes of those of these endpoints that have any."""
        return {key: self._held[key] for key in endpoints if key in self._held}

    def take(self, changes: Sequence[Change]) -> Told:
        """Take in committed changes; return whose probes are others now."""
        affected: dict[str, None] = {}
        for change in changes:
            affected.update(dict.fromkeys(self._affected(change)))
        told: Told = {}
        for key in affected:
            endpoint = self._index.endpoints.get(key)
            before, now = self._held.pop(key, []), self._of(endpoint)
            if now:
                self._held[key] = now
            if endpoint is not None and before != now:
                told.setdefault(endpoint.host, {})[key] = now
        return told

    def _affected(self, change: Change) -> Iterator[str]:
        some = change.new or change.old
        if isinstance(some, Endpoint):
            yield some.id
        elif isinstance(some, Network) and getattr(change.old, "name", None) != getattr(change.new, "name", None):
            yield from self._index.endpoints_by_network.get(some.id, ())
        elif isinstance(some, Service):
            for service in (change.old, change.new):
                if isinstance(service, Service) and service.spec.probe is not None:
                    for network in self._index.networks_named(service.network):
                        yield from self._index.members((network.id, service.spec.selector))

    def _of(self, endpoint: Endpoint | None) -> list[wire.Check]:
        network = self._index.networks.get(endpoint.network) if endpoint else None
        if endpoint is None or network is None or not endpoint.known:
            return []
        keys = self._services.selecting(network.name, self._index.labels_of(endpoint))
        found = [service for key in sorted(keys) if (service := self._services.get(key)) is not None]
        return [_check(service, service.spec.probe) for service in found if service.spec.probe is not None]


def _check(service: Service, probe: Probe) -> wire.Check:
    return wire.Check(
        service=service.title,
        kind="http" if probe.kind == "http" else "tcp",
        port=probe.port,
        path=probe.path,
        headers=list(probe.headers),
        delay=probe.delay,
        period=probe.period,
        timeout=probe.timeout,
        successes=probe.successes,
        failures=probe.failures,
    )
