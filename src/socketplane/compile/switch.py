"""A network: its switch, its place on the router, its port groups, and what it allows by default."""

from __future__ import annotations

from ipaddress import IPv6Network

from socketplane.compile import acl, names
from socketplane.compile.anchor import compile_anchor
from socketplane.compile.asking import ask_from
from socketplane.compile.match import subject
from socketplane.compile.multicast import memberships, snooping
from socketplane.compile.published import from_outside, publish_on
from socketplane.compile.router import join
from socketplane.compile.rows import Output, Value, identity
from socketplane.compile.service import serve_on
from socketplane.model.rules import ISOLATION, unknown_id
from socketplane.model.spec import Direction
from socketplane.model.types import LINK_LOCAL6, Cluster, Network, mac_of


def compile_network(output: Output, cluster: Cluster, network: Network, *, unknown_cut_off: bool) -> None:
    """Add a network's rows. An internal one is not joined to the router: nothing leads out but questions for names."""
    name = names.switch(network.id)
    notes = {"network": network.name or ""}
    switch = output.row("Logical_Switch", str(network.id), {"name": name, **snooping(network)}, notes)
    if not network.internal:
        port = join(
            output,
            switch=switch,
            ports=(names.router_port(network.id), names.router_switch_port(network.id)),
            mac=mac_of(network.gateway),
            addresses=[
                f"{gateway}/{subnet.prefixlen}" for gateway, subnet in zip(network.gateways, network.subnets, strict=True)
            ],
        )
        publish_on(output, switch)
        serve_on(output, switch)
        routed = identity(output.cluster, "Port_Group", names.ROUTED_GROUP)
        output.edge("Port_Group", routed, "ports", port)
    else:
        ask_from(output, network, switch)
    compile_anchor(output, network)
    _defaults(output, cluster, network, notes)
    _unknown(output, network, notes, unknown_cut_off=unknown_cut_off)


def _defaults(output: Output, cluster: Cluster, network: Network, notes: dict[str, str]) -> None:
    """Free inside, nothing from other networks, and from outside where it is routed. All is tracked from the first packet.

    Without the allowing ACLs the first policy would cut connections that it allows: their answers were untracked.
    """
    name = names.network_group(network.id)
    group = output.row("Port_Group", name, {"name": name}, notes)
    out, into = subject(Direction.EGRESS, name), subject(Direction.INGRESS, name)
    acls = {
        "out": acl.allow(Direction.EGRESS, acl.BASE_ALLOW, f"{out} && ip", name="base"),
        "inside": acl.allow(Direction.INGRESS, acl.BASE_ALLOW, f"{into} && ip4.src == {network.subnet}", name="base"),
        "isolation": acl.drop(
            Direction.INGRESS, acl.BASE_DROP, f"{into} && ip", name=ISOLATION, meter=names.ISOLATION_METER
        ),
    }
    acls |= memberships(network, out, into)
    if output.features.acl_tier:
        acls |= acl.tier_ends({Direction.EGRESS: out, Direction.INGRESS: into})
    if network.routed:
        acls |= _routed(cluster, network, name)
    if network.subnet6 is not None:
        acls |= _ipv6(network.subnet6, out, into)
    for key, columns in acls.items():
        acl.add(output, group, f"base/{key}/{network.id}", columns)


def _routed(cluster: Cluster, network: Network, group: str) -> dict[str, dict[str, Value]]:
    """Return what lets the outside in, by each version of IP that the network has."""
    matches = {"outside": from_outside(cluster, group)}
    if network.subnet6 is not None:
        matches["outside6"] = from_outside(cluster, group, 6)
    return {key: acl.allow(Direction.INGRESS, acl.BASE_ALLOW, match, name="base") for key, match in matches.items()}


def _ipv6(subnet: IPv6Network, out: str, into: str) -> dict[str, dict[str, Value]]:
    """Return what IPv6 needs besides: address sets know no link-local addresses, which so would get around policies.

    Neighbour discovery, which uses them, isn't subject to ACLs.
    """
    link_local = f"{out} && (ip6.src == {LINK_LOCAL6} || ip6.dst == {LINK_LOCAL6})"
    return {
        "inside6": acl.allow(Direction.INGRESS, acl.BASE_ALLOW, f"{into} && ip6.src == {subnet}", name="base"),
        "link-local": acl.drop(
            Direction.EGRESS, acl.LINK_LOCAL_DROP, link_local, name=ISOLATION, meter=names.ISOLATION_METER
        ),
    }


def _unknown(output: Output, network: Network, notes: dict[str, str], *, unknown_cut_off: bool) -> None:
    """Endpoints whose labels are not known yet are cut off, both ways, as soon as a policy may mean them."""
    name = names.unknown_group(network.id)
    group = output.row("Port_Group", name, {"name": name}, notes)
    if not unknown_cut_off:
        return
    for direction in Direction:
        match = f"{subject(direction, name)} && ip"
        columns = acl.drop(direction, acl.UNKNOWN_DROP, match, name=unknown_id(direction))
        acl.add(output, group, f"unknown/{network.id}/{direction}", columns)
