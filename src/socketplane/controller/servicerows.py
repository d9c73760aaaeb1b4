"""Services as rows of the intent database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

import orjson

from socketplane.model.policy import parse_service
from socketplane.model.services.types import Service

Row = Mapping[str, Any]
HEADLESS = "~"
"""Begins the stored address of a service that has none; the rest is its title, which keeps the index unique."""


def service_row(service: Service) -> Row:
    """Return a service's row."""
    return {
        "network_name": service.network,
        "name": service.name,
        "address": f"{HEADLESS}{service.title}" if service.address is None else str(service.address),
        "address6": None if service.address6 is None else str(service.address6),
        "labelled": service.labelled,
        "created": service.created,
        "document": service.document,
    }


def service(row: Row) -> Service:
    """Return the service of a row.

    Raises:
        SocketPlaneError, ValueError: its document can't be understood.
    """
    parsed = parse_service(orjson.loads(row["document"]))
    return Service(
        network=parsed.network,
        name=parsed.name,
        spec=parsed.spec,
        address=None if row["address"].startswith(HEADLESS) else IPv4Address(row["address"]),
        address6=None if row["address6"] is None else IPv6Address(row["address6"]),
        labelled=row["labelled"],
        created=row["created"],
        document=row["document"],
    )


def ranges(stored: Iterable[str]) -> tuple[IPv4Network | None, IPv6Network | None]:
    """Return the ranges of IPv4 and IPv6 that services have their addresses from."""
    blocks = [ip_network(text) for text in stored]
    four = next((block for block in blocks if isinstance(block, IPv4Network)), None)
    six = next((block for block in blocks if isinstance(block, IPv6Network)), None)
    return four, six
