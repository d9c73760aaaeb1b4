"""The one distributed router, the switch of hosts, and what every endpoint has from its creation on."""

from __future__ import annotations

from uuid import UUID

from socketplane.compile import acl, names
from socketplane.compile.rows import Output, identity
from socketplane.model.rules import ISOLATION
from socketplane.model.types import Cluster, Direction, mac_of

INSIDE_PRIORITY = 2000
REROUTE_PRIORITY = 1000


def compile_cluster(output: Output, cluster: Cluster) -> None:
    """Add what exists once per cluster."""
    _router(output, cluster)
    _hosts_switch(output, cluster)
    _baseline(output, cluster)
    band = output.row("Meter_Band", names.METER, {"action": "drop", "rate": 10, "burst_size": 10})
    meter = output.row("Meter", names.METER, {"name": names.METER, "unit": "pktps", "fair": True})
    output.edge("Meter", meter, "bands", band)


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
        address=f"{address}/{cluster.hosts.prefixlen}",
    )


def _baseline(output: Output, cluster: Cluster) -> None:
    """Every connection goes through conntrack from the first packet on, so that a first policy cuts none it allows."""
    group = output.row("Port_Group", names.ENDPOINTS_GROUP, {"name": names.ENDPOINTS_GROUP})
    out = acl.subject(Direction.EGRESS, names.ENDPOINTS_GROUP)
    into = acl.subject(Direction.INGRESS, names.ENDPOINTS_GROUP)
    acls = {
        "base/egress": acl.allow(Direction.EGRESS, acl.BASE_ALLOW, f"{out} && ip", name="base"),
        "base/hosts": acl.allow(Direction.INGRESS, acl.BASE_ALLOW, f"{into} && ip4.src == {cluster.hosts}", name="base"),
        "base/isolation": acl.drop(Direction.INGRESS, acl.BASE_DROP, f"{into} && ip", name=ISOLATION),
    }
    for key, columns in acls.items():
        output.edge("Port_Group", group, "acls", output.row("ACL", key, columns))


def join(output: Output, *, switch: UUID, ports: tuple[str, str], mac: str, address: str) -> None:
    """Add the pair of ports that joins a switch to the router."""
    router_port, switch_port = ports
    router = identity(output.cluster, "Logical_Router", names.ROUTER)
    port = output.row(
        "Logical_Router_Port", router_port, {"name": router_port, "mac": mac, "networks": frozenset({address})}
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
