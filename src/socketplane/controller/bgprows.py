"""Rows of BGP in the intent database."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from socketplane.model.bgp import Bgp, BgpPeer

Row = Mapping[str, Any]


def bgp_row(bgp: Bgp) -> Row:
    """Return the one row of what all hosts share."""
    return {"asn": bgp.asn}


def bgp(row: Row) -> Bgp:
    """Return what the row says."""
    return Bgp(row["asn"])


def peer_row(peer: BgpPeer) -> Row:
    """Return a peer's row."""
    return {"address": str(peer.address), "asn": peer.asn, "host": peer.host, "password": peer.password}


def peer(row: Row) -> BgpPeer:
    """Return the peer of a row."""
    return BgpPeer(ip_address(row["address"]), row["asn"], row["host"], row["password"])
