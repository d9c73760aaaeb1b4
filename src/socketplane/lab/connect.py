"""Try connections, all at once. Runs by itself, with the standard library only, in a container's network.

Reads `{"wait": seconds, "targets": [[protocol, address, port], ...]}` and writes a list of outcomes: see `probe`.
"""

from __future__ import annotations

import errno
import json
import selectors
import socket
import sys
import time

OPEN, REFUSED, TIMEOUT, UNREACHABLE = "open", "refused", "timeout", "unreachable"
HELLO = b"socketplane\n"
_REASONS = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: REFUSED,
    errno.ETIMEDOUT: TIMEOUT,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EACCES: UNREACHABLE,
}


def attempt(targets: list[tuple[str, str, int]], wait: float) -> list[str]:
    """Return the outcome for each target: TCP is open once connected, UDP once an answer came."""
    outcomes: list[str | None] = [None] * len(targets)
    with selectors.DefaultSelector() as selector:
        for index, (protocol, address, port) in enumerate(targets):
            outcomes[index] = _begin(selector, index, protocol, (address, port))
        deadline = time.monotonic() + wait
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                index, protocol = key.data
                outcomes[index] = _end(key.fileobj, protocol)  # type: ignore[arg-type]
                _close(selector, key.fileobj)  # type: ignore[arg-type]
        for key in list(selector.get_map().values()):
            _close(selector, key.fileobj)  # type: ignore[arg-type]
    return [outcome or TIMEOUT for outcome in outcomes]


def _begin(selector: selectors.BaseSelector, index: int, protocol: str, target: tuple[str, int]) -> str | None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET, kind)
    sock.setblocking(False)
    try:
        sock.connect(target)
        if protocol == "udp":
            sock.send(HELLO)
    except BlockingIOError:
        pass
    except OSError as error:
        sock.close()
        return _REASONS.get(error.errno or 0, UNREACHABLE)
    selector.register(sock, selectors.EVENT_WRITE if protocol == "tcp" else selectors.EVENT_READ, (index, protocol))
    return None


def _end(sock: socket.socket, protocol: str) -> str:
    try:
        if protocol == "udp":
            sock.recv(1)
            return OPEN
    except OSError as error:
        return _REASONS.get(error.errno or 0, UNREACHABLE)
    error_number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return _REASONS.get(error_number, UNREACHABLE) if error_number else OPEN


def _close(selector: selectors.BaseSelector, sock: socket.socket) -> None:
    selector.unregister(sock)
    sock.close()


def main() -> None:
    """Answer one request from standard input."""
    request = json.load(sys.stdin)
    targets = [(protocol, address, port) for protocol, address, port in request["targets"]]
    json.dump(attempt(targets, request["wait"]), sys.stdout)


if __name__ == "__main__":
    main()
