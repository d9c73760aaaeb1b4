"""The agent as a whole: its parts, who knows whom, and what runs all the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Network

import structlog

from socketplane import wire
from socketplane.agent import driver, ipam, mtu, networks, outbox, publisher, reconcile, report, shaping
from socketplane.agent.adoption import Adoption
from socketplane.agent.bgp.speaker import Speaker
from socketplane.agent.conntrack import Conntrack
from socketplane.agent.cut import Cutter, Ports
from socketplane.agent.denials import Denials
from socketplane.agent.docker import Docker
from socketplane.agent.encryption.tunnels import Device, Tunnels
from socketplane.agent.floating.claimer import Claimer, Ground
from socketplane.agent.identity import Identifier
from socketplane.agent.inventory import Inventory
from socketplane.agent.link import PATIENCE, Client, Link
from socketplane.agent.locks import Locks
from socketplane.agent.names.aliases import Aliases
from socketplane.agent.names.feed import Feed
from socketplane.agent.names.inner import LINGER, Ask, Inner
from socketplane.agent.names.watch import Lead, Watch
from socketplane.agent.netlink import Netlink
from socketplane.agent.plugin import Method
from socketplane.agent.plumbing import Plumbing
from socketplane.agent.prober import Prober
from socketplane.agent.routed import Admit, Routed
from socketplane.agent.services.condition import Conditions
from socketplane.agent.state import NetworkRecord, State, pool6_of
from socketplane.agent.tail import LogTail
from socketplane.agent.userspace import Userspace
from socketplane.config import Paths
from socketplane.errors import SocketPlaneError
from socketplane.model.types import Subnet

STATE_FILE = "agent.json"
"""Below Paths.state."""
_RESTART_PAUSE = 1.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take; shorter in tests."""

    patience: float = PATIENCE
    grace: float = reconcile.GRACE
    interval: float = reconcile.INTERVAL
    report: float = report.INTERVAL
    install: float = driver.INSTALL_TIMEOUT
    settling: float = networks.SETTLING
    linger: float = LINGER
    limits: float = shaping.INTERVAL
    mtu: float = mtu.INTERVAL


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the agent stands between. `confine` makes the gateway refuse egress to these subnets, all of them."""

    paths: Paths
    host: str
    client: Client
    docker: Docker
    plumbing: Plumbing
    confine: Callable[[frozenset[Subnet]], Awaitable[None]] | None = None
    ipv6: Callable[[IPv6Network | None], Awaitable[None]] | None = None
    """Has the host in and out of that pool over IPv6; None: no network has any."""
    admit: Admit | None = None
    """Lets routed networks' subnets in and out."""
    forwarder: publisher.Forwarder | None = None
    """For published ports."""
    ground: Ground | None = None
    """For floating addresses."""
    lead: Lead | None = None
    """Has queries to these addresses answered by the resolver; without it, there is none."""
    resize: Callable[[int], Awaitable[None]] | None = None
    """Gives the host's own port that MTU."""
    ask: Ask | None = None
    """Has containers of these internal networks ask it, too."""
    alarms: Callable[[], Sequence[str]] = field(default=list)
    encrypting: Device | None = None
    """For encrypted tunnels; None: they aren't."""
    netlink: Netlink | None = None
    """For the underlay's neighbours; without it they are left alone."""
    switch: Ports | None = None
    """For open connections, after changes of policy; without it they are left alone."""
    installed: Callable[[], int] = lambda: 0
    """OVN's number of what the switch does."""
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Agent:
    """All parts, wired. `methods` answer dockerd, `run` keeps everything in step until it is cancelled."""

    def __init__(self, around: Surroundings, state: State, timing: Timing | None = None) -> None:
        timing = timing or Timing()
        self._around = around
        self._confined: frozenset[Subnet] | None = None
        self._confining = asyncio.Lock()
        self._ipv6: IPv6Network | None = None
        self.state = state
        self.link = Link(around.client, around.host, patience=timing.patience, clock=around.clock)
        self.outbox = outbox.Outbox(self.link, clock=around.clock)
        self.inventory = Inventory(around.docker)
        self.locks = Locks()
        adoption = Adoption(self.state, self.link, around.docker, clock=around.wall)
        self.networks = networks.Networks(
            self.state,
            self.link,
            around.docker,
            adoption,
            clock=around.wall,
            interval=timing.interval,
            settling=timing.settling,
        )
        self.shaper = shaping.Shaper(around.plumbing, self.link, self.locks, interval=timing.limits)
        self.publisher = publisher.Publisher(
            self.state, around.forwarder, self._running_endpoints, interval=timing.interval
        )
        self.inner = Inner(self.state, around.ask, clock=around.clock, linger=timing.linger) if around.ask else None
        self.claimer = Claimer(self.state, self.link, around.ground, interval=timing.interval)
        self.driver = driver.NetworkDriver(
            self.state,
            self.link,
            self.outbox,
            adoption,
            Identifier(around.docker, self.inventory),
            around.plumbing,
            self.locks,
            self.publisher,
            networks_changed=self.networks.wake,
            confine=self._confine_with,
            clock=around.wall,
            monotonic=around.clock,
            install_timeout=timing.install,
            shaped=self.shaper.join,
            inner=self.inner.join if self.inner else None,
        )
        self.ipam = ipam.IpamDriver(self.state, self.link, self.outbox, clock=around.wall)
        self.reconciler = reconcile.Reconciler(
            self.state,
            self.link,
            around.docker,
            self.inventory,
            around.plumbing,
            self.outbox,
            self.locks,
            self.publisher,
            clock=around.clock,
            wall=around.wall,
            interval=timing.interval,
            grace=timing.grace,
        )
        self.mtu = mtu.Mtu(
            around.plumbing,
            self.link,
            self.state,
            around.docker,
            resize_host=around.resize,
            interval=timing.mtu,
        )
        self.tunnels = self._make_tunnels(around.encrypting)
        self.userspace = self._make_userspace(around.netlink)
        self.cutter = self._make_cutter(around.switch)
        log = LogTail(around.paths.root / "var/log/ovn/ovn-controller.log", self.state.log)
        self.denials = Denials(self.state, self.link, log)
        self.feed = Feed(self.state, self.link, around.paths.names)
        self.aliases = Aliases(self.state, self.link, around.docker, self.locks)
        self.names = Watch(
            around.paths.root, around.paths.resolver_socket, docker=lambda: around.docker.version, lead=around.lead
        )
        self.routed = Routed(self.state, self.link, around.admit)
        self.bgp = Speaker(self.state, self.link, around.paths.bgp_socket, clock=around.clock)
        self.bgp.sources.append(lambda: [claim.address for claim in self.claimer.claims if not claim.problem])
        self.claimer.on_change = self.bgp.wake
        self.claimer.by_routes = self.bgp.tells
        self.prober = Prober(self.state, self.link, around.docker)
        self.conditions = Conditions(self.state, self.link, around.docker)
        self.reporter = report.Reporter(
            self.link,
            around.paths.root / "run",
            datapath=lambda: (around.plumbing.traits.kind, around.plumbing.mtu, self.mtu.underlay),
            docker=lambda: around.docker.version if self.inventory.connected else "",
            conflicts=lambda: self.networks.conflicts,
            alarms=lambda: [
                *log.alarms,
                *self.reconciler.alarms,
                *self.shaper.alarms,
                *self.mtu.alarms,
                *self.publisher.alarms,
                *self.claimer.alarms,
                *self.feed.alarms,
                *self.names.alarms,
                *(self.inner.alarms if self.inner else ()),
                *self.bgp.alarms,
                *around.alarms(),
                *(self.tunnels.alarms if self.tunnels else ()),
                *(self.userspace.alarms if self.userspace else ()),
                *(self.cutter.alarms if self.cutter else ()),
            ],
            resolver=lambda: (self.names.status, sorted(self.names.led)),
            floating=lambda: self.claimer.claims,
            installed=around.installed,
            bgp=lambda: self.bgp.status,
            encryption=lambda: (self.tunnels.public_key, self.tunnels.peers) if self.tunnels else ("", ()),
            interval=timing.report,
        )
        self.inventory.on_event(self.networks.on_event)
        self.inventory.on_event(self.reconciler.on_event)
        self.inventory.on_event(self.aliases.on_event)
        self.inventory.on_event(self.conditions.on_event)
        self.link.on_change(self.networks.wake)

    def _make_tunnels(self, device: Device | None) -> Tunnels | None:
        around = self._around
        return Tunnels(self.state, self.link, device, clock=around.clock, wall=around.wall) if device else None

    def _make_userspace(self, netlink: Netlink | None) -> Userspace | None:
        if netlink is None:
            return None
        around, link = self._around, self.link
        userspace = Userspace(
            around.paths.root / "run/openvswitch",
            netlink,
            traits=lambda: around.plumbing.traits,
            peers=lambda: [host.address for name, host in link.hosts.items() if name != around.host],
            clock=around.clock,
        )
        link.on_change(userspace.wake)
        return userspace

    def _make_cutter(self, switch: Ports | None) -> Cutter | None:
        if switch is None:
            return None
        connections = Conntrack(self._around.paths.root / "run")
        return Cutter(self.state, self.link, switch, connections, traits=lambda: self._around.plumbing.traits)

    def methods(self) -> dict[str, Method]:
        """Return the plugin's methods that need the whole agent."""
        return {**self.driver.methods(), **self.ipam.methods()}

    async def run(self) -> None:
        """Keep everything in step until cancelled; a part that fails is started again."""
        async with asyncio.TaskGroup() as tasks:
            for name, part in {
                "controller": self.link.run,
                "docker": self.inventory.run,
                "networks": self.networks.run,
                "reconciler": self.reconciler.run,
                "reviver": self.reconciler.revive,
                "outbox": self.outbox.run,
                "names": self.feed.run,
                "aliases": self.aliases.run,
                "resolver": self.names.run,
                **({"internal networks": self.inner.run} if self.inner else {}),
                "report": self.reporter.run,
                "denials": self.denials.run,
                "prober": self.prober.run,
                "conditions": self.conditions.run,
                "state": self.state.run,
                "boundary": self._keep_confined,
                "routed networks": self.routed.run,
                "bgp": self.bgp.run,
                "limits": self.shaper.run,
                "mtu": self.mtu.run,
                "published ports": self.publisher.run,
                "floating addresses": self.claimer.run,
                **({"encryption": self.tunnels.run} if self.tunnels else {}),
                **({"userspace": self.userspace.run} if self.userspace else {}),
                **({"cutter": self.cutter.run, "interruptions": self.cutter.serve} if self.cutter else {}),
            }.items():
                tasks.create_task(keep(name, part), name=name)

    async def close(self) -> None:
        """Write down what is known; containers keep what they have."""
        await self.driver.close()
        self.publisher.close()
        await self.state.save()

    async def _running_endpoints(self) -> set[str]:
        listed = await self._around.docker.containers(timeout=1.0)
        places = (
            place
            for entry in listed
            if entry.get("State") in ("running", "paused")
            for place in ((entry.get("NetworkSettings") or {}).get("Networks") or {}).values()
        )
        return {str(place.get("EndpointID", "")) for place in places}

    async def links_changed(self) -> None:
        """Look at what depends on this host's links."""
        self.mtu.wake()
        if self.tunnels:
            self.tunnels.wake()
        await self.claimer.look()

    async def _confine_with(self, network: NetworkRecord) -> None:
        """Have the gateway refuse an internal network's egress, among all others, before a container joins it."""
        await self._confine(self._internal() | set(_subnets(network)))

    async def _keep_confined(self) -> None:
        changed = asyncio.Event()
        self.link.on_change(changed.set)
        while True:
            await self._confine(self._internal())
            if self._around.ipv6 is not None and (pool := pool6_of(self._networks())) != self._ipv6:
                await self._around.ipv6(pool)
                self._ipv6 = pool
            await changed.wait()
            changed.clear()

    async def _confine(self, subnets: frozenset[Subnet]) -> None:
        if self._around.confine is None:
            return
        async with self._confining:
            if subnets != self._confined:
                await self._around.confine(subnets)
                self._confined = subnets

    def _internal(self) -> frozenset[Subnet]:
        return frozenset(subnet for network in self._networks() if network.internal for subnet in _subnets(network))

    def _networks(self) -> list[wire.Network | NetworkRecord]:
        """Return the cluster's networks, as the controller told them and as this host remembers them."""
        return [*self.link.networks.values(), *self.state.networks.values()]


def _subnets(network: wire.Network | NetworkRecord) -> list[Subnet]:
    return [network.subnet, *([network.subnet6] if network.subnet6 else [])]


async def keep(name: str, part: Callable[[], Awaitable[None]]) -> None:
    """Run a part for ever: one that fails is logged (the same reason once) and started again."""
    complaint = ""
    while True:
        try:
            await part()
        except SocketPlaneError as error:
            if str(error) != complaint:
                complaint = str(error)
                _log.warning("part.waits", part=name, reason=complaint)
        except Exception:
            _log.exception("part.failed", part=name)
        await asyncio.sleep(_RESTART_PAUSE)
