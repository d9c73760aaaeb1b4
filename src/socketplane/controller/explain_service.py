"""Explaining what is sent to a service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from socketplane import wire
from socketplane.controller.explained import OUTSIDE, explained
from socketplane.controller.intent import Intent
from socketplane.model.services.types import Service
from socketplane.model.spec import Protocol
from socketplane.model.types import Endpoint
from socketplane.model.verdict import Party, View, name_of, to_service

_SOMEBODY = IPv4Address("0.0.0.0")  # noqa: S104 - of all addresses outside the same holds


def service_named(intent: Intent, destination: str, starts: Callable[[], Sequence[Party]]) -> Service | None:
    """Return the service that a destination names; of several of one name, that on a network of the source."""
    try:
        address = ip_address(destination)
    except ValueError:
        address = None
    if address is not None:
        return next((each for each in intent.services.values() if address in each.addresses), None)
    network, slash, name = destination.partition("/")
    if slash:
        return intent.services.get((network, name))
    named = [each for each in intent.services.values() if each.name == destination]
    if len(named) > 1:
        near = {intent.network_name(each.network) for each in starts() if isinstance(each, Endpoint)}
        named = [each for each in named if each.network in near]
    return named[0] if len(named) == 1 else None


def nearest(intent: Intent, service: Service, starts: list[Party]) -> list[Party]:
    """Return which of the places of a container is meant: the one on the service's network, where there is one."""
    near = [each for each in starts if isinstance(each, Endpoint) and intent.network_name(each.network) == service.network]
    return list(near) if len(near) == 1 else starts


def explain_service(
    intent: Intent, start: Party | None, service: Service, port: int | None, protocol: str, version: int
) -> wire.Explanation:
    """Judge a packet to a service. Without a start it comes from outside."""
    uuid = intent.network_of_name.get(service.network)
    keys = intent.endpoints_of_network.get(uuid, {}) if uuid else {}
    view = View(
        intent.cluster.cluster,
        intent.networks,
        list(intent.policies.values()),
        [intent.endpoints[key] for key in keys],
        intent.hosts.values(),
    )
    kind = None if protocol == "icmp" else Protocol(protocol)
    found = to_service(view, _SOMEBODY if start is None else start, service, kind, port, version=version)
    return explained(
        found, name_of(start, intent.networks) if start else OUTSIDE, f"service {service.title}", protocol, port
    )


def version_of(service: Service, destination: str) -> int:
    """Return the version of IP by which a service is meant."""
    return 6 if isinstance(service.address6, IPv6Address) and destination == str(service.address6) else 4
