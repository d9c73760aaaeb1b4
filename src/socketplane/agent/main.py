"""The daemon `socketplane-agent`: answers the front at once, and is whole as soon as the rest of the host is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import structlog
from pyroute2.netlink.exceptions import NetlinkError

from socketplane import __version__
from socketplane.agent import daemon, driver, ipam
from socketplane.agent.agent import STATE_FILE, Agent, Surroundings, keep
from socketplane.agent.answers import CONSTANT, FOREVER
from socketplane.agent.datapath import Datapath
from socketplane.agent.docker import Docker
from socketplane.agent.encryption.wireguard import WireGuard
from socketplane.agent.floating.ground import Ground
from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.plugin import Method, Plugin
from socketplane.agent.protocol import Request
from socketplane.agent.state import State, pool6_of
from socketplane.agent.switch import Switch
from socketplane.agent.watch import KernelEvents
from socketplane.config import Paths
from socketplane.errors import SocketPlaneError, Unavailable
from socketplane.identity import HostIdentity
from socketplane.transport import tls
from socketplane.transport.client import ControllerClient
from socketplane.transport.server import serve

_LOOK_AGAIN = 1.0
_BURST = 0.2
_GATE_PATIENCE = 10.0
_log = structlog.get_logger()


class Gate:
    """Stands before the agent's methods until there is an agent: calls wait for it a bounded time.

    The time counts from when it was shut, for all calls together: dockerd queues forty starts behind one another.
    """

    def __init__(self, patience: float = _GATE_PATIENCE) -> None:
        self._patience = patience
        self._open = asyncio.Event()
        self._shut_at = time.monotonic()
        self._methods: Mapping[str, Method] = {}
        self.reason = "the agent is starting"

    def open(self, methods: Mapping[str, Method]) -> None:
        """Let calls through."""
        self._methods = methods
        self._open.set()

    def shut(self) -> None:
        """Hold calls again."""
        self._open.clear()
        self._shut_at = time.monotonic()

    def methods(self) -> dict[str, Method]:
        """Return all methods of the plugin."""
        requests: dict[str, type[Request]] = {**driver.REQUESTS, **ipam.REQUESTS}
        waiting = {name: Method(partial(self._call, name), request) for name, request in requests.items()}
        return {**{name: Method(partial(_constant, answer)) for name, answer in CONSTANT.items()}, **waiting}

    async def _call(self, name: str, request: Request) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(max(0.0, self._shut_at + self._patience - time.monotonic())):
                await self._open.wait()
        except TimeoutError:
            raise Unavailable(f"the agent is unreachable, nothing was changed: {self.reason}") from None
        return await self._methods[name].call(request)


async def _constant(answer: Mapping[str, Any], _: None) -> Mapping[str, Any]:
    return answer


async def serve_plugin(paths: Paths, gate: Gate, stop: asyncio.Event) -> None:
    """Serve what the front passes on until `stop`, then until the calls in flight are answered."""
    async with serve(Plugin(gate.methods()), keep_alive=FOREVER, unix=paths.agent_socket):
        _log.info("agent.serving", path=str(paths.agent_socket))
        await stop.wait()


async def work(paths: Paths, gate: Gate) -> None:
    """Be this host's agent until cancelled; waits for the host to be one."""
    identity = await _wait_for_identity(paths, gate)
    _log.info("agent.starting", version=__version__, host=identity.name, controllers=identity.controllers)
    async with AsyncExitStack() as stack:
        target = (identity.controllers, await asyncio.to_thread(tls.client_context, paths.pki))
        client = await stack.enter_async_context(ControllerClient(target))
        docker = await stack.enter_async_context(Docker(paths.docker_socket))
        switch = await stack.enter_async_context(Switch(paths))
        netlink = await stack.enter_async_context(Netlink())
        encrypting = await _encrypt(netlink, identity, paths)
        datapath = await stack.enter_async_context(Datapath(switch, netlink, str(identity.tunnel)))
        state = await asyncio.to_thread(State.load, paths.state / STATE_FILE)
        mtu = min(datapath.mtu, state.mtu or datapath.mtu)
        gateway = Gateway(switch, netlink, identity, paths, mtu, pool6=pool6_of(state.networks.values()))
        around = Surroundings(
            paths,
            identity.name,
            client,
            docker,
            datapath,
            confine=gateway.set_internal,
            admit=gateway.set_routed,
            ipv6=gateway.set_pool6,
            forwarder=gateway,
            ground=Ground(netlink, gateway.lead_floating),
            lead=gateway.set_resolvers,
            resize=gateway.resize,
            ask=gateway.ask,
            encrypting=encrypting,
            netlink=netlink,
            switch=switch,
            installed=lambda: switch.sequence,
            alarms=lambda: [*_alarms(switch), *gateway.alarms],
        )
        agent = Agent(around, state)
        stack.push_async_callback(agent.close)
        with suppress(SocketPlaneError):  # before the gateway makes its rules anew: what is open goes on
            async with gateway.together():
                for restore in (agent.publisher.restore, agent.routed.apply, agent.claimer.restore):
                    with suppress(SocketPlaneError):
                        await restore()
        stack.callback(gate.shut)
        gate.open(agent.methods())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep("restraint", switch.restrain))
            tasks.create_task(keep("gateway", partial(_plumb, switch, datapath, gateway)))
            tasks.create_task(keep("links", partial(_follow_links, agent.links_changed)))
            tasks.create_task(agent.run())


async def _encrypt(netlink: Netlink, identity: HostIdentity, paths: Paths) -> WireGuard | None:
    """Return this host's WireGuard device where hosts encrypt; one that can't be made now is tried again later."""
    if identity.encryption is None:
        return None
    device = WireGuard(netlink, identity, identity.encryption, paths)
    try:
        await device.ensure()
    except (SocketPlaneError, NetlinkError, OSError) as error:
        _log.warning("encryption.waits", reason=str(error))
    return device


async def _follow_links(changed: Callable[[], Awaitable[None]]) -> None:
    """Tell of links that changed, a burst of changes once, for ever."""
    async with KernelEvents() as events:
        while True:
            await events.links.wait()
            await asyncio.sleep(_BURST)
            events.links.clear()
            await changed()


def _alarms(switch: Switch) -> list[str]:
    return [] if switch.connected else ["Open vSwitch does not answer; `socketplane up` starts it"]


async def _plumb(switch: Switch, datapath: Datapath, gateway: Gateway) -> None:
    """Have br-int, and on it the host's way in and out, for ever."""
    while True:
        try:
            await switch.replica()
            await switch.ensure_bridge(datapath.traits)
            break
        except SocketPlaneError as error:
            _log.warning("bridge.missing", reason=str(error))
            await asyncio.sleep(_LOOK_AGAIN)
    await gateway.run()


async def _wait_for_identity(paths: Paths, gate: Gate) -> HostIdentity:
    complaint = ""
    while True:
        try:
            return await asyncio.to_thread(HostIdentity.load, paths.host_file)
        except SocketPlaneError as error:
            gate.reason = str(error)
            if complaint != gate.reason:
                complaint = gate.reason
                _log.warning("agent.waiting", reason=complaint)
        await asyncio.sleep(_LOOK_AGAIN)


async def run(paths: Paths, stop: asyncio.Event) -> int:
    """Be the daemon until `stop`; returns the exit code."""
    gate = Gate()
    server = asyncio.create_task(serve_plugin(paths, gate, stop))
    worker = asyncio.create_task(_persist(partial(work, paths, gate), gate))
    await asyncio.wait({server, worker}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.wait({server})
    worker.cancel()
    await asyncio.wait({worker})
    error = server.exception()
    if error is not None:
        _log.error("agent.not_served", reason=str(error))
        return 1
    _log.info("agent.stopped")
    return 0


async def _persist(part: Callable[[], Awaitable[None]], gate: Gate) -> None:
    while True:
        try:
            await part()
        except SocketPlaneError as error:
            gate.reason = str(error)
            _log.error("agent.not_started", reason=gate.reason)
        except Exception as error:
            gate.reason = "it failed; its log has why"
            _log.exception("agent.failed", error=str(error))
        await asyncio.sleep(_LOOK_AGAIN)


def main() -> None:
    """Run the agent: `socketplane-agent [--root DIR] [--log-level LEVEL]`."""
    daemon.start("socketplane-agent", "SocketPlane's agent on a host.", run)
