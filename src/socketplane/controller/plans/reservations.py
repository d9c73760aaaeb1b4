"""Addresses that are kept for a container of a name, wherever it is made."""

from __future__ import annotations

from dataclasses import replace

from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.errors import AddressInUse, Conflict, InvalidInput
from socketplane.model.ipam import ends_of
from socketplane.model.types import Address, LeaseKind, Network


def reserve(draft: Draft, network_ref: str, address: Address, container: str) -> Network:
    """Keep an address for a container. Who has it may go on, and no other gets it. Doing it again changes nothing."""
    network = draft.intent.network(network_ref)
    _check_address(network, address)
    kept = network.reserved.get(address)
    if kept not in (None, container):
        raise AddressInUse(
            f"{address} is reserved for {kept}", field="address", remedy="`socketplane network unreserve` first"
        )
    for other, name in network.reserved.items():
        if name == container and other.version == address.version and other != address:
            raise Conflict(
                f"{container} has {other} reserved on this network", field="container", remedy=f"unreserve {other} first"
            )
    _check_holder(draft.intent, network, address, container)
    changed = replace(network, reserved={**network.reserved, address: container})
    if kept is None:
        draft.put(changed)
    return changed


def unreserve(draft: Draft, network_ref: str, address: Address) -> Network:
    """Keep an address for nobody any more; whoever has it goes on. One that isn't reserved is no error."""
    network = draft.intent.network(network_ref)
    if address not in network.reserved:
        return network
    changed = replace(network, reserved={key: name for key, name in network.reserved.items() if key != address})
    draft.put(changed)
    return changed


def reserved_for(network: Network, container: str, version: int) -> Address | None:
    """Return the address that is kept for a container."""
    kept = (key for key, name in network.reserved.items() if name == container and key.version == version)
    return next(kept, None) if container else None


def check_container(network: Network, address: Address, container: str) -> None:
    """Refuse an address that is kept for another container than this one (`""`: Docker did not tell which it is)."""
    kept = network.reserved.get(address)
    if kept in (None, container):
        return
    who = f"this is {container}" if container else "Docker did not tell in time which this is"
    raise AddressInUse(
        f"{address} is reserved for container {kept}: {who}",
        field="address",
        remedy="name the container so, or choose another address",
    )


def _check_address(network: Network, address: Address) -> None:
    subnet = next((each for each in network.subnets if address in each), None)
    if subnet is None:
        raise InvalidInput(f"{address} is not on network {network.name or network.id}", field="address")
    if address in network.gateways:
        raise AddressInUse(f"{address} is the network's gateway", field="address")
    if address in (subnet.network_address, subnet.broadcast_address):
        raise InvalidInput(f"{address} is the subnet's {ends_of(subnet)} address", field="address")


def _check_holder(intent: Intent, network: Network, address: Address, container: str) -> None:
    lease = intent.leases.get((network.id, address))
    if lease is None or lease.released is not None:
        return
    key = intent.endpoint_at.get((network.id, address))
    holder = intent.endpoints[key].name if key else ""
    if lease.kind is LeaseKind.AUXILIARY or holder != container:
        who = f"container {holder} on host {lease.host}" if holder else f"host {lease.host}"
        raise AddressInUse(f"{address} is held by {who}", field="address", remedy="reserve another, or remove that first")
