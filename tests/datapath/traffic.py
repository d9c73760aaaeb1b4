"""Real packets between namespaces: sockets are made in a namespace and stay there, whoever uses them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from machine import Namespace

BULK = 2 << 20


def ping(source: Namespace, target: str, count: int = 1) -> bool:
    """Return whether a ping is answered within a second."""
    output = source.run("busybox", "ping", "-c", str(count), "-W", "1", target, check=False)
    return f"{count} packets received" in output


def tcp_socket(where: Namespace) -> socket.socket:
    """Return a TCP socket of that namespace."""
    with where.inside():
        handle = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    handle.settimeout(5)
    return handle


@contextmanager
def listening(where: Namespace, port: int = 0) -> Iterator[socket.socket]:
    """Listen in a namespace on all its addresses."""
    with tcp_socket(where) as handle:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        handle.bind(("0.0.0.0", port))
        handle.listen(8)
        yield handle


def connects(source: Namespace, target: str, port: int, timeout: float = 0.5) -> bool:
    """Return whether a TCP connection can be opened."""
    with tcp_socket(source) as handle:
        handle.settimeout(timeout)
        try:
            handle.connect((target, port))
        except OSError:
            return False
        return True


def exchange(client: Namespace, server: Namespace, address: str, size: int = BULK, source: str = "") -> str:
    """Send `size` random bytes both ways at once over one connection; return the client's address as the server saw it.

    Fails when a byte is missing or wrong, or nothing moves for five seconds.
    """
    up, down = os.urandom(size), os.urandom(size)
    with ExitStack() as stack:
        listener = stack.enter_context(listening(server))
        ours = stack.enter_context(tcp_socket(client))
        ours.bind((source, 0))
        ours.connect((address, listener.getsockname()[1]))
        theirs, (seen, _) = listener.accept()
        stack.enter_context(theirs)
        theirs.settimeout(5)
        received: dict[str, bytes] = {}
        jobs = [
            threading.Thread(target=ours.sendall, args=(up,)),
            threading.Thread(target=theirs.sendall, args=(down,)),
            threading.Thread(target=_receive, args=(theirs, size, received, "up")),
            threading.Thread(target=_receive, args=(ours, size, received, "down")),
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
        assert received == {"up": up, "down": down}
        return str(seen)


def _receive(handle: socket.socket, size: int, received: dict[str, bytes], name: str) -> None:
    data = bytearray()
    while len(data) < size and (chunk := handle.recv(1 << 16)):
        data += chunk
    received[name] = bytes(data)
