"""firewalld, where it runs. It rejects what comes from a link that it does not know, so `sp0` joins Docker's zone.

Over D-Bus, in its running configuration only: nothing is written to disk, and nothing has to be reloaded.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from jeepney import DBusAddress, DBusErrorResponse, new_method_call
from jeepney.io.asyncio import DBusRouter, open_dbus_router
from jeepney.io.common import RouterClosed
from jeepney.wrappers import unwrap_msg

from socketplane.agent.hostport import NAME as SP0
from socketplane.config import GENEVE_PORT
from socketplane.encryption import DEVICE, Encryption
from socketplane.files import private_directory, write_atomic

_NAME, _PATH = "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1"
_MAIN, _ZONE = (DBusAddress(_PATH, _NAME, interface) for interface in (_NAME, f"{_NAME}.zone"))
_BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
_DOCKERS, _TRUSTED = "docker", "trusted"
_KINDS = {"Interface": "ss", "Port": "sss"}
"""What we put into zones, as firewalld's methods name it, and these methods' signatures."""
_PATIENCE = 5.0
_FAILURES = (DBusErrorResponse, RouterClosed, OSError, TimeoutError, EOFError, ValueError)  # the last: it speaks no D-Bus
_log = structlog.get_logger()


class Firewalld:
    """What of ours is in firewalld's zones; what was there before us is left alone, and stays."""

    def __init__(self, bus: Path, state: Path, encryption: Encryption | None = None) -> None:
        """`state` is the file where stands which zones we changed."""
        self._bus = bus
        self._state = state
        self._port = str(encryption.port if encryption else GENEVE_PORT)
        self._links = (SP0, DEVICE) if encryption else (SP0,)
        self.alarms: list[str] = []
        """What a person has to put right."""

    async def ensure(self, underlay: Collection[str]) -> None:
        """Have our links in a zone, and tunnels accepted that come by these others. Never fails: `alarms` tells."""
        try:
            async with asyncio.timeout(_PATIENCE), self._connected() as router:
                if router is not None:
                    for own in self._links:
                        await self._bind(router, own)
                    for link in underlay:
                        await self._open(router, link)
            self.alarms = []
        except _FAILURES as error:
            told = f"firewalld does not do as asked, and may keep containers from getting out: {_reason(error)}"
            remedy = f"`firewall-cmd --zone={_TRUSTED} --add-interface={SP0}` lets them"
            if [told := f"{told}; {remedy}"] != self.alarms:
                _log.warning("firewalld refuses", reason=_reason(error))
            self.alarms = [told]

    async def remove(self) -> None:
        """Take out what we put in. A firewalld that doesn't answer keeps it until it is reloaded."""
        changed = await asyncio.to_thread(self._load)
        if not changed:
            return
        try:
            async with asyncio.timeout(_PATIENCE), self._connected() as router:
                if router is not None:
                    for kind, zone, what in changed:
                        words = (zone, what) if kind == "Interface" else (zone, what, "udp")
                        if await _call(router, _ZONE, f"query{kind}", _KINDS[kind], *words):
                            await _call(router, _ZONE, f"remove{kind}", _KINDS[kind], *words)
        except _FAILURES as error:
            _log.warning("firewalld keeps what is ours until it is reloaded", reason=_reason(error))
        await asyncio.to_thread(self._state.unlink, missing_ok=True)

    async def _bind(self, router: DBusRouter, link: str) -> None:
        if await _call(router, _ZONE, "getZoneOfInterface", "s", link):
            return
        zone = _DOCKERS if _DOCKERS in await _call(router, _ZONE, "getZones", "") else _TRUSTED
        await self._note("Interface", zone, link)
        await _call(router, _ZONE, "addInterface", "ss", zone, link)
        _log.info("joined a zone of firewalld", port=link, zone=zone)

    async def _open(self, router: DBusRouter, link: str) -> None:
        zone = await _call(router, _ZONE, "getZoneOfInterface", "s", link) or await _call(
            router, _MAIN, "getDefaultZone", ""
        )
        if await _call(router, _ZONE, "queryPort", "sss", zone, self._port, "udp"):
            return
        await self._note("Port", zone, self._port)
        await _call(router, _ZONE, "addPort", "sssi", zone, self._port, "udp", 0)
        _log.info("tunnels let in by firewalld", link=link, zone=zone, port=f"{self._port}/udp")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[DBusRouter | None]:
        """Have the bus, if firewalld is on it."""
        if not await asyncio.to_thread(self._bus.is_socket):
            yield None
            return
        async with open_dbus_router(f"unix:path={self._bus}") as router:
            yield router if await _call(router, _BUS, "NameHasOwner", "s", _NAME) else None

    async def _note(self, kind: str, zone: str, what: str) -> None:
        """Write down what will be ours, before it is."""
        await asyncio.to_thread(self._save, (kind, zone, what))

    def _save(self, change: tuple[str, str, str]) -> None:
        changed = {*self._load(), change}
        private_directory(self._state.parent)
        write_atomic(self._state, json.dumps({"changed": sorted(changed)}) + "\n")

    def _load(self) -> list[tuple[str, str, str]]:
        try:
            changed = json.loads(self._state.read_text())["changed"]
            return [(kind, str(zone), str(what)) for kind, zone, what in changed if kind in _KINDS]
        except (OSError, ValueError, KeyError, TypeError):
            return []  # then it is taken for somebody else's, and a reload of firewalld removes it


async def _call(router: DBusRouter, where: DBusAddress, method: str, signature: str, *arguments: object) -> Any:
    body = unwrap_msg(await router.send_and_get_reply(new_method_call(where, method, signature or None, arguments)))
    return body[0] if body else None


def _reason(error: BaseException) -> str:
    if isinstance(error, DBusErrorResponse):
        return " ".join(map(str, error.data or [error.name]))
    return str(error) or "no answer"
