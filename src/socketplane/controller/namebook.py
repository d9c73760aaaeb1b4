"""Which hosts are told which names: every host those of the networks that it has containers on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from uuid import UUID

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.controller.store import Change
from socketplane.model.containernames import names_of
from socketplane.model.types import Endpoint

Told = tuple[frozenset[str], dict[UUID, wire.NetworkNames]]
"""Hosts, and what is told to all of them."""


class NameBook:
    """Follows committed changes of `intent`, which has each before it comes here. A change costs its own size."""

    def __init__(self, intent: Intent) -> None:
        self._intent = intent
        self._on: dict[UUID, Counter[str]] = {}
        for endpoint in intent.endpoints.values():
            self._on.setdefault(endpoint.network, Counter())[endpoint.host] += 1

    def all_of(self, host: str) -> dict[UUID, wire.NetworkNames]:
        """Return all that a host should know."""
        return {network: self._whole(network) for network, hosts in self._on.items() if host in hosts}

    def take(self, changes: Sequence[Change]) -> Iterator[Told]:
        """Take in committed changes; yield what is told to whom."""
        before: dict[UUID, frozenset[str]] = {}
        puts: dict[UUID, list[wire.Named]] = {}
        gone: dict[UUID, list[str]] = {}
        for change in changes:
            old, new = change.old, change.new
            if isinstance(old, Endpoint):
                self._count(before, old, -1)
                if not isinstance(new, Endpoint) or new.network != old.network:
                    gone.setdefault(old.network, []).append(old.id)
            if isinstance(new, Endpoint):
                self._count(before, new, 1)
                if not isinstance(old, Endpoint) or _view(old) != _view(new):
                    puts.setdefault(new.network, []).append(named(new))
        for network, hosts in before.items():
            yield from self._told(network, hosts, puts.get(network, []), gone.get(network, []))

    def _told(self, network: UUID, before: frozenset[str], puts: list[wire.Named], gone: list[str]) -> Iterator[Told]:
        now = frozenset(self._on.get(network, ()))
        if new := now - before:
            yield new, {network: self._whole(network)}
        if left := before - now:
            yield left, {network: wire.NetworkNames(whole=True)}
        if (stay := before & now) and (puts or gone):
            yield stay, {network: wire.NetworkNames(put=puts, gone=gone)}

    def _count(self, before: dict[UUID, frozenset[str]], endpoint: Endpoint, difference: int) -> None:
        hosts = self._on.setdefault(endpoint.network, Counter())
        before.setdefault(endpoint.network, frozenset(hosts))
        hosts[endpoint.host] += difference
        if not hosts[endpoint.host]:
            del hosts[endpoint.host]
        if not hosts:
            del self._on[endpoint.network]

    def _whole(self, network: UUID) -> wire.NetworkNames:
        keys = self._intent.endpoints_of_network.get(network, ())
        return wire.NetworkNames(whole=True, put=[named(self._intent.endpoints[key]) for key in keys])


def named(endpoint: Endpoint) -> wire.Named:
    """Return what hosts are told of an endpoint."""
    return wire.Named(
        id=endpoint.id,
        address=endpoint.address,
        address6=endpoint.address6,
        container=endpoint.container,
        host=endpoint.host,
        names=list(names_of(endpoint)),
    )


def _view(endpoint: Endpoint) -> object:
    return endpoint.network, endpoint.addresses, endpoint.container, endpoint.host, names_of(endpoint)
