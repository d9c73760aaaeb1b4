"""Takes this host's gateway away: `python -m socketplane.agent.unwire`, run by `socketplane down` after the agent."""

from __future__ import annotations

import asyncio

from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.switch import Switch
from socketplane.config import Paths
from socketplane.identity import HostIdentity

_MTU = 1500  # nothing is set up here


async def unwire(paths: Paths) -> None:
    """Remove `sp0`, routes, firewall and forwarding as the agent set them up."""
    identity = HostIdentity.load(paths.host_file)
    async with Netlink() as netlink, Switch(paths) as switch:
        await Gateway(switch, netlink, identity, paths, _MTU).remove()


if __name__ == "__main__":
    asyncio.run(unwire(Paths()))
