"""A host: the port of its own stack, egress through it, and its way to its own containers."""

from __future__ import annotations

from collections.abc import Collection

from socketplane.compile import acl, names
from socketplane.compile.asking import answer_from
from socketplane.compile.nodes import join_groups
from socketplane.compile.router import REROUTE_PRIORITY
from socketplane.compile.rows import Output, identity
from socketplane.model.spec import Direction, Selector
from socketplane.model.types import Cluster, Host, mac_of


def compile_host(output: Output, cluster: Cluster, host: Host, groups: Collection[Selector], *, ipv6: bool) -> None:
    """Add a host's rows; `groups` are the selectors of hosts in use that select it, `ipv6`: some network has IPv6."""
    name = names.host_port(host.name)
    notes = {"host": host.name}
    addresses = [host.gateway, host.gateway6] if ipv6 else [host.gateway]
    port = output.row(
        "Logical_Switch_Port",
        name,
        {
            "name": name,
            "type": "",
            # That on the underlay is nothing to the switch: groups that the port is in mean both.
            "addresses": frozenset({" ".join([mac_of(host.gateway), *map(str, addresses), host.address])}),
            # Answers from outside come in here with their own source addresses.
            "port_security": frozenset(),
            "options": {"requested-chassis": host.system_id},
        },
        notes,
    )
    output.edge("Logical_Switch", identity(cluster.id, "Logical_Switch", names.HOSTS_SWITCH), "ports", port)
    join_groups(output, port, groups)
    here = f'is_chassis_resident("{name}")'
    group = identity(cluster.id, "Port_Group", names.ROUTED_GROUP)
    for address in addresses:
        version, suffix = address.version, "" if address.version == 4 else "/ip6"
        reroute = output.row(
            "Logical_Router_Policy",
            f"egress/{host.name}{suffix}",
            {
                "priority": REROUTE_PRIORITY,
                "match": f"ip{version}.src == {cluster.pool_of(version)} && {here}",
                "action": "reroute",
                "nexthops": frozenset({str(address)}),
            },
            notes,
        )
        output.edge("Logical_Router", identity(cluster.id, "Logical_Router", names.ROUTER), "policies", reroute)
        # The egress pipeline runs where the destination is: resident there means that the host is the container's own.
        match = f"ip{version}.src == {address} && {here}"
        columns = acl.allow(Direction.INGRESS, acl.OWN_HOST_ALLOW, match, name="own-host")
        acl.add(output, group, f"own-host/{host.name}{suffix}", columns, notes)
    answer_from(output, host, here, notes)
