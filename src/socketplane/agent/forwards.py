"""Connections that were led to a container which has no published ports any more: the kernel has to forget them.

It leads what belongs to a connection by what it noted at the first packet. A client that goes on sending datagrams from
one port would never come to the container that has the port now.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from typing import Any

from pyroute2 import NFCTSocket
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

_DNAT = 1 << 5  # IPS_DST_NAT


def forget(address: IPv4Address) -> int:
    """Delete the entries of connections that were led to an address; return how many. Blocks: run it in a thread."""
    deleted = 0
    with NFCTSocket() as entries:
        for entry in list(entries.dump(status=_DNAT, status_mask=_DNAT)):
            answer = entry.get_attr("CTA_TUPLE_REPLY").get_attr("CTA_TUPLE_IP")
            if answer is None or answer.get_attr("CTA_IP_V4_SRC") != str(address):
                continue
            try:
                entries.entry("del", tuple_orig=_tuple(entry.get_attr("CTA_TUPLE_ORIG")))
                deleted += 1
            except NetlinkError as error:
                if error.code != errno.ENOENT:
                    raise
    return deleted


def _tuple(told: Any) -> NFCTAttrTuple:
    ends, ports = told.get_attr("CTA_TUPLE_IP"), told.get_attr("CTA_TUPLE_PROTO")
    return NFCTAttrTuple(
        saddr=ends.get_attr("CTA_IP_V4_SRC"),
        daddr=ends.get_attr("CTA_IP_V4_DST"),
        proto=ports.get_attr("CTA_PROTO_NUM"),
        sport=ports.get_attr("CTA_PROTO_SRC_PORT"),
        dport=ports.get_attr("CTA_PROTO_DST_PORT"),
    )
