"""Puts right what handlers missed: Docker's endpoints, the controller's, ports and leases, compared again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import structlog

from socketplane import wire
from socketplane.agent.asked import Asked, asked
from socketplane.agent.compare import Ages, Attached, Findings, Seen, compare
from socketplane.agent.docker import Docker
from socketplane.agent.inventory import Container, Event, Inventory, container_of
from socketplane.agent.link import Link
from socketplane.agent.locks import Locks
from socketplane.agent.names.aliases import aliases_of
from socketplane.agent.outbox import Outbox
from socketplane.agent.plumbing import Plumbing
from socketplane.agent.publisher import Publisher
from socketplane.agent.revive import Reviver
from socketplane.agent.state import EndpointRecord, State
from socketplane.agent.wake import woken
from socketplane.errors import NotFound, SocketPlaneError, Unavailable
from socketplane.model.types import mac_of

INTERVAL = 10.0
GRACE = 60.0
_BULK = 500
_ENDED = frozenset({"exited", "dead"})
_log = structlog.get_logger()


class Reconciler:
    """Runs every few seconds and after events; never inside a handler."""

    def __init__(
        self,
        state: State,
        link: Link,
        docker: Docker,
        inventory: Inventory,
        plumbing: Plumbing,
        outbox: Outbox,
        locks: Locks,
        publisher: Publisher,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        interval: float = INTERVAL,
        grace: float = GRACE,
    ) -> None:
        self._state = state
        self._link = link
        self._docker = docker
        self._inventory = inventory
        self._plumbing = plumbing
        self._outbox = outbox
        self._locks = locks
        self._publisher = publisher
        self._clock = clock
        self._wall = wall
        self._interval = interval
        self._grace = grace
        self._ages = Ages(grace)
        self._reviver = Reviver(docker, clock=clock)
        self._wanted = asyncio.Event()
        self._listed: list[dict[str, Any]] = []
        self._standing = asyncio.Event()
        self.alarms: list[str] = []
        """What only a person can put right."""

    def wake(self) -> None:
        """Compare soon."""
        self._wanted.set()

    def on_event(self, event: Event) -> None:
        """Compare when the engine came back, a container was renamed, or one started whose name is wanted still."""
        match event.type, event.action:
            case "engine", "connected":
                self._reviver.forget()
                self.wake()
            case "container", "rename":
                self.wake()
            case "network", "connect" if self._state.unsettled:
                self.wake()

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            await woken(self._wanted, self._interval)
            try:
                await self.reconcile()
            except Unavailable as error:
                _log.debug("reconcile.waiting", reason=str(error))

    async def revive(self) -> None:
        """Start for ever what Docker gave up on. Apart from comparing: a start that fails again can take 15 s."""
        while True:
            await self._standing.wait()
            self._standing.clear()
            await self._reviver.revive(self._listed)

    async def reconcile(self) -> None:
        """Compare once, and do what is due."""
        listed = await self._docker.containers()
        seen = await self._look(await self._attached(listed))
        findings = compare(seen)
        due = self._ages.ripe(findings, self._clock())
        self.alarms = [_unplugged(entry) for entry in findings.unplugged]
        await self._remove(await self._confirmed(due))
        await self._put(findings.put)
        self._recall(seen)
        await self._drop_pending()
        self._listed = listed
        if not self._link.down:
            self._standing.set()

    async def _attached(self, listed: list[dict[str, Any]]) -> dict[str, Attached]:
        """Return the endpoints on our networks that Docker's containers hold.

        Of one that ended while dockerd was down, Docker still describes the endpoints that it had.
        """
        found: dict[str, Attached] = {}
        for entry in listed:
            if entry.get("State") in _ENDED:
                continue
            for place in ((entry.get("NetworkSettings") or {}).get("Networks") or {}).values():
                record = self._state.networks.get(str(place.get("NetworkID") or ""))
                if record is None or not place.get("EndpointID") or not place.get("IPAddress"):
                    continue
                address = IPv4Address(place["IPAddress"])
                mac = str(place.get("MacAddress") or "").lower() or mac_of(address)
                endpoint = str(place["EndpointID"])
                container = container_of(entry)
                inspected = await self._inspected(endpoint, container)
                if inspected is not None:
                    wanted, aliases = inspected
                    container = replace(container, labels=wanted.over(container.labels))
                    published = known.published if (known := self._state.endpoints.get(endpoint)) else ()
                    address6 = IPv6Address(place["GlobalIPv6Address"]) if place.get("GlobalIPv6Address") else None
                    found[endpoint] = Attached(
                        endpoint, record.id, address, mac, container, wanted, published, address6, aliases
                    )
        return found

    async def _inspected(self, endpoint: str, container: Container) -> tuple[Asked, tuple[str, ...]] | None:
        """Return what a container's user asked for, and aliases; None where it is gone. It is inspected once."""
        record = self._state.endpoints.get(endpoint)
        if record is not None and record.aliases is not None:
            return record.asked, record.aliases
        try:
            places = (await self._docker.inspect(container.id))["NetworkSettings"]["Networks"].values()
        except NotFound:
            return None
        place: dict[str, Any] = next((place for place in places if place.get("EndpointID") == endpoint), {})
        aliases = aliases_of(place, container)
        record = self._state.endpoints.get(endpoint)
        if record is None:
            return asked(place.get("DriverOpts") or {}), aliases
        if place:  # else it is only joining
            self._state.endpoints[endpoint] = replace(record, aliases=aliases)
            self._state.changed()
        return record.asked, aliases

    async def _look(self, docker: dict[str, Attached]) -> Seen:
        endpoints: dict[str, wire.Endpoint] | None = None
        leases: list[wire.Lease] | None = None
        host = {"host": self._link.host}
        try:
            answer = await self._link.call("GET", "/v1/endpoints", params=host, patience=0)
            endpoints = {item["id"]: wire.Endpoint.model_validate(item) for item in answer["items"]}
            answer = await self._link.call("GET", "/v1/leases", params=host, patience=0)
            leases = [wire.Lease.model_validate(item) for item in answer["items"]]
        except Unavailable as error:
            _log.debug("reconcile.no_controller", reason=str(error))
        held = {key: record.places for key, record in self._state.endpoints.items()}
        busy = {key for key in {*docker, *(endpoints or {}), *held} if self._locks.busy(key)}
        return Seen(docker, endpoints, leases, self._plumbing.ports(), held, busy)

    async def _confirmed(self, due: Findings) -> Findings:
        """Leave out what Docker still lists on a network though no running container shows it: a start under way."""
        if not (due.endpoints or due.ports or due.leases or due.held):
            return due
        kept: set[str] = set()
        addresses = set()
        for docker_id, record in list(self._state.networks.items()):
            try:
                told = await self._docker.network(docker_id)
            except NotFound:
                continue
            for place in (told.get("Containers") or {}).values():
                kept.add(str(place.get("EndpointID", "")))
                texts = [str(place.get(key) or "").partition("/")[0] for key in ("IPv4Address", "IPv6Address")]
                addresses |= {(record.id, ip_address(text)) for text in texts if text}
        short = {endpoint[:12] for endpoint in kept}
        return Findings(
            endpoints=due.endpoints - kept,
            ports=frozenset(port for port in due.ports if port[:12] not in short),
            leases=due.leases - addresses,
            held=due.held - kept,
        )

    async def _remove(self, due: Findings) -> None:
        for endpoint in sorted(due.ports | due.endpoints | due.held):
            async with self._locks.hold(endpoint):
                await self._publisher.withdraw(endpoint)
                self._state.drop_endpoint(endpoint, self._wall())
                if endpoint in due.ports:
                    await self._detach(endpoint)
                if endpoint in due.endpoints:
                    _log.info("reconcile.endpoint_removed", endpoint=endpoint[:12])
                    await self._outbox.delete_endpoint(endpoint)
        for network, address in sorted(due.leases, key=str):
            _log.info("reconcile.lease_released", network=str(network), address=str(address))
            await self._outbox.release(network, address)

    async def _detach(self, endpoint: str) -> None:
        try:
            await self._plumbing.detach(endpoint)
        except (SocketPlaneError, OSError) as error:
            _log.warning("reconcile.detach_failed", endpoint=endpoint[:12], reason=str(error))
        else:
            _log.info("reconcile.port_removed", endpoint=endpoint[:12])

    async def _put(self, missing: tuple[Attached, ...]) -> None:
        """Tell the controller of endpoints that it lacks or does not know well, many at once."""
        for start in range(0, len(missing), _BULK):
            batch = {entry.endpoint: entry for entry in missing[start : start + _BULK] if self._stands(entry.endpoint)}
            if not batch:
                continue
            for entry in batch.values():
                self._hold(entry)
            errors = await self._send(list(batch.values()))
            self._state.unsettled -= set(batch) - set(errors)
            again = [batch[key] for key in errors if key in batch and self._stands(key)]
            for entry in again:
                await self._lease(entry)
            for endpoint, reason in (await self._send(again)).items() if again else ():
                _log.error("reconcile.refused", endpoint=endpoint[:12], reason=reason.get("message"))

    async def _send(self, entries: list[Attached]) -> dict[str, dict[str, str | None]]:
        body = wire.EndpointBulk(put=[entry.put() for entry in entries])
        answer = await self._link.call("POST", "/v1/endpoints", body, patience=0)
        errors = wire.EndpointBulkReply.model_validate(answer).errors
        _log.info("reconcile.endpoints_put", count=len(entries), refused=len(errors))
        return errors

    def _stands(self, endpoint: str) -> bool:
        """Return whether Docker has not taken the endpoint back since it was listed."""
        return endpoint not in self._state.gone and not self._locks.busy(endpoint)

    async def _lease(self, entry: Attached) -> None:
        """Take the addresses of a container that runs with them, where the controller lost the leases."""
        for address in entry.addresses:
            body = wire.LeaseCreate(address=address, request=f"{self._link.host}:{entry.endpoint}:{address.version}")
            try:
                await self._link.lease(entry.network, body)
            except SocketPlaneError as error:
                _log.warning("reconcile.no_lease", endpoint=entry.endpoint[:12], reason=str(error))

    def _hold(self, entry: Attached) -> None:
        record = self._state.endpoints.get(entry.endpoint)
        network = self._state.by_network(entry.network)
        if record is None and network is not None:
            self._state.endpoints[entry.endpoint] = EndpointRecord(
                entry.endpoint,
                network.docker,
                network.id,
                entry.address,
                network.subnet.prefixlen,
                entry.mac,
                put=True,
                rate=entry.asked.rate,
                labels=entry.asked.labels,
                address6=entry.address6,
                aliases=entry.aliases,
            )
            self._state.changed()
        self._state.mark_put(entry.endpoint)

    def _recall(self, seen: Seen) -> None:
        """Hold what runs here and the controller knows well, but a crash just after its start left out of our file."""
        for endpoint, entry in (seen.docker or {}).items():
            if endpoint in (seen.endpoints or {}) and endpoint not in self._state.endpoints and self._stands(endpoint):
                self._hold(entry)

    async def _drop_pending(self) -> None:
        """Delete networks that Docker asked for here and then did not make, as after a crash in between."""
        now = self._wall()
        ours = {record.id for record in self._state.networks.values()}
        try:
            networks = await self._link.all_networks(patience=0)
        except Unavailable:
            return
        for network in networks:
            if network.name or network.origin != self._link.host or network.id in ours:
                continue
            if now - max(network.created, self._state.pools.get(network.id, 0.0)) < self._grace:
                continue
            self._state.pools.pop(network.id, None)
            _log.info("reconcile.pending_network_removed", network=str(network.id))
            await self._link.delete_network(network.id)


def _unplugged(entry: Attached) -> str:
    name = entry.container.name or entry.container.id[:12]
    return f"container {name} has lost its interface; `docker network disconnect` and `connect` it, or restart it"
