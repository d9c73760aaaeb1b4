"""The IPAM driver: pools are the cluster's networks, addresses are leases that the controller holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal
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
from socketplane.model.types import Address

_RESERVED_FOR = 60.0
_V6 = "v6"
"""Ends the id of a network's IPv6 pool."""
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
        self._reserved: dict[tuple[UUID, Address], float] = {}
        self._gateways: dict[tuple[UUID, int], Address] = {}
        self._given: set[UUID] = set()
        """Pending networks that got their IPv6 pool."""

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
        if request.address_space not in ("", ADDRESS_SPACE):
            raise InvalidInput(f"not an address space of ours: {request.address_space!r}", field="AddressSpace")
        foreign = sorted(set(request.options) - {protocol.OPTION_NETWORK})
        if foreign:
            raise Unsupported("no such option", field=f"--ipam-opt {foreign[0]}")
        wanted = request.options.get(protocol.OPTION_NETWORK)
        if wanted is None and request.pool in self._state.appearing:
            wanted = str(self._state.appearing[request.pool])
        if request.v6:
            return await self._pool6(wanted, request)
        network = await (self._existing(wanted, request) if wanted else self._new(request))
        self._gateways[network.id, 4] = network.gateway
        return {
            "PoolID": f"{network.id}/{request.sub_pool}" if request.sub_pool else str(network.id),
            "Pool": str(network.subnet),
            "Data": {protocol.GATEWAY: f"{network.gateway}/{network.subnet.prefixlen}"},
        }

    async def _pool6(self, wanted: str | None, request: protocol.RequestPool) -> dict[str, Any]:
        """Return a network's IPv6 pool. dockerd asks for it right after the other, and tells not that they belong together.

        CreateNetwork tells both, and refuses what does not.
        """
        if request.sub_pool is not None:
            raise Unsupported("a range is for IPv4 only", field="--ip-range", remedy="leave it out")
        if wanted:
            network = await self._existing(wanted, request)
        else:
            network = await self._give6(request)
        if network.subnet6 is None or network.gateway6 is None:
            raise Conflict(f"the network {network.name or network.id} has no IPv6", field="--ipv6", remedy="leave it out")
        self._gateways[network.id, 6] = network.gateway6
        return {
            "PoolID": f"{network.id}/{_V6}",
            "Pool": str(network.subnet6),
            "Data": {protocol.GATEWAY: f"{network.gateway6}/{network.subnet6.prefixlen}"},
        }

    async def _give6(self, request: protocol.RequestPool) -> wire.Network:
        self._given &= set(self._state.pools)
        waiting = {key: since for key, since in self._state.pools.items() if key not in self._given}
        if not waiting or isinstance(request.pool, IPv4Network):
            raise InvalidInput("an IPv6 subnet goes with an IPv4 one", remedy="`socketplane network create --ipv6 NAME`")
        newest = max(waiting, key=lambda key: waiting[key])
        self._given.add(newest)
        patch = wire.NetworkPatch(ipv6=True, subnet6=request.pool)
        return wire.Network.model_validate(await self._link.call("PATCH", f"/v1/networks/{newest}", patch))

    async def release_pool(self, request: protocol.PoolRequest) -> dict[str, Any]:
        """Forget a network that Docker did not get to name; a named one outlives what Docker does on one host."""
        network = _network_of(request.pool)
        if network in self._state.pools and _version_of(request.pool) == 4:
            del self._state.pools[network]
            await self._drop(network)
            await self._state.save()
        return {}

    async def request_address(self, request: protocol.RequestAddress) -> dict[str, Any]:
        """Hold an address: the gateways' are shared by all hosts, any other is this host's."""
        network, version = _network_of(request.pool), _version_of(request.pool)
        if request.address is not None and request.address.version != version:
            raise InvalidInput(f"{request.address} is not of IPv{version}", field="Address")
        container = str(request.options.get(protocol.CONTAINER_NAME) or "")
        if request.options.get(protocol.REQUEST_TYPE) == protocol.GATEWAY:
            lease = await self._gateway(network, request.address, version)
        elif request.address is not None:
            lease = await self._explicit(network, request.address, container)
        else:
            body = wire.LeaseCreate(request=self._request_id(), version=version, container=container)
            lease = await self._link.lease(network, body)
        if lease.kind == "endpoint":
            self._reserve(network, lease.address)
        return {"Address": f"{lease.address}/{lease.prefix}", "Data": {}}

    async def release_address(self, request: protocol.ReleaseAddress) -> dict[str, Any]:
        """Give an address back. The gateways' stay: other hosts use them."""
        network = _network_of(request.pool)
        if request.address is not None and request.address not in self._known_gateways(network):
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
        subnet = network.subnet6 if request.v6 else network.subnet
        if request.pool not in (None, subnet):
            raise Conflict(f"the network's subnet is {subnet}", field="--subnet")
        if request.sub_pool not in (None, network.ip_range):
            raise Conflict(f"the network's range is {network.ip_range or network.subnet}", field="--ip-range")
        return network

    async def _new(self, request: protocol.RequestPool) -> wire.Network:
        if isinstance(request.pool, IPv6Network) or isinstance(request.sub_pool, IPv6Network):
            raise InvalidInput("not an IPv4 network", field="Pool")
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

    async def _gateway(self, network: UUID, address: Address | None, version: int) -> wire.Lease:
        known = await self._link.network(network)
        name = "gateway" if version == 4 else "gateway6"
        if address not in (None, getattr(known, name)):
            if network not in self._state.pools:
                raise Conflict(f"the network's gateway is {getattr(known, name)}", field="--gateway")
            patch = wire.NetworkPatch.model_validate({name: address})
            known = wire.Network.model_validate(await self._link.call("PATCH", f"/v1/networks/{network}", patch))
        gateway: Address = getattr(known, name)
        self._gateways[network, version] = gateway
        body = wire.LeaseCreate(kind="gateway", address=gateway, request=f"gateway:{network}")
        return await self._link.lease(network, body)

    async def _explicit(self, network: UUID, address: Address, container: str) -> wire.Lease:
        with suppress(Unavailable):  # said better by the call that follows
            await self._outbox.flush()  # its last holder's release may still wait to be sent
        # Docker asks for auxiliary addresses before the network exists, for a container's only afterwards.
        fresh = self._state.by_network(network) is None
        kind: Literal["auxiliary", "endpoint"] = "auxiliary" if fresh else "endpoint"
        body = wire.LeaseCreate(kind=kind, address=address, container=container, request=self._request_id())
        try:
            return await self._link.lease(network, body)
        except AddressInUse:
            if not await self._left_over(network, address):
                raise
            with suppress(Conflict):  # an endpoint has it: the next call says which
                await self._link.call("DELETE", f"/v1/networks/{network}/leases/{address}")
                _log.info("ipam.left_over_released", network=str(network), address=str(address))
        return await self._link.lease(network, body)

    async def _left_over(self, network: UUID, address: Address) -> bool:
        """Return whether our own host holds the address for nobody, as after a crash of dockerd."""
        now = self._clock()
        if now - self._reserved.get((network, address), 0.0) < _RESERVED_FOR:
            return False
        if any((network, address) in entry.places for entry in self._state.endpoints.values()):
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

    def _reserve(self, network: UUID, address: Address) -> None:
        now = self._clock()
        self._reserved = {key: since for key, since in self._reserved.items() if now - since < _RESERVED_FOR}
        self._reserved[network, address] = now

    def _known_gateways(self, network: UUID) -> tuple[Address | None, ...]:
        known = self._link.networks.get(network) or self._state.by_network(network)
        if known is not None:
            return known.gateway, known.gateway6
        return self._gateways.get((network, 4)), self._gateways.get((network, 6))

    def _request_id(self) -> str:
        """Return an id for one call of Docker's; Docker gives none, and repeats no call that had arguments."""
        return f"{self._link.host}:{uuid4()}"


def _version_of(pool: str) -> Literal[4, 6]:
    """Return the version of IP of a pool's addresses."""
    return 6 if pool.endswith(f"/{_V6}") else 4


def _network_of(pool: str) -> UUID:
    """Return the network in a pool's id, which is its UUID, or that and a range, or what tells that it is for IPv6."""
    try:
        return UUID(pool.partition("/")[0])
    except ValueError:
        raise InvalidInput("not a pool of ours", field="PoolID") from None
