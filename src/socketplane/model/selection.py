"""Whom the parts of a rule mean: members of networks, and addresses. For judges of policy; the compiler has its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from socketplane.model.floating import Floating
from socketplane.model.services.types import Service
from socketplane.model.spec import (
    Action,
    Block,
    ClusterRule,
    ClusterSpec,
    Direction,
    Hosts,
    Labels,
    Members,
    Peer,
    Policy,
    Port,
    Protocol,
    Rule,
)
from socketplane.model.traffic import TrafficPolicy
from socketplane.model.types import (
    LINK_LOCAL6,
    Address,
    Cluster,
    Endpoint,
    Host,
    Network,
    effective_labels,
    host_labels,
    network_labels,
)

Party = Endpoint | Host | IPv4Address | IPv6Address
"""An end: a container, a host's own stack, or any other address."""


@dataclass(frozen=True, slots=True)
class View:
    """What a verdict depends on, beside the two ends.

    Endpoints and hosts matter only to what is asked about all of them: `reach`, `changes`, `warnings`.
    """

    cluster: Cluster
    networks: Mapping[UUID, Network]
    policies: Collection[Policy]
    endpoints: Collection[Endpoint] = ()
    hosts: Collection[Host] = ()
    floating: Collection[Floating] = ()
    """Those that an endpoint holds let the outside in to it, with every protocol."""
    services: Collection[Service] = ()


def address_of(party: Party, version: int = 4) -> Address | None:
    """Return the address that a packet of this end carries; None where it has none of that version."""
    if isinstance(party, Endpoint):
        return party.address if version == 4 else party.address6
    if isinstance(party, Host):
        return party.gateway if version == 4 else party.gateway6
    return party if party.version == version else None


def labels_of(view: View, endpoint: Endpoint) -> Labels:
    """Return the labels by which selectors know an endpoint."""
    network = view.networks.get(endpoint.network)
    return effective_labels(endpoint, network.name if network else None)


def is_on(view: View, members: Members, own: str, endpoint: Endpoint) -> bool:
    """Return whether an endpoint is on a network that is meant; `own` names the network of the policy."""
    network = view.networks.get(endpoint.network)
    if network is None:
        return False
    return network.name == own if members.networks is None else members.networks.matches(network_labels(network))


def is_member(view: View, members: Members, own: str, endpoint: Endpoint) -> bool:
    """Return whether an endpoint is meant. One that is not known is not, whatever is asked of it."""
    return endpoint.known and is_on(view, members, own, endpoint) and members.endpoints.matches(labels_of(view, endpoint))


def in_block(cluster: Cluster, block: Block, address: Address) -> bool:
    """Return whether an address is meant. Link-local ones never are: any container can have them."""
    if address not in block.cidr or any(address in excepted for excepted in block.excepts):
        return False
    return address not in LINK_LOCAL6 and (block.pool or address not in cluster.pool_of(address.version))


def is_host(view: View, peer: Hosts, party: Party) -> bool:
    """Return whether an end is one of the hosts that are meant, or one of their addresses."""
    return any(
        (party in (host, host.gateway, host.gateway6) or str(party) == host.address)
        and peer.selector.matches(host_labels(host))
        for host in view.hosts
    )


def has_peer(view: View, peers: Collection[Peer] | None, own: str, party: Party, version: int = 4) -> bool:
    """Return whether an end is one of a rule's peers, in packets of that version of IP."""
    if peers is None:
        return True
    for peer in peers:
        if isinstance(peer, Block):
            address = address_of(party, version)
            if address is not None and in_block(view.cluster, peer, address):
                return True
        elif isinstance(peer, Hosts):
            if not isinstance(party, Endpoint) and is_host(view, peer, party):
                return True
        elif isinstance(party, Endpoint) and is_member(view, peer, own, party):
            return True
    return False


def has_port(ports: Collection[Port] | None, protocol: Protocol | None, port: int | None) -> bool:
    """Return whether a packet is of a rule's ports."""
    return ports is None or any(wanted.includes(protocol, port) for wanted in ports)


def subject_of(policy: Policy | TrafficPolicy) -> Members:
    """Return whom a policy is about, of whatever kind it is."""
    subject = policy.spec.subject
    return subject if isinstance(subject, Members) else Members(subject)


def rules_of(policy: Policy, direction: Direction) -> Sequence[Rule | ClusterRule]:
    """Return a policy's rules of a direction; none where it leaves that alone."""
    return (policy.spec.ingress if direction is Direction.INGRESS else policy.spec.egress) or ()


def cuts_off(view: View, policy: Policy, endpoint: Endpoint) -> bool:
    """Return whether a policy might be about an endpoint, or deny it to others, if its labels were known."""
    if is_on(view, subject_of(policy), policy.network, endpoint):
        return True
    return isinstance(policy.spec, ClusterSpec) and any(
        isinstance(peer, Members) and is_on(view, peer, policy.network, endpoint)
        for rule in (*policy.spec.ingress, *policy.spec.egress)
        if rule.action is Action.DENY
        for peer in rule.peers
    )
