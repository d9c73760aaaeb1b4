"""Requests, one after the other on each of several connections: how many a second, and how long each took.

Runs by itself: python asking.py ADDRESS PORT CONNECTIONS SECONDS once|kept. `once` opens a connection for every
request. Writes JSON: the requests a second, the median and the 99th percentile in milliseconds, and how many failed.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time
from dataclasses import dataclass

ANSWER = 200
PATIENCE = 1.0
_AT_ONCE = struct.pack("ii", 1, 0)
"""Reset when closed: ports that wait for a minute run out, and then connecting is what takes the time."""


@dataclass
class Client:
    """One connection, and its request that is under way."""

    handle: socket.socket
    began: float
    received: int = 0


class Asking:
    """Keeps so many requests under way."""

    def __init__(self, address: tuple[str, int], *, once: bool) -> None:
        self._address = address
        self._once = once
        self._waiting = selectors.DefaultSelector()
        self.took: list[float] = []
        self.failed = 0

    def run(self, clients: int, seconds: float) -> float:
        """Ask for so long; return how long it was."""
        begin = time.perf_counter()
        for _ in range(clients):
            self._open()
        while (now := time.perf_counter()) - begin < seconds:
            for key, events in self._waiting.select(0.1):
                self._go_on(key.data, events)
            for client in [key.data for key in self._waiting.get_map().values() if now - key.data.began > PATIENCE]:
                self._fail(client)
        return time.perf_counter() - begin

    def _open(self) -> None:
        handle = socket.socket()
        handle.setblocking(False)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        handle.connect_ex(self._address)
        self._waiting.register(handle, selectors.EVENT_WRITE, Client(handle, began))

    def _go_on(self, client: Client, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                client.handle.send(b"?\n")
                self._waiting.modify(client.handle, selectors.EVENT_READ, client)
                return
            data = client.handle.recv(4096)
        except OSError:
            data = b""
        if not data:
            self._fail(client)
            return
        client.received += len(data)
        if client.received >= ANSWER:
            self._answered(client)

    def _answered(self, client: Client) -> None:
        now = time.perf_counter()
        self.took.append(now - client.began)
        if self._once:
            self._close(client)
            self._open()
            return
        client.began, client.received = now, 0
        client.handle.send(b"?\n")

    def _fail(self, client: Client) -> None:
        self.failed += 1
        self._close(client)
        self._open()

    def _close(self, client: Client) -> None:
        self._waiting.unregister(client.handle)
        client.handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        client.handle.close()


def main() -> None:
    """Ask, and write what it came to."""
    address, port, clients, seconds, how = sys.argv[1:]
    asking = Asking((address, int(port)), once=how == "once")
    lasted = asking.run(int(clients), float(seconds))
    took = sorted(asking.took) or [0.0]
    found = {
        "rate": len(asking.took) / lasted,
        "median": took[len(took) // 2] * 1000,
        "p99": took[len(took) * 99 // 100] * 1000,
        "failed": asking.failed,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
