"""Ports for servers of tests."""

from __future__ import annotations

import errno
import random
import socket

_FIRST, _LAST = 20000, 32000
"""Below those that the kernel gives to connections: tests side by side, and other programs, don't get them by chance."""


def free_port(host: str = "127.0.0.1", *, room: int = 10) -> int:
    """Return a port that is free by TCP and UDP, as are those after it, up to `room` in all."""
    while True:
        first = random.randrange(_FIRST, _LAST)
        if all(_is_free(host, first + each) for each in range(room)):
            return first


def _is_free(host: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as handle:
            try:
                handle.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return False
                raise
    return True
