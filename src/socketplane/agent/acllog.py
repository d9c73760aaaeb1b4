"""A line of ovn-controller's log about a packet that an ACL matched, read: which rule, and what kind of packet."""

from __future__ import annotations

import re
from datetime import datetime
from ipaddress import ip_address

from socketplane.model.denials import Denied, Seen

_MESSAGE = re.compile(
    rb'name="(?P<rule>[dr][0-9]{1,7}\.[a-z0-9]{1,8}|unknown\.[a-z]{1,8}|isolation)", verdict=(?:drop|reject), [^:]*: '
    rb'(?P<packet>.*)|name="(?P<audit>a[0-9]{1,7}\.[a-z]{1,8})", verdict=[a-z]{1,9}, [^:]*: (?P<would>.*)'
)
_FIELD = re.compile(rb"(?:^|,)(nw_src|nw_dst|ipv6_src|ipv6_dst|tp_dst|nw_frag)=([0-9a-z.:]{1,39})")


def parse(time: bytes, message: bytes) -> tuple[Denied, Seen] | None:
    """Return what was refused, or would be; None for what is no IP packet, or was matched by no rule of ours."""
    found = _MESSAGE.match(message)
    if found is None:
        return None
    packet = found["packet"] or found["would"] or b""
    protocol = packet.partition(b",")[0]
    fields = dict(_FIELD.findall(packet))
    port = None if fields.get(b"nw_frag") == b"later" else fields.get(b"tp_dst")
    try:
        at = datetime.fromisoformat(time.decode("ascii")).timestamp()
        denied = Denied(
            (found["rule"] or found["audit"]).decode(),
            ip_address((fields.get(b"nw_src") or fields[b"ipv6_src"]).decode()),
            ip_address((fields.get(b"nw_dst") or fields[b"ipv6_dst"]).decode()),
            protocol.decode("ascii").removesuffix("6"),
            int(port) if port else None,
        )
    except (KeyError, ValueError, OverflowError):
        return None
    if not re.fullmatch(r"[a-z0-9]{1,10}", denied.protocol) or (denied.port or 0) > 65535:
        return None
    return denied, Seen(1, at, at)
