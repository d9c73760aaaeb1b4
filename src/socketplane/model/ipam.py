"""Addresses of a network. Pure: the clock comes in as an argument.

A released address rests, so that a peer that still remembers it doesn't reach a stranger. Never-used addresses are
given out first, onwards from the last one; then those that rested long enough, the longest released first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Address
from math import ceil

from socketplane.errors import AddressInUse, Exhausted, InvalidInput
from socketplane.model.types import Lease, Network

REST_SECONDS = 120.0
"""How long a released address isn't given to another."""

_FREE, _HELD, _RESTING = 0, 1, 2


class Allocator:
    """Which addresses of one network are held, resting or free.

    One byte per address: finding a free one is a memory scan from the last one found (release and allocate in a /16
    with one address left: 2 µs).
    """

    __slots__ = ("_cursor", "_first", "_free", "_range", "_resting", "_state", "network")

    def __init__(self, network: Network, leases: Iterable[Lease] = ()) -> None:
        self.network = network
        subnet = network.subnet
        pool = network.ip_range or subnet
        self._first = int(subnet.network_address)
        last = subnet.num_addresses - 1
        start = int(pool.network_address) - self._first
        self._range = range(max(start, 1), min(start + pool.num_addresses, last))
        self._state = bytearray(subnet.num_addresses)
        self._state[0] = self._state[last] = _HELD
        self._resting: OrderedDict[int, float] = OrderedDict()
        self._cursor = self._range.start
        self._free = len(self._range)
        self._set(self._offset(network.gateway), _HELD)
        self._load([lease for lease in leases if lease.address in subnet])

    def _load(self, leases: list[Lease]) -> None:
        held = {self._offset(lease.address) for lease in leases if lease.released is None}
        for offset in held:
            self._set(offset, _HELD)
        released = sorted((lease.released, self._offset(lease.address)) for lease in leases if lease.released is not None)
        for when, offset in released:
            if offset not in held and self._state[offset] != _HELD:
                self._rest(offset, when)
        newest = max((lease for lease in leases if lease.address != self.network.gateway), key=_age, default=None)
        if newest is not None and self._offset(newest.address) + 1 in self._range:
            self._cursor = self._offset(newest.address) + 1

    @property
    def free(self) -> int:
        """How many addresses were never used, or forgotten."""
        return self._free

    def allocate(self, now: float) -> IPv4Address:
        """Take an address, or raise Exhausted."""
        offset = self._next_free()
        if offset < 0:
            offset = self._rested(now)
        self._take(offset)
        if offset + 1 in self._range:
            self._cursor = offset + 1
        return IPv4Address(self._first + offset)

    def hold(self, address: IPv4Address) -> None:
        """Take this very address: it may rest (a re-created container asks for its own), it must not be in use."""
        subnet = self.network.subnet
        remedy = f"choose one in {subnet}, or leave it out to get the next free one"
        if address not in subnet:
            raise InvalidInput(f"{address} is not in the network's subnet {subnet}", field="address", remedy=remedy)
        if address in (subnet.network_address, subnet.broadcast_address):
            raise InvalidInput(f"{address} is the subnet's network or broadcast address", field="address", remedy=remedy)
        offset = self._offset(address)
        if address == self.network.gateway:
            raise AddressInUse(f"{address} is the network's gateway", field="address", remedy=remedy)
        if self._state[offset] == _HELD:
            raise AddressInUse(f"{address} is in use", field="address", remedy=remedy)
        self._take(offset)

    def release(self, address: IPv4Address, now: float) -> None:
        """Let an address rest from now on; one that isn't held stays as it is."""
        offset = self._offset(address)
        if not self._usable(address) or self._state[offset] != _HELD:
            return
        self._rest(offset, now)

    def forget(self, address: IPv4Address) -> None:
        """Make an address free at once, as if it had never been used: its lease was undone, or its record is gone."""
        offset = self._offset(address)
        if self._usable(address):
            self._resting.pop(offset, None)
            self._set(offset, _FREE)

    def _usable(self, address: IPv4Address) -> bool:
        subnet = self.network.subnet
        return address in subnet and address not in (
            subnet.network_address,
            subnet.broadcast_address,
            self.network.gateway,
        )

    def _offset(self, address: IPv4Address) -> int:
        return int(address) - self._first

    def _take(self, offset: int) -> None:
        self._resting.pop(offset, None)
        self._set(offset, _HELD)

    def _rest(self, offset: int, when: float) -> None:
        # Outside the range nothing is given out unasked, so there is nothing to wait for.
        if offset not in self._range:
            self._set(offset, _FREE)
            return
        self._resting[offset] = when
        self._set(offset, _RESTING)

    def _set(self, offset: int, state: int) -> None:
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
        size = f"all {len(self._range)} addresses of {self.network.ip_range or self.network.subnet} on network {name}"
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
                remedy=f"{IPv4Address(self._first + offset)} comes free in {ceil(left)} s",
            )
        return offset


def _age(lease: Lease) -> float:
    return lease.created
