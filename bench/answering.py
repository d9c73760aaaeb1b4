"""A server that answers every request of a line with a page of its own. Runs by itself: python answering.py PORT"""

from __future__ import annotations

import selectors
import socket
import sys

ANSWER = b"x" * 199 + b"\n"


def main() -> None:
    """Go on until killed."""
    waiting = selectors.DefaultSelector()
    listener = socket.create_server(("", int(sys.argv[1])), backlog=4096)
    listener.setblocking(False)
    waiting.register(listener, selectors.EVENT_READ)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        for key, _ in waiting.select():
            if key.fileobj is listener:
                ours, _ = listener.accept()
                ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting.register(ours, selectors.EVENT_READ)
            elif not _answered(key.fileobj):  # type: ignore[arg-type]
                waiting.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]


def _answered(client: socket.socket) -> bool:
    try:
        asked = client.recv(4096)
        if asked:
            client.sendall(ANSWER * asked.count(b"\n"))
    except OSError:
        return False
    return bool(asked)


if __name__ == "__main__":
    main()
