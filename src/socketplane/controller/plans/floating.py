"""Whom addresses of the outside are given to."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.controller.plans.holders import elect, selects
from socketplane.controller.plans.pools import POOLS, pool, pool_of
from socketplane.errors import AddressInUse, Conflict, Exhausted, InvalidInput, NotFound
from socketplane.model.floating import AddressPool, Floating, subject_of
from socketplane.model.types import LABEL_CONTAINER, Address


def expose(draft: Draft, body: wire.Expose, silent: Collection[str]) -> Floating:
    """Give an address to a container or to one with certain labels; the same again is returned as it is.

    `silent` hosts are passed over, where another has such a container.
    """
    intent = draft.intent
    labels = _labels(body)
    network = _network(intent, labels, body.network, _version(intent, body))
    mine = [floating for floating in intent.floating.values() if (floating.network, floating.labels) == (network, labels)]
    if body.address is not None:
        there = intent.floating.get(body.address)
        if there is not None and there in mine:
            return there
        _check(intent, body.address, body.pool)
        address = body.address
    else:
        source = _pool(intent, body.pool)
        if there := next((floating for floating in mine if floating.address in source), None):
            return there
        address = _free(intent, source)
    draft.put(Floating(address, network, labels, created=draft.now))
    elect(draft, [address], silent)
    return intent.floating[address]


def unexpose(draft: Draft, address: Address) -> None:
    """Take an address back."""
    floating = draft.intent.floating.get(address)
    if floating is None:
        raise NotFound(
            f"{address} is no floating address", field="address", remedy="`socketplane expose ls` shows what there is"
        )
    draft.remove(floating)


def _labels(body: wire.Expose) -> dict[str, str]:
    if bool(body.container) == bool(body.labels):
        raise InvalidInput("name either a container or labels", field="container", remedy="give one of the two")
    return {LABEL_CONTAINER: body.container} if body.container else body.labels


def _version(intent: Intent, body: wire.Expose) -> int:
    """Return of what version of IP the address will be."""
    if body.address is not None:
        return body.address.version
    pools = [found for key, found in intent.pools.items() if body.pool in (None, key)]
    return 6 if pools and all(found.first.version == 6 for found in pools) else 4


def _network(intent: Intent, labels: dict[str, str], name: str | None, version: int) -> str:
    """Return the network on which such containers are, with an address of that version of IP."""
    asked = intent.network(name) if name is not None else None
    subject = subject_of(labels)
    keys = intent.endpoints_of_network.get(asked.id, ()) if asked else intent.endpoints
    fit = [intent.endpoints[key] for key in keys if selects(labels, intent.endpoints[key], intent)]
    found = {endpoint.network for endpoint in fit}
    where = f" to network {asked.name}" if asked else ""
    if not found:
        raise NotFound(
            f"no container {subject!r} is attached{where}",
            field="container",
            remedy="start it first; `socketplane endpoint ls` lists what is attached",
        )
    open_ones = sorted(intent.network_name(key) for key in found if not intent.networks[key].internal)
    if not open_ones:
        names = ", ".join(sorted(map(intent.network_name, found)))
        raise Conflict(f"{names} is internal: nothing leads in or out", field="network", remedy="choose another network")
    if version == 6:
        six = {intent.network_name(endpoint.network) for endpoint in fit if endpoint.address6 is not None}
        if not six.intersection(open_ones):
            raise Conflict(
                f"{subject} has no IPv6 on {', '.join(open_ones)}",
                field="network",
                remedy="attach it to a network with IPv6 (`socketplane network create --ipv6`), or give it an IPv4 address",
            )
        open_ones = [each for each in open_ones if each in six]
    if len(open_ones) > 1:
        raise InvalidInput(
            f"{subject} is on {', '.join(open_ones)}", field="network", remedy="say which one is meant: --network"
        )
    return open_ones[0]


def _pool(intent: Intent, name: str | None) -> AddressPool:
    if name is not None:
        return pool(intent, name)
    if not intent.pools:
        raise NotFound("there is no pool of addresses", field="pool", remedy="make one: `socketplane pool create`")
    if len(intent.pools) > 1:
        names = ", ".join(sorted(intent.pools))
        raise InvalidInput(f"there are several pools: {names}", field="pool", remedy="say which one is meant: --pool")
    return next(iter(intent.pools.values()))


def _check(intent: Intent, address: Address, name: str | None) -> None:
    """Refuse an address that can't be given."""
    if name is not None and address not in pool(intent, name):
        raise InvalidInput(f"{address} is not of pool {name}", field="address", remedy=POOLS)
    if pool_of(intent, address) is None:
        raise InvalidInput(f"{address} is of no pool", field="address", remedy=f"choose one of a pool: {POOLS}")
    if (there := intent.floating.get(address)) is not None:
        raise AddressInUse(
            f"{address} is given to {there.subject} of network {there.network}",
            field="address",
            remedy="choose another, or take it back first: `socketplane expose rm`",
        )
    if holder := _users(intent).get(address):
        raise AddressInUse(f"{address} is {holder}", field="address", remedy="choose another")
    if any(address in subnet for network in intent.networks.values() for subnet in network.subnets):
        raise AddressInUse(f"{address} is in a network's subnet", field="address", remedy="choose another")


def _users(intent: Intent) -> dict[Address, str]:
    """Return the addresses of the outside that are the cluster's own."""
    return {ip_address(host.address): f"host {host.name}'s" for host in intent.hosts.values()}


def _free(intent: Intent, source: AddressPool) -> Address:
    address = source.free([*intent.floating, *_users(intent)])
    if address is None:
        raise Exhausted(f"pool {source.name} has no address left", field="pool", remedy="make another pool")
    return address
