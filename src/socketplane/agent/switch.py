"""This host's Open vSwitch: the bridge br-int and its ports, through the local Open_vSwitch database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

import structlog

from socketplane.agent import rows
from socketplane.agent.gather import Gatherer
from socketplane.agent.rows import BRIDGE, OWNER, Index, SwitchPort
from socketplane.config import Paths
from socketplane.errors import Unavailable
from socketplane.model import forwarding
from socketplane.model.forwarding import Traits
from socketplane.ovsdb import (
    Client,
    ConstraintViolation,
    Disconnected,
    Operation,
    OvsdbError,
    Replica,
    Row,
    RowChange,
    by_uuid,
    mutate,
)

PATIENCE = 10.0
"""Seconds for which a request waits for ovsdb-server or ovs-vswitchd before it is Unavailable."""
_RELEASE = 2.0
_ZONE = "ct-zone-"
"""Begins keys of br-int's external_ids in which ovn-controller keeps the zones that it gave to ports."""
_log = structlog.get_logger()


class Switch:
    """The local Open vSwitch, shared by endpoints' ports and the gateway. An async context manager.

    It can be entered before ovsdb-server runs; requests then wait up to `patience` seconds for it. Every request is
    idempotent and touches only rows that carry our mark (and br-int's own settings, as ovn-controller does).
    """

    def __init__(self, paths: Paths, *, patience: float = PATIENCE) -> None:
        self._socket = paths.ovs_socket
        self._patience = patience
        self._client = Client([f"unix:{self._socket}"], "Open_vSwitch")
        self._gatherer = Gatherer(self._client)
        self._index = Index()
        self._replica: asyncio.Task[Replica] | None = None
        self._stack = AsyncExitStack()
        self._traits: Traits | None = None

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._client)
        self._stack.push_async_callback(self._gatherer.close)
        self._replica = asyncio.create_task(self._client.monitor(rows.TABLES, self._note), name="ovs replica")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._replica is not None:
            self._replica.cancel()
            await asyncio.wait([self._replica])
        await self._stack.aclose()

    @property
    def connected(self) -> bool:
        """Whether ovsdb-server can be asked now."""
        return self._client.connected

    @property
    def chosen(self) -> Traits | None:
        """The datapath that `ovn-bridge-datapath-type` names; None while the database is not read or names none."""
        tables = self._tables
        root = next(iter(tables["Open_vSwitch"].values()), None) if tables is not None else None
        if root is None:
            return None
        return forwarding.named(root["external_ids"].get("ovn-bridge-datapath-type"), root["other_config"])

    async def ensure_bridge(self, traits: Traits) -> None:
        """Make br-int, or set right what is wrong with it: datapath, fail mode, no in-band control."""
        replica = await self.replica()
        self._traits = traits
        made = await self._transact_until_done(lambda: rows.bridge_operations(replica, self._index, traits))
        if made:
            _log.info("bridge set up", bridge=BRIDGE, datapath=traits.kind)

    async def put(self, port: SwitchPort) -> bool:
        """Make a port, or set right what is wrong with it; return whether there was something to do.

        Conflict: a port of that name is not ours.
        """
        replica = await self.replica()
        if BRIDGE not in self._index.bridges and self._traits is not None:
            await self.ensure_bridge(self._traits)  # somebody deleted it
        return await self._transact_until_done(lambda: rows.port_operations(replica, self._index, port))

    async def delete(self, name: str, owner: str) -> bool:
        """Remove a port; return whether there was one of ours."""
        replica = await self.replica()
        return await self._transact_until_done(lambda: rows.delete_operations(replica, self._index, name, owner))

    async def retire(self, name: str, owner: str) -> None:
        """Remove a port whose name will be used again, and return once nobody knows it any more.

        OVN 23.03 gives a port that it releases and claims in one turn no conntrack zone, for ever.
        """
        replica = await self.replica()
        await self._transact_until_done(lambda: rows.release_operations(replica, self._index, name, owner))
        with suppress(TimeoutError):  # ovn-controller does not run: it will see the end of all this only
            await replica.wait_for(lambda _: not rows.is_installed(self.interface(name)), _RELEASE)
        if await self.delete(name, owner):
            await self.settled()

    async def restrain(self) -> None:
        """Keep OVN from using a capability of the userspace datapath that ends ovs-vswitchd (see `rows`), for ever.

        ovs-vswitchd claims it anew whenever it starts.
        """
        replica = await self.replica()
        while True:
            await replica.wait_for(rows.restrain_operations)
            await self._transact_until_done(lambda: rows.restrain_operations(replica))
            _log.info("zero snat refused")

    async def settled(self) -> None:
        """Return once ovs-vswitchd has done what the database says. Unavailable: it does not in time."""
        replica = await self.replica()
        root = rows.root_uuid(replica)
        await self._transact(lambda: [mutate("Open_vSwitch", by_uuid(root), [("next_cfg", "+=", 1)])])
        goal = replica["Open_vSwitch"][root]["next_cfg"]
        try:
            await replica.wait_for(lambda tables: tables["Open_vSwitch"][root]["cur_cfg"] >= goal, self._patience)
        except TimeoutError:
            raise Unavailable("ovs-vswitchd does not answer", remedy="see that ovs-vswitchd runs") from None

    def interface(self, name: str) -> Row | None:
        """Return an interface as the database shows it now."""
        tables = self._tables
        uuid = self._index.interfaces.get(name)
        return tables["Interface"].get(uuid) if tables is not None and uuid is not None else None

    def interfaces(self, owner: str) -> Iterator[Row]:
        """Return our interfaces of one role, as the database shows them now."""
        tables = self._tables
        if tables is not None:
            for row in tables["Interface"].values():
                if row["external_ids"].get(OWNER) == owner:
                    yield row

    async def installed(self, name: str, timeout: float) -> None:  # noqa: ASYNC109 - the bound is the contract
        """Return once ovn-controller and ovs-vswitchd serve the port.

        Unavailable after `timeout` seconds, with what is missing in its message.
        """
        try:
            async with asyncio.timeout(timeout):
                replica = await self.replica()
                await replica.wait_for(lambda _: rows.is_installed(self.interface(name)))
        except TimeoutError:
            raise rows.not_installed(self._tables, self.interface(name), name, timeout) from None

    def zones(self) -> dict[int, str]:
        """Return the conntrack zones of this host's logical ports, and whose they are."""
        found = {}
        for key, value in self._bridge_ids().items():
            if key.startswith(_ZONE) and value.isdecimal():
                found[int(value)] = key.removeprefix(_ZONE)
        return found

    async def reached(self, sequence: int) -> None:
        """Return once the flows of that sequence number of OVN's northbound (`nb_cfg`) are installed."""
        replica = await self.replica()
        await replica.wait_for(lambda _: int(self._bridge_ids().get("ovn-nb-cfg", "0")) >= sequence)

    @property
    def sequence(self) -> int:
        """The last one that is."""
        found = self._bridge_ids().get("ovn-nb-cfg", "0")
        return int(found) if found.isdecimal() else 0

    def _bridge_ids(self) -> Mapping[str, str]:
        tables, uuid = self._tables, self._index.bridges.get(BRIDGE)
        row = tables["Bridge"].get(uuid) if tables is not None and uuid is not None else None
        return row["external_ids"] if row is not None else {}

    async def replica(self) -> Replica:
        """Return the live copy of the database. Unavailable: ovsdb-server does not answer."""
        if self._replica is None:
            raise Unavailable("not connected to Open vSwitch")
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(self._replica)
        except (TimeoutError, OvsdbError) as error:
            raise self._unavailable(error) from error

    @property
    def _tables(self) -> Replica | None:
        task = self._replica
        return task.result() if task is not None and task.done() and not task.cancelled() and not task.exception() else None

    def _note(self, changes: Sequence[RowChange]) -> None:
        # Removals first: within one update a name may go from one row to another.
        for change in sorted(changes, key=lambda change: change.new is not None):
            self._index.note(change.table, change.uuid, change.old, change.new)

    async def _transact_until_done(self, missing: Callable[[], list[Operation]]) -> bool:
        """Transact what is `missing` until nothing is; return whether something was."""
        did = False
        async with _bound(self._patience, self._unavailable):
            while missing():
                did = True
                await self._transact(missing)
        return did

    async def _transact(self, make: Callable[[], list[Operation]]) -> None:
        """Transact once what `make` says; a connection that breaks, or a row that was made meanwhile, is no failure."""
        try:
            await self._client.wait_connected(self._patience)
            if operations := make():
                await self._gatherer.transact(operations)
        except ConstraintViolation as error:  # somebody else inserted that name: look again
            _log.debug("row exists meanwhile", error=str(error))
        except Disconnected as error:
            _log.warning("Open vSwitch's database went away", error=str(error))
        except OvsdbError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: BaseException) -> Unavailable:
        remedy = f"see that ovsdb-server runs and listens on {self._socket}"
        return Unavailable(f"Open vSwitch's database does not answer ({error or 'timeout'})", remedy=remedy)


class _bound:  # noqa: N801 - reads like asyncio.timeout
    def __init__(self, seconds: float, error: Callable[[BaseException], Unavailable]) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._error = error

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise self._error(late) from None
