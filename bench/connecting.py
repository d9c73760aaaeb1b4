"""Connections one after the other, opened and reset. Runs by itself, with the standard library only.

python connecting.py serve PORT: accepts until it is killed.
python connecting.py open ADDRESS PORT SECONDS: writes how many a second were accepted by the other end's kernel.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

PATIENCE = 5.0
_AT_ONCE = struct.pack("ii", 1, 0)
"""Reset when closed: ports that wait for a minute run out."""


def main() -> None:
    """Do what the arguments say."""
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    sys.stdout.write(f"{connect(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))}\n")


def serve(port: int) -> None:
    """Take what comes, and let go of it."""
    listener = socket.create_server(("", port), backlog=4096)
    while True:
        listener.accept()[0].close()


def connect(address: str, port: int, seconds: float) -> float:
    """Return connections a second."""
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        handle = socket.socket()
        handle.settimeout(PATIENCE)
        handle.connect((address, port))
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        handle.close()
        count += 1
    return count / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
