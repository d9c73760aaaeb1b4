"""Holding and releasing addresses."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.controller.plans.networks import move_gateway, no_ipv6
from socketplane.controller.plans.reservations import check_container, reserved_for
from socketplane.errors import AddressInUse, Conflict, Forbidden, InUse
from socketplane.model.types import Address, Host, Lease, LeaseKind, Network


def create(draft: Draft, uuid: UUID, body: wire.LeaseCreate, host: Host) -> Lease:
    """Hold an address for a host; the same request twice returns the first one's lease."""
    network = draft.intent.network(uuid)
    kind = LeaseKind(body.kind)
    version = body.address.version if body.address else body.version
    if version == 6 and network.subnet6 is None:
        raise no_ipv6(network)
    if kind is LeaseKind.GATEWAY:
        return _gateway(draft, network, body.address, version)
    known = draft.intent.lease_of_request.get((uuid, body.request)) if body.request else None
    if known is not None:
        return _again(draft.intent.leases[uuid, known], body, host)
    wanted = body.address or reserved_for(network, body.container, version)
    if wanted is not None:
        if body.container:
            check_container(network, wanted, body.container)
        return _hold(draft, network, wanted, kind, host, body.request)
    address = draft.addresses.allocate(network, draft.now, version)
    lease = Lease(uuid, address, kind, host.name, body.request, draft.now)
    draft.put(lease)
    return lease


def release(draft: Draft, uuid: UUID, address: Address, host: Host) -> None:
    """Let an address rest before others may get it. What isn't held, and the shared gateway, is no error."""
    lease = draft.intent.leases.get((uuid, address))
    if lease is None or lease.kind is LeaseKind.GATEWAY or lease.released is not None:
        return
    if lease.host != host.name:
        raise Forbidden(f"{address} is held by host {lease.host}", field="address")
    if (endpoint := draft.intent.endpoint_at.get((uuid, address))) is not None:
        raise InUse(f"endpoint {endpoint} has {address}", field="address", remedy="remove the endpoint first")
    draft.put(replace(lease, released=draft.now))


def purge(draft: Draft, rest: float) -> int:
    """Forget leases that rested long enough; return how many."""
    old = [
        lease for lease in draft.intent.leases.values() if lease.released is not None and lease.released + rest <= draft.now
    ]
    for lease in old:
        draft.remove(lease)
    return len(old)


def _gateway(draft: Draft, network: Network, address: Address | None, version: int) -> Lease:
    if address is not None:
        network = move_gateway(draft, network, address)
    return draft.intent.leases[network.id, network.gateways[version == 6]]


def _again(lease: Lease, body: wire.LeaseCreate, host: Host) -> Lease:
    if lease.host != host.name or (body.address is not None and body.address != lease.address):
        raise Conflict("another lease was made with this request id", field="request", remedy="make a new id")
    return lease


def _hold(draft: Draft, network: Network, address: Address, kind: LeaseKind, host: Host, request: str) -> Lease:
    """Hold a named address. One that rests is given at once: whoever names it means it, as a restart with `--ip` does."""
    there = draft.intent.leases.get((network.id, address))
    if there is not None and there.released is None and there.kind is not LeaseKind.GATEWAY:
        key = draft.intent.endpoint_at.get((network.id, address))
        name = draft.intent.endpoints[key].name if key else ""
        user = f"container {name} on host {there.host}" if name else f"host {there.host}"
        if there.kind is LeaseKind.AUXILIARY:
            raise AddressInUse(f"{address} is set aside with --aux-address", field="address", remedy="choose another")
        remedy = (
            f"remove that, or choose another; if that host is gone for good: `socketplane host rm --force {there.host}`"
        )
        raise AddressInUse(f"{address} is held by {user}", field="address", remedy=remedy)
    draft.addresses.check(network, address)
    lease = Lease(network.id, address, kind, host.name, request, draft.now)
    draft.put(lease)
    return lease
