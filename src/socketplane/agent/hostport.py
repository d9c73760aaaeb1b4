"""`sp0`, this host's own port on br-int: address, route to the pool, and the kernel's settings for it.

ovs-vswitchd makes the link, with MAC and MTU from the database; what is set here is lost whenever it makes it anew.
Functions here block: run them through `Netlink.call`.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from socket import AF_INET

from pyroute2 import IPRoute

from socketplane.agent import hostport6, poolroute, sysctl
from socketplane.agent.netlink import Link, find_link
from socketplane.model.types import mac_of

NAME = "sp0"
_UP = 0x1
_SETTINGS = {
    "forwarding": "1",
    "accept_redirects": "0",
    "send_redirects": "0",
    "accept_source_route": "0",
    "route_localnet": "1",  # what the host sends to 127.0.0.1:PORT may leave here; the firewall lets nothing back in so
}


@dataclass(frozen=True, slots=True)
class HostPort:
    """What `sp0` should be like."""

    address: IPv4Address
    hosts: IPv4Network
    pool: IPv4Network
    mtu: int
    pool6: IPv6Network | None = None
    """None: no network has IPv6."""

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
    done += _set_link(ipr, link, want) + _set_address(ipr, link["index"], want)
    if poolroute.ensure(ipr, want.pool, index=link["index"], router=want.router, source=want.address):
        done.append("route")
    if want.pool6 is None:
        return done + hostport6.turn_off(ipr, NAME)
    return done + hostport6.set_up(ipr, NAME, link["index"], want.address, want.hosts, want.pool6)


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
