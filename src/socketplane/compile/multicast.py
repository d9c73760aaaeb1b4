"""Multicast inside a network: to those who joined, on all hosts, by IGMP and MLD snooping with a querier on every host.

Its packets are no connections: ACLs judge each by itself, for its sender once and for each member again.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from socketplane.compile import acl
from socketplane.compile.rows import Value
from socketplane.model.spec import Direction
from socketplane.model.types import LINK_LOCAL6, Network, mac_of

QUERY_SECONDS = 10
"""Between two queries. What forgot its members (an ovn-controller that was restarted) knows them again as soon."""
FORGET_SECONDS = 60
"""After which a member that says nothing is none any more: five queries may be lost."""


def snooping(network: Network) -> dict[str, Value]:
    """Return the columns of a network's switch: queries come from its gateway's address, which nobody else has."""
    mac = mac_of(network.gateway)
    config = {
        "mcast_snoop": "true",
        "mcast_querier": "true",
        "mcast_eth_src": mac,
        "mcast_ip4_src": str(network.gateway),
        "mcast_query_interval": str(QUERY_SECONDS),
        "mcast_idle_timeout": str(FORGET_SECONDS),
    }
    if network.subnet6 is not None:
        config["mcast_ip6_src"] = str(_link_local(mac))
    return {"other_config": config}


def memberships(network: Network, out: str, into: str) -> dict[str, dict[str, Value]]:
    """Return what lets IGMP through whatever policy says: it goes to the switch and not to others. MLD needs nothing.

    Who is isolated still may join: what members get, their ingress policies decide.
    """
    query = f"{into} && igmp && ip4.src == {network.gateway}"
    return {
        "join": acl.allow(Direction.EGRESS, acl.MEMBERSHIP_ALLOW, f"{out} && igmp", name="multicast"),
        "query": acl.allow(Direction.INGRESS, acl.MEMBERSHIP_ALLOW, query, name="multicast"),
    }


def _link_local(mac: str) -> IPv6Address:
    """Return the address that an interface with this MAC gives itself: MLD is spoken from such ones only."""
    first, *rest = bytes.fromhex(mac.replace(":", ""))
    host = bytes([first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]])
    return LINK_LOCAL6[int.from_bytes(host)]
