"""Questions about a name, again and again, in a container's network. Runs by itself, with the standard library only.

`load SERVER NAME SECONDS AT_ONCE`: writes how many answers came, and how long each took in seconds, in one line.
`watch SERVER NAME PERIOD`: writes a line for each question: when it was sent by the monotonic clock, 1 if it was there.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time

PATIENCE = 0.2
"""Seconds after which a question counts as not answered."""


def main() -> None:
    """Do what the arguments say."""
    mode, server, name = sys.argv[1:4]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server, 53))
        if mode == "load":
            load(sock, name, float(sys.argv[4]), int(sys.argv[5]))
        else:
            watch(sock, name, float(sys.argv[4]))


def question(number: int, name: str) -> bytes:
    """Return the question for a name's A records."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def found(reply: bytes) -> bool:
    """Return whether an answer has records."""
    return reply[3] & 0xF == 0 and reply[6:8] != b"\0\0"


def load(sock: socket.socket, name: str, seconds: float, at_once: int) -> None:
    """Keep so many questions under way."""
    sent: dict[int, float] = {}
    took = []
    number = 0
    begin = now = time.perf_counter()
    while now - begin < seconds:
        while len(sent) < at_once:
            number = (number + 1) & 0xFFFF
            sent[number] = time.perf_counter()
            sock.send(question(number, name))
        if select.select([sock], [], [], PATIENCE)[0]:
            reply = sock.recv(512)
            now = time.perf_counter()
            at = sent.pop(int.from_bytes(reply[:2], "big"), None)
            if at is not None and found(reply):
                took.append(now - at)
        else:
            sent.clear()
            now = time.perf_counter()
    print(now - begin, *(f"{value:.6f}" for value in took))


def watch(sock: socket.socket, name: str, period: float) -> None:
    """Ask until killed, one question after the other."""
    number = 0
    while True:
        number = (number + 1) & 0xFFFF
        began = time.monotonic()
        sock.send(question(number, name))
        there = False
        while select.select([sock], [], [], max(0.0, began + PATIENCE - time.monotonic()))[0]:
            try:
                reply = sock.recv(512)
            except ConnectionRefusedError:
                break
            if int.from_bytes(reply[:2], "big") == number:
                there = found(reply)
                break
        print(began, int(there), flush=True)
        time.sleep(max(0.0, began + period - time.monotonic()))


if __name__ == "__main__":
    main()
