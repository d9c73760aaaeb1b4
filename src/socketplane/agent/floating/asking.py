"""How a LAN is asked whether an address is taken, by ARP and by neighbour discovery alike. Blocks: run it in a thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

PROBES = 3
_EVERY = 0.12
"""Seconds. RFC 5227 takes seconds for it; a container that moved shall be reachable again within one."""
_SETTLE = 0.2


def answers(wire: socket.socket, probe: int) -> Iterator[bytes]:
    """Yield the packets that arrive in the time that the probe of this number (of PROBES, from 0) has for an answer."""
    end = time.monotonic() + (_EVERY if probe < PROBES - 1 else _SETTLE)
    while (left := end - time.monotonic()) > 0:
        wire.settimeout(left)
        try:
            yield wire.recv(2048)
        except TimeoutError:
            return
