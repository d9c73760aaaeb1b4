"""The network driver: what dockerd wants done for a network and for a container's place on it."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv4Interface, IPv6Address
from typing import Any

import structlog

from socketplane.agent import protocol
from socketplane.agent.adoption import Adoption
from socketplane.agent.asked import NOTHING, Asked, asked
from socketplane.agent.attachments import Attachments
from socketplane.agent.identity import Identifier, Identity
from socketplane.agent.link import Link
from socketplane.agent.locks import Locks
from socketplane.agent.outbox import Outbox
from socketplane.agent.plugin import Method
from socketplane.agent.plumbing import Plumbing
from socketplane.agent.portmap import wishes
from socketplane.agent.publisher import Publisher
from socketplane.agent.puts import put_of
from socketplane.agent.state import EndpointRecord, NetworkRecord, State
from socketplane.errors import InUse, InvalidInput, SocketPlaneError, Unavailable, Unsupported
from socketplane.model.types import mac_of

INSTALL_TIMEOUT = 10.0
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
_log = structlog.get_logger()

REQUESTS: Mapping[str, type[protocol.Request]] = {
    "NetworkDriver.CreateNetwork": protocol.CreateNetwork,
    "NetworkDriver.DeleteNetwork": protocol.NetworkRequest,
    "NetworkDriver.CreateEndpoint": protocol.CreateEndpoint,
    "NetworkDriver.EndpointOperInfo": protocol.EndpointRequest,
    "NetworkDriver.Join": protocol.EndpointRequest,
    "NetworkDriver.Leave": protocol.EndpointRequest,
    "NetworkDriver.DeleteEndpoint": protocol.EndpointRequest,
    "NetworkDriver.ProgramExternalConnectivity": protocol.EndpointRequest,
    "NetworkDriver.RevokeExternalConnectivity": protocol.EndpointRequest,
    "NetworkDriver.DiscoverNew": protocol.Request,
    "NetworkDriver.DiscoverDelete": protocol.Request,
    "NetworkDriver.AllocateNetwork": protocol.Request,
    "NetworkDriver.FreeNetwork": protocol.Request,
}
"""What each method takes."""


class NetworkDriver:
    """Answers NetworkDriver.*. Every method may be called again, and at any time."""

    def __init__(
        self,
        state: State,
        link: Link,
        outbox: Outbox,
        adoption: Adoption,
        identifier: Identifier,
        plumbing: Plumbing,
        locks: Locks,
        publisher: Publisher,
        *,
        networks_changed: Callable[[], None] = lambda: None,
        confine: Callable[[NetworkRecord], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        install_timeout: float = INSTALL_TIMEOUT,
        shaped: Callable[[str], Awaitable[None]] | None = None,
        inner: Callable[[NetworkRecord], Awaitable[None]] | None = None,
    ) -> None:
        self._state = state
        self._link = link
        self._outbox = outbox
        self._adoption = adoption
        self._identifier = identifier
        self._plumbing = plumbing
        self._locks = locks
        self._publisher = publisher
        self._networks_changed = networks_changed
        self._confine = confine
        self._shaped = shaped
        self._inner = inner
        self._clock = clock
        self._monotonic = monotonic
        self._install_timeout = install_timeout
        self._attachments = Attachments(plumbing, monotonic)

    def methods(self) -> dict[str, Method]:
        """Return the methods by the names that dockerd calls."""
        calls: dict[str, Callable[[Any], Awaitable[Mapping[str, Any]]]] = {
            "CreateNetwork": self.create_network,
            "DeleteNetwork": self.delete_network,
            "CreateEndpoint": self.create_endpoint,
            "EndpointOperInfo": self.oper_info,
            "Join": self.join,
            "Leave": self.nothing,
            "DeleteEndpoint": self.delete_endpoint,
            "ProgramExternalConnectivity": self.publish,
            "RevokeExternalConnectivity": self.revoke,
            "DiscoverNew": self.nothing,
            "DiscoverDelete": self.nothing,
            "AllocateNetwork": self.refuse_swarm,
            "FreeNetwork": self.nothing,
        }
        return {name: Method(calls[name.partition(".")[2]], request) for name, request in REQUESTS.items()}

    async def close(self) -> None:
        """Leave no port half made; finished ones stay."""
        await self._attachments.close()

    async def nothing(self, _: protocol.Request) -> dict[str, Any]:
        """Succeed: there is nothing to do."""
        return {}

    async def refuse_swarm(self, _: protocol.Request) -> dict[str, Any]:
        """Refuse what only a Swarm manager asks."""
        raise Unsupported("Swarm networks are not served", remedy=f"use `{protocol.CREATE_COMMAND}`")

    async def create_network(self, request: protocol.CreateNetwork) -> dict[str, Any]:
        """Record which network of the cluster this is; its name and labels come later, as an event."""
        record = await self._adoption.created(request)
        _log.info("network.created", network=str(record.id), docker=record.docker[:12], subnet=str(record.subnet))
        return {}

    async def delete_network(self, request: protocol.NetworkRequest) -> dict[str, Any]:
        """Pass a user's `docker network rm` on to the cluster. Docker removes it here whatever is answered."""
        record = self._state.networks.pop(request.network, None)
        self._state.deleting[request.network] = self._clock()
        if record is not None and request.network not in self._state.removing:
            await self._delete_everywhere(record)
        self._state.removing.discard(request.network)
        await self._state.save()
        self._networks_changed()
        return {}

    async def create_endpoint(self, request: protocol.CreateEndpoint) -> dict[str, Any]:
        """Begin the container's port; Join, which comes after Docker made the container's namespace, waits for it.

        Docker does not call DeleteEndpoint if this fails, so nothing is begun then; it does if Join fails.
        """
        address = request.interface.address
        address6 = request.interface.address_ipv6
        if address is None:
            raise InvalidInput("no IPv4 address", field="Interface.Address")
        given = request.interface.mac.lower()
        if given and (not _MAC.fullmatch(given) or not given.strip("0:")):
            raise InvalidInput(f"{given!r} is not a MAC address of one interface", field="--mac-address")
        wanted = asked(request.options)
        async with self._locks.hold(request.endpoint):
            network = await self._adoption.known(request.network)
            if address.ip not in network.subnet:
                raise InvalidInput(f"{address.ip} is outside {network.subnet}", field="Interface.Address")
            if address6 is not None and (network.subnet6 is None or address6.ip not in network.subnet6):
                place = network.subnet6 or "a network without IPv6"
                raise InvalidInput(f"{address6.ip} is outside {place}", field="Interface.AddressIPv6")
            mac, ip6 = given or mac_of(address.ip), address6.ip if address6 else None
            record = _endpoint(request.endpoint, network, address, mac, wanted, ip6)
            self._attachments.begin(record)
            held = self._state.endpoints.get(record.id)
            if held is None or not held.put:
                self._state.endpoints[record.id] = record
                self._state.changed()
            if wanted != NOTHING:
                await self._state.save()  # Docker tells it this once
        return {"Interface": {} if given else {"MacAddress": record.mac}}

    async def join(self, request: protocol.EndpointRequest) -> dict[str, Any]:
        """Answer once the container's port is segmented and forwards: its first packet is judged like any other."""
        began = self._monotonic()
        async with self._locks.hold(request.endpoint):
            network = await self._adoption.known(request.network)
            if network.internal and self._confine:
                await self._confine(network)  # no way out before there is a way in
            if network.internal and self._inner:
                await self._inner(network)
            identity = await self._identifier.of(request.network, request.endpoint)
            known = self._state.endpoints.get(request.endpoint)
            record = known or _recovered(request.endpoint, network, identity, asked(request.options))
            self._state.endpoints[record.id] = record
            self._state.mark_put(record.id)
            if not identity.known:
                self._state.unsettled.add(record.id)
            named = self._monotonic()
            await self._tell(record, identity)
            written = self._monotonic()
            container_end = await self._attachments.container_end(record)
            if self._shaped:
                await self._shaped(record.id)
            await self._installed(record.id)
        steps = {"named": named - began, "written": written - named, "installed": self._monotonic() - written}
        _log.info(
            "endpoint.joined",
            endpoint=record.id[:12],
            name=identity.name,
            address=str(record.address),
            ms={step: round(seconds * 1000, 1) for step, seconds in steps.items()},
        )
        answer: dict[str, Any] = {"InterfaceName": {"SrcName": container_end, "DstPrefix": "eth"}}
        # To an internal network's gateway go questions for names, and nothing else: without a route Docker's resolver
        # could not send them. A container that is on another network too has its default route there, Docker sees to it.
        if not network.internal or self._inner:
            answer["Gateway"] = str(network.gateway)
        if not network.internal and network.gateway6 is not None and record.address6 is not None:
            answer["GatewayIPv6"] = str(network.gateway6)
        return answer

    async def delete_endpoint(self, request: protocol.EndpointRequest) -> dict[str, Any]:
        """Undo an endpoint. Never fails: Docker would only log it, and the reconciler finishes what was not possible."""
        async with self._locks.hold(request.endpoint):
            await self._publisher.withdraw(request.endpoint)  # Docker 29 forgets to revoke after a restart of its own
            record = self._state.drop_endpoint(request.endpoint, self._clock())
            await self._attachments.detach(request.endpoint)
            if record is None or record.put:
                await self._outbox.delete_endpoint(request.endpoint, record.places if record else ())
        return {}

    async def oper_info(self, _: protocol.EndpointRequest) -> dict[str, Any]:
        """Return nothing of interest; Docker 20.10 insists on the call."""
        return {"Value": {}}

    async def publish(self, request: protocol.EndpointRequest) -> dict[str, Any]:
        """Publish ports, all or none. Docker asks it of the endpoint with the container's gateway, after Join."""
        known = self._state.endpoints.get(request.endpoint)
        wanted = wishes(request.options, ipv6=known is not None and known.address6 is not None)
        if not wanted or (await self._adoption.known(request.network)).internal:
            return {}
        async with self._locks.hold(request.endpoint):
            await self._publisher.publish(request.endpoint, wanted)
            try:
                identity = await self._identifier.of(request.network, request.endpoint)
                record = self._state.endpoints[request.endpoint]
                await self._link.put_endpoint(record.id, put_of(record, identity))
            except BaseException:
                await self._publisher.withdraw(request.endpoint)
                raise
        return {}

    async def revoke(self, request: protocol.EndpointRequest) -> dict[str, Any]:
        """Publish nothing any more. The controller hears it with the endpoint's end, or from the reconciler."""
        async with self._locks.hold(request.endpoint):
            await self._publisher.withdraw(request.endpoint)
        return {}

    async def _tell(self, record: EndpointRecord, identity: Identity) -> None:
        try:
            await self._link.put_endpoint(record.id, put_of(record, identity))
        except Unavailable:
            raise
        except SocketPlaneError:
            if not record.put:  # refused for certain: its deletion will not release the address, so Docker's word must
                self._state.endpoints[record.id] = record
                self._state.changed()
            raise

    async def _delete_everywhere(self, record: NetworkRecord) -> None:
        self._state.tombstones.add(record.id)  # first: until the answer comes the cluster has it, and Docker no more
        try:
            await self._link.delete_network(record.id)
        except InUse as error:
            _log.info("network.in_use_elsewhere", network=str(record.id), reason=str(error))
        except SocketPlaneError as error:
            _log.warning("network.delete_later", network=str(record.id), reason=str(error))
            return
        self._state.tombstones.discard(record.id)

    async def _installed(self, endpoint: str) -> None:
        try:
            await self._plumbing.installed(endpoint, self._install_timeout)
        except TimeoutError:
            raise Unavailable(
                f"ovn-controller did not install the port's flows within {self._install_timeout:g} s",
                remedy="`socketplane status` tells whether it is connected",
            ) from None


def _endpoint(
    endpoint: str,
    network: NetworkRecord,
    address: IPv4Interface,
    mac: str,
    wanted: Asked,
    address6: IPv6Address | None,
) -> EndpointRecord:
    prefix = address.network.prefixlen
    return EndpointRecord(
        endpoint,
        network.docker,
        network.id,
        address.ip,
        prefix,
        mac,
        rate=wanted.rate,
        labels=wanted.labels,
        address6=address6,
    )


def _recovered(endpoint: str, network: NetworkRecord, identity: Identity, wanted: Asked) -> EndpointRecord:
    """Return an endpoint that we forgot, between its creation and now, as Docker holds it."""
    if identity.address is None:
        raise Unavailable("this endpoint is not known here", remedy="start the container again")
    mac = identity.mac.lower() or mac_of(identity.address.ip)
    return _endpoint(endpoint, network, identity.address, mac, wanted, identity.address6)
