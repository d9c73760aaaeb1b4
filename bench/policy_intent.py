"""A large cluster with policies of all kinds, as values: the same for the same numbers, and each thing by its own."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Network
from uuid import UUID

from socketplane.model.spec import (
    Action,
    Block,
    ClusterRule,
    ClusterSpec,
    Members,
    Operator,
    Policy,
    PolicySpec,
    Port,
    Protocol,
    Requirement,
    Rule,
    Selector,
    Tier,
)
from socketplane.model.types import Cluster, Endpoint, Host, Network, mac_of

CLUSTER = Cluster(UUID("5ec7e701-0000-4000-8000-0000000000be"))
NETWORKS, HOSTS = 20, 10
GUARDS_EVERY = 50
"""One policy of so many is a ClusterNetworkPolicy."""
_ZONES = ("a", "b", "c")
_TIERS = ("front", "middle", "back")


def intent(endpoints: int, policies: int) -> list[Host | Network | Endpoint | Policy]:
    """Return a whole cluster."""
    return [
        *(host(n) for n in range(HOSTS)),
        *(network(n) for n in range(NETWORKS)),
        *(policy(n, policies) for n in range(policies)),
        *(endpoint(n, policies) for n in range(endpoints)),
    ]


def host(number: int) -> Host:
    """Return a host."""
    gateway = CLUSTER.hosts.network_address + 2 + number
    return Host(f"host{number}", f"chassis-{number}", f"192.0.2.{number + 1}", gateway)


def network(number: int) -> Network:
    """Return a network, with room for a thousand endpoints."""
    start = CLUSTER.pool.network_address + number * 1024
    labels = {"zone": _ZONES[number % 3], "team": f"team{number % 5}"}
    return Network(UUID(int=0xBE0000 + number), f"net{number}", IPv4Network((int(start), 22)), start + 1, labels=labels)


def endpoint(number: int, policies: int) -> Endpoint:
    """Return an endpoint, labelled as Compose does, of one of the applications that the policies are about."""
    on = network(number % NETWORKS)
    place = number // NETWORKS
    address = on.subnet.network_address + 2 + place
    labels = {
        "app": f"app{place % apps(policies)}",
        "tier": _TIERS[place % 3],
        "env": "production",
        "com.docker.compose.project": f"project{place % 7}",
        "com.docker.compose.service": f"service{place % 11}",
        "org.opencontainers.image.version": f"1.{place % 4}",
    }
    return Endpoint(
        f"{number:064x}", on.id, f"host{number % HOSTS}", address, mac_of(address), f"{number:064x}", f"c{number}", labels
    )


def apps(policies: int) -> int:
    """Return how many applications a network has: one per policy on it."""
    return max(1, policies // NETWORKS)


def policy(number: int, policies: int) -> Policy:
    """Return a policy: of one application, peers of which are others, other networks', and addresses."""
    if number % GUARDS_EVERY == GUARDS_EVERY - 1:
        return _guard(number)
    app = (number // NETWORKS) % apps(policies)
    near, far, back = (Selector.of({"app": f"app{(app + step) % apps(policies)}"}) for step in (1, 2, 3))
    tiers = Requirement("tier", Operator.IN, ("front", "middle"))
    ingress = (
        Rule((Members(near),), (Port(Protocol.TCP, 8080), Port(Protocol.TCP, 9000, 9099))),
        Rule((Members(Selector.of(dict(far.match_labels), [tiers])),), (Port(Protocol.TCP, 5432),)),
        Rule(
            (Members(back, Selector.of({"zone": _ZONES[number % 3]})),), (Port(Protocol.TCP, 443), Port(Protocol.UDP, 443))
        ),
    )
    world = Block(ipaddress.ip_network("0.0.0.0/0"), (ipaddress.ip_network("192.168.0.0/16"),))
    egress = (Rule((Members(back),), None), Rule((world,), (Port(Protocol.TCP, 443), Port(Protocol.UDP, 53))))
    subject = Selector.of({"app": f"app{app}"})
    return Policy(f"net{number % NETWORKS}", f"policy{number}", number + 1, PolicySpec(subject, ingress, egress))


def _guard(number: int) -> Policy:
    tier = Tier.ADMIN if number % 2 else Tier.BASELINE
    subject = Members(Selector.of({"tier": _TIERS[number % 3]}), Selector.of({"team": f"team{number % 5}"}))
    others = Members(Selector(), Selector.of({}, [Requirement("zone", Operator.NOT_IN, (_ZONES[number % 3],))]))
    ingress = (ClusterRule(Action.DENY, (others,), (Port(Protocol.TCP, 22),)),)
    metadata = Block(ipaddress.ip_network("169.254.169.254/32"), (), True)
    egress = (ClusterRule(Action.DENY, (metadata,)),)
    return Policy("", f"guard{number}", number + 1, ClusterSpec(tier, number % 1000, subject, ingress, egress))
