"""Making, naming and removing networks."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.controller.plans import services
from socketplane.errors import Conflict, InUse, InvalidInput, NameInUse
from socketplane.model import subnets
from socketplane.model.types import Address, Lease, LeaseKind, Network

PENDING_SECONDS = 120.0
"""A network without a name for that long, and without endpoints, is what Docker gave up on: it is collected."""
RESERVED = frozenset({"bridge", "host", "none", "default", "ingress", "docker_gwbridge"})
"""Docker has networks or modes of these names on every host."""


def create(draft: Draft, body: wire.NetworkCreate, origin: str) -> Network:
    """Make a network; the same request twice returns the first one's."""
    intent = draft.intent
    if body.request and (known := intent.network_of_request.get(body.request)):
        return intent.networks[known]
    if body.name is not None:
        _check_name(intent, body.name)
    plan = subnets.plan(
        intent.cluster.cluster,
        intent.networks.values(),
        subnet=body.subnet,
        gateway=body.gateway,
        ip_range=body.ip_range,
    )
    network = Network(
        id=uuid4(),
        name=body.name,
        subnet=plan.subnet,
        gateway=plan.gateway,
        ip_range=plan.ip_range,
        internal=body.internal,
        routed=body.routed,
        labels=body.labels,
        created=draft.now,
        origin=origin,
        request=body.request,
    )
    _check_ways(network)
    if _wants_ipv6(body):
        network = _with_ipv6(draft, network, body)
    draft.put(network)
    _hold_gateways(draft, network)
    return network


def patch(draft: Draft, uuid: UUID, body: wire.NetworkPatch) -> Network:
    """Change what Docker told later."""
    network = draft.intent.network(uuid)
    changed = network
    if body.name is not None and body.name != network.name:
        if network.name is not None:
            raise Conflict(f"network {network.name} has its name already", field="name", remedy="make another network")
        _check_name(draft.intent, body.name)
        changed = replace(changed, name=body.name)
    if body.internal is not None and body.internal != network.internal:
        _refuse_endpoints(draft.intent, network, "internal")
        changed = replace(changed, internal=body.internal)
    if body.routed is not None:
        changed = replace(changed, routed=body.routed)
    _check_ways(changed)
    if body.labels is not None:
        changed = replace(changed, labels=body.labels)
    if network.subnet6 is None and _wants_ipv6(body):
        _refuse_endpoints(draft.intent, network, "ipv6")
        changed = _with_ipv6(draft, changed, body)
    elif body.subnet6 not in (None, network.subnet6):
        raise Conflict(f"the network's IPv6 subnet is {network.subnet6}", field="subnet6", remedy="make another network")
    if changed != network:
        draft.put(changed)
        services.follow(draft, uuid, [name for on, name in draft.intent.shorthand if on == uuid])
    if changed.subnet6 != network.subnet6:
        _hold_gateways(draft, changed)
    for gateway in (body.gateway, body.gateway6):
        if gateway is not None:
            changed = move_gateway(draft, changed, gateway)
    return changed


def move_gateway(draft: Draft, network: Network, gateway: Address) -> Network:
    """Give a network another gateway, which only one without endpoints may get."""
    if gateway in network.gateways:
        return network
    if gateway.version == 6 and network.subnet6 is None:
        raise no_ipv6(network)
    subnets.check_gateway(network.subnets[gateway.version == 6], gateway)
    _refuse_endpoints(draft.intent, network, "gateway")
    holder = draft.intent.leases.get((network.id, gateway))
    if holder is not None and holder.released is None:
        raise Conflict(f"{gateway} is held by host {holder.host}", field="gateway", remedy="choose another")
    former = draft.intent.leases.get((network.id, network.gateways[gateway.version == 6]))
    if former is not None:
        draft.remove(former)
    moved = replace(network, gateway=gateway) if gateway.version == 4 else replace(network, gateway6=gateway)
    draft.put(moved)
    _hold_gateways(draft, moved)
    return moved


def no_ipv6(network: Network) -> Conflict:
    """Return the error for what only a network with IPv6 has."""
    return Conflict(
        f"network {network.name or network.id} has no IPv6",
        field="ipv6",
        remedy="make one: `socketplane network create --ipv6`",
    )


def remove(draft: Draft, name_or_id: str) -> Network:
    """Remove a network and the addresses that are held on it; policies stay, for a network of that name to come."""
    network = draft.intent.network(name_or_id)
    endpoints = draft.intent.endpoints_of_network.get(network.id, {})
    if endpoints:
        hosts = sorted({draft.intent.endpoints[key].host for key in endpoints})
        raise InUse(
            f"network {network.name or network.id} has {len(endpoints)} endpoint(s), on {', '.join(hosts)}",
            field="network",
            remedy=f"`socketplane endpoint ls --network {network.name or network.id}` lists them",
        )
    _forget(draft, network)
    return network


def collect_pending(draft: Draft) -> list[Network]:
    """Remove networks that never got a name; return them."""
    old = [
        network
        for network in draft.intent.networks.values()
        if network.name is None
        and network.created < draft.now - PENDING_SECONDS
        and not draft.intent.endpoints_of_network.get(network.id)
    ]
    for network in old:
        _forget(draft, network)
    return old


def _forget(draft: Draft, network: Network) -> None:
    for address in list(draft.intent.leases_of_network.get(network.id, ())):
        draft.remove(draft.intent.leases[network.id, address])
    draft.remove(network)


def _hold_gateways(draft: Draft, network: Network) -> None:
    for gateway in network.gateways:
        if (network.id, gateway) not in draft.intent.leases:
            draft.put(Lease(network.id, gateway, LeaseKind.GATEWAY, host="", created=draft.now))


def _wants_ipv6(body: wire.NetworkCreate | wire.NetworkPatch) -> bool:
    return bool(body.ipv6 or body.subnet6 or body.gateway6)


def _with_ipv6(draft: Draft, network: Network, body: wire.NetworkCreate | wire.NetworkPatch) -> Network:
    subnet, gateway = subnets.plan6(
        draft.intent.cluster.cluster, draft.intent.networks.values(), subnet=body.subnet6, gateway=body.gateway6
    )
    return replace(network, subnet6=subnet, gateway6=gateway)


def _check_ways(network: Network) -> None:
    if network.internal and network.routed:
        raise InvalidInput(
            "an internal network leads nowhere, so it can't be routed", field="routed", remedy="leave out one of the two"
        )


def _check_name(intent: Intent, name: str) -> None:
    if name in RESERVED:
        raise InvalidInput(f"{name} is a name of Docker's own", field="name", remedy="choose another")
    if name in intent.network_of_name:
        raise NameInUse(f"there is a network {name} already", field="name", remedy="choose another")


def _refuse_endpoints(intent: Intent, network: Network, field: str) -> None:
    if intent.endpoints_of_network.get(network.id):
        raise InUse(f"network {network.name or network.id} has endpoints: it can't be changed any more", field=field)
