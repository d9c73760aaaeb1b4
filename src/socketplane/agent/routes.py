"""The host's own routes, as the kernel shows its main table: what Docker compares an unasked-for subnet with."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

TABLE = Path("/proc/self/net/route")


def overlapping(subnet: IPv4Network, table: str) -> tuple[str, IPv4Network] | None:
    """Return interface and destination of a route in `table` that overlaps `subnet`; the default route is none."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        network = IPv4Network((_address(fields[1]), str(_address(fields[7]))), strict=False)
        if network.prefixlen and network.overlaps(subnet):
            return fields[0], network
    return None


def _address(text: str) -> IPv4Address:
    """Return an address that the kernel printed as a number in the machine's own byte order."""
    return IPv4Address(int(text, 16).to_bytes(4, sys.byteorder))
