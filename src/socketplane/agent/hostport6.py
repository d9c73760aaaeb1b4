"""IPv6 of `sp0`: while some network has it, an address beside the IPv4 one and a route to its pool; else nothing at all.

The port has no link-local address and asks for no neighbour: its only one is the router, whose MAC is known. So nothing
of the kernel's own talk (duplicate addresses, multicast groups, routers) goes to the switch of hosts.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from socket import AF_INET6

from pyroute2 import IPRoute

from socketplane.agent import poolroute, sysctl
from socketplane.agent.netlink import ignoring
from socketplane.model.types import host6, hosts6, mac_of

_NO_ADDRESS_OF_ITS_OWN = "1"  # IN6_ADDR_GEN_MODE_NONE
_SETTINGS = {
    "accept_ra": "0",
    "autoconf": "0",
    "accept_redirects": "0",
    "accept_dad": "0",
    "dad_transmits": "0",
    "addr_gen_mode": _NO_ADDRESS_OF_ITS_OWN,
    "disable_ipv6": "0",
}
_NO_DETECTION = 0x02  # IFA_F_NODAD: it is the port's at once, and routes may name it
_PERMANENT = 0x80  # NUD_PERMANENT


def set_up(ipr: IPRoute, link: str, index: int, address: IPv4Address, hosts: IPv4Network, pool: IPv6Network) -> list[str]:
    """Set right what is wrong; return what that was. `address` and `hosts` are those of IPv4.

    Conflict: somebody else routes the pool.
    """
    if not sysctl.has_ipv6():
        return []
    done = [f"ipv6 {key}" for key, value in _SETTINGS.items() if sysctl.set_ipv6(link, key, value)]
    done += _set_address(ipr, index, str(host6(address)), hosts6(hosts).prefixlen)
    router, mac = str(hosts6(hosts)[1]), mac_of(hosts[1])
    present = [(found.get("dst"), found.get("lladdr")) for found in _neighbours(ipr, index)]
    if (router, mac) not in present:
        ipr.neigh("replace", family=AF_INET6, ifindex=index, dst=router, lladdr=mac, state=_PERMANENT)
        done.append("ipv6 router")
    if poolroute.ensure(ipr, pool, index=index, router=hosts6(hosts)[1], source=host6(address)):
        done.append("ipv6 route")
    return done


def turn_off(ipr: IPRoute, link: str) -> list[str]:
    """Have no IPv6 on the port; return what was done for that."""
    poolroute.remove(ipr, AF_INET6)
    return ["ipv6 off"] if sysctl.set_ipv6(link, "disable_ipv6", "1") else []


def _neighbours(ipr: IPRoute, index: int) -> list[dict[str, object]]:
    return [found for found in ipr.get_neighbours(family=AF_INET6, ifindex=index) if found["state"] == _PERMANENT]


def _set_address(ipr: IPRoute, index: int, address: str, prefix: int) -> list[str]:
    done: list[str] = []
    present = {(found.get("address"), found["prefixlen"]) for found in ipr.get_addr(family=AF_INET6, index=index)}
    for foreign, length in present - {(address, prefix)}:
        gone = (errno.EADDRNOTAVAIL,)
        ignoring(*gone, function=lambda: ipr.addr("del", index=index, address=foreign, prefixlen=length))  # noqa: B023
        done.append(f"foreign address {foreign}")
    if (address, prefix) not in present:
        ipr.addr("add", index=index, address=address, prefixlen=prefix, flags=_NO_DETECTION)
        done.append("ipv6 address")
    return done
