"""Hosts with an agent and a Docker engine's protocol each, and the real controller on real databases."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from socketplane.agent.agent import STATE_FILE, Agent, Surroundings, Timing
from socketplane.agent.answers import FOREVER
from socketplane.agent.docker import Docker
from socketplane.agent.main import Gate
from socketplane.agent.plugin import Plugin
from socketplane.agent.state import State
from socketplane.config import Paths
from socketplane.errors import NotFound, Unavailable, Unsupported
from socketplane.model.forwarding import USERSPACE
from socketplane.model.traffic import NO_LIMITS, Limits
from socketplane.transport.client import ControllerClient
from socketplane.transport.server import serve
from support import controller as controllers
from support import controller_keys
from support.engine import Engine
from support.ports import free_port

FAST = Timing(patience=0.5, grace=0.3, interval=0.2, report=0.2, install=1.0, settling=0.3, limits=0.2, linger=0.3)


class Ports:
    """The datapath's contract without a datapath: what was asked of it, and failures on demand."""

    traits = USERSPACE
    mtu = 1442

    def __init__(self) -> None:
        self.attached: dict[str, str] = {}
        self.limits: dict[str, Limits] = {}
        self.underlay = 1500
        self.sizes: dict[str, int] = {}
        self.pids: dict[str, int | None] = {}
        self.unshapeable = ""
        self.broken = ""
        self.tries = 0
        self.not_installed = False
        self.detaching = asyncio.Event()
        self.detaching.set()
        self.attaching = asyncio.Event()
        self.attaching.set()

    async def attach(self, endpoint_id, mac, mtu):
        assert mtu == self.mtu
        self.tries += 1
        if self.broken:
            raise Unavailable(self.broken)
        await asyncio.sleep(0)
        await self.attaching.wait()
        self.attached[endpoint_id] = mac
        self.sizes[endpoint_id] = mtu
        return "sc" + endpoint_id[:12]

    async def detach(self, endpoint_id):
        await self.detaching.wait()
        for known in [known for known in self.attached if known.startswith(endpoint_id)]:
            del self.attached[known]
            self.limits.pop(known, None)

    async def underlay_mtu(self):
        return self.underlay

    async def resize(self, mtu):
        self.mtu = mtu
        return frozenset(key for key in self.attached if self.sizes.get(key) != mtu)

    async def fit(self, endpoint_id, pid):
        self.pids[endpoint_id] = pid
        if pid is None:
            raise NotFound("its interface is not in its network namespace")
        self.sizes[endpoint_id] = self.mtu

    async def shape(self, endpoint_id, limits):
        if self.unshapeable:
            raise Unsupported(self.unshapeable)
        if endpoint_id not in self.attached:
            raise NotFound(endpoint_id)
        before = self.limits.pop(endpoint_id, NO_LIMITS)
        if limits:
            self.limits[endpoint_id] = limits
        return before != limits

    def shaped(self):
        return frozenset(self.limits)

    async def installed(self, endpoint_id, timeout):
        if self.not_installed:
            raise Unavailable(f"port is not ready after {timeout:g} s")
        assert endpoint_id in self.attached

    def ports(self):
        return frozenset(self.attached)


class Host:
    """A host: its agent can be stopped, killed and started, its engine and its ports go on."""

    def __init__(self, root, name, target, timing=FAST):
        self.name, self.timing, self._target = name, timing, target
        self.paths = Paths(root)
        self.ports = Ports()
        self.confined = []
        self.pool6 = None
        self.admitted = []
        self.asking = set()
        self.unaskable = ""
        self.forwards = {}
        self.unforwardable = ""
        self.now = 0.0
        for path in (self.paths.state, self.paths.plugin_socket.parent):
            path.mkdir(parents=True)
        self.engine = Engine(self.paths.plugin_socket, self.paths.docker_socket)
        self.agent = None
        self._running = None

    async def start(self):
        self._running = await self._run()

    async def stop(self, *, crash=False):
        """Stop the agent; a crash leaves it no time to write anything down."""
        running, self._running = self._running, None
        if running:
            if crash:
                self.agent.close = lambda: asyncio.sleep(0)
            await running.aclose()
            self.agent.publisher.close()  # as the kernel does when a process ends

    async def _run(self):
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(ControllerClient(self._target()))
            docker = await stack.enter_async_context(Docker(self.paths.docker_socket))
            around = Surroundings(
                self.paths,
                self.name,
                client,
                docker,
                self.ports,
                confine=self._confine,
                ipv6=self._ipv6,
                admit=self._admit,
                forwarder=self,
                ask=self._ask,
            )
            state = await asyncio.to_thread(State.load, self.paths.state / STATE_FILE)
            self.agent = Agent(around, state, self.timing)
            gate = Gate()
            gate.open(self.agent.methods())
            await stack.enter_async_context(
                serve(Plugin(gate.methods()), unix=self.paths.plugin_socket, keep_alive=FOREVER)
            )
            stack.push_async_callback(lambda: self.agent.close())
            task = asyncio.create_task(self.agent.run())
            stack.push_async_callback(_end, task)
            return stack.pop_all()

    async def _ipv6(self, pool):
        self.pool6 = pool

    async def _confine(self, subnets):
        self.confined.append(subnets)

    async def _admit(self, subnets, neighbours):
        self.admitted.append((subnets, neighbours))

    async def _ask(self, networks):
        if self.unaskable:
            raise Unavailable(self.unaskable)
        self.asking = {str(asking.subnet) for asking in networks}

    async def forward(self, forwards):
        """Lead packets: the gateway's contract, as the text of each port and where it leads."""
        if self.unforwardable:
            raise Unavailable(self.unforwardable)
        self.forwards = {str(each.published): str(each.target) for each in forwards}


async def _end(task):
    task.cancel()
    await asyncio.wait([task])


class World:
    """The controller, which can be taken away, and hosts."""

    def __init__(self, databases, keys, port):
        self._databases, self._keys, self.port = databases, keys, port
        self._stack = None
        self.controller = None

    async def start(self):
        async with AsyncExitStack() as stack:
            made = controllers.controller(self._databases, self._keys, port=self.port)
            self.controller = await stack.enter_async_context(made)
            self._stack = stack.pop_all()

    async def stop(self):
        stack, self._stack = self._stack, None
        if stack:
            await stack.aclose()

    @property
    def admin(self):
        return self.controller.admin

    async def items(self, path, **params):
        return (await self.admin.call("GET", path, params=params))["items"]

    async def networks(self):
        return {network["name"]: network for network in await self.items("/v1/networks", pending="true")}

    async def endpoints(self, **params):
        return {endpoint["name"]: endpoint for endpoint in await self.items("/v1/endpoints", **params)}

    async def running(self):
        """Return the endpoints once all are told to run, which comes a moment after they are."""

        async def told():
            found = await self.endpoints()
            return found if all(endpoint["conditions"] for endpoint in found.values()) else None

        return await until(told)


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    directory = tmp_path_factory.mktemp("keys") / "pki"
    controller_keys.manager(directory)
    return directory


@pytest.fixture
async def world(tmp_path, keys):
    async with controllers.databases(tmp_path) as databases:
        made = World(databases, keys, free_port())
        await made.start()
        try:
            yield made
        finally:
            await made.stop()


@pytest.fixture
async def make_host(tmp_path, world):
    """Make a host of the cluster, running unless told otherwise."""
    async with AsyncExitStack() as stack:

        async def make(name, *, timing=FAST, start=True):
            number = name.removeprefix("h")
            await world.admin.call(
                "PUT", f"/v1/hosts/{name}", {"system_id": f"system-{name}", "address": f"127.0.0.{number}"}
            )
            context = world.controller._contexts[name]
            host = await asyncio.to_thread(
                Host, tmp_path / name, name, lambda: ([f"127.0.0.1:{world.port}"], context), timing
            )
            await stack.enter_async_context(host.engine)
            stack.push_async_callback(host.stop)
            if start:
                await host.start()
                await until(lambda: host.agent.inventory.connected and host.agent.link.synced)
            return host

        yield make


@pytest.fixture
async def h1(make_host):
    return await make_host("h1")


@pytest.fixture
async def h2(make_host):
    return await make_host("h2")


async def until(condition, seconds=20.0):
    """Return the condition's value (it may be async) as soon as it is true."""
    async with asyncio.timeout(seconds):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.005)  # between two looks


@pytest.fixture(name="until")
def until_fixture():
    return until
