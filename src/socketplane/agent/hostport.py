"""`sp0`, this host's own port on br-int: address, route to the pool, and the kernel's settings for it.

ovs-vswitchd makes the link, with MAC and MTU from the database; what is set here is lost whenever it makes it anew.
Functions here block: run them through `Netlink.call`.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from socket import AF_INET

from pyroute2 import IPRoute

from socketplane.agent import sysctl
from socketplane.agent.netlink import Link, find_link, ignoring
from socketplane.errors import Conflict
from socketplane.model.types import mac_of

NAME = "sp0"
_UP = 0x1
_MAIN_TABLE = 254
_RTM_F_FIB_MATCH = 0x2000
_PROTOCOL = 83
"""Marks our route as ours (`ip route show proto 83`); nobody has this number in rt_protos."""
_SETTINGS = {"forwarding": "1", "accept_redirects": "0", "send_redirects": "0"}


@dataclass(frozen=True, slots=True)
class HostPort:
    """What `sp0` should be like."""

    address: IPv4Address
    hosts: IPv4Network
    pool: IPv4Network
    mtu: int

    @property
    def mac(self) -> str:
        """MAC that belongs to the address."""
        return mac_of(self.address)

    @property
    def router(self) -> IPv4Address:
        """The distributed router's address on the switch of hosts: the first one."""
        return self.hosts[1]


def set_up(ipr: IPRoute, want: HostPort) -> list[str] | None:
    """Set right what is wrong with the link; return what that was, or None when there is no such link.

    Conflict: somebody else routes the pool.
    """
    link = find_link(ipr, ifname=NAME)
    if link is None:
        return None
    done = [key for key, value in _SETTINGS.items() if sysctl.set_ipv4(NAME, key, value)]
    if sysctl.disable_ipv6(NAME):
        done.append("ipv6 off")
    done += _set_link(ipr, link, want) + _set_address(ipr, link["index"], want)
    if _set_route(ipr, link["index"], want):
        done.append("route")
    return done


def _set_link(ipr: IPRoute, link: Link, want: HostPort) -> list[str]:
    if link.get("mtu") == want.mtu and link["flags"] & _UP:
        return []
    ipr.link("set", index=link["index"], mtu=want.mtu, flags=_UP, change=_UP)
    return ["link"]


def _set_address(ipr: IPRoute, index: int, want: HostPort) -> list[str]:
    done: list[str] = []
    right = (str(want.address), want.hosts.prefixlen)
    present = {(found.get("local"), found["prefixlen"]) for found in ipr.get_addr(family=AF_INET, index=index)}
    for address, prefix in present - {right}:
        ipr.addr("del", index=index, address=address, prefixlen=prefix)
        done.append(f"foreign address {address}")
    if right not in present:
        ipr.addr("add", index=index, address=right[0], prefixlen=right[1], broadcast=str(want.hosts.broadcast_address))
        done.append("address")
    return done


def _set_route(ipr: IPRoute, index: int, want: HostPort) -> bool:
    right = {"oif": index, "gateway": str(want.router), "prefsrc": str(want.address)}
    found = _route_that_wins(ipr, want.pool)
    if found is not None and found["dst_len"] >= want.pool.prefixlen and found["proto"] != _PROTOCOL:
        foreign = f"{found.get('dst')}/{found['dst_len']}"
        remedy = f"remove that route, or choose another pool: ip route show {foreign}"
        raise Conflict(f"a route to {foreign} on this host takes addresses of the pool", field="pool", remedy=remedy)
    ours = found is not None and found["dst_len"] == want.pool.prefixlen
    if ours and found is not None and all(found.get(key) == value for key, value in right.items()):
        return False
    ipr.route("replace", dst=str(want.pool), **right, table=_MAIN_TABLE, proto=_PROTOCOL)
    return True


def _route_that_wins(ipr: IPRoute, network: IPv4Network) -> Link | None:
    """Return the entry of the routing table that serves the network's first address (no dump: there may be a million)."""
    absent = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
    probe = str(network[0])
    found = ignoring(*absent, function=lambda: tuple(ipr.route("get", dst=probe, flags=_RTM_F_FIB_MATCH)))
    return found[0] if found else None
