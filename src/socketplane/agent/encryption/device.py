"""The WireGuard device as the kernel has it. Functions here block: run them through `Netlink.call`."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from ipaddress import IPv4Address
from socket import AF_INET
from typing import Any, NoReturn

from pyroute2 import IPRoute, WireGuard
from pyroute2.netlink.exceptions import NetlinkError

from socketplane.agent.encryption.key import Key
from socketplane.agent.encryption.peer import Peer
from socketplane.agent.netlink import Link, find_link, kind_of, link_with_address
from socketplane.encryption import DEVICE, OVERHEAD, Encryption
from socketplane.errors import Conflict, Unavailable

KEEPALIVE = 25
"""Seconds between packets without content: so peers agree on keys without traffic too, and a dead one shows."""
_KIND = "wireguard"
_UP = 0x1


@dataclass(frozen=True, slots=True)
class Seen:
    """A peer as the device has it."""

    allowed: frozenset[str]
    handshake: float | None
    """Seconds since the epoch; None: there was none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the device has to be like."""

    key: Key
    encryption: Encryption
    underlay: IPv4Address
    tunnel: IPv4Address


def set_up(ipr: IPRoute, want: Wanted) -> list[str]:
    """Make the device, or set right what is wrong with it; return what that was.

    Conflict: a link of that name is somebody else's, or a program has the port. Unavailable: the kernel has no WireGuard.
    """
    done: list[str] = []
    if (link := find_link(ipr, ifname=DEVICE)) is None:
        link = _make(ipr)
        done.append("device")
    elif kind_of(link) != _KIND:
        raise Conflict(f"there is a link {DEVICE} that isn't ours", remedy="rename it")
    done += _set_key(want)
    done += _set_address(ipr, link["index"], want)
    underlay = link_with_address(ipr, str(want.underlay))
    mtu = int(underlay.get("mtu")) - OVERHEAD if underlay is not None else int(link.get("mtu"))
    if link.get("mtu") != mtu or not link["flags"] & _UP:
        _bring_up(ipr, link, mtu, want.encryption.port)
        done.append("link")
    return done


def peers() -> dict[str, Seen]:
    """Return the device's peers by their key."""
    return {
        peer.get("WGPEER_A_PUBLIC_KEY").decode(): Seen(_allowed(peer), _handshake(peer))
        for message in _info()
        for peer in message.get("WGDEVICE_A_PEERS") or ()
    }


def put(peer: Peer, port: int) -> None:
    """Add a peer, or change it; what it agreed on with this host stays."""
    given = {
        "public_key": peer.key,
        "endpoint_addr": str(peer.endpoint),
        "endpoint_port": port,
        "persistent_keepalive": KEEPALIVE,
        "replace_allowed_ips": True,
        "allowed_ips": list(peer.allowed),
    }
    with WireGuard() as wireguard:
        wireguard.set(DEVICE, peer=given)


def drop(key: str) -> None:
    """Remove a peer: nothing of it is taken any more."""
    with WireGuard() as wireguard:
        wireguard.set(DEVICE, peer={"public_key": key, "remove": True})


def _make(ipr: IPRoute) -> Link:
    try:
        ipr.link("add", ifname=DEVICE, kind=_KIND)
    except NetlinkError as error:
        if error.code in (errno.EOPNOTSUPP, errno.ENODEV):
            raise Unavailable("this kernel has no WireGuard", remedy="load the module wireguard") from None
        if error.code != errno.EEXIST:  # somebody was faster
            raise
    return find_link(ipr, ifname=DEVICE)


def _set_key(want: Wanted) -> list[str]:
    present = [(message.get("WGDEVICE_A_PUBLIC_KEY"), message.get("WGDEVICE_A_LISTEN_PORT")) for message in _info()]
    if present and present[0] == (want.key.public.encode(), want.encryption.port):
        return []
    try:
        with WireGuard() as wireguard:
            wireguard.set(DEVICE, private_key=want.key.private, listen_port=want.encryption.port)
    except NetlinkError as error:
        _fail(error, want.encryption.port)
    return ["key"]


def _bring_up(ipr: IPRoute, link: Link, mtu: int, port: int) -> None:
    try:
        ipr.link("set", index=link["index"], mtu=mtu, flags=_UP, change=_UP)
    except NetlinkError as error:
        _fail(error, port)


def _fail(error: NetlinkError, port: int) -> NoReturn:
    if error.code == errno.EADDRINUSE:
        remedy = "end that program, or make the cluster with another port: `up --encrypt --encrypt-port N`"
        raise Conflict(f"a program has UDP port {port}, where WireGuard has to listen", remedy=remedy) from None
    raise error


def _set_address(ipr: IPRoute, index: int, want: Wanted) -> list[str]:
    right = (str(want.tunnel), want.encryption.network.prefixlen)
    present = {(found.get("local"), found["prefixlen"]) for found in ipr.get_addr(family=AF_INET, index=index)}
    for address, prefix in present - {right}:
        ipr.addr("del", index=index, address=address, prefixlen=prefix)
    if right in present:
        return []
    ipr.addr("add", index=index, address=right[0], prefixlen=right[1])
    return ["address"]


def _info() -> list[Any]:
    with WireGuard() as wireguard:
        return list(wireguard.info(DEVICE))


def _allowed(peer: Any) -> frozenset[str]:
    return frozenset(str(entry["addr"]) for entry in peer.get("WGPEER_A_ALLOWEDIPS") or ())


def _handshake(peer: Any) -> float | None:
    time = peer.get("WGPEER_A_LAST_HANDSHAKE_TIME")
    return float(time["tv_sec"] + time["tv_nsec"] / 1e9) if time and time["tv_sec"] else None
