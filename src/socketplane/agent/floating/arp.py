"""ARP on the wire: is an address taken, and it is here now (RFC 5227). Functions here block: run them in a thread."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from struct import Struct

from socketplane.agent.floating.asking import PROBES, answers
from socketplane.agent.floating.kernel import Place

ETH_P_ARP = 0x0806
_HEAD = b"\x00\x01\x08\x00\x06\x04"  # Ethernet, IPv4, their lengths
_REQUEST, _REPLY = 1, 2
_PACKET = Struct("!6s6sH6sH6s4s6s4s")
_EVERYBODY, _NOBODY = b"\xff" * 6, bytes(6)
_UNSPECIFIED = bytes(4)


def taken(place: Place, addresses: Collection[IPv4Address]) -> dict[IPv4Address, str]:
    """Probe for addresses on a link; return the MACs of those who have one or are about to take it."""
    wanted = {address.packed: address for address in addresses}
    found: dict[IPv4Address, str] = {}
    with _wire(place) as (wire, mac):
        for number in range(PROBES):
            for packed, address in wanted.items():
                if address not in found:
                    wire.send(_PACKET.pack(_EVERYBODY, mac, ETH_P_ARP, _HEAD, _REQUEST, mac, _UNSPECIFIED, _NOBODY, packed))
            for other, sender, target in _heard(wire, number):
                key = target if sender == _UNSPECIFIED else sender
                if other != mac and key in wanted:
                    found[wanted[key]] = other.hex(":")
    return found


def announce(place: Place, addresses: Collection[IPv4Address]) -> None:
    """Tell a link that addresses are here: neighbours and switches learn it, whoever asked before."""
    with _wire(place) as (wire, mac):
        for address in addresses:
            own = address.packed
            for kind, target in ((_REQUEST, _NOBODY), (_REPLY, mac)):  # some believe only the one, some the other
                wire.send(_PACKET.pack(_EVERYBODY, mac, ETH_P_ARP, _HEAD, kind, mac, own, target, own))


@contextmanager
def _wire(place: Place) -> Iterator[tuple[socket.socket, bytes]]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((place.name, ETH_P_ARP))
        yield wire, bytes.fromhex(place.mac.replace(":", ""))


def _heard(wire: socket.socket, probe: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield sender's MAC, sender's and target's address of the ARP packets that come after a probe."""
    for packet in answers(wire, probe):
        if len(packet) < _PACKET.size:
            continue
        _, _, _, head, _, mac, sender, _, target = _PACKET.unpack(packet[: _PACKET.size])
        if head == _HEAD:
            yield mac, sender, target
