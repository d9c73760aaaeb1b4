"""What bgpd says of its sessions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import orjson

from socketplane import wire
from socketplane.model.types import Address, order

_AT_MOST = 200


def parse(told: str) -> list[wire.BgpSession]:
    """Return the sessions that `show bgp neighbors json` tells. ValueError: that is not what it says."""
    neighbors = orjson.loads(told)
    found = [_session(ip_address(key), about) for key, about in neighbors.items() if isinstance(about, dict)]
    return sorted(found, key=lambda session: order(session.peer))


def _session(peer: Address, about: Mapping[str, Any]) -> wire.BgpSession:
    if about.get("bgpState") == "Established":
        return wire.BgpSession(peer=peer, established=True, since=about.get("bgpTimerUpEstablishedEpoch"))
    refused = bool(about.get("lastNotificationReason"))
    return wire.BgpSession(peer=peer, reason=_reason(about)[:_AT_MOST], refused=refused)


def _reason(about: Mapping[str, Any]) -> str:
    """Return what is known of why a session is not there: what the router said, or we to it, or that nothing came."""
    stats = about.get("messageStats") or {}
    if notification := about.get("lastNotificationReason"):
        who = "the router says" if "received" in str(about.get("lastResetDueTo", "")).lower() else "to the router"
        return f"{who}: {notification}"
    if stats.get("opensRecv"):
        return str(about.get("lastResetDueTo", ""))
    secret = "takes this password" if about.get("authenticationEnabled") else "wants no password"
    return f"no answer: is a router there that has this host as neighbour, and {secret}?"
