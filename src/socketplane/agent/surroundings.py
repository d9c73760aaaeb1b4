"""What this host is connected to besides us: where containers' packets may leave."""

from __future__ import annotations

import errno
from socket import AF_INET

from pyroute2 import IPRoute

from socketplane.agent.netlink import find_link, ignoring, kind_of

_FAR_AWAY = "203.0.113.1"  # TEST-NET-3: asked the routing table for, never sent to
_LOOPBACK = 1


def find_exits(ipr: IPRoute, host_port: str) -> frozenset[str]:
    """Return the names of the links by which containers' packets may leave this host.

    These are the links with an IPv4 address, but neither our own port nor bridges that lead nowhere (docker0 and its
    like: who may reach what is behind them is Docker's to say).
    """
    uplink = _index_towards(ipr, _FAR_AWAY)
    # Only links with an address are looked at: a dump of all would bring every container's veth.
    addressed = {message["index"] for message in ipr.get_addr(family=AF_INET)} - {_LOOPBACK}
    links = [link for index in sorted(addressed) if (link := find_link(ipr, index=index)) is not None]
    names = {link.get("ifname") for link in links if link["index"] == uplink or kind_of(link) != "bridge"}
    return frozenset(names - {host_port})


def _index_towards(ipr: IPRoute, address: str) -> int | None:
    unreachable = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
    found = ignoring(*unreachable, function=lambda: tuple(ipr.route("get", dst=address)))
    return found[0].get("oif") if found else None
