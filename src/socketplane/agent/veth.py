"""The veth pair of an endpoint: `sp...` stays here and is a port of br-int, `sc...` goes into the container.

Functions here block: run them through `Netlink.call`.
"""

from __future__ import annotations

import array
import errno
import fcntl
import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from socketplane.agent.netlink import Link, find_link, ignoring, kind_of
from socketplane.errors import Conflict

GROUP = 0x53505645
"""Link group of all host ends, set as they are created: one firewall rule covers them."""
_OWNER = "socketplane endpoint "  # a link's alias has room for the whole id, its name has not
_HOST_END = re.compile(r"^sp([0-9a-f]{12})$")
_UP, _NOARP = 0x1, 0x80
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17


@dataclass(frozen=True, slots=True)
class Veth:
    """What an endpoint's pair should be like."""

    endpoint_id: str
    mac: str
    mtu: int
    checksum_offload: bool
    """Whether the datapath finishes checksums (see `Traits`)."""

    @property
    def host_end(self) -> str:
        """Name of the end that stays."""
        return host_end(self.endpoint_id)

    @property
    def container_end(self) -> str:
        """Name of the end that goes into the container."""
        return container_end(self.endpoint_id)


def host_end(endpoint_id: str) -> str:
    """Return the name of the veth end that stays on the host."""
    return f"sp{endpoint_id[:12]}"


def container_end(endpoint_id: str) -> str:
    """Return the name that the container's end has before Docker renames it."""
    return f"sc{endpoint_id[:12]}"


class VethMaker:
    """One endpoint's `ensure`, and the memory of whether it made the pair (to undo it)."""

    def __init__(self, veth: Veth) -> None:
        self.veth = veth
        self.made = False

    def needs_making(self, ipr: IPRoute) -> bool:
        """Return whether there is no pair that can be kept. Conflict: a link of that name is not ours."""
        host = find_link(ipr, ifname=self.veth.host_end)
        return host is None or not _is_ours(host, self.veth.endpoint_id)

    def ensure(self, ipr: IPRoute) -> None:
        """Make the pair, or complete what is there. Conflict: a link of that name is not ours."""
        veth = self.veth
        host = find_link(ipr, ifname=veth.host_end)
        if host is None:
            self._make(ipr)
        elif not _is_ours(host, veth.endpoint_id):
            raise _not_ours(veth.host_end)
        elif (peer := peer_here(ipr, host)) is not None:
            _complete_container_end(ipr, peer, veth)
        _complete_host_end(ipr, veth)

    def _make(self, ipr: IPRoute) -> None:
        veth = self.veth
        peer = {"ifname": veth.container_end, "address": veth.mac, "mtu": veth.mtu}
        arguments = {"ifname": veth.host_end, "kind": "veth", "mtu": veth.mtu, "group": GROUP, "peer": peer}
        try:
            ipr.link("add", **arguments)
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise
            _remove_stray(ipr, veth)
            ipr.link("add", **arguments)
        self.made = True
        if not veth.checksum_offload:
            _checksum_offload_off(veth.container_end)


def remove(ipr: IPRoute, endpoint_id: str) -> None:
    """Delete the pair, wherever the container's end is; nothing there is fine, and a stranger's link stays."""
    host = find_link(ipr, ifname=host_end(endpoint_id))
    if host is not None and _is_ours(host, endpoint_id):
        ignoring(errno.ENODEV, function=lambda: ipr.link("del", index=host["index"]))


def present(ipr: IPRoute, which: Callable[[Link], bool] = lambda _: True) -> frozenset[str]:
    """Return the endpoint ids of all pairs of ours (with such a host end): twelve digits where a crash left no more."""
    return frozenset(found for link in ipr.link("dump") if (found := _endpoint_of(link)) and which(link))


def _complete_host_end(ipr: IPRoute, veth: Veth) -> None:
    # In userspace mode the host's own stack sees a copy of every frame too: it must answer none of them. The
    # firewall drops by group; ARP and IPv6's autoconfiguration are switched off here.
    with suppress(FileNotFoundError):
        Path(f"/proc/sys/net/ipv6/conf/{veth.host_end}/disable_ipv6").write_text("1")
    flags = _UP | _NOARP
    alias = _OWNER + veth.endpoint_id
    ipr.link("set", ifname=veth.host_end, mtu=veth.mtu, group=GROUP, ifalias=alias, flags=flags, change=flags)


def _complete_container_end(ipr: IPRoute, peer: Link, veth: Veth) -> None:
    if peer.get("ifname") != veth.container_end:
        ipr.link("set", index=peer["index"], flags=0, change=_UP)
        ipr.link("set", index=peer["index"], ifname=veth.container_end)
    ipr.link("set", index=peer["index"], mtu=veth.mtu, address=veth.mac)
    if not veth.checksum_offload:
        _checksum_offload_off(veth.container_end)


def _remove_stray(ipr: IPRoute, veth: Veth) -> None:
    """Delete a pair of ours whose host end was renamed: it holds the name of the container's end."""
    stray = find_link(ipr, ifname=veth.container_end)
    peer = None if stray is None else peer_here(ipr, stray)
    if peer is None or not _is_ours(peer, veth.endpoint_id):
        raise _not_ours(veth.container_end)
    ipr.link("del", index=peer["index"])


def _is_ours(link: Link, endpoint_id: str) -> bool:
    if kind_of(link) != "veth":
        return False
    alias = link.get("ifalias")
    if alias:
        return bool(str(alias).startswith(_OWNER + endpoint_id))
    return bool(link.get("group") == GROUP)  # made, and then a crash before it got its alias


def _endpoint_of(link: Link) -> str | None:
    name = _HOST_END.match(link.get("ifname") or "")
    if not name or not _is_ours(link, name[1]):
        return None
    return (link.get("ifalias") or "").removeprefix(_OWNER) or name[1]


def peer_here(ipr: IPRoute, link: Link) -> Link | None:
    """Return the other end of a pair, if it is in this namespace."""
    if kind_of(link) != "veth" or link.get("link_netnsid") is not None:
        return None
    return find_link(ipr, index=link.get("link"))


def _not_ours(name: str) -> Conflict:
    return Conflict(f"a link {name} exists that SocketPlane did not make", remedy=f"remove it: ip link del {name}")


def _checksum_offload_off(name: str) -> None:
    """Let the kernel finish checksums before it hands packets over; segmentation offload goes with it."""
    value = array.array("B", struct.pack("=II", _ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP", name.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SIOCETHTOOL, request.ljust(40, b"\0"))
