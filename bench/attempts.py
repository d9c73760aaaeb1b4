"""Attempts to connect, again and again: says of each when it began and whether it was answered.

Runs by itself, with the standard library only, in a container's network. Arguments: seconds between two attempts, port,
addresses. Writes a line for each attempt: the address's place, the time by the monotonic clock, 1 or 0.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque

PATIENCE = 0.1
"""Seconds after which an attempt counts as not answered."""


def main() -> None:
    """Go on until killed."""
    period, port, addresses = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    poll = select.epoll()
    open_: dict[int, tuple[socket.socket, int, float]] = {}
    oldest: deque[tuple[float, int, socket.socket]] = deque()
    due = time.monotonic()
    while True:
        due += period
        for place, address in enumerate(addresses):
            sock = socket.socket()
            sock.setblocking(False)
            began = time.monotonic()
            sock.connect_ex((address, port))
            poll.register(sock, select.EPOLLOUT | select.EPOLLONESHOT)
            open_[sock.fileno()] = sock, place, began
            oldest.append((began, sock.fileno(), sock))
        while True:
            for number, _ in poll.poll(max(0.0, due - time.monotonic())):
                _say(*open_.pop(number), answered=True)
            while oldest and oldest[0][0] < time.monotonic() - PATIENCE:
                _, number, sock = oldest.popleft()
                if open_.get(number, (None,))[0] is sock:
                    _say(*open_.pop(number), answered=False)
            if time.monotonic() >= due:
                break
        sys.stdout.flush()


def _say(sock: socket.socket, place: int, began: float, *, answered: bool) -> None:
    sock.close()
    sys.stdout.write(f"{place} {began} {answered:d}\n")


if __name__ == "__main__":
    main()
