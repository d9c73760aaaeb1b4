"""Names and fixed addresses in the northbound. Others meet us by these: keep them."""

from __future__ import annotations

import json
from hashlib import sha256
from uuid import UUID

from socketplane.model.spec import Selector
from socketplane.model.types import Address, Cluster, Endpoint

ROUTER = "sp-router"
HOSTS_SWITCH = "sp-hosts"
HOSTS_ROUTER_PORT = "rp-hosts"
HOSTS_SWITCH_PORT = "nr-hosts"
ROUTED_GROUP = "sp_routed"
"""Port group of the networks' ports to the router: its ACLs hold on the switches of all networks that are routed."""
INTERNAL_GROUP = "sp_internal"
"""Port group of the ports by which internal networks reach their host's resolver, and nothing else."""
PUBLISHED_GROUP = "sp_published"
"""Port group of the endpoints that have ports published to the outside."""
BALANCERS = "sp-published-"
"""Begins the name of a Load_Balancer_Group; the rest is the cluster's id, for that table has no place else for it."""
SERVICE_BALANCERS = "sp-services-"
"""Likewise."""
METER = "sp-drops"
ISOLATION_METER = "sp-isolation"


def switch(network: UUID) -> str:
    """Name of a network's Logical_Switch."""
    return f"sp-{network}"


def router_port(network: UUID) -> str:
    """Name of the router's port on a network."""
    return f"rp-{network}"


def router_switch_port(network: UUID) -> str:
    """Name of the network's switch port that the router's port is joined to."""
    return f"nr-{network}"


def endpoint_port(endpoint: Endpoint) -> str:
    """Name of an endpoint's port: what the OVS Interface carries as iface-id."""
    return f"sp-{endpoint.id}"


def balancers(cluster: UUID) -> str:
    """Name of the Load_Balancer_Group of all published ports: the switches of all routed networks have it."""
    return f"{BALANCERS}{cluster}"


def service_balancers(cluster: UUID) -> str:
    """Name of the Load_Balancer_Group of all services: the switches of all routed networks and that of hosts have it."""
    return f"{SERVICE_BALANCERS}{cluster}"


def balancer(endpoint: Endpoint, what: str) -> str:
    """Name of the Load_Balancer of an endpoint's published ports of a protocol, or of its floating addresses."""
    return f"{endpoint_port(endpoint)}-{what}"


def host_port(host: str) -> str:
    """Name of the port of a host's own stack."""
    return f"sp0-{host}"


def anchor_port(network: UUID) -> str:
    """Name of the port that stands on a network in all groups that endpoints of the network may be in."""
    return f"sp-anchor-{network}"


def asking_port(network: UUID) -> str:
    """Name of the port by which containers of an internal network ask the resolver: every host has its own behind it."""
    return f"sp-ask-{network}"


def network_group(network: UUID) -> str:
    """Name of the port group of all endpoints of a network."""
    return f"sp_n_{network.hex}"


def unknown_group(network: UUID) -> str:
    """Name of the port group of a network's endpoints whose identity Docker has not told yet."""
    return f"sp_q_{network.hex}"


def segment_group(scope: UUID | Selector, selector: Selector) -> str:
    """Name of the port group of what a selector selects, on one network or on those that another selects.

    The empty one selects on a network what the network's group holds.
    """
    if isinstance(scope, Selector):
        return f"sp_c_{_digest([_parts(scope), _parts(selector)])}"
    return network_group(scope) if selector.everything else f"sp_s_{_digest([scope.hex, _parts(selector)])}"


def hosts_group(selector: Selector) -> str:
    """Name of the port group of the hosts' own ports that a selector selects."""
    return f"sp_h_{_digest([_parts(selector)])}"


def _parts(selector: Selector) -> list[object]:
    expressions = [[want.key, want.operator, want.values] for want in selector.expressions]
    return [selector.match_labels, expressions]


def _digest(parts: list[object]) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()[:20]


def router_address(cluster: Cluster, version: int = 4) -> Address:
    """Address of the router on the switch of hosts: the first."""
    return cluster.hosts_of(version)[1]


def nobody(cluster: Cluster, version: int = 4) -> Address:
    """Return an address of the switch of hosts that no host ever has, the last usable one: for what leads to nobody."""
    return cluster.hosts_of(version)[-2]
