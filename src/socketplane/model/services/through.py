"""What is sent to a service: judged as what is sent to each of its backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from socketplane.model.judge import Verdict, name_of
from socketplane.model.rules import ISOLATION
from socketplane.model.selection import Party, View, labels_of
from socketplane.model.services.readiness import ready
from socketplane.model.services.types import Service
from socketplane.model.spec import Protocol
from socketplane.model.types import Endpoint, Host, Network

Judge = Callable[[Endpoint, int | None], Verdict]
"""Judges a packet to a port of a backend."""


def service_at(view: View, destination: Party) -> Service | None:
    """Return the service that has an address."""
    if isinstance(destination, Endpoint | Host):
        return None
    return next((service for service in view.services if destination in service.addresses), None)


def through(
    view: View, source: Party, service: Service, protocol: Protocol | None, port: int | None, judge: Judge
) -> Verdict:
    """Judge a packet to a service (of one that is headless, to the addresses that its name stands for).

    It passes where it passes to all backends that it may be led to.
    """
    if not isinstance(source, Endpoint | Host):
        return _deny("services are for containers and hosts of the cluster: nothing from outside gets to their addresses")
    network = next((each for each in view.networks.values() if each.name == service.network), None)
    if (problem := _obstacle(service, network)) or network is None:
        return _deny(problem or f"there is no network {service.network}")
    target = port
    if not service.spec.headless:
        found = [each for each in service.spec.ports if (each.protocol, each.port) == (protocol, port)]
        if not found:
            return _deny(f"service {service.title} has no such port")
        target = found[0].target
    backends = backends_of(view, service, network)
    if not backends:
        return _deny(f"service {service.title} has no backend that is ready: who connects is refused")
    return _together(view, service, [(backend, judge(backend, target)) for backend in backends])


def backends_of(view: View, service: Service, network: Network) -> list[Endpoint]:
    """Return what a service on this network leads to now."""
    selected = [
        each
        for each in view.endpoints
        if each.network == network.id and each.known and service.spec.selector.matches(labels_of(view, each))
    ]
    return ready(service, selected, {host.name: host for host in view.hosts})


def _obstacle(service: Service, network: Network | None) -> str:
    if network is None:
        return f"there is no network {service.network}"
    if network.internal and not service.spec.headless:
        return f"network {service.network} is internal: no router is there to lead to a service's address"
    return ""


def _together(view: View, service: Service, found: Sequence[tuple[Endpoint, Verdict]]) -> Verdict:
    steps = [f"service {service.title} leads to {len(found)} that {'is' if len(found) == 1 else 'are'} ready"]
    for backend, each in found:
        steps += each.steps[:-1] if len(found) == 1 else ()
        steps.append(f"{name_of(backend, view.networks)}: {'allow' if each.allow else 'deny'}: {each.reason}")
    denied = [each for _, each in found if not each.allow]
    first = (denied or [each for _, each in found])[0]
    reason = first.reason if len(found) == 1 else f"{first.reason} (to all {len(found)} backends)"
    if denied and len(denied) < len(found):
        reason = f"to {len(denied)} of {len(found)} backends it does not pass: {first.reason}"
    return Verdict(first.allow, first.direction, reason, first.policy, first.rule, (*steps, reason), first.would_deny)


def _deny(reason: str) -> Verdict:
    return Verdict(False, ISOLATION, reason, rule="", steps=(reason,))
