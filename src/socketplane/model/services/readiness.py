"""When a container is a backend: what its agent tells of it, and what is made of that."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from socketplane.model.services.types import Service
from socketplane.model.types import Endpoint, Host

CONTAINER, HEALTH = "container", "health"
"""Keys in an endpoint's conditions; all others are titles of services, for what their probes found."""
RUNNING, STOPPING, PAUSED = "running", "stopping", "paused"
"""Of CONTAINER. Absent: its start was not told yet."""
HEALTHY, STARTING, UNHEALTHY = "healthy", "starting", "unhealthy"
"""Of HEALTH, as Docker has it. Absent: the container has no HEALTHCHECK."""
GOOD = "ok"
"""Of a service; anything else is why not."""


def why_not(service: Service, endpoint: Endpoint) -> str:
    """Return why an endpoint that a service selects is no backend of it; empty where it is ready."""
    conditions = endpoint.conditions
    if endpoint.draining:
        return "it is drained: `socketplane endpoint drain --off` ends that"
    state = conditions.get(CONTAINER)
    if state != RUNNING:
        reasons = {STOPPING: "it was told to stop", PAUSED: "it is paused"}
        return reasons.get(state or "", "its host has not told yet that it runs")
    health = conditions.get(HEALTH)
    if health not in (None, HEALTHY):
        return f"Docker's HEALTHCHECK says {health}"
    if service.spec.probe is not None and (found := conditions.get(service.title)) != GOOD:
        return found or f"{service.spec.probe} was not tried yet"
    return ""


def ready(service: Service, selected: Collection[Endpoint], hosts: Mapping[str, Host]) -> list[Endpoint]:
    """Return a service's backends, of what it selects: those that are ready, in the order of their addresses.

    Those on hosts that are not heard any more are left out, unless no others are left: then it is more likely that
    nobody is heard than that all are gone.
    """
    found = sorted((each for each in selected if not why_not(service, each)), key=lambda each: each.address)
    heard = [each for each in found if (host := hosts.get(each.host)) is not None and not host.lost]
    return heard or found
