"""Makes this host's WireGuard device: `python -m socketplane.agent.encryption`, run by `up` before the agent is there."""

from __future__ import annotations

import asyncio
import sys

from pyroute2.netlink.exceptions import NetlinkError

from socketplane.agent.encryption.wireguard import WireGuard
from socketplane.agent.netlink import Netlink
from socketplane.config import Paths
from socketplane.errors import SocketPlaneError
from socketplane.identity import HostIdentity


async def make(paths: Paths) -> None:
    """Make key and device; peers are the agent's to add."""
    identity = HostIdentity.load(paths.host_file)
    if identity.encryption is not None:
        async with Netlink() as netlink:
            await WireGuard(netlink, identity, identity.encryption, paths).ensure()


if __name__ == "__main__":
    try:
        asyncio.run(make(Paths()))
    except (SocketPlaneError, NetlinkError, OSError) as error:
        sys.exit(f"error: {error}")
