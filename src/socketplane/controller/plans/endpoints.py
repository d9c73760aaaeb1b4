"""Attaching and detaching containers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.controller.plans import services
from socketplane.controller.plans.reservations import check_container
from socketplane.errors import AddressInUse, Conflict, Forbidden, InvalidInput, SocketPlaneError
from socketplane.model.published import Published
from socketplane.model.services import shorthand
from socketplane.model.spec import Protocol
from socketplane.model.types import MAC_PREFIX, NO_LABELS, Address, Endpoint, Host, LeaseKind, Network, mac_of

NO_MAC = "00:00:00:00:00:00"


def put(draft: Draft, key: str, body: wire.EndpointPut, host: Host) -> Endpoint:
    """Add an endpoint, or replace it whole."""
    intent = draft.intent
    network = intent.network(body.network)
    there = intent.endpoints.get(key)
    if there is not None and there.host != host.name:
        raise Forbidden(f"endpoint {key} is on host {there.host}", field="id")
    addresses: list[Address] = [body.address, *([body.address6] if body.address6 else [])]
    for address in addresses:
        _check_lease(intent, network, address, host)
        _check_free(intent, network, key, address)
        if there is None or address not in there.addresses:  # a container that runs may be renamed
            check_container(network, address, body.name if body.known else "")
    _check_unique(intent, network, key, body)
    endpoint = Endpoint(
        id=key,
        network=body.network,
        host=host.name,
        address=body.address,
        mac=body.mac,
        container=body.container,
        name=body.name,
        labels=body.labels,
        known=body.known,
        created=there.created if there else draft.now,
        rate=body.rate,
        address6=body.address6,
        published=published_of(body),
        aliases=tuple(sorted(set(body.aliases))),
        conditions=there.conditions if there else NO_LABELS,
        draining=there.draining if there else False,
    )
    if endpoint != there:
        _take_over(draft, endpoint)
        draft.put(endpoint)
        _follow(draft, endpoint, there)
    return endpoint


def published_of(body: wire.EndpointPut) -> tuple[Published, ...]:
    """Return the ports that an endpoint's host answers at."""
    ports = (Published(Protocol(each.protocol), each.address, each.host_port, each.port) for each in body.published)
    return tuple(sorted(set(ports)))


def _take_over(draft: Draft, endpoint: Endpoint) -> None:
    """Take a new endpoint's ports from those that had them on its host: the host binds them, so it knows."""
    claims = {published.claim for published in endpoint.published}
    if not claims:
        return
    intent = draft.intent
    others = [intent.endpoints[key] for key in intent.endpoints_of_host.get(endpoint.host, ()) if key != endpoint.id]
    for other in others:
        kept = tuple(published for published in other.published if published.claim not in claims)
        if kept != other.published:
            draft.put(replace(other, published=kept))


def remove(draft: Draft, key: str, host: Host, *, release: bool) -> None:
    """Remove an endpoint, and release its addresses if asked; one that isn't there is no error."""
    endpoint = draft.intent.endpoints.get(key)
    if endpoint is None:
        return
    if endpoint.host != host.name:
        raise Forbidden(f"endpoint {key} is on host {endpoint.host}", field="id")
    draft.remove(endpoint)
    _follow(draft, endpoint)
    for address in endpoint.addresses if release else ():
        lease = draft.intent.leases.get((endpoint.network, address))
        if lease is not None and lease.released is None:
            draft.put(replace(lease, released=draft.now))


def _follow(draft: Draft, endpoint: Endpoint, before: Endpoint | None = None) -> None:
    """Have services be what labels say, where these labels ask for any."""
    for each in (before, endpoint):
        if each is not None and shorthand.LABEL in each.labels:
            services.follow(draft, each.network, [shorthand.name_of(each.labels)])


def bulk(draft: Draft, body: wire.EndpointBulk, host: Host) -> dict[str, SocketPlaneError]:
    """Remove and add many; each that is refused is left out alone. Return the refusals by endpoint id."""
    errors: dict[str, SocketPlaneError] = {}
    for key in body.delete:
        _attempt(draft, key, errors, lambda key=key: remove(draft, key, host, release=body.release))  # type: ignore[misc]
    for item in body.put:
        _attempt(draft, item.id, errors, lambda item=item: put(draft, item.id, item, host))  # type: ignore[misc]
    return errors


def _attempt(draft: Draft, key: str, errors: dict[str, SocketPlaneError], change: Callable[[], object]) -> None:
    mark = draft.mark()
    try:
        change()
    except SocketPlaneError as error:
        draft.undo(mark)
        errors[key] = error


def _check_lease(intent: Intent, network: Network, address: Address, host: Host) -> None:
    lease = intent.leases.get((network.id, address))
    if lease is None or lease.released is not None or lease.kind is not LeaseKind.ENDPOINT or lease.host != host.name:
        raise Conflict(
            f"host {host.name} holds no lease of {address} on network {network.name or network.id}",
            field="address",
            remedy="ask for one first: POST /v1/networks/{id}/leases",
        )


def _check_free(intent: Intent, network: Network, key: str, address: Address) -> None:
    at = intent.endpoint_at.get((network.id, address))
    if at is not None and at != key:
        raise AddressInUse(f"endpoint {at} has {address}", field="address", remedy="remove that endpoint first")


def _check_unique(intent: Intent, network: Network, key: str, body: wire.EndpointPut) -> None:
    if int(body.mac[:2], 16) & 1:
        raise InvalidInput(f"{body.mac} is a group address", field="mac", remedy="choose one whose first byte is even")
    if body.mac == NO_MAC:
        raise InvalidInput("no interface can have it", field="mac", remedy="choose another")
    same = intent.endpoint_of_mac.get((network.id, body.mac))
    if same is not None and same != key:
        name = intent.endpoints[same].name or same
        raise AddressInUse(f"{body.mac} belongs to {name} on this network", field="mac", remedy="choose another")
    if body.mac.startswith(MAC_PREFIX) and body.mac != mac_of(body.address):
        # The gateway has such a one, and its packets are not to go astray.
        raise InvalidInput(
            f"{body.mac} belongs to another address of this network",
            field="mac",
            remedy=f"choose one that does not begin with {MAC_PREFIX}",
        )
