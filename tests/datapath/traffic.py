"""Real packets between namespaces: sockets are made in a namespace and stay there, whoever uses them."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from machine import Namespace

BULK = 2 << 20


def ping(source: Namespace, target: str, count: int = 1) -> bool:
    """Return whether a ping is answered within a second."""
    output = source.run("busybox", "ping", "-c", str(count), "-W", "1", target, check=False)
    return f"{count} packets received" in output


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp_socket(where: Namespace, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """Return a TCP socket of that namespace."""
    with where.inside():
        handle = socket.socket(family, socket.SOCK_STREAM)
    handle.settimeout(5)
    return handle


@contextmanager
def udp(where: Namespace, address: str, port: int) -> Iterator[socket.socket]:
    """Have a UDP socket of that namespace, bound."""
    with where.inside():
        handle = socket.socket(family_of(address), socket.SOCK_DGRAM)
    with handle:
        handle.settimeout(1)
        handle.bind((address, port))
        yield handle


@contextmanager
def listening(where: Namespace, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> Iterator[socket.socket]:
    """Listen in a namespace on all its addresses of a family."""
    with tcp_socket(where, family) as handle:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        handle.bind(("", port))
        handle.listen(128)
        yield handle


def connects(source: Namespace, target: str, port: int, timeout: float = 0.5) -> bool:
    """Return whether a TCP connection can be opened."""
    with tcp_socket(source, family_of(target)) as handle:
        handle.settimeout(timeout)
        try:
            handle.connect((target, port))
        except OSError:
            return False
        return True


def seen_from(client: Namespace, target: Namespace, address: str, port: int, own: int = 8000) -> str:
    """Return whose address a container that listens on its port `own` sees of a connection; nothing where none opens."""
    family = family_of(address)
    with listening(target, own, family) as listener, tcp_socket(client, family) as ours:
        ours.settimeout(1)
        try:
            ours.connect((address, port))
        except OSError:
            return ""
        theirs, (source, *_) = listener.accept()
        with theirs:
            theirs.sendall(b"!")
            assert ours.recv(1) == b"!"
        return str(source)


class Pair:
    """Both ends of one TCP connection; `seen` is the client's address as the server saw it."""

    def __init__(self, client: socket.socket, server: socket.socket, seen: str) -> None:
        self._client, self._server, self.seen = client, server, seen

    def exchange(self, size: int) -> None:
        """Send `size` random bytes both ways at once.

        Fails when a byte is missing or wrong, or nothing moves for five seconds.
        """
        up, down = os.urandom(size), os.urandom(size)
        received: dict[str, bytes] = {}
        jobs = [
            threading.Thread(target=self._client.sendall, args=(up,)),
            threading.Thread(target=self._server.sendall, args=(down,)),
            threading.Thread(target=_receive, args=(self._server, size, received, "up")),
            threading.Thread(target=_receive, args=(self._client, size, received, "down")),
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
        assert received == {"up": up, "down": down}


@contextmanager
def connected(client: Namespace, server: Namespace, address: str, source: str = "") -> Iterator[Pair]:
    """Open a connection between namespaces."""
    family = family_of(address)
    with listening(server, family=family) as listener, tcp_socket(client, family) as ours:
        ours.bind((source, 0))
        ours.connect((address, listener.getsockname()[1]))
        theirs, (seen, *_) = listener.accept()
        with theirs:
            theirs.settimeout(5)
            yield Pair(ours, theirs, seen)


def exchange(client: Namespace, server: Namespace, address: str, size: int = BULK, source: str = "") -> str:
    """Send `size` bytes both ways over a new connection; return the client's address as the server saw it."""
    with connected(client, server, address, source) as pair:
        pair.exchange(size)
        return pair.seen


def speed(source: Namespace, target: Namespace, address: str, seconds: float = 1.5) -> float:
    """Return the bits a second that arrive at a namespace's eth0 while a TCP connection is full."""
    with listening(target) as listener, tcp_socket(source) as out:
        out.connect((address, listener.getsockname()[1]))
        server, _ = listener.accept()
        with server:
            jobs = [threading.Thread(target=_fill, args=(out,)), threading.Thread(target=_drain, args=(server,))]
            for job in jobs:
                job.start()
            time.sleep(seconds / 3)  # the bucket is full at first
            begin, before = time.monotonic(), _received(target)
            time.sleep(seconds)
            bits = (_received(target) - before) * 8 / (time.monotonic() - begin)
            out.shutdown(socket.SHUT_RDWR)
            for job in jobs:
                job.join()
    return bits


def _received(where: Namespace) -> int:
    (link,) = json.loads(where.run("ip", "-json", "-s", "link", "show", "eth0"))
    return int(link["stats64"]["rx"]["bytes"])


def _fill(handle: socket.socket) -> None:
    with suppress(OSError):
        while True:
            handle.sendall(bytes(1 << 16))


def _drain(handle: socket.socket) -> None:
    with suppress(OSError):
        while handle.recv(1 << 16):
            pass


def _receive(handle: socket.socket, size: int, received: dict[str, bytes], name: str) -> None:
    data = bytearray()
    while len(data) < size and (chunk := handle.recv(1 << 16)):
        data += chunk
    received[name] = bytes(data)
