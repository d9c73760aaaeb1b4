"""The allocators of the networks, kept in step with the working intent's leases."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address
from uuid import UUID

from socketplane.controller.intent import Intent
from socketplane.controller.rows import Item
from socketplane.errors import AddressInUse
from socketplane.model.ipam import Allocator
from socketplane.model.types import Lease, Network


class Addresses:
    """One allocator per network, made from its leases at first use and followed from then on."""

    def __init__(self, intent: Intent) -> None:
        self._intent = intent
        self._allocators: dict[UUID, Allocator] = {}

    def allocate(self, network: Network, now: float) -> IPv4Address:
        """Take an address; the caller puts its lease.

        Raises:
            Exhausted: none is free.
        """
        return self._of(network).allocate(now)

    def check(self, network: Network, address: IPv4Address) -> None:
        """Take this very address; the caller puts its lease.

        Raises:
            InvalidInput: no container can have it.
            AddressInUse: it is held.
        """
        self._of(network).hold(address)

    def follow(self, old: Item | None, new: Item | None) -> None:
        """Note that a value of the working intent was replaced."""
        item = new or old
        if isinstance(item, Network):
            if old != new:
                self._allocators.pop(item.id, None)  # gateway or range may be others: made anew
        elif isinstance(item, Lease) and (allocator := self._allocators.get(item.network)):
            _follow(allocator, old, new)

    def _of(self, network: Network) -> Allocator:
        allocator = self._allocators.get(network.id)
        if allocator is None:
            addresses = self._intent.leases_of_network.get(network.id, ())
            leases = [self._intent.leases[network.id, address] for address in addresses]
            allocator = self._allocators[network.id] = Allocator(network, leases)
        return allocator


def _follow(allocator: Allocator, old: Item | None, new: Item | None) -> None:
    if isinstance(new, Lease):
        with suppress(AddressInUse):  # it was allocated a moment ago, or is the gateway
            if not (isinstance(old, Lease) and old.released == new.released):
                allocator.hold(new.address)
        if new.released is not None:
            allocator.release(new.address, new.released)
    elif isinstance(old, Lease):
        allocator.forget(old.address)
