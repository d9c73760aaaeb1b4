"""The way out of the overlay and the host's own way in: `sp0`, routes, forwarding, firewall."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from socket import AF_INET, AF_INET6

import structlog
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from socketplane.agent import hostport, poolroute, sysctl
from socketplane.agent.askport import Asking, AskPorts
from socketplane.agent.firewall import Firewall
from socketplane.agent.firewalld import Firewalld
from socketplane.agent.floating import kernel
from socketplane.agent.floating.rules import Claim
from socketplane.agent.forwarding import Forwarding
from socketplane.agent.forwarding6 import Forwarding6
from socketplane.agent.forwards import forget, forget_floating
from socketplane.agent.hostport import HostPort
from socketplane.agent.netlink import Netlink
from socketplane.agent.portrules import Forward
from socketplane.agent.rows import SwitchPort
from socketplane.agent.ruleset import Boundary
from socketplane.agent.ruleset6 import Boundary6
from socketplane.agent.surroundings import find_exits, links_of
from socketplane.agent.switch import Switch
from socketplane.agent.watch import KernelEvents
from socketplane.config import Paths
from socketplane.errors import SocketPlaneError, Unavailable
from socketplane.identity import HostIdentity
from socketplane.model.types import Subnet

_OWNER = "gateway"
_PERIOD = 10.0
"""Seconds after which everything is looked at without an occasion (iptables-legacy gives no notice)."""
_LINKS_PAUSE, _FIREWALL_PAUSE = 0.1, 1.0  # a burst of notices is one occasion
_log = structlog.get_logger()


class Gateway:
    """This host's gateway. `ensure` is idempotent and repairs; `run` calls it whenever something changed."""

    def __init__(
        self,
        switch: Switch,
        netlink: Netlink,
        identity: HostIdentity,
        paths: Paths,
        mtu: int,
        *,
        pool6: IPv6Network | None = None,
    ) -> None:
        """`pool6` is from what networks had IPv6 in the agent's former life: what is open goes on."""
        self._switch = switch
        self._netlink = netlink
        self._want = HostPort(identity.gateway, identity.hosts, identity.pool, mtu, pool6)
        ids = {"iface-id": f"{hostport.NAME}-{identity.name}"}
        self._port = SwitchPort(hostport.NAME, _OWNER, ids, type="internal", mac=self._want.mac, mtu=mtu)
        self._asking = AskPorts(switch, netlink, mtu)
        self._firewall = Firewall()
        self._firewalld = Firewalld(paths.system_bus, paths.state / "firewalld.json", identity.encryption)
        self._forwarding = Forwarding(paths.state / "forwarding.json")
        self._forwarding6 = Forwarding6(paths.state / "forwarding6.json")
        self._underlay = identity.address
        self._boundary = Boundary(
            identity.pool, identity.hosts, identity.gateway, underlay=identity.address, encryption=identity.encryption
        )
        self._applied: Boundary | None = None
        self._lock = asyncio.Lock()
        self._applying = asyncio.Lock()
        self._waits = False

    @property
    def alarms(self) -> list[str]:
        """What only a person can put right."""
        return self._firewalld.alarms

    async def ensure(self) -> None:
        """Make everything as it should be; nothing is open before the firewall stands.

        Unavailable: Open vSwitch does not answer. Conflict: a port or route of somebody else is in the way.
        """
        await self._ensure_firewall(always=True)
        async with self._lock:
            await self._ensure_port()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Have all that the firewall is told meanwhile take effect at the end, in one step.

        Rules that stand from a former life of the agent lead packets until then: there is no moment without them.
        """
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        await self._ensure_firewall(always=False)

    async def installed(self, timeout: float) -> None:  # noqa: ASYNC109 - the bound is the contract
        """Return once packets pass `sp0`. Unavailable after `timeout` seconds, with what is missing."""
        await self._switch.installed(hostport.NAME, timeout)

    async def set_internal(self, subnets: Collection[Subnet]) -> None:
        """Say which networks get no egress; it is so when this returns."""
        internal, internal6 = _by_version(subnets)
        self._boundary = replace(self._boundary, internal=internal, internal6=internal6)
        await self._apply()

    async def set_routed(self, subnets: Collection[Subnet], neighbours: Collection[IPv4Address]) -> None:
        """Say which subnets the outside meets as they are, and which hosts never do; it is so when this returns."""
        routed, routed6 = _by_version(subnets)
        self._boundary = replace(self._boundary, routed=routed, routed6=routed6, neighbours=frozenset(neighbours))
        await self._apply()

    async def set_pool6(self, pool: IPv6Network | None) -> None:
        """Say from what networks have IPv6, or that none has it; it is so when this returns.

        Unavailable: Open vSwitch does not answer. Conflict: somebody else routes it.
        """
        self._want = replace(self._want, pool6=pool)
        await self._follow_links()

    async def forward(self, forwards: Collection[Forward]) -> None:
        """Lead what comes to these ports of the host to their containers, and nothing else; it is so when this returns."""
        before = {forward.target for forward in self._boundary.forwards}
        self._boundary = replace(self._boundary, forwards=frozenset(forwards))
        await self._ensure_firewall(always=False)
        for target in before - {forward.target for forward in forwards}:
            if count := await asyncio.to_thread(forget, target):
                _log.info("connections forgotten", target=str(target), count=count)

    async def lead_floating(self, claims: Collection[Claim]) -> None:
        """Lead what comes to these addresses to their containers, and no others; it is so when this returns."""
        before, now = self._boundary.claims, frozenset(claims)
        if before == now:
            return
        self._boundary = replace(self._boundary, claims=now)
        await self._ensure_firewall(always=False)
        pairs = {(claim.address, claim.target) for claim in now}
        for address in {claim.address for claim in before if (claim.address, claim.target) not in pairs}:
            if count := await asyncio.to_thread(forget_floating, address):
                _log.info("connections forgotten", address=str(address), count=count)

    async def set_resolvers(self, addresses: Collection[IPv4Address]) -> None:
        """Say at which addresses containers ask the resolver; they are led there when this returns."""
        self._boundary = replace(self._boundary, resolvers=frozenset(addresses))
        await self._apply()

    async def resize(self, mtu: int) -> None:
        """Give `sp0`, and internal networks' ports, that MTU. Raises as `ensure` does; `run` goes on trying."""
        async with self._lock:
            self._want, self._port = replace(self._want, mtu=mtu), replace(self._port, mtu=mtu)
            await self._ensure_port()
            await self._asking.resize(mtu)

    async def ask(self, networks: Collection[Asking]) -> None:
        """Have containers of these internal networks, and of no others, ask the resolver; they can when this returns."""
        if self._applied is None:
            await self._ensure_firewall(always=True)
        await self._asking.want(networks)

    async def run(self) -> None:
        """Keep everything as it should be until cancelled; what fails is logged, and tried again."""
        async with KernelEvents() as events, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(self._follow_links, events.links, _LINKS_PAUSE))
            tasks.create_task(self._keep(self._follow_firewalls, events.firewall, _FIREWALL_PAUSE))

    async def remove(self) -> None:
        """Take everything away and restore what was before. Unavailable: Open vSwitch does not answer."""
        async with self._lock:
            await self._asking.remove()
            if await self._switch.delete(hostport.NAME, _OWNER):
                await self._switch.settled()  # the firewall goes last
            await self._netlink.call(kernel.release_all)
            await self._netlink.call(self._restore)
            await self._firewall.remove()
            await self._firewalld.remove()
        _log.info("gateway removed", port=hostport.NAME)

    async def _follow_links(self) -> None:
        """Look at what changes with links; without a change this starts no process."""
        await self._ensure_firewall(always=False)
        async with self._lock:
            await self._ensure_port()
            await self._asking.ensure()

    async def _follow_firewalls(self) -> None:
        """Look at what somebody may have flushed or reloaded."""
        await self._ensure_firewall(always=True)
        await self._firewalld.ensure(self._boundary.ends)

    async def _ensure_firewall(self, *, always: bool) -> None:
        if self._waits:
            return
        exits, guarded, ends = await self._netlink.call(self._look_around)
        six = await self._netlink.call(self._look_around6)
        self._boundary = replace(self._boundary, exits=exits, guarded=guarded, ends=ends, ipv6=six)
        if always or self._boundary != self._applied:
            await self._apply()
        if changed := await self._netlink.call(lambda _: self._forwarding.ensure(exits)):
            _log.info("forwarding turned on", links=sorted(changed))
        if six is not None and await self._netlink.call(self._forward6):
            _log.info("forwarding of IPv6 turned on")

    async def _apply(self) -> None:
        if self._waits:
            return
        async with self._applying:
            boundary = self._boundary
            self._applied = None  # until it is: a failure is tried again
            await self._firewall.ensure(boundary)
            self._applied = boundary

    def _look_around(self, ipr: IPRoute) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        exits = find_exits(ipr, hostport.NAME)
        return exits, self._forwarding.guarded(exits), links_of(ipr, self._underlay)

    def _look_around6(self, ipr: IPRoute) -> Boundary6 | None:
        pool = self._want.pool6
        if pool is None or not sysctl.has_ipv6():
            self._forwarding6.restore()  # while the guard stands
            return None
        exits = find_exits(ipr, hostport.NAME, AF_INET6)
        return Boundary6.beside(pool, self._want.hosts, self._want.address, exits, guarded=self._forwarding6.guarded())

    def _forward6(self, _: IPRoute) -> bool:
        return self._forwarding6.ensure()

    def _restore(self, ipr: IPRoute) -> None:
        for family in (AF_INET, AF_INET6):
            poolroute.remove(ipr, family)
        self._forwarding.restore()
        self._forwarding6.restore()

    async def _ensure_port(self) -> None:
        if await self._switch.put(self._port):
            await self._switch.settled()  # setting a tap's MAC takes it down, and its routes with it
        done = await self._set_up()
        if done is None:
            await self._switch.settled()
            done = await self._set_up()
        if done is None:
            raise Unavailable(f"ovs-vswitchd has not made {hostport.NAME}", remedy="see ovs-vswitchd's log")
        if done:
            _log.info("host port set up", port=hostport.NAME, changed=done)

    async def _set_up(self) -> list[str] | None:
        return await self._netlink.call(partial(hostport.set_up, want=self._want))

    @staticmethod
    async def _keep(action: Callable[[], Awaitable[None]], event: asyncio.Event, pause: float) -> None:
        complaint = ""
        while True:
            event.clear()
            try:
                await action()
                complaint = ""
            except (SocketPlaneError, NetlinkError, OSError) as error:
                if str(error) != complaint:
                    complaint = str(error)
                    _log.warning("gateway not as it should be", error=complaint)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD):
                    await event.wait()
            await asyncio.sleep(pause)


def _by_version(subnets: Collection[Subnet]) -> tuple[frozenset[IPv4Network], frozenset[IPv6Network]]:
    return (
        frozenset(subnet for subnet in subnets if isinstance(subnet, IPv4Network)),
        frozenset(subnet for subnet in subnets if isinstance(subnet, IPv6Network)),
    )
