"""What the driver wants of the datapath, and a stand-in for it while Open vSwitch is not there yet."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

from socketplane.errors import Unavailable

MTU_OVERHEAD = 58
"""Geneve over IPv4: what a container's packet may be shorter than the underlay's."""


class Ports(Protocol):
    """A veth and an OVS port for each endpoint."""

    @property
    def kind(self) -> str:
        """kernel or userspace."""

    @property
    def mtu(self) -> int:
        """MTU of a container's interface."""

    async def attach(self, endpoint_id: str, mac: str, mtu: int) -> str:
        """Make the endpoint's port and return the name of the container's end. Idempotent."""

    async def detach(self, endpoint_id: str) -> None:
        """Remove the endpoint's port and veth. Idempotent."""

    async def installed(self, endpoint_id: str, timeout: float) -> None:  # noqa: ASYNC109
        """Return once the endpoint's flows are in the switch."""

    def ports(self) -> Collection[str]:
        """Return the endpoints that have a port or veth of ours."""


class LatePorts:
    """Stands for a datapath that comes up later: calls wait for it a bounded time, then say that it is missing."""

    def __init__(self, patience: float = 10.0) -> None:
        self._patience = patience
        self._real: Ports | None = None
        self._there = asyncio.Event()

    def provide(self, real: Ports) -> None:
        """Let calls through."""
        self._real = real
        self._there.set()

    def withdraw(self) -> None:
        """Hold calls again."""
        self._real = None
        self._there.clear()

    @property
    def there(self) -> bool:
        """Whether Open vSwitch is connected."""
        return self._real is not None

    @property
    def kind(self) -> str:
        """kernel or userspace; unknown while it is missing."""
        return self._real.kind if self._real else "unknown"

    @property
    def mtu(self) -> int:
        """MTU of a container's interface; 0 while it is missing."""
        return self._real.mtu if self._real else 0

    async def attach(self, endpoint_id: str, mac: str, mtu: int) -> str:
        """See Ports; `mtu` 0 means the datapath's own."""
        real = await self._get()
        return await real.attach(endpoint_id, mac, mtu or real.mtu)

    async def detach(self, endpoint_id: str) -> None:
        """See Ports. Does not wait for a datapath: the reconciler detaches what this one could not."""
        if self._real is None:
            raise _missing()
        await self._real.detach(endpoint_id)

    async def installed(self, endpoint_id: str, timeout: float) -> None:  # noqa: ASYNC109
        """See Ports."""
        await (await self._get()).installed(endpoint_id, timeout)

    def ports(self) -> Collection[str]:
        """See Ports."""
        return self._real.ports() if self._real else ()

    async def _get(self) -> Ports:
        try:
            await asyncio.wait_for(self._there.wait(), self._patience)
        except TimeoutError:
            raise _missing() from None
        if self._real is None:
            raise _missing()
        return self._real


def _missing() -> Unavailable:
    return Unavailable("Open vSwitch is unreachable, nothing was changed", remedy="`socketplane up` starts it")
