"""The MTU of this host's containers: it fits into the underlay of every host, and follows when one changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

import structlog
from pyroute2.netlink.exceptions import NetlinkError

from socketplane.agent.link import Link
from socketplane.agent.plumbing import Plumbing
from socketplane.agent.state import State
from socketplane.agent.wake import woken
from socketplane.errors import SocketPlaneError
from socketplane.model.mtu import FALLBACK, LEAST, LEAST6, TUNNEL_OVERHEAD, common, fitting

INTERVAL = 60.0
RETRY = 2.0
_log = structlog.get_logger()


class Engine(Protocol):
    """What is needed of `docker.Docker`."""

    async def containers(self) -> list[dict[str, Any]]:
        """Return all containers, in short."""

    async def inspect(self, container: str) -> dict[str, Any]:
        """Return all of a container."""


class Mtu:
    """Gives containers, and with `resize_host` the host's own port, one MTU: the same on all hosts of the cluster.

    A smaller one than an underlay carries costs a little; a larger one loses packets without a word.
    """

    def __init__(
        self,
        plumbing: Plumbing,
        link: Link,
        state: State,
        docker: Engine,
        *,
        resize_host: Callable[[int], Awaitable[None]] | None = None,
        interval: float = INTERVAL,
    ) -> None:
        self._plumbing = plumbing
        self._link = link
        self._state = state
        self._docker = docker
        self._resize_host = resize_host
        self._interval = interval
        self._wanted = asyncio.Event()
        self._unfit: dict[str, str] = {}
        self._host_done = 0
        self.underlay = 0
        """The MTU of the link that carries this host's tunnels; 0 before the first look."""
        link.on_change(self.wake)

    def wake(self) -> None:
        """Look at once: links or hosts may have changed."""
        self._wanted.set()

    @property
    def alarms(self) -> list[str]:
        """Interfaces that have another MTU, and an underlay that is too small."""
        late = [f"{who} keeps its former MTU: {why}" for who, why in sorted(self._unfit.items())]
        return [*late, *self._too_small()]

    def _too_small(self) -> list[str]:
        left = self.underlay - TUNNEL_OVERHEAD
        if not self.underlay or left >= LEAST6:
            return []
        if left < LEAST:
            return [f"the underlay's MTU of {self.underlay} is too small: containers have {LEAST}, which does not fit"]
        if any(network.subnet6 for network in self._link.networks.values()):
            return [f"the underlay's MTU of {self.underlay} leaves containers {left}: IPv6 needs {LEAST6}"]
        return []

    async def run(self) -> None:
        """Follow the underlay's link and the other hosts', for ever."""
        while True:
            await self.look()
            await woken(self._wanted, RETRY if self._unfit else self._interval)

    async def look(self) -> None:
        """Find out what the MTU has to be, and have it so."""
        self.underlay = await self._plumbing.underlay_mtu()
        mtu = self._common()
        if mtu != self._plumbing.mtu:
            _log.info("mtu", mtu=mtu, before=self._plumbing.mtu, underlay=self.underlay)
        self._state.remember_mtu(mtu)
        unfit = await self._plumbing.resize(mtu)
        self._unfit = {}
        await self._fit_host(mtu)
        await self._fit(unfit)

    def _common(self) -> int:
        """Return the MTU that fits all hosts; while the controller has not told of them, as it was last."""
        before = self._state.mtu or FALLBACK
        if not self._link.synced:
            return min(before, fitting(self.underlay)) if self._state.mtu and self.underlay else self._plumbing.mtu
        others = [host.underlay_mtu for name, host in self._link.hosts.items() if name != self._link.host]
        return common([self.underlay, *others]) or before

    async def _fit_host(self, mtu: int) -> None:
        if self._resize_host is None or mtu == self._host_done:
            return
        try:
            await self._resize_host(mtu)
            self._host_done = mtu
        except (SocketPlaneError, NetlinkError, OSError) as error:
            self._unfit["the host's port sp0"] = str(error)

    async def _fit(self, endpoints: Collection[str]) -> None:
        if not endpoints:
            return
        try:
            containers = await self._containers()
        except SocketPlaneError as error:
            self._unfit[f"{len(endpoints)} endpoint(s)"] = str(error)
            return
        for endpoint in sorted(endpoints):
            name, container = containers.get(endpoint, (f"endpoint {endpoint[:12]}", None))
            try:
                pid = await self._pid(container)
                await self._plumbing.fit(endpoint, pid)
            except (SocketPlaneError, NetlinkError, OSError) as error:
                self._unfit[name] = str(error)
        _log.info("mtu.set", endpoints=len(endpoints), failed=len(self._unfit))

    async def _containers(self) -> Mapping[str, tuple[str, str]]:
        """Return containers by endpoint: how to call each, and its id."""
        found = {}
        for entry in await self._docker.containers():
            name = str((entry.get("Names") or [entry["Id"][:12]])[0]).removeprefix("/")
            for place in ((entry.get("NetworkSettings") or {}).get("Networks") or {}).values():
                found[str(place.get("EndpointID", ""))] = (f"container {name}", str(entry["Id"]))
        return found

    async def _pid(self, container: str | None) -> int | None:
        if container is None:
            return None
        state: Mapping[str, Any] = (await self._docker.inspect(container)).get("State") or {}
        return int(state.get("Pid") or 0) or None
