"""What this host is connected to besides us: where containers' packets may leave."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from socket import AF_INET, AF_INET6

from pyroute2 import IPRoute

from socketplane.agent.netlink import find_link, ignoring, kind_of
from socketplane.encryption import DEVICE

_FAR_AWAY: dict[int, str] = {
    AF_INET: "203.0.113.1",
    AF_INET6: "2001:db8::1",
}  # for documents: asked for a route to, never sent to
_LOOPBACK = 1
_EVERYWHERE = 0  # scope of addresses that aren't a link's or host's own affair


def find_exits(ipr: IPRoute, host_port: str, family: int = AF_INET) -> frozenset[str]:
    """Return the names of the links by which containers' packets of a version of IP may leave this host.

    These are the links with an address, but neither our own ones nor bridges that lead nowhere (docker0 and its
    like: who may reach what is behind them is Docker's to say).
    """
    uplink = _index_towards(ipr, _FAR_AWAY[family])
    # Only links with an address are looked at: a dump of all would bring every container's veth.
    held = (message for message in ipr.get_addr(family=family) if family == AF_INET or message["scope"] == _EVERYWHERE)
    addressed = {message["index"] for message in held} | ({uplink} if uplink else set())
    links = [link for index in sorted(addressed - {_LOOPBACK}) if (link := find_link(ipr, index=index)) is not None]
    names = {link.get("ifname") for link in links if link["index"] == uplink or kind_of(link) != "bridge"}
    return frozenset(names - {host_port, DEVICE})


def links_of(ipr: IPRoute, address: IPv4Address) -> frozenset[str]:
    """Return the names of the links that have an address of this host."""
    indices = {message["index"] for message in ipr.get_addr(family=AF_INET, address=str(address))}
    return frozenset(str(link.get("ifname")) for index in indices if (link := find_link(ipr, index=index)) is not None)


def _index_towards(ipr: IPRoute, address: str) -> int | None:
    unreachable = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)
    found = ignoring(*unreachable, function=lambda: tuple(ipr.route("get", dst=address)))
    return found[0].get("oif") if found else None
