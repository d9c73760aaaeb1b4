"""The controller's process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop

from socketplane.config import REST_PORT, Paths
from socketplane.controller import logs
from socketplane.controller.active import begin
from socketplane.controller.api.app import make_app
from socketplane.controller.fence import LOCK
from socketplane.controller.memory import keep_rounds_short
from socketplane.controller.schema import DATABASE, load_schema, upgrade
from socketplane.controller.service import Service
from socketplane.errors import Conflict, SocketPlaneError
from socketplane.identity import HostIdentity
from socketplane.ovsdb import Client, OvsdbError
from socketplane.pki import load_authority
from socketplane.transport.server import TcpListener, serve
from socketplane.transport.tls import server_context

ROOT = "SOCKETPLANE_ROOT"
"""Environment variable: where all paths begin instead of `/`."""
_PAUSE = 1.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a controller listens, and where its databases are."""

    unix: Path
    tcp: Sequence[TcpListener]
    intent: str
    northbound: str
    durable: bool = True
    """Whether a change is on disk before it is answered."""


async def run(service: Service, settings: Settings, stop: asyncio.Event) -> None:
    """Serve the API, and be the active controller whenever no other one is, until `stop`.

    Raises:
        Conflict: the intent database is of a newer program.
        Unavailable: an address to listen on is taken.
    """
    async with serve(make_app(service), unix=settings.unix, tcp=settings.tcp):
        _log.info("controller.serving", unix=str(settings.unix), tcp=[f"{host}:{port}" for host, port, _ in settings.tcp])
        turns = asyncio.create_task(_turns(service, settings))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((turns, stopping), return_when=asyncio.FIRST_COMPLETED)
            if turns.done():
                await turns
            _log.info("controller.stopping")
        finally:
            for task in (turns, stopping):
                task.cancel()
            await asyncio.gather(turns, stopping, return_exceptions=True)


async def _turns(service: Service, settings: Settings) -> None:
    """Have one turn after another; what ends one is logged, and never ends the process."""
    while True:
        try:
            await _turn(service, settings)
            _log.warning("controller.deposed")
        except Conflict:
            raise
        except (OvsdbError, SocketPlaneError, OSError) as error:
            _log.warning("controller.waits", reason=str(error))
            service.waiting_for = f"its databases ({error})"
        except Exception:
            _log.exception("controller.failed")
        await asyncio.sleep(_PAUSE)


async def _turn(service: Service, settings: Settings) -> None:
    """Wait for both databases and their locks, then be the active controller until deposed."""
    service.waiting_for = "the intent database"
    await upgrade(settings.intent, await asyncio.to_thread(load_schema))
    async with (
        Client([settings.intent], DATABASE, leader_only=True) as intent,
        Client([settings.northbound], "OVN_Northbound", leader_only=True) as northbound,
    ):
        await intent.wait_connected()
        service.waiting_for = "the active controller to stop"
        lock = intent.lock(LOCK)
        await lock.acquired()
        service.waiting_for = "OVN's northbound database"
        await northbound.wait_connected()
        northbound_lock = northbound.lock(LOCK)
        await northbound_lock.acquired()
        cluster = service.new_cluster()
        turn = begin(intent, lock, northbound, northbound_lock, cluster, clock=service.clock, durable=settings.durable)
        async with turn as active:
            service.active = active
            _log.info("controller.active", epoch=active.store.epoch)
            try:
                await active.run()
            finally:
                service.active = None


def _settings(paths: Paths, identity: HostIdentity) -> Settings:
    own = (entry.rpartition(":") for entry in identity.controllers)
    port = next((int(port) for host, _, port in own if host == str(identity.address)), REST_PORT)
    return Settings(
        unix=paths.controller_socket,
        tcp=[("0.0.0.0", port, server_context(paths.pki))],  # noqa: S104 - hosts reach it on the underlay, with TLS
        intent=f"unix:{paths.intent_socket}",
        northbound=f"unix:{paths.northbound_socket}",
    )


async def _until_signal(service: Service, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(service, settings, stop)


def main() -> None:
    """Run the controller of this manager until SIGTERM."""
    logs.configure()
    keep_rounds_short()
    paths = Paths(Path(os.environ.get(ROOT, "/")))
    try:
        with contextlib.suppress(KeyboardInterrupt):
            service = Service(HostIdentity.load(paths.host_file), load_authority(paths.pki), time.time)
            uvloop.run(_until_signal(service, _settings(paths, service.identity)))
    except SocketPlaneError as error:
        _log.error("controller.refused", reason=str(error))
        sys.exit(1)
