"""The agent's way to the controller: bounded patience, one circuit breaker for all callers, the last snapshot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol
from uuid import UUID

import structlog
from pydantic import BaseModel

from socketplane import wire
from socketplane.errors import NotFound, SocketPlaneError, Unavailable
from socketplane.model.types import Address

PATIENCE = 10.0
"""Seconds that an attach waits for a controller, counted from when it was first missed, by whomever."""
UNREACHABLE = "the controller is unreachable"
_PROBE_EVERY = 1.0
_DELETED_AT_MOST = 1000
_RETRY_EVERY = 0.25
_log = structlog.get_logger()


ChecksListener = Callable[[Mapping[str, list[wire.Check]], bool], None]
NamesListener = Callable[[Mapping[UUID, wire.NetworkNames], bool], None]


class Client(Protocol):
    """What the link needs of `transport.client.ControllerClient`."""

    async def call(
        self,
        method: str,
        path: str,
        body: BaseModel | Mapping[str, Any] | None = None,
        params: Mapping[str, str | int | float | Sequence[str]] | None = None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> Any:
        """Return the parsed answer."""

    def watch(self) -> AsyncIterator[wire.Change]:
        """Yield changes for ever."""


class Breaker:
    """Knows since when somebody has not answered, so that forty callers don't each wait their whole patience."""

    def __init__(self, clock: Callable[[], float], whom: str = "controller") -> None:
        self._clock = clock
        self._whom = whom
        self.down_since: float | None = None
        self._last_try = 0.0
        self._reason = ""

    def refuse(self, patience: float) -> None:
        """Raise Unavailable when it was missed for longer than `patience` and somebody tried a moment ago."""
        now = self._clock()
        if self.down_since is not None and now - self.down_since >= patience and now - self._last_try < _PROBE_EVERY:
            raise Unavailable(self._reason)
        self._last_try = now

    def failed(self, reason: str) -> None:
        """Note that nobody answered."""
        self._last_try = self._clock()
        self._reason = reason
        if self.down_since is None:
            self.down_since = self._last_try
            _log.warning(f"{self._whom}.unreachable", reason=reason)

    def answered(self) -> None:
        """Note an answer."""
        if self.down_since is not None:
            _log.info(f"{self._whom}.back", after=round(self._clock() - self.down_since, 1))
        self.down_since = None

    def left(self, patience: float) -> float:
        """Return how much of `patience` remains."""
        return patience if self.down_since is None else patience - (self._clock() - self.down_since)


class Link:
    """Calls to the controller, and its networks and hosts as it last told them (pending networks are not told)."""

    def __init__(
        self,
        client: Client,
        host: str,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._patience = patience
        self._breaker = Breaker(clock)
        self._listeners: list[Callable[[], None]] = []
        self._rules_listeners: list[Callable[[], None]] = []
        self._interruption_listeners: list[Callable[[Sequence[wire.Interruption]], None]] = []
        self._limits_listeners: list[Callable[[Collection[str]], None]] = []
        self._snapshots = 0
        self._names_listeners: list[NamesListener] = []
        self._floating_listeners: list[Callable[[Mapping[Address, str]], None]] = []
        self._checks_listeners: list[ChecksListener] = []
        self._bgp_listeners: list[Callable[[], None]] = []
        self._probe_listeners: list[Callable[[wire.ProbeOrder], None]] = []
        self.host = host
        """This host's name in the cluster."""
        self.networks: dict[UUID, wire.Network] = {}
        self.hosts: dict[str, wire.Host] = {}
        self.rules: wire.Rules | None = None
        """What decides about connections, as the controller told it last."""
        self.bgp: wire.BgpSettings | None = None
        """What this host has to do with BGP, as the controller told it last; None while none has."""
        self.limits: dict[str, wire.Limits] = {}
        """Limits of this host's endpoints, as the controller told them last; none where it lifted them."""
        self._deleted: dict[UUID, None] = {}
        self.synced = False
        """Whether `networks` came from a controller at all."""

    @property
    def down(self) -> bool:
        """Whether the last attempt found nobody."""
        return self._breaker.down_since is not None

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever networks changed or the controller came back."""
        self._listeners.append(listener)

    def on_rules(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever the rules changed."""
        self._rules_listeners.append(listener)

    def on_interruptions(self, listener: Callable[[Sequence[wire.Interruption]], None]) -> None:
        """Have `listener` called with the streams that this host is told to interrupt."""
        self._interruption_listeners.append(listener)

    def on_limits(self, listener: Callable[[Collection[str]], None]) -> None:
        """Have `listener` called with the endpoints whose limits changed; with none when all may have."""
        self._limits_listeners.append(listener)

    def on_names(self, listener: NamesListener) -> None:
        """Have `listener` called with names that changed, by network; and whether those are all networks."""
        self._names_listeners.append(listener)

    def on_floating(self, listener: Callable[[Mapping[Address, str]], None]) -> None:
        """Have `listener` called with the floating addresses of this host's endpoints, all of them, when they changed."""
        self._floating_listeners.append(listener)

    def on_checks(self, listener: ChecksListener) -> None:
        """Have `listener` called with the probes of services whose endpoints changed; and whether those are all."""
        self._checks_listeners.append(listener)

    def on_bgp(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever BGP's settings may have changed."""
        self._bgp_listeners.append(listener)

    def on_probe(self, listener: Callable[[wire.ProbeOrder], None]) -> None:
        """Have `listener` called with the connections that this host is told to try."""
        self._probe_listeners.append(listener)

    async def call(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        *,
        params: Mapping[str, str] | None = None,
        patience: float | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> Any:
        """Return the controller's answer; keep asking for `patience` seconds (0: once).

        Raises:
            Unavailable: nobody answers. What was sent carries an id, so that nothing happened or it is undone later.
            SocketPlaneError: what the controller answered.
        """
        wait = self._patience if patience is None else patience
        while True:
            try:
                self._breaker.refuse(wait)
            except Unavailable as error:
                raise _unreachable(error) from None
            try:
                answer = await self._client.call(method, path, body, params, timeout=self._limit(timeout, wait))
            except Unavailable as error:
                self._breaker.failed(error.message)
                if self._breaker.left(wait) <= 0:
                    raise _unreachable(error) from None
                await asyncio.sleep(_RETRY_EVERY)
            except SocketPlaneError:
                self._breaker.answered()
                raise
            else:
                self._breaker.answered()
                return answer

    async def network(self, network: UUID) -> wire.Network:
        """Return a network of the cluster, pending ones included; NotFound where there is none."""
        known = self.networks.get(network)
        if known is not None:
            return known
        return wire.Network.model_validate(await self.call("GET", f"/v1/networks/{network}"))

    async def find_subnet(self, subnet: str) -> wire.Network | None:
        """Return the network with exactly this subnet, pending ones included."""
        for known in self.networks.values():
            if str(known.subnet) == subnet:
                return known
        return next((network for network in await self.all_networks() if str(network.subnet) == subnet), None)

    async def all_networks(self, *, patience: float | None = None) -> list[wire.Network]:
        """Return all networks, pending ones included."""
        answer = await self.call("GET", "/v1/networks", params={"pending": "true"}, patience=patience)
        return [wire.Network.model_validate(item) for item in answer["items"]]

    async def lease(self, network: UUID, lease: wire.LeaseCreate) -> wire.Lease:
        """Hold an address."""
        return wire.Lease.model_validate(await self.call("POST", f"/v1/networks/{network}/leases", lease))

    async def put_endpoint(self, endpoint: str, body: wire.EndpointPut) -> None:
        """Tell of an endpoint, and learn its limits."""
        before = self._snapshots, self.limits.get(endpoint)
        told = wire.Endpoint.model_validate(await self.call("PUT", f"/v1/endpoints/{endpoint}", body))
        if before == (self._snapshots, self.limits.get(endpoint)):  # else the stream of changes said what is newer
            self.limits.update({endpoint: told.limits} if told.limits else {})

    async def delete_network(self, network: UUID) -> None:
        """Delete a network; one that is gone already is deleted. InUse: endpoints stand somewhere."""
        with suppress(NotFound):
            await self.call("DELETE", f"/v1/networks/{network}", patience=0, timeout=5.0)
        self.forget(network)

    def know(self, network: wire.Network) -> None:
        """Take in a network as an answer told it; the watch may tell it later, or of an earlier state."""
        if network.id not in self._deleted and network.name:
            self.networks[network.id] = network

    def forget(self, network: UUID) -> None:
        """Take in that a network is deleted. Ids are never used again: what the watch still tells of it is old."""
        self._deleted[network] = None
        if len(self._deleted) > _DELETED_AT_MOST:
            del self._deleted[next(iter(self._deleted))]
        self.networks.pop(network, None)

    async def run(self) -> None:
        """Follow the controller's networks for ever."""
        async for change in self._client.watch():
            self._breaker.answered()
            if change.type == "interrupt":
                for hear in self._interruption_listeners:
                    hear(change.interruptions or [])
                continue
            if change.probe is not None:
                for obey in self._probe_listeners:
                    obey(change.probe)
                continue
            self._apply(change)
            if change.kind not in ("limits", "names", "floating", "bgp", "checks"):
                for listener in self._listeners:
                    listener()

    def _apply(self, change: wire.Change) -> None:
        if change.rules is not None:
            self.rules = change.rules
            for listener in self._rules_listeners:
                listener()
        if change.bgp is not None:
            self.bgp = change.bgp
            for listener in self._bgp_listeners:
                listener()
        if change.limits is not None:
            self._take_limits(change.limits, whole=change.type == "snapshot")
        if change.names is not None:
            for take in self._names_listeners:
                take(change.names, change.type == "snapshot")
        if change.floating is not None:
            for hold in self._floating_listeners:
                hold(change.floating)
        if change.checks is not None:
            for take_checks in self._checks_listeners:
                take_checks(change.checks, change.type == "snapshot")
        if change.type == "snapshot":
            self._snapshots += 1
            self.networks = {}
            for network in change.networks or []:
                self.know(network)
            self.hosts = {host.name: host for host in change.hosts or []}
            self.synced = True
        elif change.type == "put" and change.network is not None:
            self.know(change.network)
        elif change.type == "put" and change.host is not None:
            self.hosts[change.host.name] = change.host
        elif change.type == "delete" and change.kind == "network":
            self.forget(UUID(change.id))
        elif change.type == "delete":
            self.hosts.pop(change.id, None)

    def _take_limits(self, limits: Mapping[str, wire.Limits], *, whole: bool) -> None:
        self.limits = {**({} if whole else self.limits), **limits}
        for listener in self._limits_listeners:
            listener([] if whole else list(limits))

    def _limit(self, timeout: float, patience: float) -> float:
        """Bound one attempt: a controller that accepts and says nothing must not use up more than our patience."""
        if self._breaker.down_since is None:
            return timeout
        return min(timeout, max(1.0, self._breaker.left(patience)))


def _unreachable(error: Unavailable) -> Unavailable:
    return Unavailable(
        f"{UNREACHABLE}, nothing was changed: {error.message}",
        remedy=error.remedy or "what runs keeps running; try again when `socketplane status` answers",
    )
