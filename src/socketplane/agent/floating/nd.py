"""Neighbour discovery on the wire: is an address taken (RFC 4862), and it is here now (RFC 4861).

Functions here block: run them in a thread.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address

from socketplane.agent.floating.asking import PROBES, answers
from socketplane.agent.floating.kernel import Place

ETH_P_IPV6 = 0x86DD
_HEAD = struct.Struct("!6s6sH IHBB16s16s")  # Ethernet, IPv6
_BODY = struct.Struct("!BBHI16s")  # type, code, checksum, flags, target
_VERSION = 6 << 28
_HOPS = 255
"""Of neighbour discovery: what came through a router has less."""
_SOLICITATION, _ADVERTISEMENT = 135, 136
_OVERRIDE = 1 << 29
_TARGET_MAC = b"\x02\x01"  # the option, and its length in units of eight bytes
_NOBODY = bytes(16)
_ALL_NODES = IPv6Address("ff02::1").packed
_SOLICITED_NODE = IPv6Address("ff02::1:ff00:0").packed[:13]
_SOL_PACKET, _ADD_MEMBERSHIP, _MULTICAST, _SO_ATTACH_FILTER = 263, 1, 0, 26
_ONLY_NEIGHBOURS = (  # code, jump if true, jump if false, operand
    (0x30, 0, 0, 20),  # IPv6's next header
    (0x15, 0, 4, socket.IPPROTO_ICMPV6),
    (0x30, 0, 0, _HEAD.size),  # the type
    (0x15, 1, 0, _SOLICITATION),
    (0x15, 0, 1, _ADVERTISEMENT),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)
"""In the kernel, or all of a link's traffic would come here."""


def taken(place: Place, addresses: Collection[IPv6Address]) -> dict[IPv6Address, str]:
    """Probe for addresses on a link; return the MACs of those who have one or are about to take it."""
    found: dict[IPv6Address, str] = {}
    with _wire(place, addresses) as (wire, mac):
        for number in range(PROBES):
            for address in addresses:
                if address not in found:
                    wire.send(_packet(mac, _NOBODY, _solicited_node(address), _SOLICITATION, 0, address.packed))
            for other, address in filter(None, map(claimed, answers(wire, number))):
                if other != mac and address in addresses:
                    found[address] = other.hex(":")
    return found


def announce(place: Place, addresses: Collection[IPv6Address]) -> None:
    """Tell a link that addresses are here: neighbours that know another MAC take this one, and switches learn it."""
    with _wire(place, ()) as (wire, mac):
        for address in addresses:
            own = address.packed
            wire.send(_packet(mac, own, _ALL_NODES, _ADVERTISEMENT, _OVERRIDE, own, _TARGET_MAC + mac))


def _packet(mac: bytes, source: bytes, to: bytes, kind: int, flags: int, target: bytes, options: bytes = b"") -> bytes:
    """Return a packet to a group."""
    size = _BODY.size + len(options)
    pseudo = source + to + struct.pack("!II", size, socket.IPPROTO_ICMPV6)
    check = checksum(pseudo + _BODY.pack(kind, 0, 0, flags, target) + options)
    group = b"\x33\x33" + to[-4:]
    head = _HEAD.pack(group, mac, ETH_P_IPV6, _VERSION, size, socket.IPPROTO_ICMPV6, _HOPS, source, to)
    return head + _BODY.pack(kind, 0, check, flags, target) + options


def checksum(data: bytes) -> int:
    """Return the Internet's checksum of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _solicited_node(address: IPv6Address) -> bytes:
    """Return the group that who has an address listens to."""
    return _SOLICITED_NODE + address.packed[13:]


@contextmanager
def _wire(place: Place, addresses: Collection[IPv6Address]) -> Iterator[tuple[socket.socket, bytes]]:
    """Have a socket that hears advertisements, and solicitations for these addresses."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        program = b"".join(struct.pack("HBBI", *step) for step in _ONLY_NEIGHBOURS)
        buffer = ctypes.create_string_buffer(program, len(program))
        fprog = struct.pack("HP", len(_ONLY_NEIGHBOURS), ctypes.addressof(buffer))
        wire.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
        for group in {_solicited_node(address)[-4:] for address in addresses}:
            wanted = struct.pack("iHH8s", place.index, _MULTICAST, 6, b"\x33\x33" + group)
            wire.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, wanted)
        wire.bind((place.name, ETH_P_IPV6))
        yield wire, bytes.fromhex(place.mac.replace(":", ""))


def claimed(packet: bytes) -> tuple[bytes, IPv6Address] | None:
    """Return the MAC and the address of who has it or is about to take it; None where a packet says nothing of it."""
    if len(packet) < _HEAD.size + _BODY.size:
        return None
    _, mac, _, _, _, following, hops, source, _ = _HEAD.unpack_from(packet)
    kind, code, _, _, target = _BODY.unpack_from(packet, _HEAD.size)
    if (following, hops, code) != (socket.IPPROTO_ICMPV6, _HOPS, 0):
        return None
    if kind == _ADVERTISEMENT or (kind == _SOLICITATION and source == _NOBODY):
        return mac, IPv6Address(target)
    return None
