"""What front and agent have in common on their sockets: how a request is read and answered, and what never changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

LONGEST_BODY = 4 * 1024 * 1024
FOREVER = 10 * 365 * 86400.0
"""Idle connections are dockerd's to close: a call on one that we closed is repeated without its body."""
ADDRESS_SPACE = "socketplane"
"""One name for the local and the global space: Docker 27 and later then skip their overlap check, which can loop."""

CONSTANT: Mapping[str, Mapping[str, Any]] = {
    "Plugin.Activate": {"Implements": ["NetworkDriver", "IpamDriver"]},
    "NetworkDriver.GetCapabilities": {"Scope": "local", "ConnectivityScope": "global"},
    "IpamDriver.GetCapabilities": {"RequiresMACAddress": False, "RequiresRequestReplay": False},
    "IpamDriver.GetDefaultAddressSpaces": {
        "LocalDefaultAddressSpace": ADDRESS_SPACE,
        "GlobalDefaultAddressSpace": ADDRESS_SPACE,
    },
}
"""What dockerd asks once in its life, and must hear even while nothing else of the host is up."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Refused(Exception):
    """A request that is the caller's mistake."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def failure(sentence: str) -> bytes:
    """Return a failure's body: the sentence under both keys that libnetwork reads, `Err` (drivers) and `Error` (IPAM)."""
    return orjson.dumps({"Err": sentence, "Error": sentence})


async def read(receive: Receive) -> bytes:
    """Return a request's whole body. Raises Refused: it is too long, or the connection broke."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "socketplane: the connection broke")
        part = message.get("body", b"")
        size += len(part)
        if size <= LONGEST_BODY:
            parts.append(part)
        more = message.get("more_body", False)
    if size > LONGEST_BODY:
        raise Refused(400, "socketplane: the request is too long")
    return b"".join(parts).strip()


async def reply(send: Send, status: int, body: bytes) -> None:
    """Send a JSON answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
