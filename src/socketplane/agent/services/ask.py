"""One probe of a container: a connection in its own network namespace, to its own address."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address

from socketplane import wire
from socketplane.agent.inside import enter
from socketplane.model.services.readiness import GOOD

_LONGEST = 4096
_REASON = 120


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container listens: the namespace of a process of it, and its address on the service's network."""

    pid: int
    address: IPv4Address


class Asker:
    """Asks containers. From inside, where no policy is in the way: whether it serves is asked, not who may ask it."""

    def __init__(self) -> None:
        # A thread of its own: it is in other namespaces, and must not serve anybody else.
        self._executor = ThreadPoolExecutor(1, "check")

    def close(self) -> None:
        """Let go of the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def ask(self, place: Place, check: wire.Check) -> str:
        """Return GOOD, or in a few words why not."""
        what = f"GET {check.path[:80]} at port {check.port}" if check.kind == "http" else f"connecting to port {check.port}"
        try:
            async with asyncio.timeout(check.timeout):
                reason = await self._ask(place, check)
        except TimeoutError:
            reason = f"no answer within {check.timeout} s"
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
        return f"{what}: {reason[:_REASON]}" if reason else GOOD

    async def _ask(self, place: Place, check: wire.Check) -> str:
        loop = asyncio.get_running_loop()
        sock = await loop.run_in_executor(self._executor, _make, place.pid)
        try:
            await loop.sock_connect(sock, (str(place.address), check.port))
            return await _get(sock, place, check) if check.kind == "http" else ""
        finally:
            sock.close()


async def _get(sock: socket.socket, place: Place, check: wire.Check) -> str:
    """Ask for a path; the status line is all that matters."""
    loop = asyncio.get_running_loop()
    headers = dict([("Host", f"{place.address}:{check.port}"), ("User-Agent", "socketplane-probe"), *check.headers])
    lines = [f"GET {check.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "Connection: close"]
    await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode("latin-1"))
    told = b""
    while b"\n" not in told and len(told) < _LONGEST:
        more = await loop.sock_recv(sock, _LONGEST)
        if not more:
            break
        told += more
    version, _, rest = told.partition(b"\n")[0].strip().partition(b" ")
    status = rest[:3].decode("latin-1")
    if not version.startswith(b"HTTP/") or not status.isdecimal():
        return "no HTTP"
    return "" if 200 <= int(status) < 400 else f"status {status}"


def _make(pid: int) -> socket.socket:
    enter(pid)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock
