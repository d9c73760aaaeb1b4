"""Neighbour discovery's packets, as bytes."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from socketplane.agent.floating import nd

MAC = bytes.fromhex("020000000001")
A = IPv6Address("2001:db8::12:3456")
PROBE = nd._packet(MAC, bytes(16), nd._solicited_node(A), 135, 0, A.packed)
NEWS = nd._packet(MAC, A.packed, IPv6Address("ff02::1").packed, 136, 1 << 29, A.packed, b"\x02\x01" + MAC)


def test_a_probe_is_sent_by_nobody_to_who_has_the_address() -> None:
    assert PROBE[:6].hex() == "3333ff123456"
    assert (PROBE[22:38], IPv6Address(PROBE[38:54])) == (bytes(16), IPv6Address("ff02::1:ff12:3456"))
    assert (PROBE[21], len(PROBE)) == (255, 78)


@pytest.mark.parametrize("packet", [PROBE, NEWS])
def test_checksums_are_right(packet: bytes) -> None:
    pseudo = packet[22:54] + (len(packet) - 54).to_bytes(4, "big") + b"\0\0\0\x3a"
    assert nd.checksum(pseudo + packet[54:]) == 0
    assert nd.checksum(b"\xff\xff" * 40_000) == 0


@pytest.mark.parametrize("packet", [PROBE, NEWS])
def test_probes_and_advertisements_claim_an_address(packet: bytes) -> None:
    assert nd.claimed(packet) == (MAC, A)


def changed(packet: bytes, at: int, to: bytes) -> bytes:
    return packet[:at] + to + packet[at + len(to) :]


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        PROBE[:77],
        changed(PROBE, 37, b"\x01"),  # somebody looks for who has it
        changed(NEWS, 21, b"\xfe"),  # through a router
        changed(NEWS, 20, b"\x11"),  # another protocol
        changed(NEWS, 54, b"\x87"),  # a question of one who has an address
        changed(NEWS, 55, b"\x01"),
    ],
)
def test_nothing_else_does(packet: bytes) -> None:
    assert nd.claimed(packet) is None
