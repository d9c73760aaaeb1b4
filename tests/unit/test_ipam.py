"""Addresses of a network."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import pytest

from socketplane.errors import AddressInUse, Exhausted, InvalidInput
from socketplane.model.ipam import REST_SECONDS, Allocator
from socketplane.model.types import Lease, LeaseKind, Network

SMALL = Network(UUID(int=1), "web", IPv4Network("10.200.0.0/29"), IPv4Address("10.200.0.1"))
"""Five addresses for containers: .2 to .6."""


def ip(last: int) -> IPv4Address:
    return IPv4Address("10.200.0.0") + last


def lease(last: int, *, created: float = 0.0, released: float | None = None) -> Lease:
    return Lease(SMALL.id, ip(last), LeaseKind.ENDPOINT, "h1", created=created, released=released)


def test_addresses_come_in_order_without_network_gateway_and_broadcast() -> None:
    allocator = Allocator(SMALL)
    assert [allocator.allocate(0.0) for _ in range(5)] == [ip(n) for n in range(2, 7)]


def test_a_gateway_in_the_middle_is_left_out() -> None:
    allocator = Allocator(replace(SMALL, gateway=ip(4)))
    assert [allocator.allocate(0.0) for _ in range(5)] == [ip(1), ip(2), ip(3), ip(5), ip(6)]


def test_allocation_goes_on_after_the_newest_lease() -> None:
    allocator = Allocator(SMALL, [lease(4, created=1.0), lease(2, created=9.0), lease(3, created=5.0)])
    assert [allocator.allocate(10.0) for _ in range(2)] == [ip(5), ip(6)]


def test_a_released_address_waits_until_never_used_ones_are_gone() -> None:
    allocator = Allocator(SMALL)
    first = allocator.allocate(0.0)
    allocator.release(first, 1.0)
    later = 1.0 + REST_SECONDS
    assert [allocator.allocate(later) for _ in range(5)] == [ip(3), ip(4), ip(5), ip(6), first]


def test_the_longest_released_address_is_used_first() -> None:
    allocator = Allocator(SMALL)
    addresses = [allocator.allocate(0.0) for _ in range(5)]
    for when, address in enumerate([addresses[3], addresses[0], addresses[4]]):
        allocator.release(address, float(when))
    assert [allocator.allocate(500.0) for _ in range(3)] == [addresses[3], addresses[0], addresses[4]]


def test_released_leases_rest_after_a_restart_too() -> None:
    leases = [lease(2, released=50.0), lease(3, released=10.0), lease(4), lease(5), lease(6)]
    allocator = Allocator(SMALL, leases)
    with pytest.raises(Exhausted) as caught:
        allocator.allocate(100.0)
    assert caught.value.field == "address"
    assert "10.200.0.3 comes free in 30 s" in str(caught.value)
    assert allocator.allocate(130.0) == ip(3)


def test_a_network_without_any_address_left_says_so() -> None:
    allocator = Allocator(SMALL, [lease(n) for n in range(2, 7)])
    with pytest.raises(Exhausted, match=r"all 6 addresses of 10\.200\.0\.0/29 on network web are in use.*larger subnet"):
        allocator.allocate(0.0)


def test_the_range_is_respected_and_the_rest_can_be_asked_for() -> None:
    network = replace(SMALL, subnet=IPv4Network("10.200.0.0/24"), ip_range=IPv4Network("10.200.0.128/30"))
    allocator = Allocator(network)
    assert [allocator.allocate(0.0) for _ in range(4)] == [ip(n) for n in range(128, 132)]
    with pytest.raises(Exhausted, match=r"10\.200\.0\.128/30"):
        allocator.allocate(0.0)
    allocator.hold(ip(9))
    allocator.release(ip(9), 0.0)
    with pytest.raises(Exhausted, match="are in use"):
        allocator.allocate(1000.0)


def test_an_address_that_is_asked_for_is_held_and_not_given_out() -> None:
    allocator = Allocator(SMALL)
    allocator.hold(ip(2))
    with pytest.raises(AddressInUse, match=r"10\.200\.0\.2 is in use"):
        allocator.hold(ip(2))
    assert allocator.allocate(0.0) == ip(3)


def test_a_recreated_container_gets_its_resting_address_at_once() -> None:
    allocator = Allocator(SMALL)
    address = allocator.allocate(0.0)
    allocator.release(address, 0.0)
    allocator.hold(address)
    assert address not in [allocator.allocate(1000.0) for _ in range(4)]


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("10.201.0.1", InvalidInput, "not in the network's subnet"),
        ("10.200.0.0", InvalidInput, "network or broadcast"),
        ("10.200.0.7", InvalidInput, "network or broadcast"),
        ("10.200.0.1", AddressInUse, "the network's gateway"),
    ],
)
def test_an_impossible_address_is_refused_with_field_and_remedy(address: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        Allocator(SMALL).hold(IPv4Address(address))
    assert caught.value.field == "address"  # type: ignore[attr-defined]
    assert "10.200.0.0/29" in caught.value.remedy  # type: ignore[attr-defined]


def test_a_forgotten_address_is_as_good_as_new() -> None:
    allocator = Allocator(SMALL, [lease(n) for n in range(2, 7)])
    allocator.forget(ip(4))
    assert allocator.free == 1
    assert allocator.allocate(0.0) == ip(4)


def test_gateway_and_strangers_are_neither_released_nor_forgotten() -> None:
    allocator = Allocator(SMALL)
    for address in (SMALL.gateway, ip(0), ip(7), IPv4Address("192.0.2.1")):
        allocator.release(address, 0.0)
        allocator.forget(address)
    assert allocator.free == 5
    assert SMALL.gateway not in [allocator.allocate(1000.0) for _ in range(5)]


def test_a_lease_outside_the_subnet_does_no_harm() -> None:
    stray = replace(lease(2), address=IPv4Address("192.0.2.1"))
    assert Allocator(SMALL, [stray]).allocate(0.0) == ip(2)
