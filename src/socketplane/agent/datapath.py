"""Endpoints' ports: a veth into the container, and its other end on br-int. Crash anywhere: `attach` repairs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Self

import structlog

from socketplane.agent import resize, veth
from socketplane.agent.locks import Locks
from socketplane.agent.netlink import Netlink, has_generic_family, link_with_address
from socketplane.agent.rows import SwitchPort
from socketplane.agent.shaping_links import switch_end
from socketplane.agent.shaping_ports import Detours
from socketplane.agent.switch import Switch
from socketplane.agent.veth import Veth, VethMaker
from socketplane.model.forwarding import KERNEL, USERSPACE, Traits
from socketplane.model.mtu import FALLBACK, fitting
from socketplane.model.traffic import Limits

_OWNER = "endpoint"
_log = structlog.get_logger()


class Datapath:
    """This host's endpoints on Open vSwitch (implements `Plumbing`). An async context manager.

    `underlay` is the host's address at the tunnels' ends; its link's MTU decides that of containers, until `resize`.
    """

    def __init__(self, switch: Switch, netlink: Netlink, underlay: str) -> None:
        self._switch = switch
        self._netlink = netlink
        self._underlay = underlay
        self._offered = USERSPACE
        self._underlay_mtu = 0
        self._veths: set[str] = set()
        self._detours = Detours(switch, netlink, _OWNER)
        self.mtu = FALLBACK
        """MTU of containers' interfaces."""
        self._locks = Locks()

    async def __aenter__(self) -> Self:
        self._offered = await self._netlink.call(lambda _: offered())
        self._veths = set(await self._netlink.call(veth.present))
        await self._detours.look()
        if underlay := await self.underlay_mtu():
            self.mtu = fitting(underlay)
        _log.info("datapath", kind=self.traits.kind, mtu=self.mtu, veths=len(self._veths))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave everything in place: what runs keeps running."""

    @property
    def traits(self) -> Traits:
        """What `up` chose, as Open vSwitch's database has it; until that is read, what the kernel offers."""
        return self._switch.chosen or self._offered

    async def underlay_mtu(self) -> int:
        """Return the MTU of the link that carries the tunnels. See `Plumbing.underlay_mtu`."""
        link = await self._netlink.call(partial(link_with_address, address=self._underlay))
        if link is not None:
            self._underlay_mtu = int(link.get("mtu"))
        return self._underlay_mtu

    async def resize(self, mtu: int) -> frozenset[str]:
        """Have interfaces that are made from now on this MTU. See `Plumbing.resize`."""
        self.mtu = mtu
        return await self._netlink.call(partial(resize.unfit, mtu=mtu))

    async def fit(self, endpoint_id: str, pid: int | None) -> None:
        """Give an endpoint's interface that MTU, at both ends. See `Plumbing.fit`."""
        async with self._locks.hold(endpoint_id[:12]):
            await resize.fit(self._netlink, endpoint_id, pid, self.mtu)

    async def attach(self, endpoint_id: str, mac: str, mtu: int) -> str:
        """Make (or repair) veth and port; return the name of the container's end. See `Plumbing.attach`."""
        await self._switch.replica()  # it knows the datapath
        spec = Veth(endpoint_id, mac, mtu, checksum_offload=self.traits.finishes_checksums)
        async with self._locks.hold(endpoint_id[:12]), AsyncExitStack() as undo:
            maker = VethMaker(spec)
            undo.push_async_callback(self._undo, maker)
            await self._drop_stale_port(maker, spec)
            await self._netlink.call(maker.ensure)
            self._veths.add(endpoint_id)
            await self._switch.put(_port(spec, self._detours.port(endpoint_id)))
            undo.pop_all()
        return spec.container_end

    async def detach(self, endpoint_id: str) -> None:
        """Remove port and veth. See `Plumbing.detach`."""
        async with self._locks.hold(endpoint_id[:12]):
            # Without ovsdb-server the veth goes all the same; the row then shows in ports(), to be detached later.
            ports = [self._switch.delete(end(endpoint_id), _OWNER) for end in (veth.host_end, switch_end)]
            outcomes = await asyncio.gather(*ports, self._remove_links(endpoint_id), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def installed(self, endpoint_id: str, timeout: float) -> None:  # noqa: ASYNC109
        """Return once ovn-controller and ovs-vswitchd serve the port. See `Plumbing.installed`."""
        await self._switch.installed(self._detours.port(endpoint_id), timeout)

    async def shape(self, endpoint_id: str, limits: Limits) -> bool:
        """Hold the endpoint to its limits. See `Plumbing.shape`."""
        async with self._locks.hold(endpoint_id[:12]):
            await self._switch.replica()
            return await (self._detours.take(endpoint_id, limits) if limits else self._detours.leave(endpoint_id))

    def shaped(self) -> frozenset[str]:
        """Return the ids of endpoints that have limits on this host now. See `Plumbing.shaped`."""
        return self._detours.all()

    def ports(self) -> frozenset[str]:
        """Return the ids of endpoints that have a port or veth of ours."""
        rows = self._switch.interfaces(_OWNER)
        named = {row["external_ids"].get("iface-id-ver") or row["name"].removeprefix("sp") for row in rows}
        return frozenset(named | self._veths | self._detours.all())

    async def _drop_stale_port(self, maker: VethMaker, spec: Veth) -> None:
        """Let go of a port that can't be kept, before it is made anew.

        Its veth is gone: ovs-vswitchd's userspace datapath would stay bound to the old one, and neither send nor
        receive. Or OVN knows it by another name: what the row says of being installed would be about that one.
        """
        row = self._switch.interface(spec.host_end)
        if row is None:
            return
        right = all(row["external_ids"].get(key) == value for key, value in _identity(spec).items())
        if not right or await self._netlink.call(maker.needs_making):
            await self._switch.retire(spec.host_end, _OWNER)

    async def _undo(self, maker: VethMaker) -> None:
        if maker.made:
            await self._remove_pair(maker.veth.endpoint_id)
            if self._switch.connected:  # otherwise the row, if it came to be, shows in ports()
                await self._switch.delete(maker.veth.host_end, _OWNER)

    async def _remove_links(self, endpoint_id: str) -> None:
        await self._detours.remove(endpoint_id)
        await self._remove_pair(endpoint_id)

    async def _remove_pair(self, endpoint_id: str) -> None:
        await self._netlink.call(partial(veth.remove, endpoint_id=endpoint_id))
        self._veths = {known for known in self._veths if known[:12] != endpoint_id[:12]}


def offered() -> Traits:
    """Return the datapath that this kernel offers to Open vSwitch."""
    return KERNEL if has_generic_family("ovs_datapath") else USERSPACE


def _identity(spec: Veth) -> dict[str, str]:
    return {"iface-id": f"sp-{spec.endpoint_id}", "iface-id-ver": spec.endpoint_id}


def _port(spec: Veth, name: str) -> SwitchPort:
    return SwitchPort(name, _OWNER, {**_identity(spec), "attached-mac": spec.mac})
