"""Anchors: a port without address on every network, in all groups that its endpoints may be in.

northd computes everything anew for the first and the last member of a port group on a switch. With an anchor no endpoint
is ever either. Nothing binds it and nothing is sent to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.rows import Output, Value, identity
from socketplane.model.types import Network


def compile_anchor(output: Output, network: Network) -> None:
    """Add a network's anchor, in the groups that the network has anyway."""
    if not output.features.incremental:
        return
    columns: dict[str, Value] = {
        "name": names.anchor_port(network.id),
        "type": "",
        "addresses": frozenset(),
        "port_security": frozenset(),
        "options": {},
    }
    port = output.row("Logical_Switch_Port", _key(network.id), columns, {"network": network.name or ""})
    output.edge("Logical_Switch", identity(output.cluster, "Logical_Switch", str(network.id)), "ports", port)
    published = () if network.internal else (names.PUBLISHED_GROUP,)
    for name in (names.network_group(network.id), names.unknown_group(network.id), *published):
        output.edge("Port_Group", identity(output.cluster, "Port_Group", name), "ports", port)


def anchor(output: Output, group: UUID, networks: Iterable[UUID]) -> None:
    """Put the anchors of networks into a segment's group."""
    if output.features.incremental:
        for network in networks:
            output.edge("Port_Group", group, "ports", identity(output.cluster, "Logical_Switch_Port", _key(network)))


def _key(network: UUID) -> str:
    return f"anchor/{network}"
