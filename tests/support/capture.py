"""What passes a link of a lab's machine, packet for packet."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from socketplane.lab.machine import Machine
from support.world import eventually

_NUMBERS = itertools.count()
_RAW = 101
"""pcap's number of links without a header of their own; the others that are looked at are Ethernet's."""
_IPV4, _UDP = b"\x08\x00", 17


@dataclass(frozen=True)
class Packet:
    """A frame, and the IPv4 packet in it, if there is one."""

    data: bytes
    ip: bytes

    @property
    def size(self) -> int:
        """Bytes of the whole IP packet; 0 for others."""
        return int.from_bytes(self.ip[2:4], "big")

    @property
    def fragment(self) -> bool:
        return bool(int.from_bytes(self.ip[6:8], "big") & 0x3FFF)

    @property
    def udp_port(self) -> int:
        """Destination port of UDP; 0 for others."""
        header = (self.ip[0] & 0xF) * 4 if self.ip else 0
        return int.from_bytes(self.ip[header + 2 : header + 4], "big") if self.ip and self.ip[9] == _UDP else 0


class Capture:
    """Packets, once the capture has ended."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []

    def ports(self) -> set[int]:
        """Return the destination ports of all datagrams."""
        return {packet.udp_port for packet in self.packets} - {0}

    def sees(self, pattern: bytes) -> bool:
        return any(pattern in packet.data for packet in self.packets)


@asynccontextmanager
async def capturing(machine: Machine, link: str) -> AsyncIterator[Capture]:
    """Capture what passes a link while the context lasts; complete when it is left."""
    found, name = Capture(), f"/tmp/capture-{next(_NUMBERS)}"
    script = f"echo $$ > {name}.pid; exec tcpdump -U -s 0 -i {link} -w {name}.pcap"
    task = asyncio.create_task(machine.run("sh", "-c", script, timeout=600))
    file = machine.path(f"{name}.pcap")

    async def begun() -> bool:
        return await asyncio.to_thread(lambda: file.exists() and file.stat().st_size >= 24)

    await eventually("the capture runs", begun, 60.0)
    try:
        yield found
    finally:
        await machine.run("sh", "-c", f"kill -INT $(cat {name}.pid)")
        await task
        found.packets += _read(await asyncio.to_thread(file.read_bytes))


def _read(data: bytes) -> Iterator[Packet]:
    """Yield the packets of a file in pcap's format of this machine's byte order."""
    position, raw = 24, struct.unpack_from("=I", data, 20)[0] == _RAW
    while position < len(data):
        _, _, length, _ = struct.unpack_from("=IIII", data, position)
        frame = data[position + 16 : position + 16 + length]
        ip = frame if raw else frame[14:] if frame[12:14] == _IPV4 else b""
        yield Packet(frame, ip if ip[:1] and ip[0] >> 4 == 4 else b"")
        position += 16 + length
