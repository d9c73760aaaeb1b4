"""The allocators of the networks, kept in step with the working intent's leases."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from socketplane.controller.intent import Intent
from socketplane.controller.rows import Item
from socketplane.errors import AddressInUse
from socketplane.model.ipam import Allocator
from socketplane.model.types import Address, Lease, Network


class Addresses:
    """One allocator per subnet of a network, made from its leases at first use and followed from then on."""

    def __init__(self, intent: Intent) -> None:
        self._intent = intent
        self._allocators: dict[tuple[UUID, int], Allocator] = {}

    def allocate(self, network: Network, now: float, version: int = 4) -> Address:
        """Take an address of IPv4, or of a network's IPv6; the caller puts its lease.

        Raises:
            Exhausted: none is free.
        """
        return self._of(network, version).allocate(now)

    def check(self, network: Network, address: Address) -> None:
        """Take this very address; the caller puts its lease.

        Raises:
            InvalidInput: no container can have it.
            AddressInUse: it is held.
        """
        self._of(network, address.version).hold(address)

    def follow(self, old: Item | None, new: Item | None) -> None:
        """Note that a value of the working intent was replaced."""
        item = new or old
        if isinstance(item, Network):
            if old != new:
                for version in (4, 6):
                    self._allocators.pop((item.id, version), None)  # gateway or range may be others: made anew
        elif isinstance(item, Lease) and (allocator := self._allocators.get((item.network, item.address.version))):
            _follow(allocator, old, new)

    def _of(self, network: Network, version: int) -> Allocator:
        allocator = self._allocators.get((network.id, version))
        if allocator is None:
            addresses = self._intent.leases_of_network.get(network.id, ())
            leases = [self._intent.leases[network.id, address] for address in addresses]
            allocator = self._allocators[network.id, version] = Allocator(network, leases, version=version)
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
