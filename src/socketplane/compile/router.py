"""The one distributed router, the switch of hosts, and what else exists once."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Network
from uuid import UUID

from socketplane.compile import acl, names
from socketplane.compile.asking import compile_asking
from socketplane.compile.match import within
from socketplane.compile.prefixes import all_but
from socketplane.compile.published import compile_published
from socketplane.compile.rows import Output, identity
from socketplane.compile.service import compile_balancers, serve_on
from socketplane.model.rules import ISOLATION
from socketplane.model.spec import Direction
from socketplane.model.types import LINK_LOCAL6, Cluster, mac_of

MULTICAST6 = IPv6Network("ff00::/8")
INSIDE_PRIORITY = 2000
REROUTE_PRIORITY = 1000


def compile_cluster(output: Output, cluster: Cluster, *, ipv6: bool) -> None:
    """Add what exists once per cluster; `ipv6`: some network has IPv6."""
    _router(output, cluster)
    _hosts_switch(output, cluster)
    _routed(output, cluster, ipv6=ipv6)
    compile_published(output, cluster)
    compile_asking(output)
    compile_balancers(output)
    _meters(output)


def _router(output: Output, cluster: Cluster) -> None:
    # Addresses of endpoints and hosts are known from their ports: learning them from ARP would only fill the southbound.
    options = {"always_learn_from_arp_request": "false", "dynamic_neigh_routers": "true"}
    router = output.row("Logical_Router", names.ROUTER, {"name": names.ROUTER, "options": options})
    inside = output.row(
        "Logical_Router_Policy",
        "inside",
        {
            "priority": INSIDE_PRIORITY,
            "match": f"ip4.dst == {{{cluster.pool}, {cluster.hosts}}}",
            "action": "allow",
            "nexthops": frozenset(),
        },
    )
    output.edge("Logical_Router", router, "policies", inside)
    # Policies run only for packets that a route matched. The default route leads to nobody, so that a host without its
    # policy loses packets and does not send them through another host. Parts of the pool without a network end at once:
    # otherwise every packet there would become an ARP request to all hosts.
    nexthops = {"0.0.0.0/0": str(names.nobody(cluster)), str(cluster.pool): "discard"}
    for prefix, nexthop in nexthops.items():
        route = output.row("Logical_Router_Static_Route", prefix, {"ip_prefix": prefix, "nexthop": nexthop})
        output.edge("Logical_Router", router, "static_routes", route)


def _hosts_switch(output: Output, cluster: Cluster) -> None:
    switch = output.row("Logical_Switch", names.HOSTS_SWITCH, {"name": names.HOSTS_SWITCH})
    address = names.router_address(cluster)
    join(
        output,
        switch=switch,
        ports=(names.HOSTS_ROUTER_PORT, names.HOSTS_SWITCH_PORT),
        mac=mac_of(address),
        addresses=[f"{address}/{cluster.hosts.prefixlen}"],
    )
    serve_on(output, switch)


def _routed(output: Output, cluster: Cluster, *, ipv6: bool) -> None:
    """Add the group by which ACLs reach all routed networks, and let hosts in where no policy says otherwise.

    A group of all endpoints would do the same, and make the database copy all its members for every new one: with
    10,000 endpoints that more than doubled the time of a transaction.
    """
    group = output.row("Port_Group", names.ROUTED_GROUP, {"name": names.ROUTED_GROUP})
    columns = acl.allow(Direction.INGRESS, acl.BASE_ALLOW, f"ip4.src == {cluster.hosts}", name="base")
    acl.add(output, group, "base/hosts", columns)
    # A container that a load balancer leads to itself has an address meanwhile that nobody has, so that nobody else can
    # come from there: answers to it are taken for its own.
    itself = f"ip4.src == {names.nobody(cluster)}"
    acl.add(output, group, "itself", acl.allow(Direction.INGRESS, acl.OWN_HOST_ALLOW, itself, name="itself"))
    if ipv6:
        itself = f"ip6.src == {names.nobody6(cluster)}"
        acl.add(output, group, "itself6", acl.allow(Direction.INGRESS, acl.OWN_HOST_ALLOW, itself, name="itself"))
        # No route leads out over IPv6, and the router drops without a word: who tries must not wait for nothing.
        outside = within(Direction.EGRESS, all_but([cluster.pool6, LINK_LOCAL6, MULTICAST6], 6))
        columns = acl.reject(Direction.EGRESS, acl.OUTSIDE6_REJECT, outside, name=ISOLATION)
        acl.add(output, group, "base/outside6", columns)


def _meters(output: Output) -> None:
    """Limit the lines that drops log: those of policies each by itself, those of all networks together."""
    for name, fair in ((names.METER, True), (names.ISOLATION_METER, False)):
        meter = output.row("Meter", name, {"name": name, "unit": "pktps", "fair": fair})
        band = output.row("Meter_Band", name, {"action": "drop", "rate": 10, "burst_size": 10})
        output.edge("Meter", meter, "bands", band)


def join(output: Output, *, switch: UUID, ports: tuple[str, str], mac: str, addresses: Iterable[str]) -> UUID:
    """Add the pair of ports that joins a switch to the router; return the switch's."""
    router_port, switch_port = ports
    router = identity(output.cluster, "Logical_Router", names.ROUTER)
    port = output.row(
        "Logical_Router_Port", router_port, {"name": router_port, "mac": mac, "networks": frozenset(addresses)}
    )
    output.edge("Logical_Router", router, "ports", port)
    peer = output.row(
        "Logical_Switch_Port",
        switch_port,
        {
            "name": switch_port,
            "type": "router",
            "addresses": frozenset({"router"}),
            "port_security": frozenset(),
            "options": {"router-port": router_port},
        },
    )
    output.edge("Logical_Switch", switch, "ports", peer)
    return peer
