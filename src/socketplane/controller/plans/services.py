"""Applying and removing services, and those that containers' labels make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, NamedTuple
from uuid import UUID

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.controller.plans.documents import read_all
from socketplane.errors import Conflict, InvalidInput, NotFound, SocketPlaneError
from socketplane.model.policy import ParsedService, parse_service
from socketplane.model.services import addresses, shorthand
from socketplane.model.services.types import Service
from socketplane.model.types import Endpoint, Host

Key = tuple[str, str]


class Outcome(NamedTuple):
    """What became of one service."""

    service: Service
    change: Literal["created", "configured", "unchanged", "removed"]


def read(body: wire.ServiceApply) -> list[ParsedService]:
    """Parse the documents; an error says which document it is about."""
    return read_all(body.documents, partial(parse_service, network=body.network), "service")


def apply(draft: Draft, wanted: Sequence[ParsedService]) -> list[Outcome]:
    """Create or replace services, all or none. One that stays keeps its address, unless the document names another."""
    return [_apply(draft, parsed) for parsed in wanted]


def _apply(draft: Draft, parsed: ParsedService) -> Outcome:
    intent = draft.intent
    there = intent.services.get((parsed.network, parsed.name))
    if there is not None and there.document == parsed.document and not there.labelled:
        return Outcome(there, "unchanged")
    network = intent.networks.get(intent.network_of_name.get(parsed.network, UUID(int=0)))
    if network is not None and network.internal and not parsed.spec.headless:
        raise Conflict(
            f"network {parsed.network} is internal: no router is there to lead to a service's address",
            field="spec.clusterIP",
            remedy="write clusterIP: None, so that its name stands for the ready containers themselves",
        )
    made = Service(
        parsed.network, parsed.name, parsed.spec, created=there.created if there else draft.now, document=parsed.document
    )
    service = _with_addresses(draft, made, there)
    draft.put(service)
    return Outcome(service, "configured" if there and not there.labelled else "created")


def _with_addresses(draft: Draft, made: Service, there: Service | None) -> Service:
    """Give a service its addresses: those that it has, or the one that its author wants, or free ones."""
    if made.spec.headless:
        return made
    four, six = _ranges(draft)
    key = (made.network, made.name)
    taken = {address for address, holder in draft.intent.service_at.items() if holder != key}
    address = there.address if there else None
    if made.spec.address is not None:
        addresses.check(four, taken, made.spec.address)
        address = made.spec.address
    if address is None:
        address = addresses.allocate(four, taken, made.title)
    # The same place in both ranges: what is unique there is unique here.
    offset = int(address) - int(four.network_address)
    return replace(made, address=address, address6=six.network_address + offset)


def _ranges(draft: Draft) -> tuple[IPv4Network, IPv6Network]:
    """Return the cluster's ranges for services, chosen now if they never were: a cluster may be older than services."""
    record = draft.intent.cluster
    cluster = record.cluster
    if cluster.services is None or cluster.services6 is None:
        networks = draft.intent.networks.values()
        four, six = addresses.choose(cluster, networks), addresses.choose6(cluster, networks)
        cluster = replace(cluster, services=four, services6=six)
        draft.put(replace(record, cluster=cluster))
        return four, six
    return cluster.services, cluster.services6


def remove(draft: Draft, network: str, name: str) -> Service:
    """Remove a service. Where labels of containers ask for one of its name, theirs takes its place."""
    service = find(draft.intent, network, name)
    if service.labelled:
        raise Conflict(
            f"containers ask for the service {service.title} by their label {shorthand.LABEL}",
            field="name",
            remedy="it goes with the last of them",
        )
    draft.remove(service)
    if (uuid := draft.intent.network_of_name.get(network)) is not None:
        follow(draft, uuid, [name])
    return service


def find(intent: Intent, network: str, name: str) -> Service:
    """Return a service.

    Raises:
        NotFound: there is none of that name.
    """
    service = intent.services.get((network, name))
    if service is None:
        raise NotFound(f"no service {network}/{name}", field="name", remedy="`socketplane service ls` lists them")
    return service


def follow(draft: Draft, uuid: UUID, names: Iterable[str | None]) -> None:
    """Have the services of these names on a network be what labels of containers say, where no document does."""
    network = draft.intent.networks.get(uuid)
    if network is None or not network.name:
        return
    for name in dict.fromkeys(filter(None, names)):
        there = draft.intent.services.get((network.name, name))
        if there is None or there.labelled:
            _follow(draft, network.name, uuid, name, there)


def _follow(draft: Draft, network: str, uuid: UUID, name: str, there: Service | None) -> None:
    holders = [draft.intent.endpoints[key] for key in draft.intent.shorthand.get((uuid, name), ())]
    if not holders:
        if there is not None:
            draft.remove(there)
        return
    value = min(holders, key=lambda each: (each.created, each.id)).labels[shorthand.LABEL]
    headless = draft.intent.networks[uuid].internal
    document = shorthand.document_of(network, value, headless=headless)
    if there is not None and there.document == document:
        return
    spec = shorthand.spec_of(value, headless=headless)
    made = Service(network, name, spec, labelled=True, created=there.created if there else draft.now, document=document)
    mark = draft.mark()
    try:
        draft.put(_with_addresses(draft, made, there))
    except SocketPlaneError:  # no address is free: an alarm tells it, and the container runs
        draft.undo(mark)


def alarms(intent: Intent) -> list[str]:
    """Return what is wrong with containers' labels; a container is never refused for it."""
    found = []
    for key in intent.asking:
        endpoint = intent.endpoints[key]
        if problem := _problem(intent, endpoint):
            found.append(f"container {endpoint.name or endpoint.id[:12]}: label {shorthand.LABEL}: {problem}")
    return sorted(found)


def _problem(intent: Intent, endpoint: Endpoint) -> str:
    value = endpoint.labels[shorthand.LABEL]
    try:
        name, _ = shorthand.read(value)
    except InvalidInput as error:
        return str(error)
    service = intent.services.get((intent.network_name(endpoint.network), name))
    if service is None:
        return f"there is no address for a service {name}"
    if not service.labelled:
        if service.spec.selector.matches(endpoint.labels):
            return ""
        return f"a document describes service {service.title}, and does not select this container"
    if not service.spec.selector.matches(endpoint.labels):
        other = dict(service.spec.selector.match_labels).get(shorthand.LABEL)
        return f"{value} is not what the oldest container of the service says ({other}), so this one is no backend"
    return ""


def put_conditions(draft: Draft, body: wire.Conditions, host: Host) -> None:
    """Take in how a host's endpoints are; of those that it does not have, nothing."""
    for key, conditions in body.items.items():
        endpoint = draft.intent.endpoints.get(key)
        if endpoint is not None and endpoint.host == host.name and endpoint.conditions != conditions:
            draft.put(replace(endpoint, conditions=conditions))


def drain(draft: Draft, key: str, draining: bool) -> Endpoint:
    """Have an endpoint be no backend any more, or again."""
    endpoint = draft.intent.endpoints.get(key)
    if endpoint is None:
        raise NotFound(f"no endpoint {key}", field="endpoint", remedy="`socketplane endpoint ls` lists them")
    if endpoint.draining != draining:
        endpoint = replace(endpoint, draining=draining)
        draft.put(endpoint)
    return endpoint


def lose(draft: Draft, silent: Mapping[str, bool]) -> None:
    """Note which hosts are not heard any more, or are again."""
    for name, lost in silent.items():
        host = draft.intent.hosts.get(name)
        if host is not None and host.lost != lost:
            draft.put(replace(host, lost=lost))
