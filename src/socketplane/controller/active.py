"""A controller's turn: from holding both locks until a later one takes over or the process stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import structlog

from socketplane import wire
from socketplane.compile import Compiler, Features
from socketplane.controller import bgp
from socketplane.controller.checks import CheckBook
from socketplane.controller.denials import Denials
from socketplane.controller.floating import FloatingBook
from socketplane.controller.hub import Hub
from socketplane.controller.limits import LimitBook
from socketplane.controller.namebook import NameBook
from socketplane.controller.plans import holders, leases, networks, services
from socketplane.controller.policies import Policies
from socketplane.controller.probes import Probes
from socketplane.controller.reconciler import Reconciler
from socketplane.controller.reports import Reports
from socketplane.controller.serviceviews import ServiceViews
from socketplane.controller.store import Change, Store
from socketplane.controller.views import Views, limits_of
from socketplane.controller.writer import Writer
from socketplane.errors import SocketPlaneError
from socketplane.model.ipam import REST_SECONDS
from socketplane.model.types import Cluster, Host, Network
from socketplane.ovsdb import Client, Lock

WRITTEN_SECONDS = 4.0
"""How long a request waits for the northbound; with the writer's patience less than a client waits for its answer."""
_TICK = 1.0
_TIDY_SECONDS = 10.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Active:
    """What answers requests: the intent, its writer, the northbound, and what agents reported."""

    store: Store
    writer: Writer
    policies: Policies
    reconciler: Reconciler
    reports: Reports
    denials: Denials
    hub: Hub
    limits: LimitBook
    checks: CheckBook
    names: NameBook
    floating: FloatingBook
    views: Views
    services: ServiceViews
    probes: Probes
    clock: Callable[[], float]

    def snapshot(self, host: str = "") -> wire.Change:
        """Return the first line of a watch, for a host's agent with what is its own."""
        intent = self.store.committed
        limits = self.limits.all_of(intent.endpoints_of_host.get(host, ()))
        return wire.Change(
            type="snapshot",
            networks=[self.views.network(network) for network in intent.networks.values() if network.name],
            hosts=[self._host(host) for host in intent.hosts.values()],
            rules=self.rules(),
            limits={key: limits_of(found) for key, found in limits.items()} if host else None,
            names=self.names.all_of(host) if host else None,
            floating=self.floating.all_of(host) if host else None,
            checks=self.checks.all_of(intent.endpoints_of_host.get(host, ())) if host else None,
            bgp=bgp.settings(intent, host) if host else None,
        )

    def rules(self) -> wire.Rules | None:
        """Return which rules the northbound has; None while it refuses some of the first ones."""
        revision, sequence = self.reconciler.ruleset.written
        return wire.Rules(revision=revision, sequence=sequence) if revision else None

    def publish_rules(self) -> None:
        """Tell those who watch that the northbound has other rules."""
        self._publish(wire.Change(type="put", kind="rules", rules=self.rules()))

    def interrupt(self, host: str, interruptions: Sequence[wire.Interruption]) -> bool:
        """Have a host's agent interrupt streams; return whether it listens."""
        return self.hub.tell(host, line_of(wire.Change(type="interrupt", interruptions=list(interruptions))))

    def publish_host(self, name: str) -> None:
        """Tell those who watch of a host as it is now."""
        if (host := self.store.committed.hosts.get(name)) is not None:
            self._publish(wire.Change(type="put", kind="host", host=self._host(host)))

    def _host(self, host: Host) -> wire.Host:
        """Show a host to others: how it stands with its peers is not theirs to know, and would be told of each pair."""
        shown = self.views.host(host)
        report = shown.report and shown.report.model_copy(update={"peers": []})
        return shown.model_copy(update={"report": report})

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell those who watch of committed changes."""
        for change in changes:
            match change.new or change.old:
                case Host(name=name):
                    if isinstance(change.old, Host) and change.new == replace(change.old, lost=not change.old.lost):
                        continue  # those who watch are told by what is reported, not by what is stored of it
                    if change.new is None:
                        self.reports.forget(name)
                        self.denials.forget(name)
                        self._publish(wire.Change(type="delete", kind="host", id=name))
                    else:
                        self.publish_host(name)
                case Network() as network if network.name:
                    if change.new is None:
                        self._publish(wire.Change(type="delete", kind="network", id=str(network.id)))
                    else:
                        self._publish(wire.Change(type="put", kind="network", network=self.views.network(network)))
                case _:
                    pass
        for host, limits in self.limits.take(changes).items():
            told = {key: limits_of(found) for key, found in limits.items()}
            self.hub.tell(host, line_of(wire.Change(type="put", kind="limits", limits=told)))
        intent = self.store.committed
        for host in bgp.concerned(intent, [item for change in changes for item in (change.old, change.new)]):
            self.hub.tell(host, line_of(wire.Change(type="put", kind="bgp", bgp=bgp.settings(intent, host))))
        for host, checks in self.checks.take(changes).items():
            self.hub.tell(host, line_of(wire.Change(type="put", kind="checks", checks=checks)))
        for hosts, names in self.names.take(changes):
            self.hub.tell_all(hosts, line_of(wire.Change(type="put", kind="names", names=names)))
        for host in self.floating.take(changes):
            held = self.floating.all_of(host)
            self.hub.tell(host, line_of(wire.Change(type="put", kind="floating", floating=held)))

    def _publish(self, change: wire.Change) -> None:
        if len(self.hub):
            self.hub.publish(line_of(change))

    async def run(self) -> None:
        """Work until a later controller takes over; then return. Cancelled when the process stops."""
        fences = (self.store.fence, self.reconciler.northbound.fence)
        ends = [asyncio.create_task(fence.wait_deposed()) for fence in fences]
        runs = (self.writer.run, self.policies.run, self.reconciler.run, self._tidy, self._elect)
        works = [asyncio.create_task(run()) for run in runs]
        try:
            done, _ = await asyncio.wait((*ends, *works), return_when=asyncio.FIRST_COMPLETED)
            if not any(fence.deposed for fence in fences):
                await next(iter(done))  # one of the works ended, which only a fault makes it do
        finally:
            for task in (*ends, *works):
                task.cancel()
            await asyncio.gather(*ends, *works, return_exceptions=True)

    @property
    def silent(self) -> set[str]:
        """The hosts that are probably gone."""
        now = self.clock()
        return {host for host in self.store.committed.hosts if self.reports.is_silent(host, now)}

    async def _elect(self) -> None:
        """Give floating addresses to others when who has one is gone."""
        while True:
            await self.floating.wake.wait()
            due, silent = self.floating.take_due(), self.silent
            try:
                await self.writer.submit(partial(holders.elect, addresses=due, silent=silent))
            except SocketPlaneError as error:
                _log.info("floating.postponed", reason=str(error))
                self.floating.look_at(due)
                await asyncio.sleep(_TICK)

    async def _tidy(self) -> None:
        """Do what only the passing of time brings about."""
        due = 0.0
        while True:
            await asyncio.sleep(_TICK)
            now = self.clock()
            silenced = self.reports.silenced(self.store.committed.hosts, now)
            for name in self.reports.turned(now) | silenced:
                self.publish_host(name)
            if silenced:
                self.floating.look_at(self.store.committed.floating)
            await self._note_lost(now)
            if time.monotonic() < due:
                continue
            due = time.monotonic() + _TIDY_SECONDS
            try:
                purged = await self.writer.submit(lambda draft: leases.purge(draft, REST_SECONDS))
                collected = await self.writer.submit(networks.collect_pending)
            except SocketPlaneError as error:
                _log.info("tidy.postponed", reason=str(error))
                continue
            if purged or collected:
                _log.info("tidy.done", leases=purged, networks=[str(network.id) for network in collected])

    async def _note_lost(self, now: float) -> None:
        """Note which hosts are not heard any more: what is there is no service's backend while others are."""
        silent = {name: self.reports.is_silent(name, now) for name in self.store.committed.hosts}
        turned = {name: lost for name, lost in silent.items() if self.store.committed.hosts[name].lost != lost}
        for name in list(turned):
            if not turned[name] and self.reports.get(name)[0] is None:
                del turned[name]  # a controller that started a moment ago: who was lost has not been heard since
        if turned:
            try:
                await self.writer.submit(lambda draft: services.lose(draft, turned))
            except SocketPlaneError as error:
                _log.info("hosts.noted_later", reason=str(error))


def line_of(change: wire.Change) -> bytes:
    """Return a change as a line of the stream."""
    return change.model_dump_json(exclude_none=True).encode() + b"\n"


@asynccontextmanager
async def begin(
    intent: Client,
    intent_lock: Lock,
    northbound: Client,
    northbound_lock: Lock,
    cluster: Cluster,
    *,
    clock: Callable[[], float] = time.time,
    durable: bool = True,
) -> AsyncIterator[Active]:
    """Begin a turn: load everything and make the northbound equal to the intent. Both locks must be held.

    Raises:
        OvsdbError: a database does not answer, or refuses.
    """
    store = Store(intent, intent_lock)
    try:
        await store.open(cluster, clock())
        writer = Writer(intent, store, store.fence, clock=clock, durable=durable)
        features = Features.from_schema(northbound.schema)
        policies = Policies(store, writer, features, clock)
        await policies.take_back_overdue()
        record = store.committed.cluster
        compiler = Compiler(record.cluster, features)
        reconciler = Reconciler(northbound, northbound_lock, record.cluster, store.epoch, compiler)
        try:
            items = [*store.committed.hosts.values(), *store.committed.networks.values()]
            others = [*store.committed.policies.values(), *store.committed.endpoints.values()]
            others += [*store.committed.traffic.values(), *store.committed.floating.values()]
            others += store.committed.services.values()
            store.listen(reconciler.feed)
            await reconciler.open(cast("Any", [*items, *others]))
            reports, hub = Reports(clock()), Hub()
            limits = LimitBook(compiler.index)
            limited = [*store.committed.traffic.values(), *store.committed.endpoints.values()]
            limits.take([Change(None, cast("Any", item)) for item in limited])
            views = Views(store.committed, reports, limits, reconciler.northbound.is_up, clock)
            probes = Probes(lambda host, order: hub.tell(host, line_of(wire.Change(type="probe", probe=order))))
            service_views = ServiceViews(store.committed, compiler.index, compiler.services)
            checks = CheckBook(compiler.index, compiler.services)
            checks.take([Change(None, endpoint) for endpoint in store.committed.endpoints.values()])
            active = Active(
                store=store,
                writer=writer,
                policies=policies,
                reconciler=reconciler,
                reports=reports,
                denials=Denials(),
                hub=hub,
                limits=limits,
                checks=checks,
                names=NameBook(store.committed, service_views),
                floating=FloatingBook(store.committed),
                views=views,
                services=service_views,
                probes=probes,
                clock=clock,
            )
            store.listen(active.publish)
            reconciler.ruleset.on_written = active.publish_rules
            try:
                yield active
            finally:
                hub.close()
        finally:
            await reconciler.northbound.close()
    finally:
        await store.close()
