"""Asking for names: to its own host's resolver every container gets, also from where nothing else leads out.

An internal network has no port on the router. It has one for questions instead, of the type `localport`: every host has
its own behind it, and what is sent there never leaves the host. It has the address of the network's gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from socketplane.compile import acl, names
from socketplane.compile.match import one_of, subject
from socketplane.compile.rows import Output, identity
from socketplane.model.resolver import RESOLVER_PORT, RESOLVER_PROTOCOLS
from socketplane.model.rules import ISOLATION
from socketplane.model.spec import Direction
from socketplane.model.types import Host, Network, mac_of


def compile_asking(output: Output) -> None:
    """Add the group of internal networks' ports for questions: nothing begins there, and all else is refused."""
    name = names.INTERNAL_GROUP
    group = output.row("Port_Group", name, {"name": name})
    # At once: who tries must not wait for nothing. What is sent to all of the network comes here too; hosts ignore it.
    match = f"{subject(Direction.INGRESS, name)} && ip && !eth.mcast"
    acl.add(output, group, "asking/else", acl.reject(Direction.INGRESS, acl.ASKING_DROP, match, name=ISOLATION))
    match = f"{subject(Direction.EGRESS, name)} && ip"
    out = acl.drop(Direction.EGRESS, acl.ASKING_DROP, match, name=ISOLATION, meter=names.ISOLATION_METER)
    acl.add(output, group, "asking/out", out)


def ask_from(output: Output, network: Network, switch: UUID) -> None:
    """Add an internal network's port for questions."""
    name = names.asking_port(network.id)
    port = output.row(
        "Logical_Switch_Port",
        name,
        {
            "name": name,
            "type": "localport",
            "addresses": frozenset({f"{mac_of(network.gateway)} {network.gateway}"}),
            # Answers come from the addresses that were asked.
            "port_security": frozenset(),
            "options": {},
        },
        {"network": network.name or ""},
    )
    output.edge("Logical_Switch", switch, "ports", port)
    output.edge("Port_Group", identity(output.cluster, "Port_Group", names.INTERNAL_GROUP), "ports", port)


def answer_from(output: Output, host: Host, here: str, notes: Mapping[str, str]) -> None:
    """Let containers of a host ask its resolver; `here` matches what is on it. No NetworkPolicy isolates from that."""
    if not host.resolvers:
        return
    routed, internal = (identity(output.cluster, "Port_Group", name) for name in (names.ROUTED_GROUP, names.INTERNAL_GROUP))
    where = one_of([str(address) for address in host.resolvers])
    for protocol in RESOLVER_PROTOCOLS:
        match = f"ip4.dst == {where} && {protocol}.dst == {RESOLVER_PORT} && {here}"
        key = f"{protocol}/{host.name}"
        # Where the source is: its own host leads what is sent there to its resolver, and nowhere else.
        for name, group in (("resolver", routed), ("resolver/internal", internal)):
            asks = acl.allow(Direction.EGRESS, acl.RESOLVER_ALLOW, match, name="resolver")
            acl.add(output, group, f"{name}/{key}", asks, notes)
        into = f"{subject(Direction.INGRESS, names.INTERNAL_GROUP)} && {match}"
        asked = acl.allow(Direction.INGRESS, acl.ASKING_ALLOW, into, name="resolver")
        acl.add(output, internal, f"asking/{key}", asked, notes)
