"""An endpoint: its port, and the groups that it is in. One transaction holds all of it."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.rows import Output
from socketplane.model.types import Endpoint


def compile_endpoint(output: Output, endpoint: Endpoint, *, chassis: str, switch: UUID, groups: Iterable[UUID]) -> None:
    """Add an endpoint's port on its switch and its membership in port groups."""
    place = frozenset({" ".join([endpoint.mac, *map(str, endpoint.addresses)])})
    port = output.row(
        "Logical_Switch_Port",
        endpoint.id,
        {
            "name": names.endpoint_port(endpoint),
            "type": "",
            "addresses": place,
            "port_security": place,
            "options": {"requested-chassis": chassis, "iface-id-ver": endpoint.id},
        },
        {"name": endpoint.name},
    )
    output.edge("Logical_Switch", switch, "ports", port)
    for group in groups:
        output.edge("Port_Group", group, "ports", port)
