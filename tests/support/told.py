"""What the API tells, as the model's values."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from uuid import UUID

from socketplane.model.published import Published
from socketplane.model.spec import Protocol
from socketplane.model.types import Endpoint, Host, Network


def network(told: Mapping[str, Any]) -> Network:
    """Return a network."""
    return Network(
        UUID(told["id"]),
        told["name"],
        IPv4Network(told["subnet"]),
        IPv4Address(told["gateway"]),
        internal=told["internal"],
        labels=told["labels"],
        subnet6=IPv6Network(told["subnet6"]) if told["subnet6"] else None,
        gateway6=IPv6Address(told["gateway6"]) if told["gateway6"] else None,
    )


def endpoint(told: Mapping[str, Any]) -> Endpoint:
    """Return a known endpoint."""
    assert told["known"], told
    return Endpoint(
        told["id"],
        UUID(told["network"]),
        told["host"],
        IPv4Address(told["address"]),
        told["mac"],
        name=told["name"],
        labels=told["labels"],
        address6=IPv6Address(told["address6"]) if told["address6"] else None,
        published=tuple(_published(each) for each in told["published"]),
    )


def _published(told: Mapping[str, Any]) -> Published:
    return Published(Protocol(told["protocol"]), ip_address(told["address"]), told["host_port"], told["port"])


def host(told: Mapping[str, Any]) -> Host:
    """Return a host."""
    resolvers = tuple(sorted(map(IPv4Address, (told["report"] or {}).get("resolvers", ()))))
    return Host(
        told["name"],
        told["system_id"],
        told["address"],
        IPv4Address(told["gateway"]),
        labels=told["labels"],
        resolvers=resolvers,
    )
