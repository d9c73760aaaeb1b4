"""Connections that were led to a container which has no published ports any more: the kernel has to forget them.

It leads what belongs to a connection by what it noted at the first packet. A client that goes on sending datagrams from
one port would never come to the container that has the port now.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2 import NFCTSocket
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

from socketplane.model.types import Address

_SNAT, _DNAT = 1 << 4, 1 << 5  # IPS_SRC_NAT, IPS_DST_NAT


def forget(address: Address) -> int:
    """Delete the entries of connections that were led to an address; return how many. Blocks: run it in a thread."""
    return _delete(lambda entry: _end(entry, "CTA_TUPLE_REPLY", "SRC") == str(address), _DNAT, _family(address))


def forget_floating(address: Address) -> int:
    """Delete likewise those that were led by a floating address, and those that a container opened with it."""

    def by_it(entry: Any) -> bool:
        return str(address) in (_end(entry, "CTA_TUPLE_ORIG", "DST"), _end(entry, "CTA_TUPLE_REPLY", "DST"))

    family = _family(address)
    return _delete(by_it, _DNAT, family) + _delete(by_it, _SNAT, family)


def _family(address: Address) -> int:
    return AF_INET if address.version == 4 else AF_INET6


def _delete(wanted: Callable[[Any], bool], status: int, family: int) -> int:
    deleted = 0
    with NFCTSocket(nfgen_family=family) as entries:
        for entry in list(entries.dump(status=status, status_mask=status)):
            if not wanted(entry):
                continue
            try:
                entries.entry("del", tuple_orig=_tuple(entry.get_attr("CTA_TUPLE_ORIG"), family))
                deleted += 1
            except NetlinkError as error:
                if error.code != errno.ENOENT:
                    raise
    return deleted


def _end(entry: Any, direction: str, end: str) -> str | None:
    addresses = entry.get_attr(direction).get_attr("CTA_TUPLE_IP")
    return None if addresses is None else addresses.get_attr(f"CTA_IP_V4_{end}") or addresses.get_attr(f"CTA_IP_V6_{end}")


def _tuple(told: Any, family: int) -> NFCTAttrTuple:
    ends, ports = told.get_attr("CTA_TUPLE_IP"), told.get_attr("CTA_TUPLE_PROTO")
    ip, icmp = ("CTA_IP_V4", "CTA_PROTO_ICMP") if family == AF_INET else ("CTA_IP_V6", "CTA_PROTO_ICMPV6")
    return NFCTAttrTuple(
        family=family,
        saddr=ends.get_attr(f"{ip}_SRC"),
        daddr=ends.get_attr(f"{ip}_DST"),
        proto=ports.get_attr("CTA_PROTO_NUM"),
        sport=ports.get_attr("CTA_PROTO_SRC_PORT"),
        dport=ports.get_attr("CTA_PROTO_DST_PORT"),
        icmp_id=ports.get_attr(f"{icmp}_ID"),
        icmp_type=ports.get_attr(f"{icmp}_TYPE"),
        icmp_code=ports.get_attr(f"{icmp}_CODE"),
    )
