"""What BGP's part of the intent means for each host."""

from __future__ import annotations

from collections.abc import Sequence

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.controller.reports import Reports
from socketplane.controller.rows import Item
from socketplane.model.bgp import Bgp, BgpPeer
from socketplane.model.types import Address, order


def settings(intent: Intent, host: str) -> wire.BgpSettings:
    """Return what a host is told."""
    bgp = intent.get(Bgp, "")
    if bgp is None:
        return wire.BgpSettings()
    peers = (peer for peer in _sorted(intent) if peer.is_of(host))
    told = [wire.BgpNeighbour(address=peer.address, asn=peer.asn, password=peer.password) for peer in peers]
    return wire.BgpSettings(asn=bgp.asn, peers=told)


def concerned(intent: Intent, changed: Sequence[Item | None]) -> list[str]:
    """Return the hosts to whom these values say something new."""
    if any(isinstance(item, Bgp) for item in changed):
        return list(intent.hosts)
    peers = [item for item in changed if isinstance(item, BgpPeer)]
    return [host for host in intent.hosts if any(peer.is_of(host) for peer in peers)] if peers else []


def overview(intent: Intent, reports: Reports, now: float) -> wire.Bgp:
    """Return all of it. What a host said that is not heard any more counts no longer."""
    bgp = intent.get(Bgp, "")
    return wire.Bgp(
        asn=bgp.asn if bgp else None,
        peers=[shown(peer) for peer in _sorted(intent)],
        hosts=[_host(intent, reports, host, now) for host in sorted(intent.hosts)] if bgp else [],
    )


def shown(peer: BgpPeer) -> wire.BgpPeer:
    """Return a peer for people."""
    return wire.BgpPeer(address=peer.address, asn=peer.asn, host=peer.host, password=bool(peer.password))


def _host(intent: Intent, reports: Reports, host: str, now: float) -> wire.BgpHost:
    report, _ = reports.get(host)
    silent = reports.is_silent(host, now)
    status = report.bgp if report and not silent else None
    return wire.BgpHost(host=host, silent=silent, status=status, announced=_announced(intent, host))


def _sorted(intent: Intent) -> list[BgpPeer]:
    return sorted(intent.bgp_peers.values(), key=lambda peer: peer.place)


def _announced(intent: Intent, host: str) -> list[Address]:
    """Return what a host has to tell: of each version of IP, where it has a peer of that."""
    versions = {peer.address.version for peer in intent.bgp_peers.values() if peer.is_of(host)}
    if not versions:
        return []
    found: set[Address] = set()
    for key in intent.endpoints_of_host.get(host, ()):
        endpoint = intent.endpoints[key]
        if intent.networks[endpoint.network].routed:
            found.update(endpoint.addresses)
        found.update(intent.floating_of_holder.get(key, ()))
    told = (address for address in found if address.version in versions)
    return sorted(told, key=order)
