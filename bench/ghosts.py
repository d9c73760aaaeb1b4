"""Puts endpoints of a host that only the controller knows onto a network: ports that are present, and nobody's.

Runs on the manager: python -m bench.ghosts HOST NETWORK COUNT
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import time
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from socketplane import pki, wire
from socketplane.config import Paths
from socketplane.model.types import mac_of
from socketplane.transport import tls
from socketplane.transport.client import ControllerClient

NOWHERE = IPv4Network("198.51.100.0/24")  # for documentation: no tunnel there carries anything
AT_ONCE = 250


async def make(host: str, network: str, count: int) -> None:
    """Join as `host`, which is new, and make endpoints as an agent does: an address each, then many in one request."""
    async with ControllerClient(Paths().controller_socket) as admin:
        target = await admin.call("GET", f"/v1/networks/{network}")
        hosts = (await admin.call("GET", "/v1/status"))["hosts"]
        folder = await _join(admin, host, NOWHERE[1 + len(hosts)])
    manager = next(entry["address"] for entry in hosts if IPv4Address(entry["address"]) not in NOWHERE)
    async with ControllerClient(([f"{manager}:6675"], tls.client_context(folder))) as ghost:
        for begin in range(0, count, AT_ONCE):
            size = min(AT_ONCE, count - begin)
            put = await asyncio.gather(*(_endpoint(ghost, target["id"]) for _ in range(size)))
            reply = await ghost.call("POST", "/v1/endpoints", {"put": put})
            if reply["errors"]:
                raise RuntimeError(reply["errors"])


async def _join(admin: ControllerClient, host: str, address: IPv4Address) -> Path:
    created = await admin.call("POST", "/v1/tokens", wire.TokenCreate(ttl=60))
    token = pki.JoinToken.decode(created["token"])
    pair = pki.make_key_and_csr(f"system-{host}")
    request = wire.JoinRequest(
        token_id=token.id,
        secret=token.secret,
        name=host,
        system_id=f"system-{host}",
        address=address,
        csr=pair.csr,
        time=time.time(),
    )
    reply = await admin.call("POST", "/v1/join", request)
    folder = await asyncio.to_thread(lambda: Path(tempfile.mkdtemp(prefix="ghost-")))
    for name, text in ((pki.CA_CERT, reply["ca"]), (pki.HOST_CERT, reply["certificate"]), (pki.HOST_KEY, pair.key)):
        await asyncio.to_thread((folder / name).write_text, text)
    return folder


async def _endpoint(ghost: ControllerClient, network: str) -> dict[str, Any]:
    lease = await ghost.call("POST", f"/v1/networks/{network}/leases", {"request": secrets.token_hex(8)})
    address = IPv4Address(lease["address"])
    name = secrets.token_hex(32)
    identity = {"id": name, "container": name, "name": f"ghost-{name[:12]}"}
    return {**identity, "network": network, "address": str(address), "mac": mac_of(address)}


if __name__ == "__main__":
    asyncio.run(make(sys.argv[1], sys.argv[2], int(sys.argv[3])))
