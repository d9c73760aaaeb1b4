"""Published ports of SCTP with real packets: this kernel may have no SCTP of its own, and need not have."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

from datapath_site import OUTSIDE, UPLINK, Start
from machine import Namespace

from socketplane.agent.gateway import Gateway
from socketplane.agent.ruleset import Forward
from socketplane.model.published import ANY, Published
from socketplane.model.spec import Protocol

HEADER = 20
INIT, INIT_ACK = 1, 2
CLIENT, PORT, HOST_PORT = 5000, 9000, 9001


def crc32c(data: bytes) -> int:
    """Return SCTP's checksum."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def chunk(source: int, target: int, kind: int, tag: int) -> bytes:
    """Return a packet of SCTP that opens an association, or answers that."""
    body = struct.pack("!BBHIIHHI", kind, 0, 20, 0x1234, 65536, 1, 1, 7)
    head = struct.pack("!HHI", source, target, tag)
    return head + struct.pack("<I", crc32c(head + bytes(4) + body)) + body


@contextmanager
def raw(where: Namespace) -> Iterator[socket.socket]:
    """Have a socket of that namespace for packets of SCTP."""
    with where.inside():
        handle = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    with handle:
        handle.settimeout(1)
        yield handle


def heard(handle: socket.socket) -> tuple[str, int, int, int]:
    """Return a packet that came: from whom, its ports, and its kind."""
    data, (source, _) = handle.recvfrom(2048)
    ports = struct.unpack("!HH", data[HEADER : HEADER + 4])
    return source, *ports, data[HEADER + 12]


async def test_an_association_is_led_to_the_container_and_back(start: Start, gateway: Gateway, outside: Namespace) -> None:
    shop = await start()
    await gateway.forward([Forward(Published(Protocol.SCTP, ANY, HOST_PORT, PORT), IPv4Address(shop.address))])
    with raw(outside) as client, raw(shop.namespace) as server:
        client.sendto(chunk(CLIENT, HOST_PORT, INIT, 0), (UPLINK, 0))
        assert heard(server) == (OUTSIDE, CLIENT, PORT, INIT)
        server.sendto(chunk(PORT, CLIENT, INIT_ACK, 0x1234), (OUTSIDE, 0))
        assert heard(client) == (UPLINK, HOST_PORT, CLIENT, INIT_ACK)
