"""BGP: the hosts' AS number, and their peers."""

from __future__ import annotations

from ipaddress import IPv6Address

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.errors import Conflict, InvalidInput, NotFound
from socketplane.model.bgp import ALL_HOSTS, Bgp, BgpPeer
from socketplane.model.types import Address


def put(draft: Draft, body: wire.BgpPut) -> Bgp:
    """Say which AS the hosts are; sessions that are open begin anew."""
    found = Bgp(body.asn)
    draft.put(found)
    return found


def add_peer(draft: Draft, body: wire.BgpPeerCreate) -> BgpPeer:
    """Add a peer, of one host or of all."""
    intent = draft.intent
    if intent.get(Bgp, "") is None:
        raise Conflict("the hosts have no AS number yet", field="asn", remedy="`socketplane bgp set --asn N` first")
    if body.host:
        intent.host(body.host)
    _check_address(draft, body.address)
    for peer in intent.bgp_peers.values():
        if peer.address == body.address and (ALL_HOSTS in (peer.host, body.host) or peer.host == body.host):
            whose = f"host {peer.host} has" if peer.host else "all hosts have"
            raise Conflict(f"{whose} this peer already", field="address", remedy="remove it first to change it")
    made = BgpPeer(body.address, body.asn, body.host, body.password)
    draft.put(made)
    return made


def remove_peer(draft: Draft, address: Address, host: str) -> BgpPeer:
    """Remove a peer of one host, or of all."""
    peer = draft.intent.bgp_peers.get((address, host))
    if peer is None:
        whose = f"host {host}" if host else "all hosts"
        raise NotFound(f"{whose}: no peer {address}", field="peer", remedy="`socketplane bgp peer ls` lists them")
    draft.remove(peer)
    return peer


def forget_host(draft: Draft, host: str) -> None:
    """Remove the peers that only a host has: it leaves."""
    for peer in [peer for peer in draft.intent.bgp_peers.values() if peer.host == host]:
        draft.remove(peer)


def _check_address(draft: Draft, address: Address) -> None:
    cluster = draft.intent.cluster.cluster
    inside = address in cluster.pool_of(address.version) or address in cluster.hosts_of(address.version)
    if inside or address.is_multicast or address.is_loopback or address.is_unspecified:
        raise InvalidInput(f"{address} is no router's outside of the cluster", field="address")
    if isinstance(address, IPv6Address) and (address.is_link_local or address.scope_id or address.ipv4_mapped):
        remedy = "name its global or unique local address, or one of IPv4"
        raise InvalidInput(f"{address} is link-local, or IPv4 in other words", field="address", remedy=remedy)
