"""Published ports: who outside gets in, and containers on their way to a host's address.

The hosts rewrite the destination of what comes from outside (see the agent's ruleset): here it has the container's own.
Containers never leave OVN for it: a load balancer on their switch does the same, and policy knows both ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from socketplane.compile import acl, names
from socketplane.compile.match import place, subject, within
from socketplane.compile.prefixes import all_but
from socketplane.compile.rows import Output, Value, identity
from socketplane.model.behind import addresses
from socketplane.model.spec import Direction, Protocol
from socketplane.model.types import LINK_LOCAL6, Address, Cluster, Endpoint, Host

_KEY = "published"


def compile_published(output: Output, cluster: Cluster, versions: Iterable[int]) -> None:
    """Add what exists once: the group of those whom the outside reaches where no policy says otherwise."""
    name = names.PUBLISHED_GROUP
    group = output.row("Port_Group", name, {"name": name})
    for version in versions:
        columns = acl.allow(Direction.INGRESS, acl.BASE_ALLOW, from_outside(cluster, name, version), name="base")
        acl.add(output, group, "base/published" if version == 4 else "base/published6", columns)
    output.row("Load_Balancer_Group", _KEY, {"name": names.balancers(output.cluster)})


def from_outside(cluster: Cluster, group: str, version: int = 4) -> str:
    """Return the match for what comes to a port group from addresses that are neither containers' nor hosts' own ports'."""
    inside = [cluster.pool_of(version), cluster.hosts_of(version), *([LINK_LOCAL6] if version == 6 else [])]
    outside = within(Direction.INGRESS, all_but(inside, version))
    return f"{subject(Direction.INGRESS, group)} && {outside}"


def publish_on(output: Output, switch: UUID) -> None:
    """Have containers of a switch reach what is published."""
    balancers = identity(output.cluster, "Load_Balancer_Group", _KEY)
    output.edge("Logical_Switch", switch, "load_balancer_group", balancers)


def compile_balancers(output: Output, cluster: Cluster, endpoint: Endpoint, host: Host) -> None:
    """Add the load balancers that lead to an endpoint: one for each protocol, for the server has it so."""
    for protocol in Protocol:
        vips = {
            place(address, published.host_port): place(target, published.port)
            for published in endpoint.published
            if published.protocol is protocol
            and (target := endpoint.address if published.address.version == 4 else endpoint.address6) is not None
            for address in addresses(host, published)
        }
        if vips:
            _balancer(output, cluster, endpoint, str(protocol), vips, {"protocol": str(protocol)})


def compile_floating(output: Output, cluster: Cluster, endpoint: Endpoint, addresses: Iterable[Address]) -> None:
    """Add the load balancer that leads to an endpoint what is sent to addresses of the outside, of whatever protocol."""
    targets = {address: endpoint.address if address.version == 4 else endpoint.address6 for address in addresses}
    if vips := {str(address): str(target) for address, target in targets.items() if target is not None}:
        _balancer(output, cluster, endpoint, "floating", vips, {})


def _balancer(
    output: Output, cluster: Cluster, endpoint: Endpoint, what: str, vips: dict[str, str], more: Mapping[str, Value]
) -> None:
    name = names.balancer(endpoint, what)
    options = {"hairpin_snat_ip": f"{names.nobody(cluster)} {names.nobody(cluster, 6)}"}
    columns: dict[str, Value] = {"name": name, "vips": vips, "options": options, **more}
    row = output.row("Load_Balancer", name, columns, {"name": endpoint.name})
    balancers = identity(output.cluster, "Load_Balancer_Group", _KEY)
    output.edge("Load_Balancer_Group", balancers, "load_balancer", row)
