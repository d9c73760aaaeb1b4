"""Try connections, all at once, in the network namespace of the thread that calls.

Runs by itself too, with the standard library only: reads `{"wait": seconds, "targets": [[protocol, address, port], ...]}`
and writes a list of outcomes. For protocol `icmp`, a ping, the port means nothing.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Sequence

OPEN, REFUSED, TIMEOUT, UNREACHABLE = "open", "refused", "timeout", "unreachable"
HELLO = b"socketplane\n"
Target = tuple[str, str, int]
"""Protocol (tcp, udp or icmp), address and port."""
_ECHO, _ECHO_REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_REASONS = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: REFUSED,
    errno.ETIMEDOUT: TIMEOUT,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EACCES: UNREACHABLE,
}


class Attempts:
    """Connections under way, each known by a number."""

    def __init__(self) -> None:
        self.outcomes: dict[int, str] = {}
        """Of those that have ended."""
        self._selector = selectors.DefaultSelector()

    def begin(self, number: int, target: Target) -> None:
        """Send the first packet to a target, from the network namespace that this thread is in now."""
        protocol, address, port = target
        try:
            sock = _make(protocol, address)
        except OSError as error:
            self.outcomes[number] = _outcome(error)
            return
        token = os.urandom(2)  # tells our answers from those to others: all raw sockets see all of them
        try:
            sock.setblocking(False)
            sock.connect((address, port if protocol != "icmp" else 0))
            if protocol != "tcp":
                sock.send(HELLO if protocol == "udp" else echo(token, _version(address)))
        except BlockingIOError:
            pass
        except OSError as error:
            sock.close()
            self.outcomes[number] = _outcome(error)
            return
        event = selectors.EVENT_WRITE if protocol == "tcp" else selectors.EVENT_READ
        self._selector.register(sock, event, (number, target, token))

    def finish(self, wait: float) -> None:
        """Wait for the outcomes, so many seconds at most, and close everything."""
        deadline = time.monotonic() + wait
        while self._selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                number, (protocol, address, _), token = key.data
                found = _ended(key.fileobj, protocol, token, _version(address))  # type: ignore[arg-type]
                if found:
                    self.outcomes[number] = found
                    self._close(key)
        for key in list(self._selector.get_map().values()):
            self.outcomes[key.data[0]] = TIMEOUT
            self._close(key)
        self._selector.close()

    def _close(self, key: selectors.SelectorKey) -> None:
        self._selector.unregister(key.fileobj)
        key.fileobj.close()  # type: ignore[union-attr]


def attempt(targets: Sequence[Target], wait: float) -> list[str]:
    """Return the outcome for each target: TCP is open once connected, UDP and pings once an answer came."""
    attempts = Attempts()
    for number, target in enumerate(targets):
        attempts.begin(number, target)
    attempts.finish(wait)
    return [attempts.outcomes[number] for number in range(len(targets))]


def echo(token: bytes, version: int) -> bytes:
    """Return a ping with this identifier. The checksum of IPv6's, which is about addresses too, is the kernel's to make."""
    head = struct.pack("!BBH", _ECHO[version], 0, 0)
    packet = head + token + b"\0\1" + HELLO
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return packet[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + packet[4:]


def family(address: str) -> socket.AddressFamily:
    """Return the kind of socket that reaches an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _make(protocol: str, address: str) -> socket.socket:
    if protocol == "icmp":
        ping = socket.IPPROTO_ICMPV6 if _version(address) == 6 else socket.IPPROTO_ICMP
        return socket.socket(family(address), socket.SOCK_RAW, ping)
    return socket.socket(family(address), socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)


def _ended(sock: socket.socket, protocol: str, token: bytes, version: int) -> str | None:
    """Return how it ended; None where it was not for us that something came."""
    try:
        if protocol == "tcp":
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return _REASONS.get(number, UNREACHABLE) if number else OPEN
        packet = sock.recv(2048)
    except BlockingIOError:  # a checksum was wrong
        return None
    except OSError as error:
        return _outcome(error)
    return OPEN if protocol == "udp" or _is_reply(packet, token, version) else None


def _is_reply(packet: bytes, token: bytes, version: int) -> bool:
    """Return whether a packet answers our ping; IPv4's come with their header."""
    start = (packet[0] & 0x0F) * 4 if version == 4 else 0
    return packet[start : start + 1] == bytes([_ECHO_REPLY[version]]) and packet[start + 4 : start + 6] == token


def _outcome(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, UNREACHABLE)


def main() -> None:
    """Answer one request from standard input."""
    request = json.load(sys.stdin)
    targets = [(protocol, address, port) for protocol, address, port in request["targets"]]
    json.dump(attempt(targets, request["wait"]), sys.stdout)


if __name__ == "__main__":
    main()
