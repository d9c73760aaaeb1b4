"""This host's WireGuard device, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from functools import partial

import structlog

from socketplane.agent.encryption import device, key
from socketplane.agent.encryption.device import Seen, Wanted
from socketplane.agent.encryption.peer import Peer
from socketplane.agent.netlink import Netlink
from socketplane.config import Paths
from socketplane.encryption import Encryption
from socketplane.identity import HostIdentity

_log = structlog.get_logger()


class WireGuard:
    """The device (implements `tunnels.Device`). It stays when the agent ends, with its key and its peers."""

    def __init__(self, netlink: Netlink, identity: HostIdentity, encryption: Encryption, paths: Paths) -> None:
        self._netlink = netlink
        self._identity = identity
        self._encryption = encryption
        self._file = paths.encryption_key
        self.public_key = ""
        """Empty before the device was there."""

    async def ensure(self) -> None:
        """Make the device with this host's key, or set right what is wrong with it.

        Conflict: a link or a program of somebody else is in the way. Unavailable: the kernel has no WireGuard.
        """
        pair = await asyncio.to_thread(key.load_or_make, self._file)
        identity = self._identity
        want = Wanted(pair, self._encryption, identity.address, identity.tunnel)
        if done := await self._netlink.call(partial(device.set_up, want=want)):
            _log.info("encryption.device_set_up", changed=done)
        self.public_key = pair.public

    async def peers(self) -> Mapping[str, Seen]:
        """Return the peers that the device has, by their key."""
        return await self._netlink.call(lambda _: device.peers())

    async def change(self, add: Collection[Peer], remove: Collection[str]) -> None:
        """Add or change peers, after removing those with these keys; all others are left alone."""
        for gone in remove:
            await self._netlink.call(lambda _, gone=gone: device.drop(gone))  # type: ignore[misc]
        for peer in add:
            await self._netlink.call(lambda _, peer=peer: device.put(peer, self._encryption.port))  # type: ignore[misc]
