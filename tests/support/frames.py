"""Frames that no honest stack sends, made by hand; sent from and listened for in a container's own network namespace."""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address

from socketplane.lab import probe
from socketplane.lab.probe import Container
from socketplane.model.types import mac_of

BROADCAST = "ff:ff:ff:ff:ff:ff"
IP, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
ICMP, TCP, UDP = 1, 6, 17
SYN, ACK = 2, 16
END = "end"
"""The mark that ends listening."""
PATIENCE = 10.0
_SEND = """
import json, socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
    link.bind(("eth0", 0))
    for frame in json.load(sys.stdin):
        link.send(bytes.fromhex(frame))
"""
# Prints each mark that comes in, once; ends with the one that says so, or after a while.
_LISTEN = """
import re, socket, sys, time
seen, end = set(), time.monotonic() + float(sys.argv[1])
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as link:
    link.bind(("eth0", 3))
    link.settimeout(0.2)
    print("ready", flush=True)
    while time.monotonic() < end and "end" not in seen:
        try:
            frame, origin = link.recvfrom(65535)
        except TimeoutError:
            continue
        if origin[2] != socket.PACKET_OUTGOING:
            for mark in re.findall(rb"<([ -;=?-~]+)>", frame):
                if mark not in seen:
                    print(mark.decode(), flush=True)
                seen.add(mark.decode())
"""


def mark(name: str) -> bytes:
    """Return what a payload carries, to be known by when it arrives."""
    return f"<{name}>".encode()


def ethernet(source: str, target: str, kind: int, payload: bytes) -> bytes:
    """Return a frame."""
    return _mac(target) + _mac(source) + struct.pack("!H", kind) + payload.ljust(46, b"\0")


def ipv4(source: str, target: str, protocol: int, payload: bytes, *, number: int = 1, fragment: int = 0) -> bytes:
    """Return a packet; `fragment` is the header's field: offset in units of eight, 0x2000 for more to come."""
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number, fragment, 64, protocol, 0, *_ends(source, target)
    )
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + payload


def udp(source: str, target: str, payload: bytes, port: int = 8080, own: int = 4000) -> bytes:
    """Return a datagram."""
    body = struct.pack("!HHHH", own, port, 8 + len(payload), 0) + payload
    return body[:6] + _checksum(source, target, UDP, body) + body[8:]


def tcp(source: str, target: str, flags: int, payload: bytes, port: int = 8080, own: int = 4000) -> bytes:
    """Return a segment."""
    body = struct.pack("!HHIIBBHHH", own, port, 1, 1, 0x50, flags, 1024, 0, 0) + payload
    return body[:16] + _checksum(source, target, TCP, body) + body[18:]


def icmp(kind: int, code: int, payload: bytes) -> bytes:
    """Return a message of ICMP."""
    body = struct.pack("!BBHI", kind, code, 0, 0) + payload
    return body[:2] + struct.pack("!H", _sum(body)) + body[4:]


def arp(operation: int, sender: tuple[str, str], target: tuple[str, str], tail: bytes = b"") -> bytes:
    """Return a message of ARP; 1 asks, 2 answers. Ends are (MAC, address)."""
    ends = b"".join(_mac(mac) + IPv4Address(address).packed for mac, address in (sender, target))
    return struct.pack("!HHBBH", 1, IP, 6, 4, operation) + ends + tail


def ipv6(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    """Return a packet."""
    ends = IPv6Address(source).packed + IPv6Address(target).packed
    return struct.pack("!IHBB", 0x60000000, len(payload), protocol, 255) + ends + payload


def icmp6(source: str, target: str, kind: int, payload: bytes) -> bytes:
    """Return a message of ICMPv6."""
    body = struct.pack("!BBH", kind, 0, 0) + payload
    ends = IPv6Address(source).packed + IPv6Address(target).packed
    return body[:2] + struct.pack("!H", _sum(ends + struct.pack("!II", len(body), 58) + body)) + body[4:]


def mac(container: Container) -> str:
    """Return the MAC that follows from a container's address."""
    return mac_of(IPv4Address(container.address))


def geneve(frame: bytes, network: int, source: int, target: int) -> bytes:
    """Return what is in a datagram of a tunnel of OVN's: a frame, with the numbers of its network and both its ports."""
    head = struct.pack("!BBHI", 2, 0x40, 0x6558, network << 8)
    return head + struct.pack("!HBBHH", 0x0102, 0x80, 1, source, target) + frame


@asynccontextmanager
async def listening(target: Container) -> AsyncIterator[set[str]]:
    """Collect the marks that arrive at a container; the set is complete once the context is left: after `END`."""
    program = probe.inside(target, sys.executable, "-I", "-S", "-c", _LISTEN, str(PATIENCE))
    command = await asyncio.to_thread(target.machine.command, program)
    listener = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert listener.stdout is not None
    arrived: set[str] = set()
    try:
        assert await asyncio.wait_for(listener.stdout.readline(), PATIENCE) == b"ready\n"
        yield arrived
        arrived.update((await listener.stdout.read()).decode().splitlines())
    finally:
        if listener.returncode is None:
            listener.kill()
        await listener.wait()


async def send(source: Container, frames: Sequence[bytes]) -> None:
    """Put frames on a container's eth0."""
    await probe.run(source, sys.executable, "-I", "-S", "-c", _SEND, stdin=json.dumps([frame.hex() for frame in frames]))


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _ends(source: str, target: str) -> tuple[bytes, bytes]:
    return IPv4Address(source).packed, IPv4Address(target).packed


def _checksum(source: str, target: str, protocol: int, body: bytes) -> bytes:
    return struct.pack("!H", _sum(b"".join(_ends(source, target)) + struct.pack("!HH", protocol, len(body)) + body))


def _sum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2 + len(data) % 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
