"""Every network of the cluster on this engine, and every network that Docker made here in the cluster."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Sequence

import structlog

from socketplane import wire
from socketplane.agent.adoption import Adoption, DockerNetwork
from socketplane.agent.docker import Docker
from socketplane.agent.fanout import Action, Clash, Create, Replace, Settle, creation, failed, plan
from socketplane.agent.inventory import Event
from socketplane.agent.link import Link
from socketplane.agent.state import NetworkRecord, State
from socketplane.agent.wake import woken
from socketplane.errors import Forbidden, InUse, NameInUse, NotFound, SocketPlaneError, Unavailable
from socketplane.model.types import Subnet

INTERVAL = 10.0
SETTLING = 15.0
"""Seconds for which a record without its Docker network, or the reverse, is taken for dockerd's work in progress."""
_log = structlog.get_logger()


class Networks:
    """Keeps the two in step: at once when either changes, and every few seconds in case one was missed."""

    def __init__(
        self,
        state: State,
        link: Link,
        docker: Docker,
        adoption: Adoption,
        *,
        clock: Callable[[], float] = time.time,
        interval: float = INTERVAL,
        settling: float = SETTLING,
    ) -> None:
        self._state = state
        self._link = link
        self._docker = docker
        self._adoption = adoption
        self._clock = clock
        self._interval = interval
        self._settling = settling
        self._absent: dict[str, float] = {}
        self._wanted = asyncio.Event()
        self._again = False
        self.conflicts: list[str] = []
        """Networks that can't be on this host as the cluster has them, and what to do."""

    def wake(self) -> None:
        """Compare soon."""
        self._wanted.set()

    def on_event(self, event: Event) -> None:
        """Compare after what the engine did to a network."""
        if event.type in ("network", "engine") and event.action in ("create", "destroy", "disconnect", "connected"):
            self.wake()

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            await woken(self._wanted, self._interval)
            try:
                await self.sync()
            except Unavailable as error:
                _log.debug("networks.waiting", reason=str(error))

    async def sync(self) -> None:
        """Compare once and do what is to be done. Never inside a handler: this makes dockerd call them.

        Raises:
            Unavailable: Docker or the controller does not answer.
        """
        if not self._link.synced:
            return
        await self._bury()
        docker = [DockerNetwork.of(entry) for entry in await self._docker.networks()]
        self._forget_gone({network.id for network in docker})
        await self._recall(docker)
        conflicts: list[str] = []
        actions = plan(self._link.networks, docker, self._state.networks, self._state.tombstones, self._state.deleting)
        for action in actions:
            try:
                conflicts += await self._do(action)
            except SocketPlaneError as error:
                _log.warning("network.not_settled", action=type(action).__name__, reason=str(error))
                if not isinstance(error, Unavailable):
                    conflicts.append(failed(action, error))
        self.conflicts = conflicts
        await self._state.save()
        if self._again:
            self._again = False
            self.wake()

    async def _bury(self) -> None:
        """Tell the controller of networks that were removed while it was away."""
        for network in sorted(self._state.tombstones):
            try:
                await self._link.delete_network(network)
            except InUse as error:
                _log.info("network.in_use_elsewhere", network=str(network), reason=str(error))
            self._state.tombstones.discard(network)

    def _forget_gone(self, present: Collection[str]) -> None:
        """Drop what is remembered of Docker networks that are no more, as after a removal while we were down.

        dockerd does not list a network yet while it calls CreateNetwork, and no more before it calls DeleteNetwork.
        """
        state, now = self._state, self._clock()
        state.removing &= set(present)
        young = now - self._settling
        state.deleting = {key: since for key, since in state.deleting.items() if key in present and since > young}
        self._absent = {key: self._absent.get(key, now) for key in state.networks if key not in present}
        for docker, since in self._absent.items():
            if since <= young:
                del state.networks[docker]

    async def _recall(self, docker: Sequence[DockerNetwork]) -> None:
        for network in docker:
            if network.ours and network.id not in self._state.networks and network.id not in self._state.deleting:
                await self._adoption.rebuilt(network)

    async def _do(self, action: Action) -> list[str]:
        match action:
            case Create(network):
                await self._create(network)
            case Settle(docker, record):
                return await self._settle(docker, record)
            case Replace(docker, reason):
                return await self._remove(docker, reason)
            case Clash(text):
                return [text]
        return []

    async def _create(self, network: wire.Network) -> None:
        pools: list[Subnet] = [network.subnet, *([network.subnet6] if network.subnet6 else [])]
        self._state.appearing.update(dict.fromkeys(pools, network.id))
        try:
            docker = await self._docker.create_network(creation(network))
        finally:
            for pool in pools:
                del self._state.appearing[pool]
        _log.info("network.appeared", name=network.name, network=str(network.id), docker=docker[:12])

    async def _settle(self, docker: DockerNetwork, record: NetworkRecord) -> list[str]:
        try:
            network = wire.Network.model_validate(await self._link.call("GET", f"/v1/networks/{record.id}"))
        except NotFound:
            return await self._remove(docker, "it was deleted in the cluster")
        if network.name:
            self._link.know(network)
            return []
        if not re.match(wire.NAME_PATTERN, docker.name):
            return [
                f"{docker.name}: the cluster can't have a network of this name; use letters, digits, . _ - (at most 63)"
            ]
        patch = wire.NetworkPatch(name=docker.name, labels=dict(docker.labels), internal=docker.internal)
        try:
            answer = await self._link.call("PATCH", f"/v1/networks/{network.id}", patch)
        except NameInUse:
            conflicts = await self._remove(docker, "another host made a network of this name first")
            if not conflicts:
                await self._link.delete_network(network.id)
            return conflicts
        named = wire.Network.model_validate(answer)
        self._link.know(named)
        _log.info("network.adopted", name=named.name, network=str(named.id), docker=docker.id[:12])
        return []

    async def _remove(self, docker: DockerNetwork, reason: str) -> list[str]:
        """Remove a Docker network; while containers are on it, say so and try again later."""
        self._state.removing.add(docker.id)
        try:
            await self._docker.remove_network(docker.id)
        except NotFound:
            pass
        except Forbidden:
            self._state.removing.discard(docker.id)
            return [
                f"{docker.name}: {reason}, but containers on this host use it; it goes when they are gone or moved: "
                f"`docker network disconnect {docker.name} CONTAINER`"
            ]
        except BaseException:
            self._state.removing.discard(docker.id)
            raise
        _log.info("network.removed", name=docker.name, docker=docker.id[:12], reason=reason)
        self._again = True  # its name is free for the cluster's network
        return []
