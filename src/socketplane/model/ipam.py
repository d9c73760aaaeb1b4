"""Addresses of a network. Pure: the clock comes in as an argument.

A released address rests, so that a peer that still remembers it doesn't reach a stranger. Never-used addresses are
given out first, onwards from the last one; then those that rested long enough, the longest released first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import ceil

from socketplane.errors import AddressInUse, Exhausted, InvalidInput
from socketplane.model.types import Address, Lease, Network, Subnet

REST_SECONDS = 120.0
"""How long a released address isn't given to another."""

WINDOW6 = 1 << 16
"""How many of an IPv6 subnet's addresses, its first, are given out: more than a network can have containers."""

_FREE, _HELD, _RESTING, _KEPT = 0, 1, 2, 3


class Allocator:
    """Which addresses of one subnet of a network are held, resting or free.

    One byte per address: finding a free one is a memory scan from the last one found (release and allocate in a /16
    with one address left: 2 µs). Of an IPv6 subnet only the first are so kept; of others, which only a user names, those
    that are held.
    """

    __slots__ = (
        "_beyond",
        "_cursor",
        "_first",
        "_free",
        "_gateway",
        "_pool",
        "_range",
        "_reserved",
        "_resting",
        "_state",
        "_subnet",
        "network",
    )

    def __init__(self, network: Network, leases: Iterable[Lease] = (), *, version: int = 4) -> None:
        """`version` tells which of the network's subnets is meant; it has to have it."""
        self.network = network
        self._subnet: Subnet = network.subnets[version == 6]
        self._gateway: Address = network.gateways[version == 6]
        self._pool: Subnet = (network.ip_range if version == 4 else None) or self._subnet
        self._first = int(self._subnet.network_address)
        last = self._subnet.num_addresses - 1
        kept = self._subnet.num_addresses if version == 4 else min(self._subnet.num_addresses, WINDOW6)
        start = int(self._pool.network_address) - self._first
        self._range = range(max(start, 1), min(start + self._pool.num_addresses, last, kept))
        self._state = bytearray(kept)
        self._reserved = frozenset(self._offset(each) for each in network.reserved if each in self._subnet)
        self._beyond: set[int] = set()
        self._resting: OrderedDict[int, float] = OrderedDict()
        self._cursor = self._range.start
        self._free = len(self._range)
        for offset in self._reserved:
            self._set(offset, _KEPT)
        for offset in (0, last, self._offset(self._gateway)):
            self._set(offset, _HELD)
        self._load([lease for lease in leases if lease.address in self._subnet])

    def _load(self, leases: list[Lease]) -> None:
        held = {self._offset(lease.address) for lease in leases if lease.released is None}
        for offset in held:
            self._set(offset, _HELD)
        released = sorted((lease.released, self._offset(lease.address)) for lease in leases if lease.released is not None)
        for when, offset in released:
            if offset not in held and not self._is_held(offset):
                self._rest(offset, when)
        newest = max((lease for lease in leases if lease.address != self._gateway), key=_age, default=None)
        if newest is not None and self._offset(newest.address) + 1 in self._range:
            self._cursor = self._offset(newest.address) + 1

    @property
    def free(self) -> int:
        """How many addresses were never used, or forgotten."""
        return self._free

    def allocate(self, now: float) -> Address:
        """Take an address, or raise Exhausted."""
        offset = self._next_free()
        if offset < 0:
            offset = self._rested(now)
        self._take(offset)
        if offset + 1 in self._range:
            self._cursor = offset + 1
        return self._subnet.network_address + offset

    def hold(self, address: Address) -> None:
        """Take this very address: it may rest (a re-created container asks for its own), it must not be in use."""
        subnet = self._subnet
        remedy = f"choose one in {subnet}, or leave it out to get the next free one"
        if address not in subnet:
            raise InvalidInput(f"{address} is not in the network's subnet {subnet}", field="address", remedy=remedy)
        if address in (subnet.network_address, subnet.broadcast_address):
            raise InvalidInput(f"{address} is the subnet's {ends_of(subnet)} address", field="address", remedy=remedy)
        offset = self._offset(address)
        if address == self._gateway:
            raise AddressInUse(f"{address} is the network's gateway", field="address", remedy=remedy)
        if self._is_held(offset):
            raise AddressInUse(f"{address} is in use", field="address", remedy=remedy)
        self._take(offset)

    def release(self, address: Address, now: float) -> None:
        """Let an address rest from now on; one that isn't held stays as it is."""
        offset = self._offset(address)
        if not self._usable(address) or not self._is_held(offset):
            return
        self._rest(offset, now)

    def forget(self, address: Address) -> None:
        """Make an address free at once, as if it had never been used: its lease was undone, or its record is gone."""
        offset = self._offset(address)
        if self._usable(address):
            self._resting.pop(offset, None)
            self._set(offset, _KEPT if offset in self._reserved else _FREE)

    def _usable(self, address: Address) -> bool:
        subnet = self._subnet
        return address in subnet and address not in (subnet.network_address, subnet.broadcast_address, self._gateway)

    def _offset(self, address: Address) -> int:
        return int(address) - self._first

    def _is_held(self, offset: int) -> bool:
        return self._state[offset] == _HELD if offset < len(self._state) else offset in self._beyond

    def _take(self, offset: int) -> None:
        self._resting.pop(offset, None)
        self._set(offset, _HELD)

    def _rest(self, offset: int, when: float) -> None:
        # Outside the range, and of what is reserved, nothing is given out unasked: there is nothing to wait for.
        if offset in self._reserved or offset not in self._range:
            self._set(offset, _KEPT if offset in self._reserved else _FREE)
            return
        self._resting[offset] = when
        self._set(offset, _RESTING)

    def _set(self, offset: int, state: int) -> None:
        if offset >= len(self._state):
            (self._beyond.add if state == _HELD else self._beyond.discard)(offset)
            return
        old, self._state[offset] = self._state[offset], state
        if offset in self._range:
            self._free += (state == _FREE) - (old == _FREE)

    def _next_free(self) -> int:
        """Return the next never-used address from the cursor on, around the end; -1 where there is none."""
        if not self._free:
            return -1
        found = self._state.find(_FREE, self._cursor, self._range.stop)
        return found if found >= 0 else self._state.find(_FREE, self._range.start, self._cursor)

    def _rested(self, now: float) -> int:
        """Return the address that rests longest, if that is long enough."""
        offset = next(iter(self._resting), None)
        name = self.network.name or self.network.id
        size = f"all {len(self._range)} addresses of {self._pool} on network {name}"
        if offset is None:
            raise Exhausted(
                f"{size} are in use",
                field="address",
                remedy="remove containers, or create a network with a larger subnet",
            )
        left = self._resting[offset] + REST_SECONDS - now
        if left > 0:
            raise Exhausted(
                f"{size} are in use or were released less than {REST_SECONDS:.0f} s ago",
                field="address",
                remedy=f"{self._subnet.network_address + offset} comes free in {ceil(left)} s",
            )
        return offset


def ends_of(subnet: Subnet) -> str:
    """Return what the two addresses of a subnet are that nobody gets."""
    return "network or broadcast" if subnet.version == 4 else "first or last"


def _age(lease: Lease) -> float:
    return lease.created
