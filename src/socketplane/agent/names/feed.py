"""What the agent tells the resolver: the controller's names, and which endpoints are here, as lines of the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID

import structlog

from socketplane import wire
from socketplane.agent.link import Link
from socketplane.agent.names import journal
from socketplane.agent.names.journal import Line, Reader, Writer
from socketplane.agent.names.table import Named, Table
from socketplane.agent.state import State

_PAUSE = 0.02
"""Seconds in which changes gather."""
_RETRY = 5.0
_DIGITS = 16
_log = structlog.get_logger()


class Feed:
    """Keeps the journal in step with link and state. What it says last stays while the controller is away."""

    def __init__(self, state: State, link: Link, path: Path) -> None:
        self._state = state
        self._link = link
        self._writer = Writer(path)
        self._reader = Reader(path, link.host)
        self._table = Table(link.host)
        self._lines: list[Line] = []
        self._early: list[tuple[Mapping[UUID, wire.NetworkNames], bool]] | None = []
        self._wanted = asyncio.Event()
        self._again = True
        self.alarms: list[str] = []
        link.on_names(self._take)
        link.on_change(self._wanted.set)
        state.on_change(self._wanted.set)

    async def run(self) -> None:
        """Keep it so for ever."""
        if self._early is not None:
            table, _ = await asyncio.to_thread(self._reader.fetch)
            self._reader.close()
            self._table = table or self._table
            early, self._early = self._early, None
            for names, whole in early:
                self._take(names, whole)
        while True:
            self._wanted.clear()
            self._compare()
            try:
                await self._write()
                self.alarms = []
            except OSError as error:
                self._again = True
                self.alarms = [f"names of containers can't be written down, so the resolver's are old: {error}"]
                await asyncio.sleep(_RETRY)
                continue
            await self._wanted.wait()
            await asyncio.sleep(_PAUSE)

    def _take(self, told: Mapping[UUID, wire.NetworkNames], whole: bool) -> None:
        if self._early is not None:
            self._early.append((told, whole))
            return
        if whole:
            for endpoint, entry in list(self._table.entries()):
                if entry.network not in told:
                    self._say(journal.drop_line(endpoint))
        for network, names in told.items():
            self._take_network(network, names)
        self._wanted.set()

    def _take_network(self, network: UUID, names: wire.NetworkNames) -> None:
        gone = {_key(endpoint) for endpoint in names.gone}
        if names.whole:
            gone |= {key for key, entry in self._table.entries() if entry.network == network}
            gone -= {_key(item.id) for item in names.put}
        for key in gone:
            self._say(journal.drop_line(key))
        for item in names.put:
            named = Named(
                network, int(item.address), item.container[:_DIGITS], item.host, tuple(item.names), int(item.address6 or 0)
            )
            if self._table.entry(_key(item.id)) != named:
                self._say(journal.put_line(_key(item.id), named))

    def _compare(self) -> None:
        """Note what changed of networks, hosts, and this host's endpoints."""
        known = self._table.networks()
        if self._link.synced:
            named = {net.id: (net.name.lower(), net.internal) for net in self._link.networks.values()}
            for network in named.keys() | known.keys():
                if known.get(network) != named.get(network):
                    name, internal = named.get(network, ("", False))
                    self._say(journal.network_line(network, name, internal=internal))
            silent = {host.name for host in self._link.hosts.values() if host.silent}
            if silent != self._table.silent:
                self._say(journal.silent_line(silent))
        here = {_key(record.id): record for record in self._state.endpoints.values()}
        before = dict(self._table.locals())
        for key in before.keys() - here.keys():
            self._say(journal.gone_line(key))
        for key, record in here.items():
            entry = self._table.entry(key)
            place = (record.network, int(record.address), entry.container if entry else "")
            if before.get(key) != place:
                self._say(journal.local_line(key, *place))

    def _say(self, line: Line) -> None:
        journal.apply(self._table, line)
        self._lines.append(line)

    async def _write(self) -> None:
        if not self._again and self._lines:
            lines, self._lines = self._lines, []
            self._again = await asyncio.to_thread(self._writer.append, lines)
        if self._again:
            self._lines = []
            await asyncio.to_thread(self._writer.replace, _listed(self._table))
            self._again = False


def _listed(table: Table) -> Iterable[Line]:
    return list(journal.whole(table))


def _key(endpoint: str) -> str:
    return endpoint[:_DIGITS]
