"""The IPAM driver: pools are the cluster's networks, addresses are leases that the controller holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID, uuid4

import structlog

from socketplane import wire
from socketplane.agent import protocol, routes
from socketplane.agent.answers import ADDRESS_SPACE
from socketplane.agent.link import Link
from socketplane.agent.outbox import Outbox
from socketplane.agent.plugin import Method
from socketplane.agent.state import State
from socketplane.errors import (
    AddressInUse,
    Conflict,
    InvalidInput,
    NotFound,
    SocketPlaneError,
    SubnetOverlap,
    Unavailable,
    Unsupported,
)

_RESERVED_FOR = 60.0
_log = structlog.get_logger()

REQUESTS: Mapping[str, type[protocol.Request]] = {
    "IpamDriver.RequestPool": protocol.RequestPool,
    "IpamDriver.ReleasePool": protocol.PoolRequest,
    "IpamDriver.RequestAddress": protocol.RequestAddress,
    "IpamDriver.ReleaseAddress": protocol.ReleaseAddress,
}
"""What each method takes."""


class IpamDriver:
    """Answers IpamDriver.*. Nothing is handed out that the controller did not grant."""

    def __init__(
        self,
        state: State,
        link: Link,
        outbox: Outbox,
        *,
        clock: Callable[[], float] = time.time,
        route_table: Callable[[], str] = routes.TABLE.read_text,
    ) -> None:
        self._state = state
        self._link = link
        self._outbox = outbox
        self._clock = clock
        self._route_table = route_table
        self._reserved: dict[tuple[UUID, IPv4Address], float] = {}
        self._gateways: dict[UUID, IPv4Address] = {}

    def methods(self) -> dict[str, Method]:
        """Return the methods by the names that dockerd calls."""
        calls: dict[str, Callable[[Any], Awaitable[Mapping[str, Any]]]] = {
            "RequestPool": self.request_pool,
            "ReleasePool": self.release_pool,
            "RequestAddress": self.request_address,
            "ReleaseAddress": self.release_address,
        }
        return {name: Method(calls[name.partition(".")[2]], request) for name, request in REQUESTS.items()}

    async def request_pool(self, request: protocol.RequestPool) -> dict[str, Any]:
        """Return the named network's pool, or make a network, pending until Docker tells its name."""
        if request.v6:
            raise Unsupported("IPv6 is not supported yet", remedy="leave out --ipv6 and IPv6 subnets")
        if request.address_space not in ("", ADDRESS_SPACE):
            raise InvalidInput(f"not an address space of ours: {request.address_space!r}", field="AddressSpace")
        foreign = sorted(set(request.options) - {protocol.OPTION_NETWORK})
        if foreign:
            raise Unsupported("no such option", field=f"--ipam-opt {foreign[0]}")
        wanted = request.options.get(protocol.OPTION_NETWORK)
        if wanted is None and request.pool in self._state.appearing:
            wanted = str(self._state.appearing[request.pool])
        network = await (self._existing(wanted, request) if wanted else self._new(request))
        self._gateways[network.id] = network.gateway
        return {
            "PoolID": f"{network.id}/{request.sub_pool}" if request.sub_pool else str(network.id),
            "Pool": str(network.subnet),
            "Data": {protocol.GATEWAY: f"{network.gateway}/{network.subnet.prefixlen}"},
        }

    async def release_pool(self, request: protocol.PoolRequest) -> dict[str, Any]:
        """Forget a network that Docker did not get to name; a named one outlives what Docker does on one host."""
        network = _network_of(request.pool)
        if network in self._state.pools:
            del self._state.pools[network]
            await self._drop(network)
            await self._state.save()
        return {}

    async def request_address(self, request: protocol.RequestAddress) -> dict[str, Any]:
        """Hold an address: the gateway's is shared by all hosts, any other is this host's."""
        network = _network_of(request.pool)
        if request.options.get(protocol.REQUEST_TYPE) == protocol.GATEWAY:
            lease = await self._gateway(network, request.address)
        elif request.address is not None:
            lease = await self._explicit(network, request.address)
        else:
            lease = await self._link.lease(network, wire.LeaseCreate(request=self._request_id()))
        if lease.kind == "endpoint":
            self._reserve(network, lease.address)
        return {"Address": f"{lease.address}/{lease.prefix}", "Data": {}}

    async def release_address(self, request: protocol.ReleaseAddress) -> dict[str, Any]:
        """Give an address back. The gateway's stays: other hosts use it."""
        network = _network_of(request.pool)
        if request.address is not None and request.address != self._known_gateway(network):
            self._reserved.pop((network, request.address), None)
            await self._outbox.release(network, request.address)
        return {}

    async def _existing(self, wanted: str, request: protocol.RequestPool) -> wire.Network:
        try:
            network = await self._link.network(UUID(wanted))
        except ValueError:
            raise InvalidInput("not a network's id", field=protocol.OPTION_NETWORK) from None
        except NotFound:
            remedy = "`socketplane network ls` shows those there are"
            raise NotFound(f"no network {wanted} in the cluster", field=protocol.OPTION_NETWORK, remedy=remedy) from None
        if request.pool not in (None, network.subnet):
            raise Conflict(f"the network's subnet is {network.subnet}", field="--subnet")
        if request.sub_pool not in (None, network.ip_range):
            raise Conflict(f"the network's range is {network.ip_range or network.subnet}", field="--ip-range")
        return network

    async def _new(self, request: protocol.RequestPool) -> wire.Network:
        body = wire.NetworkCreate(subnet=request.pool, ip_range=request.sub_pool, request=self._request_id())
        network = wire.Network.model_validate(await self._link.call("POST", "/v1/networks", body))
        self._state.pools[network.id] = self._clock()
        try:
            if request.pool is None:
                await self._refuse_overlap(network)
            await self._state.save()
        except BaseException:
            del self._state.pools[network.id]
            await self._drop(network.id)
            raise
        return network

    async def _refuse_overlap(self, network: wire.Network) -> None:
        """Refuse a subnet that the host has a route to: Docker before 27 would ask for another one, for ever.

        Our own route to the pool is none: it stands in a table of its own.
        """
        try:
            found = routes.overlapping(network.subnet, await asyncio.to_thread(self._route_table))
        except OSError as error:
            _log.warning("ipam.no_routes", reason=str(error))
            return
        if found:
            raise SubnetOverlap(
                f"{network.subnet} overlaps this host's route to {found[1]} on {found[0]}",
                remedy="name a free subnet with --subnet, or create it with `socketplane network create`",
            )

    async def _gateway(self, network: UUID, address: IPv4Address | None) -> wire.Lease:
        known = await self._link.network(network)
        if address not in (None, known.gateway):
            if network not in self._state.pools:
                raise Conflict(f"the network's gateway is {known.gateway}", field="--gateway")
            patch = wire.NetworkPatch(gateway=address)
            known = wire.Network.model_validate(await self._link.call("PATCH", f"/v1/networks/{network}", patch))
        self._gateways[network] = known.gateway
        body = wire.LeaseCreate(kind="gateway", address=known.gateway, request=f"gateway:{network}")
        return await self._link.lease(network, body)

    async def _explicit(self, network: UUID, address: IPv4Address) -> wire.Lease:
        with suppress(Unavailable):  # said better by the call that follows
            await self._outbox.flush()  # its last holder's release may still wait to be sent
        # Docker asks for auxiliary addresses before the network exists, for a container's only afterwards.
        fresh = self._state.by_network(network) is None
        body = wire.LeaseCreate(kind="auxiliary" if fresh else "endpoint", address=address, request=self._request_id())
        try:
            return await self._link.lease(network, body)
        except AddressInUse:
            if not await self._left_over(network, address):
                raise
            with suppress(Conflict):  # an endpoint has it: the next call says which
                await self._link.call("DELETE", f"/v1/networks/{network}/leases/{address}")
                _log.info("ipam.left_over_released", network=str(network), address=str(address))
        return await self._link.lease(network, body)

    async def _left_over(self, network: UUID, address: IPv4Address) -> bool:
        """Return whether our own host holds the address for nobody, as after a crash of dockerd."""
        now = self._clock()
        if now - self._reserved.get((network, address), 0.0) < _RESERVED_FOR:
            return False
        if any((entry.network, entry.address) == (network, address) for entry in self._state.endpoints.values()):
            return False
        items = (await self._link.call("GET", "/v1/leases", params={"host": self._link.host}))["items"]
        leases = map(wire.Lease.model_validate, items)
        return any((entry.network, entry.address, entry.kind) == (network, address, "endpoint") for entry in leases)

    async def _drop(self, network: UUID) -> None:
        try:
            await self._link.delete_network(network)
        except SocketPlaneError as error:
            _log.warning("ipam.pool_kept", network=str(network), reason=str(error))
            self._state.tombstones.add(network)

    def _reserve(self, network: UUID, address: IPv4Address) -> None:
        now = self._clock()
        self._reserved = {key: since for key, since in self._reserved.items() if now - since < _RESERVED_FOR}
        self._reserved[network, address] = now

    def _known_gateway(self, network: UUID) -> IPv4Address | None:
        known = self._link.networks.get(network)
        record = self._state.by_network(network)
        return known.gateway if known else record.gateway if record else self._gateways.get(network)

    def _request_id(self) -> str:
        """Return an id for one call of Docker's; Docker gives none, and repeats no call that had arguments."""
        return f"{self._link.host}:{uuid4()}"


def _network_of(pool: str) -> UUID:
    """Return the network in a pool's id, which is its UUID, or that and a range."""
    try:
        return UUID(pool.partition("/")[0])
    except ValueError:
        raise InvalidInput("not a pool of ours", field="PoolID") from None
