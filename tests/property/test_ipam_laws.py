"""Laws of address allocation, over any history."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from socketplane.errors import AddressInUse, Exhausted, InvalidInput, SubnetOverlap
from socketplane.model.ipam import REST_SECONDS, Allocator
from socketplane.model.subnets import plan
from socketplane.model.types import Cluster, Lease, LeaseKind, Network

SUBNET = IPv4Network("10.200.0.0/28")
ADDRESSES = [SUBNET.network_address + n for n in range(16)]

networks = st.builds(
    Network,
    st.just(UUID(int=1)),
    st.just("web"),
    st.just(SUBNET),
    st.sampled_from(ADDRESSES[1:-1]),
    st.sampled_from([None, IPv4Network("10.200.0.0/29"), IPv4Network("10.200.0.8/29"), IPv4Network("10.200.0.4/30")]),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["allocate", "allocate", "hold", "release", "restart"]),
        st.sampled_from(ADDRESSES),
        st.floats(0, 90),
    ),
    max_size=60,
)


@given(networks, steps)
def test_an_address_has_one_holder_and_rests_before_the_next(
    network: Network, history: list[tuple[str, IPv4Address, float]]
) -> None:
    allocator = Allocator(network)
    held: dict[IPv4Address, float] = {}
    released: dict[IPv4Address, float] = {}
    now = 0.0
    pool = {address for address in network.ip_range or SUBNET if address in ADDRESSES[1:-1] and address != network.gateway}
    for action, address, wait in history:
        now += wait
        if action == "allocate":
            try:
                got = allocator.allocate(now)
            except Exhausted:
                resting = {a for a, when in released.items() if a not in held and now - when < REST_SECONDS}
                assert pool <= held.keys() | resting
                continue
            assert got in pool
            assert got not in held
            never = pool - held.keys() - released.keys()
            if got in released:
                assert not never
                assert now - released[got] >= REST_SECONDS
                assert released[got] == min(when for a, when in released.items() if a in pool and a not in held)
            held[got] = now
        elif action == "hold":
            usable = address in ADDRESSES[1:-1]
            try:
                allocator.hold(address)
            except (AddressInUse, InvalidInput):
                assert not usable or address in held or address == network.gateway
                continue
            assert usable and address not in held and address != network.gateway
            held[address] = now
        elif action == "release":
            allocator.release(address, now)
            if held.pop(address, None) is not None:
                released[address] = now
        else:
            allocator = Allocator(network, _leases(held, released))


def _leases(held: dict[IPv4Address, float], released: dict[IPv4Address, float]) -> list[Lease]:
    past = {address: when for address, when in released.items() if address not in held}
    return [
        *(Lease(UUID(int=1), a, LeaseKind.ENDPOINT, "h1", created=when) for a, when in held.items()),
        *(Lease(UUID(int=1), a, LeaseKind.ENDPOINT, "h1", created=0.0, released=when) for a, when in past.items()),
    ]


@given(st.lists(st.tuples(st.integers(20, 30), st.integers(0, 2**10)), max_size=20), st.integers(22, 26))
def test_planned_subnets_never_overlap(wanted: list[tuple[int, int]], prefix: int) -> None:
    cluster = Cluster(UUID(int=1), IPv4Network("10.192.0.0/18"), prefix, IPv4Network("10.192.8.0/24"))
    networks: list[Network] = []
    for number, (length, place) in enumerate(wanted):
        size = 1 << (32 - length)
        subnet = IPv4Network((int(cluster.pool.network_address) + place * size % (1 << 14), length)) if number % 2 else None
        try:
            found = plan(cluster, networks, subnet=subnet)
        except (Exhausted, SubnetOverlap):
            continue
        assert not any(found.subnet.overlaps(other.subnet) for other in networks)
        assert not found.subnet.overlaps(cluster.hosts)
        assert found.subnet.subnet_of(cluster.pool)
        networks.append(Network(UUID(int=number), f"n{number}", found.subnet, found.gateway))
