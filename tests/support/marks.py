"""What TrafficPolicies mean for a packet, written without the compiler."""

from __future__ import annotations

from collections.abc import Collection

from socketplane.model.selection import View, has_peer, has_port, is_member, is_on, subject_of
from socketplane.model.spec import Members
from socketplane.model.traffic import Mark, TrafficPolicy
from socketplane.model.types import Endpoint
from support.trace import Packet


def mark_of(view: View, policies: Collection[TrafficPolicy], packet: Packet) -> int | None:
    """Return how a container's packet is marked: by the first mark that matches of the oldest policy that has one."""
    source, port = packet.source, packet.port if packet.protocol else None
    assert isinstance(source, Endpoint)
    for policy in sorted(policies, key=lambda policy: policy.number):
        subject = subject_of(policy)
        meant = is_on if subject.endpoints.everything else is_member
        if not meant(view, subject, policy.network, source):
            continue
        for mark in policy.spec.marks:
            if _is_peer(view, policy, mark, packet) and has_port(mark.ports, packet.protocol, port):
                return mark.dscp
    return None


def _is_peer(view: View, policy: TrafficPolicy, mark: Mark, packet: Packet) -> bool:
    """Return whether a mark is for a packet's destination. All of the own network is who is unknown, too."""
    target = packet.destination
    if Members() in (mark.peers or ()) and isinstance(target, Endpoint) and is_on(view, Members(), policy.network, target):
        return True
    return has_peer(view, mark.peers, policy.network, target, packet.version)
