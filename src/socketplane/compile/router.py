"""The one distributed router, the switch of hosts, and what else exists once."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from socketplane.compile import acl, names
from socketplane.compile.asking import compile_asking
from socketplane.compile.match import BOTH, IPV4
from socketplane.compile.published import compile_published
from socketplane.compile.rows import Output, identity
from socketplane.compile.service import compile_balancers, serve_on
from socketplane.model.prefixes import EVERYWHERE
from socketplane.model.spec import Direction
from socketplane.model.types import Cluster, mac_of

INSIDE_PRIORITY = 2000
REROUTE_PRIORITY = 1000


def compile_cluster(output: Output, cluster: Cluster, *, ipv6: bool) -> None:
    """Add what exists once per cluster; `ipv6`: some network has IPv6."""
    versions = BOTH if ipv6 else IPV4
    _router(output)
    for version in versions:
        _ways(output, cluster, version)
    _hosts_switch(output, cluster, versions)
    _routed(output, cluster, versions)
    compile_published(output, cluster, versions)
    compile_asking(output)
    compile_balancers(output)
    _meters(output)


def _router(output: Output) -> None:
    # Addresses of endpoints and hosts are known from their ports: learning them from ARP would only fill the southbound.
    options = {"always_learn_from_arp_request": "false", "dynamic_neigh_routers": "true"}
    output.row("Logical_Router", names.ROUTER, {"name": names.ROUTER, "options": options})


def _ways(output: Output, cluster: Cluster, version: int) -> None:
    """Add the ways between networks, and how what leads elsewhere ends where no host takes it."""
    router = identity(output.cluster, "Logical_Router", names.ROUTER)
    pool = cluster.pool_of(version)
    inside = output.row(
        "Logical_Router_Policy",
        "inside" if version == 4 else "inside6",
        {
            "priority": INSIDE_PRIORITY,
            "match": f"ip{version}.dst == {{{pool}, {cluster.hosts_of(version)}}}",
            "action": "allow",
            "nexthops": frozenset(),
        },
    )
    output.edge("Logical_Router", router, "policies", inside)
    # Policies run only for packets that a route matched. The default route leads to nobody, so that a host without its
    # policy loses packets and does not send them through another host. Parts of the pool without a network end at once:
    # otherwise every packet there would become an ARP request to all hosts.
    nexthops = {str(EVERYWHERE[version]): str(names.nobody(cluster, version)), str(pool): "discard"}
    for prefix, nexthop in nexthops.items():
        route = output.row("Logical_Router_Static_Route", prefix, {"ip_prefix": prefix, "nexthop": nexthop})
        output.edge("Logical_Router", router, "static_routes", route)


def _hosts_switch(output: Output, cluster: Cluster, versions: Iterable[int]) -> None:
    switch = output.row("Logical_Switch", names.HOSTS_SWITCH, {"name": names.HOSTS_SWITCH})
    join(
        output,
        switch=switch,
        ports=(names.HOSTS_ROUTER_PORT, names.HOSTS_SWITCH_PORT),
        mac=mac_of(cluster.hosts[1]),
        addresses=[f"{names.router_address(cluster, it)}/{cluster.hosts_of(it).prefixlen}" for it in versions],
    )
    serve_on(output, switch)


def _routed(output: Output, cluster: Cluster, versions: Iterable[int]) -> None:
    """Add the group by which ACLs reach all routed networks, and let hosts in where no policy says otherwise.

    A group of all endpoints would do the same, and make the database copy all its members for every new one: with
    10,000 endpoints that more than doubled the time of a transaction.
    """
    group = output.row("Port_Group", names.ROUTED_GROUP, {"name": names.ROUTED_GROUP})
    for version in versions:
        match = f"ip{version}.src == {cluster.hosts_of(version)}"
        columns = acl.allow(Direction.INGRESS, acl.BASE_ALLOW, match, name="base")
        acl.add(output, group, "base/hosts" if version == 4 else "base/hosts6", columns)
        # A container that a load balancer leads to itself has an address meanwhile that nobody has, so that nobody else can
        # come from there: answers to it are taken for its own.
        itself = f"ip{version}.src == {names.nobody(cluster, version)}"
        columns = acl.allow(Direction.INGRESS, acl.OWN_HOST_ALLOW, itself, name="itself")
        acl.add(output, group, "itself" if version == 4 else "itself6", columns)


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
