"""Which hosts are told which names: every host those of the networks that it has containers on.

A service with an address is an entry of its own, which belongs to no host; a headless one a further name of what is ready.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address
from uuid import UUID

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.controller.serviceviews import ServiceViews
from socketplane.controller.store import Change
from socketplane.model.containernames import names_of
from socketplane.model.services.types import Service
from socketplane.model.types import Endpoint, Host, Network

Key = tuple[str, str]
Told = tuple[frozenset[str], dict[UUID, wire.NetworkNames]]
"""Hosts, and what is told to all of them."""


class NameBook:
    """Follows committed changes of `intent`, which has each before it comes here. A change costs its own size."""

    def __init__(self, intent: Intent, services: ServiceViews) -> None:
        self._intent = intent
        self._services = services
        self._ready: dict[Key, frozenset[str]] = {}
        """What was ready for headless services when it was told last."""
        self._headless: dict[str, set[str]] = {}
        """The same by endpoint: the services' names."""
        self._on: dict[UUID, Counter[str]] = {}
        for endpoint in intent.endpoints.values():
            self._on.setdefault(endpoint.network, Counter())[endpoint.host] += 1
        for key in intent.services:
            self._follow(key)

    def all_of(self, host: str) -> dict[UUID, wire.NetworkNames]:
        """Return all that a host should know."""
        return {network: self._whole(network) for network, hosts in self._on.items() if host in hosts}

    def take(self, changes: Sequence[Change]) -> Iterator[Told]:
        """Take in committed changes; yield what is told to whom."""
        news = _News()
        for change in changes:
            old, new = change.old, change.new
            if isinstance(old, Endpoint):
                self._count(news, old, -1)
                if not isinstance(new, Endpoint) or new.network != old.network:
                    news.gone(old.network, old.id)
            if isinstance(new, Endpoint):
                self._count(news, new, 1)
                if not isinstance(old, Endpoint) or _view(old) != _view(new):
                    news.endpoints[new.id] = None
            self._take_service(news, change)
        for key in {key: None for change in changes for key in self._headless_of(change)}:
            news.endpoints.update(dict.fromkeys(self._follow(key)))
        for endpoint in (self._intent.endpoints.get(key) for key in news.endpoints):
            if endpoint is not None:
                self._mark(news, endpoint.network)
                news.put(endpoint.network, self._named(endpoint))
        for network, hosts in news.hosts.items():
            yield from self._told(network, hosts, news)

    def _take_service(self, news: _News, change: Change) -> None:
        """Note what changed of services with addresses, and of networks on which they have names."""
        old, new = change.old, change.new
        if isinstance(new, Network) and isinstance(old, Network) and _names_see(old) != _names_see(new):
            self._mark(news, new.id)
            news.whole.add(new.id)
        for service in (old, new):
            network = self._intent.network_of_name.get(service.network) if isinstance(service, Service) else None
            if isinstance(service, Service) and network is not None:
                self._mark(news, network)
                if service is new and service.address is not None:
                    news.put(network, self._service(service, service.address, network))
                else:
                    news.gone(network, _id(service))

    def _headless_of(self, change: Change) -> Iterator[Key]:
        """Yield the headless services for which something else may be ready now."""
        old, new = change.old, change.new
        some = new or old
        if isinstance(some, Endpoint):
            for endpoint in (old, new):
                if isinstance(endpoint, Endpoint):
                    yield from self._services.headless(endpoint)
        elif isinstance(some, Service):
            yield some.network, some.name
        elif isinstance(some, Host) and getattr(old, "lost", None) != getattr(new, "lost", None):
            yield from list(self._ready)

    def _follow(self, key: Key) -> frozenset[str]:
        """Take in what is ready for a service now; return the endpoints whose names are others by that."""
        service = self._intent.services.get(key)
        headless = service is not None and service.spec.headless
        now = frozenset(each.id for each in self._services.ready(service)) if service and headless else frozenset()
        changed = now ^ self._ready.pop(key, frozenset())
        if now:
            self._ready[key] = now
        for endpoint in changed:
            names = self._headless.setdefault(endpoint, set())
            (names.add if endpoint in now else names.discard)(key[1])
            if not names:
                del self._headless[endpoint]
        return changed

    def _mark(self, news: _News, network: UUID) -> None:
        news.hosts.setdefault(network, frozenset(self._on.get(network, ())))

    def _told(self, network: UUID, before: frozenset[str], news: _News) -> Iterator[Told]:
        now = frozenset(self._on.get(network, ()))
        puts, gone = list(news.puts.get(network, {}).values()), list(news.removed.get(network, ()))
        if new := now - before:
            yield new, {network: self._whole(network)}
        if left := before - now:
            yield left, {network: wire.NetworkNames(whole=True)}
        stay = before & now
        if stay and network in news.whole:
            yield stay, {network: self._whole(network)}
        elif stay and (puts or gone):
            yield stay, {network: wire.NetworkNames(put=puts, gone=gone)}

    def _count(self, news: _News, endpoint: Endpoint, difference: int) -> None:
        self._mark(news, endpoint.network)
        hosts = self._on.setdefault(endpoint.network, Counter())
        hosts[endpoint.host] += difference
        if not hosts[endpoint.host]:
            del hosts[endpoint.host]
        if not hosts:
            del self._on[endpoint.network]

    def _whole(self, network: UUID) -> wire.NetworkNames:
        keys = self._intent.endpoints_of_network.get(network, ())
        endpoints = [self._named(self._intent.endpoints[key]) for key in keys]
        name = self._intent.network_name(network)
        services = [self._intent.services[key] for key in self._intent.services_of.get(name, ())]
        found = [self._service(each, each.address, network) for each in services if each.address is not None]
        return wire.NetworkNames(whole=True, put=[*endpoints, *found])

    def _service(self, service: Service, address: IPv4Address, network: UUID) -> wire.Named:
        return wire.Named(
            id=_id(service),
            address=address,
            address6=service.address6 if self._intent.networks[network].subnet6 else None,
            container="",
            host="",
            names=[service.name],
        )

    def _named(self, endpoint: Endpoint) -> wire.Named:
        return named(endpoint, sorted(self._headless.get(endpoint.id, ())))


@dataclass
class _News:
    """What is to be told of networks, to the hosts that were on them."""

    hosts: dict[UUID, frozenset[str]] = field(default_factory=dict)
    puts: dict[UUID, dict[str, wire.Named]] = field(default_factory=dict)
    removed: dict[UUID, dict[str, None]] = field(default_factory=dict)
    endpoints: dict[str, None] = field(default_factory=dict)
    """Endpoints whose names changed."""
    whole: set[UUID] = field(default_factory=set)
    """Networks of which all is told anew."""

    def put(self, network: UUID, named: wire.Named) -> None:
        """Note an entry that is there."""
        self.removed.get(network, {}).pop(named.id, None)
        self.puts.setdefault(network, {})[named.id] = named

    def gone(self, network: UUID, key: str) -> None:
        """Note one that is not there any more."""
        self.puts.get(network, {}).pop(key, None)
        self.removed.setdefault(network, {})[key] = None


def _id(service: Service) -> str:
    return sha256(f"service {service.title}".encode()).hexdigest()


def named(endpoint: Endpoint, more: Sequence[str] = ()) -> wire.Named:
    """Return what hosts are told of an endpoint; `more` are names beside its own."""
    return wire.Named(
        id=endpoint.id,
        address=endpoint.address,
        address6=endpoint.address6,
        container=endpoint.container,
        host=endpoint.host,
        names=list(dict.fromkeys([*names_of(endpoint), *more])),
    )


def _view(endpoint: Endpoint) -> object:
    return endpoint.network, endpoint.addresses, endpoint.container, endpoint.host, names_of(endpoint)


def _names_see(network: Network) -> object:
    return network.name, network.subnet6
