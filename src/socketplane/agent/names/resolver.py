"""The daemon `socketplane-resolver`: names for this host's containers, there while agent and controller are not.

It reads the journal that the agent writes, and asks nobody but this host's name servers.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import structlog

from socketplane.agent import daemon
from socketplane.agent.answers import Receive, Scope, Send, reply
from socketplane.agent.names import upstreams
from socketplane.agent.names.answers import Inside
from socketplane.agent.names.forward import Forwarder
from socketplane.agent.names.journal import Reader
from socketplane.agent.names.server import Server
from socketplane.agent.names.upstreams import Servers
from socketplane.config import RESOLVER_ADDRESS, RESOLVER_PORT, Paths
from socketplane.errors import SocketPlaneError
from socketplane.identity import HostIdentity
from socketplane.transport.server import serve

_LOOK_EVERY = 0.1
_AT_ONCE = 200
"""Lines of the journal between which queries are answered."""
_SERVERS_EVERY = 5.0
_LOOK_AGAIN = 1.0
_log = structlog.get_logger()


class Resolver:
    """A host's resolver: the journal, the servers to ask, and the sockets."""

    def __init__(self, paths: Paths, identity: HostIdentity, *, port: int = RESOLVER_PORT, server_port: int = 53) -> None:
        self._root = paths.root
        self._own = (identity.gateway, RESOLVER_ADDRESS)
        self._reader = Reader(paths.names, identity.name)
        self._servers = Servers()
        self._port = port
        forwarder = Forwarder(lambda: self._servers.asked, port=server_port)
        self.server = Server(lambda: self._reader.table, Inside(identity.pool, identity.hosts), forwarder)
        self.problem = ""
        """Why it does not answer."""

    async def run(self) -> None:
        """Answer until cancelled; where the port is taken, as soon as it is free."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_names())
                tasks.create_task(self._follow_servers())
                tasks.create_task(self._serve())
        finally:
            self._reader.close()

    def status(self) -> dict[str, object]:
        """Return how it is."""
        return {
            "names": len(self._reader.table),
            "servers": [str(address) for address in self._servers.asked],
            "queries": dict(self.server.counts),
            "problem": self.problem,
        }

    async def _follow_names(self) -> None:
        while True:
            table, lines = await asyncio.to_thread(self._reader.fetch)
            self._reader.take(table, ())
            for start in range(0, len(lines), _AT_ONCE):
                self._reader.take(None, lines[start : start + _AT_ONCE])
                await asyncio.sleep(0)
            await asyncio.sleep(_LOOK_EVERY)

    async def _follow_servers(self) -> None:
        while True:
            found = await asyncio.to_thread(upstreams.read, self._root, self._own)
            if found != self._servers:
                _log.info("resolver.servers", servers=[str(address) for address in found.asked])
                self._servers = found
            await asyncio.sleep(_SERVERS_EVERY)

    async def _serve(self) -> None:
        address = str(self._own[0])
        while True:
            try:
                await self.server.listen(address, self._port)
                break
            except OSError as error:
                problem = f"port {self._port} at {address}: {error.strerror or error}"
                if problem != self.problem:
                    self.problem = problem
                    _log.error("resolver.not_served", reason=problem)
                await asyncio.sleep(_LOOK_AGAIN)
        self.problem = ""
        _log.info("resolver.serving", address=address, port=self._port)
        try:
            await asyncio.Event().wait()
        finally:
            await self.server.close()


class _Status:
    """ASGI app: how the resolver is, as JSON."""

    def __init__(self) -> None:
        self.resolver: Resolver | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        if scope["type"] == "http":
            await reply(send, 200, orjson.dumps(self.resolver.status() if self.resolver else {}))


async def run(paths: Paths, stop: asyncio.Event) -> int:
    """Be the daemon until `stop`; returns the exit code."""
    app = _Status()
    try:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(serve(app, unix=paths.resolver_socket))
            working = asyncio.create_task(_work(paths, app))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (working, stopping):
                task.cancel()
            await asyncio.wait({working, stopping})
            if not working.cancelled():
                working.result()
    except SocketPlaneError as error:
        _log.error("resolver.not_served", reason=str(error))
        return 1
    _log.info("resolver.stopped")
    return 0


async def _work(paths: Paths, app: _Status) -> None:
    while True:
        identity = await _identity(paths.host_file)
        app.resolver = Resolver(paths, identity)
        running = asyncio.create_task(app.resolver.run())
        try:
            await _changed(paths.host_file, identity)
        finally:
            running.cancel()
            await asyncio.wait({running})


async def _identity(path: Path) -> HostIdentity:
    complaint = ""
    while True:
        try:
            return await asyncio.to_thread(HostIdentity.load, path)
        except SocketPlaneError as error:
            if str(error) != complaint:
                complaint = str(error)
                _log.warning("resolver.waiting", reason=complaint)
        await asyncio.sleep(_LOOK_AGAIN)


async def _changed(path: Path, identity: HostIdentity) -> None:
    """Return when this host is another one, or has another address: it has, shortly after its first start."""
    while await _identity(path) == identity:  # noqa: ASYNC110 - a file
        await asyncio.sleep(_LOOK_AGAIN)


def main() -> None:
    """Run the resolver: `socketplane-resolver [--root DIR] [--log-level LEVEL]`."""
    daemon.start("socketplane-resolver", "Names for the containers of this host.", run)
