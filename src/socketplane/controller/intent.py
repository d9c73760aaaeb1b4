"""The intent in memory: typed values by key, and the indexes that questions and checks need."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any, TypeVar, cast
from uuid import UUID

from socketplane.controller.policyrows import Revision
from socketplane.controller.rows import KINDS, ClusterRecord, Item, Key
from socketplane.errors import NotFound, Unavailable
from socketplane.model.bgp import BgpPeer
from socketplane.model.floating import AddressPool, Floating
from socketplane.model.services import shorthand
from socketplane.model.services.types import Service
from socketplane.model.spec import Policy, Protocol
from socketplane.model.traffic import TrafficPolicy
from socketplane.model.types import Address, Endpoint, Host, Lease, Network, Token

T = TypeVar("T", bound=Item)
K = TypeVar("K")
V = TypeVar("V")


class Intent:
    """All of the intent. `put` and `discard` keep every index in step; values themselves never change."""

    def __init__(self) -> None:
        self._items: dict[type, dict[Any, Any]] = {model: {} for model in KINDS}
        self.hosts = cast("dict[str, Host]", self._items[Host])
        self.networks = cast("dict[UUID, Network]", self._items[Network])
        self.leases = cast("dict[tuple[UUID, Address], Lease]", self._items[Lease])
        self.endpoints = cast("dict[str, Endpoint]", self._items[Endpoint])
        self.policies = cast("dict[tuple[str, str], Policy]", self._items[Policy])
        self.traffic = cast("dict[tuple[str, str], TrafficPolicy]", self._items[TrafficPolicy])
        self.services = cast("dict[tuple[str, str], Service]", self._items[Service])
        self.tokens = cast("dict[str, Token]", self._items[Token])
        self.bgp_peers = cast("dict[tuple[Address, str], BgpPeer]", self._items[BgpPeer])
        self.revisions = cast("dict[int, Revision]", self._items[Revision])
        self.pools = cast("dict[str, AddressPool]", self._items[AddressPool])
        self.floating = cast("dict[Address, Floating]", self._items[Floating])
        self.floating_of_holder: dict[str, dict[Address, None]] = {}
        """By endpoint id; those that nobody holds under an empty one."""
        self.host_of_system: dict[str, str] = {}
        self.network_of_name: dict[str, UUID] = {}
        self.network_of_request: dict[str, UUID] = {}
        self.endpoints_of_network: dict[UUID, dict[str, None]] = {}
        self.endpoints_of_host: dict[str, dict[str, None]] = {}
        self.endpoint_at: dict[tuple[UUID, Address], str] = {}
        self.endpoints_at: dict[Address, dict[str, None]] = {}
        """Whose an address is, whatever its network: one's alone, but while subnets change hands."""
        self.publishers: dict[tuple[Protocol, int], dict[str, None]] = {}
        """Endpoints by the ports of their hosts that they are published at."""
        self.host_of_gateway: dict[IPv4Address, str] = {}
        self.endpoint_of_mac: dict[tuple[UUID, str], str] = {}
        self.leases_of_network: dict[UUID, dict[Address, None]] = {}
        self.leases_of_host: dict[str, dict[tuple[UUID, Address], None]] = {}
        self.services_of: dict[str, dict[tuple[str, str], None]] = {}
        """Services by the name of their network."""
        self.service_at: dict[IPv4Address, tuple[str, str]] = {}
        self.shorthand: dict[tuple[UUID, str], dict[str, None]] = {}
        """Endpoints by network and the name of the service that their labels ask for."""
        self.asking: dict[str, None] = {}
        """Endpoints whose labels ask for a service, those that can't be understood too."""
        self.lease_of_request: dict[tuple[UUID, str], Address] = {}

    def get(self, model: type[T], key: Key) -> T | None:
        """Return the value of that key, or None."""
        return cast("T | None", self._items[model].get(key))

    def values(self, model: type[T]) -> Iterable[T]:
        """Return all values of a type."""
        return cast("Iterable[T]", self._items[model].values())

    def put(self, item: Item) -> Item | None:
        """Add or replace a value; return what stood under its key."""
        model = type(item)
        key = KINDS[model].key(item)
        items = self._items[model]
        old: Item | None = items.get(key)
        if old is not None:
            self._index(old, present=False)
        items[key] = item
        self._index(item, present=True)
        return old

    def discard(self, model: type[Item], key: Key) -> Item | None:
        """Remove the value of that key; return it, or None where there is none."""
        old: Item | None = self._items[model].pop(key, None)
        if old is not None:
            self._index(old, present=False)
        return old

    def _index(self, item: Item, *, present: bool) -> None:
        match item:
            case Endpoint():
                _member(self.endpoints_of_network, item.network, item.id, present)
                _member(self.endpoints_of_host, item.host, item.id, present)
                for address in item.addresses:
                    _entry(self.endpoint_at, (item.network, address), item.id, present)
                    _member(self.endpoints_at, address, item.id, present)
                for port in {(each.protocol, each.host_port) for each in item.published}:
                    _member(self.publishers, port, item.id, present)
                _entry(self.endpoint_of_mac, (item.network, item.mac), item.id, present)
                if shorthand.LABEL in item.labels:
                    self._index_shorthand(item, present)
            case Lease():
                key = (item.network, item.address)
                _member(self.leases_of_network, item.network, item.address, present)
                _member(self.leases_of_host, item.host, key, present)
                if item.request and item.released is None:
                    _entry(self.lease_of_request, (item.network, item.request), item.address, present)
            case Network():
                if item.name is not None:
                    _entry(self.network_of_name, item.name, item.id, present)
                if item.request:
                    _entry(self.network_of_request, item.request, item.id, present)
            case Floating():
                _member(self.floating_of_holder, item.holder, item.address, present)
            case Service():
                _member(self.services_of, item.network, (item.network, item.name), present)
                if item.address is not None:
                    _entry(self.service_at, item.address, (item.network, item.name), present)
            case Host():
                _entry(self.host_of_system, item.system_id, item.name, present)
                _entry(self.host_of_gateway, item.gateway, item.name, present)
            case _:
                pass

    def _index_shorthand(self, endpoint: Endpoint, present: bool) -> None:
        _entry(self.asking, endpoint.id, None, present)
        if (name := shorthand.name_of(endpoint.labels)) is not None:
            _member(self.shorthand, (endpoint.network, name), endpoint.id, present)

    @property
    def cluster(self) -> ClusterRecord:
        """The cluster's record.

        Raises:
            Unavailable: there is none yet.
        """
        record = self.get(ClusterRecord, "")
        if record is None:
            raise Unavailable("the intent database holds no cluster yet", remedy="run `socketplane up` on the manager")
        return record

    def network(self, name_or_id: str | UUID) -> Network:
        """Return the network of an id or a name.

        Raises:
            NotFound: there is none.
        """
        uuid = name_or_id if isinstance(name_or_id, UUID) else self.network_of_name.get(name_or_id) or _uuid(name_or_id)
        network = self.networks.get(uuid) if uuid else None
        if network is None:
            raise NotFound(f"no network {name_or_id}", field="network", remedy="`socketplane network ls` lists them")
        return network

    def host(self, name: str) -> Host:
        """Return the host of that name.

        Raises:
            NotFound: there is none.
        """
        host = self.hosts.get(name)
        if host is None:
            raise NotFound(f"no host {name}", field="host", remedy="`socketplane host ls` lists them")
        return host

    def at(self, address: Address) -> list[Endpoint | Host]:
        """Return who sends from an address: containers, or a host by its own port."""
        found: list[Endpoint | Host] = [self.endpoints[key] for key in self.endpoints_at.get(address, ())]
        if isinstance(address, IPv4Address) and address in self.host_of_gateway:
            found.append(self.hosts[self.host_of_gateway[address]])
        return found

    def publishing(self, protocol: Protocol | None, port: int | None) -> list[Endpoint]:
        """Return the endpoints that are published at that port of their host."""
        if protocol is None or port is None:
            return []
        return [self.endpoints[key] for key in self.publishers.get((protocol, port), ())]

    def network_name(self, uuid: UUID) -> str:
        """Return a network's name, empty while it has none."""
        network = self.networks.get(uuid)
        return (network.name if network else None) or ""


def _member(index: dict[K, dict[V, None]], key: K, value: V, present: bool) -> None:
    if present:
        index.setdefault(key, {})[value] = None
        return
    members = index[key]
    del members[value]
    if not members:
        del index[key]


def _entry(index: dict[K, V], key: K, value: V, present: bool) -> None:
    if present:
        index[key] = value
    elif index.get(key) == value:  # a successor may have taken the place already
        del index[key]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
