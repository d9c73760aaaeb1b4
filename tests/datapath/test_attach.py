"""Ports of endpoints on a real Open vSwitch with OVN behind it."""

from __future__ import annotations

from traffic import exchange, ping

from conftest import Start


async def test_containers_talk_from_the_first_packet(start: Start) -> None:
    one, two = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    assert ping(one.namespace, two.address)
    assert exchange(one.namespace, two.namespace, two.address) == one.address
    assert exchange(two.namespace, one.namespace, one.address) == two.address
