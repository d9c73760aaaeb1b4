"""Blocks as prefixes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketplane.compile.prefixes import all_but, merged, prefixes
from socketplane.model.spec import Block
from support.policies import block

POOL = IPv4Network("10.192.0.0/10")


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([block("192.0.2.0/24")], ["192.0.2.0/24"]),
        ([block("192.0.2.0/24", "192.0.2.128/25")], ["192.0.2.0/25"]),
        ([block("192.0.2.0/30", "192.0.2.1/32")], ["192.0.2.0/32", "192.0.2.2/31"]),
        ([block("192.0.2.0/24", "192.0.2.0/24")], []),
        ([block("192.0.2.0/24", "0.0.0.0/0")], []),
        ([block("192.0.2.0/25"), block("192.0.2.128/25")], ["192.0.2.0/24"]),
        ([block("192.0.2.0/24", "192.0.2.0/25"), block("192.0.2.64/26")], ["192.0.2.64/26", "192.0.2.128/25"]),
        ([block("10.0.0.0/8")], ["10.0.0.0/9", "10.128.0.0/10"]),
        ([block("10.0.0.0/8", pool=True)], ["10.0.0.0/8"]),
        ([block("10.192.4.0/22")], []),
        ([block("10.192.4.0/22", pool=True)], ["10.192.4.0/22"]),
        ([block("0.0.0.0/0", pool=True)], ["0.0.0.0/0"]),
        ([block("2001:db8::/32")], []),
        ([block("192.0.2.0/24", "2001:db8::/32")], ["192.0.2.0/24"]),
        ([], []),
    ],
)
def test_blocks_are_what_is_in_them_and_in_no_exception(blocks: list[Block], expected: list[str]) -> None:
    assert [str(prefix) for prefix in prefixes(blocks, POOL)] == expected


def test_everything_but_the_pool_takes_no_more_prefixes_than_bits() -> None:
    found = prefixes([block("0.0.0.0/0")], POOL)
    assert len(found) == POOL.prefixlen
    assert not any(prefix.overlaps(POOL) for prefix in found)
    assert all_but([POOL]) == found


_small = st.builds(
    lambda offset, bits: ip_network((int(IPv4Address("10.192.0.0")) + (offset >> (32 - bits) << (32 - bits)), bits)),
    st.integers(0, 255),
    st.integers(24, 32),
)


@given(st.lists(st.builds(Block, _small, st.lists(_small, max_size=3).map(tuple), st.booleans()), max_size=3))
def test_each_address_is_in_the_prefixes_if_it_is_in_a_block(blocks: list[Block]) -> None:
    pool = IPv4Network("10.192.0.64/26")
    found = prefixes(blocks, pool)
    for address in IPv4Network("10.192.0.0/24"):
        meant = any(
            address in it.cidr and not any(address in hole for hole in it.excepts) and (it.pool or address not in pool)
            for it in blocks
        )
        assert any(address in prefix for prefix in found) == meant
    assert all(not a.overlaps(b) for n, a in enumerate(found) for b in found[:n])


def test_ranges_that_touch_become_one() -> None:
    assert merged([(5, 6), (1, 2), (3, 3), (9, 9), (5, 5)]) == [(1, 3), (5, 6), (9, 9)]
