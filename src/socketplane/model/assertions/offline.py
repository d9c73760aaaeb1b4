"""Assertions without a cluster: who there would be if Compose projects ran, judged by the model of policy."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address

from socketplane.model.assertions.check import Judge, Judgement
from socketplane.model.assertions.population import End, Place, Population
from socketplane.model.compose import Project, Scene, Service
from socketplane.model.selection import View
from socketplane.model.spec import Protocol
from socketplane.model.types import Endpoint
from socketplane.model.verdict import verdict


def population_of(projects: Collection[Project], scene: Scene) -> Population:
    """Return who there would be."""
    networks = scene.view.networks
    places = [
        Place(endpoint, networks[endpoint.network].name or "", networks[endpoint.network].internal)
        for endpoint in scene.view.endpoints
    ]
    absent = {name: reason for project in projects for name, reason in _absent(project)}
    arbitrary = frozenset(endpoint.address for endpoint in scene.view.endpoints) - scene.asked
    return Population(places, {place.network for place in places}, absent, arbitrary)


def judge_by(view: View) -> Judge:
    """Return a judge that says what policy means."""

    def judge(source: End, target: End, protocol: Protocol | None, port: int | None) -> Judgement:
        found = verdict(view, _party(source), _party(target), protocol, port)
        return Judgement(found.allow, found.policy, found.rule, found.reason)

    return judge


def _party(end: End) -> Endpoint | IPv4Address:
    return end.endpoint if isinstance(end, Place) else end


def _absent(project: Project) -> list[tuple[str, str]]:
    """Return the names that no endpoint has, with the reason."""
    inactive = [(name, f"only a profile starts it: {', '.join(profiles)}") for name, profiles in project.inactive.items()]
    here = [(service, _reason(service)) for service in project.services.values()]
    return inactive + [(name, reason) for service, reason in here if reason for name in (service.name, *service.containers)]


def _reason(service: Service) -> str:
    if service.joins:
        return f"it shares the network of {service.joins}, name that"
    if service.mode:
        return f"its network_mode is {service.mode}"
    return "" if service.containers else "it has no replicas"
