"""Has containers' queries led to the resolver, and tells how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp
import structlog
from pydantic import ValidationError

from socketplane import wire
from socketplane.agent.names import upstreams
from socketplane.agent.names.upstreams import Servers
from socketplane.config import RESOLVER_ADDRESS

INTERVAL = 5.0
_PATIENCE = 2.0
_MISSED = 3
"""How often in a row it may not answer: it may just be starting."""
_ASKS_FROM_HOST = 28
_AT_MOST = 32
_log = structlog.get_logger()

Lead = Callable[[Collection[IPv4Address]], Awaitable[None]]


class Watch:
    """Looks at the host's name servers and at the resolver, again and again.

    Containers go on asking the servers that stood in resolv.conf when they started: once led, an address stays so.
    """

    def __init__(
        self, root: Path, resolver: Path, *, docker: Callable[[], str], lead: Lead | None, interval: float = INTERVAL
    ) -> None:
        self._root = root
        self._resolver = resolver
        self._docker = docker
        self._lead = lead
        self._interval = interval
        self._missed = 0
        self._servers = Servers()
        self.status: wire.Resolver | None = None
        self.led: frozenset[IPv4Address] = frozenset()

    @property
    def alarms(self) -> list[str]:
        """What a person should know."""
        found = [f"Docker's settings: {self._servers.complaint}"] if self._servers.complaint else []
        if self._lead is None:
            return found
        if self._missed >= _MISSED:
            found.append("containers get no answers about names: the resolver does not run; `socketplane up` starts it")
        elif self.status is not None and self.status.problem:
            found.append(f"containers get no answers about names: {self.status.problem}")
        if (reason := self._not_asked()) is not None:
            found.append(
                f"containers here don't find those of other hosts by name: {reason}; start them with `--dns "
                f"{RESOLVER_ADDRESS}`, or have Docker do it for all: `socketplane names enable` on this host"
            )
        return found

    def _not_asked(self) -> str | None:
        """Return why Docker's resolver doesn't come to ours; None where it does, or nobody knows."""
        if RESOLVER_ADDRESS in self._servers.handed:
            return None
        if self._servers.loopback_only:
            return f"Docker asks {self._servers.handed[0]}, from this host"
        version = self._docker().partition(".")[0]
        if version.isdigit() and int(version) >= _ASKS_FROM_HOST and not self._servers.of_docker:
            return f"Docker {version} asks name servers from this host"
        return None

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._follow_servers()
            await self._ask()
            await asyncio.sleep(self._interval)

    async def _follow_servers(self) -> None:
        self._servers = await asyncio.to_thread(upstreams.read, self._root, ())
        wanted = {address for address in self._servers.handed if not address.is_loopback} | {RESOLVER_ADDRESS}
        if self._lead is not None and not wanted <= self.led:
            led = frozenset(sorted(self.led | wanted)[:_AT_MOST])
            await self._lead(led)
            self.led = led
            _log.info("resolver.led", addresses=sorted(map(str, led)))

    async def _ask(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        connector = aiohttp.UnixConnector(str(self._resolver))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get("http://resolver/") as response,
            ):
                self.status = wire.Resolver.model_validate_json(await response.read())
            self._missed = 0
        except (aiohttp.ClientError, OSError, TimeoutError, ValidationError):
            self.status = None
            self._missed += 1
