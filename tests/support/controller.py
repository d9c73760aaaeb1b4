"""A controller on real databases: intent and northbound servers of the test's own, its API on a socket and on TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from socketplane import pki
from socketplane.controller.active import Active
from socketplane.controller.main import Settings, run
from socketplane.controller.schema import SCHEMA_FILE
from socketplane.controller.service import Service
from socketplane.encryption import Encryption
from socketplane.identity import HostIdentity
from socketplane.transport import tls
from socketplane.transport.client import ControllerClient
from support import controller_keys
from support.ovsdb_server import OvsdbServer
from support.ports import free_port

NB_SCHEMA = Path("/usr/share/ovn/ovn-nb.ovsschema")


def northbound_schema(*, tiers: bool, incremental: bool | None = None) -> dict[str, Any]:
    """Return OVN's schema with tiers of ACLs, as 23.06 brought them, or without, whatever is installed.

    `incremental`: as of releases whose northd computes only what changed, or of others; None: as installed.
    """
    schema: dict[str, Any] = json.loads(NB_SCHEMA.read_text())
    columns = schema["tables"]["ACL"]["columns"]
    columns.pop("tier", None)
    actions = [action for action in columns["action"]["type"]["key"]["enum"][1] if action != "pass"]
    if tiers:
        columns["tier"] = {"type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 3}}}
        actions.append("pass")
    columns["action"]["type"]["key"]["enum"][1] = actions
    if incremental is not None:
        schema["tables"]["DNS"]["columns"].pop("options", None)
    if incremental:
        schema["tables"]["DNS"]["columns"]["options"] = {
            "type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}
        }
    return schema


class Clock:
    """The time, which a test may move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Databases:
    """The two servers; they outlive controllers."""

    directory: Path
    intent: OvsdbServer
    northbound: OvsdbServer


@asynccontextmanager
async def databases(directory: Path, schema: Path | Mapping[str, Any] = NB_SCHEMA) -> AsyncIterator[Databases]:
    async with (
        OvsdbServer(SCHEMA_FILE, directory / "intent") as intent,
        OvsdbServer(schema, directory / "northbound") as northbound,
    ):
        yield Databases(directory, intent, northbound)


class Controller:
    """A running controller: `admin` speaks to its socket, `client(host)` as a host's agent."""

    def __init__(
        self, databases: Databases, name: str, keys: Path, port: int, encryption: Encryption | None = None
    ) -> None:
        self.databases = databases
        self.keys = keys
        self.port = port
        self.unix = databases.directory / f"{name}.sock"
        self.clock = Clock()
        identity = HostIdentity(
            name="h1",
            system_id="system-h1",
            role="manager",
            address=IPv4Address("127.0.0.1"),
            controllers=(f"127.0.0.1:{port}",),
            southbound=("ssl:127.0.0.1:6642",),
            gateway=IPv4Address("169.254.192.2"),
            pool=IPv4Network("10.192.0.0/10"),
            encryption=encryption,
        )
        self.service = Service(identity, pki.load_authority(keys), self.clock)
        self._contexts = {host: self._context(host) for host in ("h1", "h2", "h3")}
        self.admin: ControllerClient

    @property
    def active(self) -> Active:
        return self.service.require()

    def client(self, host: str) -> ControllerClient:
        """Return a client with a host's certificate."""
        return ControllerClient(([f"127.0.0.1:{self.port}"], self._contexts[host]))

    def _context(self, host: str) -> ssl.SSLContext:
        directory = self.keys.parent / host
        if not directory.exists():
            subject = pki.Subject(f"system-{host}", pki.ORGANIZATION_HOST)
            controller_keys.lay(directory, pki.load_authority(self.keys), "host", subject)
        return tls.client_context(directory)

    async def settled(self) -> None:
        """Return when the northbound holds everything."""
        await self.active.reconciler.written(10)

    async def until(self, condition: Callable[[], Any], seconds: float = 10) -> Any:
        """Return the condition's value as soon as it is true."""
        async with asyncio.timeout(seconds):
            while not (value := condition()):  # noqa: ASYNC110 - conditions are of many kinds
                await asyncio.sleep(0.005)  # between two looks
        return value


@asynccontextmanager
async def controller(
    databases: Databases,
    keys: Path,
    *,
    name: str = "controller",
    active: bool = True,
    port: int | None = None,
    ahead: float = 0.0,
    encryption: Encryption | None = None,
) -> AsyncIterator[Controller]:
    """Run a controller; with `active` return when it is. Its clock is `ahead` by so many seconds."""
    made = await asyncio.to_thread(Controller, databases, name, keys, port or free_port(), encryption)
    made.clock.ahead = ahead
    context = await asyncio.to_thread(tls.server_context, keys)
    settings = Settings(
        made.unix,
        [("127.0.0.1", made.port, context)],
        databases.intent.remote,
        databases.northbound.remote,
        durable=False,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(run(made.service, settings, stop))
    try:
        await made.until(lambda: task.done() or (made.unix.exists() and (made.service.active or not active)))
        if task.done():
            await task
        async with ControllerClient(made.unix) as made.admin:
            yield made
    finally:
        stop.set()
        await task
