"""Rows of the intent database and the frozen values that they stand for, both ways.

Every row's UUID is computed from its key, so that a row is found without an index and a repeated insert is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from uuid import UUID, uuid5

from socketplane.controller import bgprows, policyrows, servicerows
from socketplane.controller.policyrows import Revision, Row
from socketplane.encryption import Encryption
from socketplane.model.bgp import Bgp, BgpPeer
from socketplane.model.floating import AddressPool, Floating
from socketplane.model.published import Published
from socketplane.model.services.types import Service
from socketplane.model.spec import Policy
from socketplane.model.traffic import TrafficPolicy
from socketplane.model.types import Cluster, Endpoint, Host, Lease, LeaseKind, Network, Token

_NAMESPACE = UUID("5bd9a8a1-6f0c-4f53-9a7e-6d2f0c3a8e11")
PENDING = "~"
"""Begins the stored name of a network that has none yet; the rest is its UUID, which keeps the index unique."""


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """The one row of the cluster: what all share, the fencing epoch, and the next policy's number."""

    cluster: Cluster
    epoch: int = 0
    next_policy: int = 1
    created: float = 0.0


Item = (
    ClusterRecord
    | Host
    | Network
    | Lease
    | Endpoint
    | Policy
    | TrafficPolicy
    | Service
    | Revision
    | Token
    | AddressPool
    | Floating
    | Bgp
    | BgpPeer
)
Key = Hashable
HostNames = Mapping[UUID, str]
"""By the UUID of a host's row, which is how endpoints refer to it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one type are stored."""

    table: str
    key: Callable[[Any], Key]
    uuid: Callable[[Any], UUID]
    to_row: Callable[[Any], Row]
    from_row: Callable[[UUID, Row, HostNames], Any]


def row_uuid(table: str, key: str) -> UUID:
    """Return the UUID of the row with this key."""
    return uuid5(_NAMESPACE, f"{table} {key}")


def host_uuid(name: str) -> UUID:
    """Return the UUID of a host's row, by which endpoints refer to it."""
    return row_uuid("Host", name)


def _cluster_row(record: ClusterRecord) -> Row:
    cluster = record.cluster
    return {
        "pool": str(cluster.pool),
        "prefix": cluster.prefix,
        "hosts": str(cluster.hosts),
        "epoch": record.epoch,
        "next_policy": record.next_policy,
        "created": record.created,
        "services": frozenset(str(block) for block in (cluster.services, cluster.services6) if block is not None),
        "encryption_network": str(cluster.encryption.network) if cluster.encryption else None,
        "encryption_port": cluster.encryption.port if cluster.encryption else 0,
    }


def _cluster(uuid: UUID, row: Row, _: HostNames) -> ClusterRecord:
    cluster = Cluster(
        uuid,
        IPv4Network(row["pool"]),
        row["prefix"],
        IPv4Network(row["hosts"]),
        *servicerows.ranges(row["services"]),
        _encryption(row),
    )
    return ClusterRecord(cluster, row["epoch"], row["next_policy"], row["created"])


def _encryption(row: Row) -> Encryption | None:
    network = row["encryption_network"]
    return Encryption(IPv4Network(network), row["encryption_port"]) if network else None


def _host_row(host: Host) -> Row:
    return {
        "name": host.name,
        "system_id": host.system_id,
        "address": host.address,
        "gateway": str(host.gateway),
        "labels": dict(host.labels),
        "created": host.created,
        "resolvers": frozenset(map(str, host.resolvers)),
        "underlay_mtu": host.underlay_mtu,
        "lost": host.lost,
        "public_key": host.public_key,
    }


def _host(_: UUID, row: Row, __: HostNames) -> Host:
    return Host(
        name=row["name"],
        system_id=row["system_id"],
        address=row["address"],
        gateway=IPv4Address(row["gateway"]),
        labels=row["labels"],
        created=row["created"],
        resolvers=tuple(sorted(map(IPv4Address, row["resolvers"]))),
        underlay_mtu=row["underlay_mtu"],
        lost=row["lost"],
        public_key=row["public_key"],
    )


def _network_row(network: Network) -> Row:
    return {
        "name": network.name if network.name is not None else f"{PENDING}{network.id}",
        "subnet": str(network.subnet),
        "gateway": str(network.gateway),
        "ip_range": None if network.ip_range is None else str(network.ip_range),
        "subnet6": None if network.subnet6 is None else str(network.subnet6),
        "gateway6": None if network.gateway6 is None else str(network.gateway6),
        "reserved": {str(address): name for address, name in network.reserved.items()},
        "internal": network.internal,
        "routed": network.routed,
        "labels": dict(network.labels),
        "created": network.created,
        "origin": network.origin,
        "request": network.request,
    }


def _network(uuid: UUID, row: Row, _: HostNames) -> Network:
    return Network(
        id=uuid,
        name=None if row["name"].startswith(PENDING) else row["name"],
        subnet=IPv4Network(row["subnet"]),
        gateway=IPv4Address(row["gateway"]),
        ip_range=None if row["ip_range"] is None else IPv4Network(row["ip_range"]),
        internal=row["internal"],
        routed=row["routed"],
        labels=row["labels"],
        created=row["created"],
        origin=row["origin"],
        request=row["request"],
        subnet6=None if row["subnet6"] is None else IPv6Network(row["subnet6"]),
        gateway6=None if row["gateway6"] is None else IPv6Address(row["gateway6"]),
        reserved={ip_address(address): name for address, name in row["reserved"].items()},
    )


def _lease_row(lease: Lease) -> Row:
    return {
        "network": lease.network,
        "address": str(lease.address),
        "kind": lease.kind.value,
        "host": lease.host,
        "request": lease.request,
        "created": lease.created,
        "released": lease.released,
    }


def _lease(_: UUID, row: Row, __: HostNames) -> Lease:
    return Lease(
        network=row["network"],
        address=ip_address(row["address"]),
        kind=LeaseKind(row["kind"]),
        host=row["host"],
        request=row["request"],
        created=row["created"],
        released=row["released"],
    )


def _endpoint_row(endpoint: Endpoint) -> Row:
    return {
        "id": endpoint.id,
        "network": endpoint.network,
        "host": host_uuid(endpoint.host),
        "address": str(endpoint.address),
        "address6": None if endpoint.address6 is None else str(endpoint.address6),
        "mac": endpoint.mac,
        "container": endpoint.container,
        "name": endpoint.name,
        "labels": dict(endpoint.labels),
        "known": endpoint.known,
        "created": endpoint.created,
        "rate": endpoint.rate,
        "published": frozenset(map(str, endpoint.published)),
        "aliases": frozenset(endpoint.aliases),
        "conditions": dict(endpoint.conditions),
        "draining": endpoint.draining,
    }


def _endpoint(_: UUID, row: Row, names: HostNames) -> Endpoint:
    return Endpoint(
        id=row["id"],
        network=row["network"],
        host=names[row["host"]],
        address=IPv4Address(row["address"]),
        mac=row["mac"],
        container=row["container"],
        name=row["name"],
        labels=row["labels"],
        known=row["known"],
        created=row["created"],
        rate=row["rate"],
        address6=None if row["address6"] is None else IPv6Address(row["address6"]),
        published=tuple(sorted(map(Published.parse, row["published"]))),
        aliases=tuple(sorted(row["aliases"])),
        conditions=row["conditions"],
        draining=row["draining"],
    )


def _token_row(token: Token) -> Row:
    return {
        "id": token.id,
        "hash": token.hash,
        "created": token.created,
        "expires": token.expires,
        "uses": token.uses,
    }


def _token(_: UUID, row: Row, __: HostNames) -> Token:
    return Token(row["id"], row["hash"], row["created"], row["expires"], row["uses"])


def _pool_row(pool: AddressPool) -> Row:
    return {"name": pool.name, "first": str(pool.first), "last": str(pool.last), "created": pool.created}


def _pool(_: UUID, row: Row, __: HostNames) -> AddressPool:
    return AddressPool(row["name"], ip_address(row["first"]), ip_address(row["last"]), row["created"])


def _floating_row(floating: Floating) -> Row:
    return {
        "address": str(floating.address),
        "network_name": floating.network,
        "labels": dict(floating.labels),
        "holder": floating.holder,
        "created": floating.created,
    }


def _floating(_: UUID, row: Row, __: HostNames) -> Floating:
    return Floating(ip_address(row["address"]), row["network_name"], row["labels"], row["holder"], row["created"])


KINDS: Mapping[type, Kind] = {
    ClusterRecord: Kind("Cluster", lambda _: "", lambda item: item.cluster.id, _cluster_row, _cluster),
    Host: Kind("Host", lambda item: item.name, lambda item: host_uuid(item.name), _host_row, _host),
    Network: Kind("Network", lambda item: item.id, lambda item: item.id, _network_row, _network),
    Lease: Kind(
        "Lease",
        lambda item: (item.network, item.address),
        lambda item: row_uuid("Lease", f"{item.network}/{item.address}"),
        _lease_row,
        _lease,
    ),
    Endpoint: Kind("Endpoint", lambda item: item.id, lambda item: row_uuid("Endpoint", item.id), _endpoint_row, _endpoint),
    Policy: Kind(
        "Policy",
        lambda item: (item.network, item.name),
        lambda item: row_uuid("Policy", f"{item.network}/{item.name}"),
        policyrows.policy_row,
        lambda _, row, __: policyrows.policy(row),
    ),
    TrafficPolicy: Kind(
        "TrafficPolicy",
        lambda item: (item.network, item.name),
        lambda item: row_uuid("TrafficPolicy", f"{item.network}/{item.name}"),
        policyrows.policy_row,
        lambda _, row, __: policyrows.traffic(row),
    ),
    Service: Kind(
        "Service",
        lambda item: (item.network, item.name),
        lambda item: row_uuid("Service", f"{item.network}/{item.name}"),
        servicerows.service_row,
        lambda _, row, __: servicerows.service(row),
    ),
    Revision: Kind(
        "Revision",
        lambda item: item.number,
        lambda item: row_uuid("Revision", str(item.number)),
        policyrows.revision_row,
        lambda _, row, __: policyrows.revision(row),
    ),
    Bgp: Kind("Bgp", lambda _: "", lambda _: row_uuid("Bgp", ""), bgprows.bgp_row, lambda _, row, __: bgprows.bgp(row)),
    BgpPeer: Kind(
        "BgpPeer",
        lambda item: (item.address, item.host),
        lambda item: row_uuid("BgpPeer", f"{item.address}/{item.host}"),
        bgprows.peer_row,
        lambda _, row, __: bgprows.peer(row),
    ),
    Token: Kind("Token", lambda item: item.id, lambda item: row_uuid("Token", item.id), _token_row, _token),
    AddressPool: Kind(
        "AddressPool", lambda item: item.name, lambda item: row_uuid("AddressPool", item.name), _pool_row, _pool
    ),
    Floating: Kind(
        "FloatingAddress",
        lambda item: item.address,
        lambda item: row_uuid("FloatingAddress", str(item.address)),
        _floating_row,
        _floating,
    ),
}
"""In the order in which they must be read: what is referred to comes first."""

TABLES: Mapping[str, type] = {kind.table: model for model, kind in KINDS.items()}


def same(one: Item | None, other: Item | None) -> bool:
    """Return whether two values are stored alike: two documents may mean the same policy."""
    return one == other and getattr(one, "document", None) == getattr(other, "document", None)
