"""What policy means, said a second time and independently of what is compiled: for `explain`, and to test against OVN.

Order, as a packet meets it: floating addresses and published ports, unknown ends, the source's egress policies, the
way between networks, the destination's ingress policies, the defaults. Answers are not judged: conntrack lets them
pass where the first one passed.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from socketplane.errors import InvalidInput
from socketplane.model.behind import behind, floats, holder, way_in
from socketplane.model.judge import Packet, Verdict, judge, name_of
from socketplane.model.published import Published
from socketplane.model.resolver import asks_resolver
from socketplane.model.rules import ISOLATION, unknown_id
from socketplane.model.selection import Party, View, address_of, cuts_off
from socketplane.model.services.through import service_at, through
from socketplane.model.services.types import Service
from socketplane.model.spec import Direction, Protocol
from socketplane.model.types import LINK_LOCAL6, Address, Endpoint, Host

__all__ = ["DEFAULT", "Party", "Verdict", "View", "name_of", "to_service", "verdict"]

DEFAULT = "default"


def verdict(
    view: View, source: Party, destination: Party, protocol: Protocol | None, port: int | None, *, version: int = 4
) -> Verdict:
    """Judge a packet from source to destination. Without a protocol it is one that has no ports, such as a ping.

    What is sent to a published port of a host (that the view has) is judged as what is sent to the container behind it,
    and what is sent to a service's address as what is sent to each of its backends.
    `version` of IP, where no end is an address that says it.
    """
    if isinstance(source, Host) and isinstance(destination, IPv4Address) and destination.is_loopback:
        destination = source
    if (service := service_at(view, destination)) is not None:
        return to_service(view, source, service, protocol, port, version=6 if destination == service.address6 else 4)
    if (held := holder(view, destination)) is not None:
        version = destination.version if isinstance(destination, IPv6Address) else 4
        packet = Packet(view, _seen(source, held, version), held, protocol, port, version)
        packet.steps.append(f"{destination} is a floating address of {name_of(held, view.networks)}")
        return _judged(packet)
    found = behind(view, destination, protocol, port, version)
    if found is not None and not (found[1].local and isinstance(source, Endpoint)):  # that comes to the host itself
        return _published(view, source, *found)
    return _judged(Packet(view, source, destination, protocol, port, version))


def to_service(
    view: View, source: Party, service: Service, protocol: Protocol | None, port: int | None, *, version: int = 4
) -> Verdict:
    """Judge a packet to a service: it passes where it does to all its backends that are ready."""

    def one(backend: Endpoint, target: int | None) -> Verdict:
        return _judged(Packet(view, source, backend, protocol, target, version))

    return through(view, source, service, protocol, port, one)


def _published(view: View, source: Party, destination: Endpoint, published: Published) -> Verdict:
    """Judge what is sent to a port of a host, as what is sent to the container behind it."""
    version = published.address.version
    seen = _seen(source, destination, version)
    packet = Packet(view, seen, destination, published.protocol, published.port, version)
    answers = f"{name_of(destination, view.networks)} answers"
    packet.steps.append(f"host {destination.host} publishes {published}: {answers}")
    if published.local and not isinstance(packet.source, Host):
        return packet.decide(False, ISOLATION, "it is published to its host alone", rule=ISOLATION)
    return _judged(packet)


def _seen(source: Party, destination: Endpoint, version: int = 4) -> Party:
    """Return as whom a source comes to a container by an address of the outside: other hosts as anybody there."""
    if not isinstance(source, Host) or source.name == destination.host:
        return source
    if version == 6:
        message = f"which IPv6 address host {source.name} has outside is not known"
        raise InvalidInput(message, field="source", remedy="name that address")
    return IPv4Address(source.address)


def _judged(packet: Packet) -> Verdict:
    source, destination = packet.source, packet.destination
    if not isinstance(source, Endpoint) and not isinstance(destination, Endpoint):
        what = f"{packet.protocol}/{packet.port}" if packet.protocol else ""
        nobody = f": {name_of(destination, packet.view.networks)} publishes no {what}" if what else ""
        remedy = "name a container on one side; `socketplane endpoint ls` shows what is published"
        raise InvalidInput(f"neither end is a container{nobody}", remedy=remedy)
    for end in (source, destination):
        packet.version = end.version if isinstance(end, IPv4Address | IPv6Address) else packet.version
    if isinstance(source, Endpoint) and isinstance(destination, Endpoint) and source.id == destination.id:
        return packet.decide(True, DEFAULT, "a container always reaches itself: the packet never leaves it")
    for check in (_addresses, _unknown, _egress, _way, _ingress):
        decided = check(packet)
        if decided is not None:
            return decided
    raise AssertionError("the destination's side always decides")


def to_member(view: View, source: Endpoint, group: Address, member: Endpoint, protocol: Protocol, port: int) -> Verdict:
    """Judge a packet to a group, for one who joined it: its sender's egress by the group, its own ingress by the sender."""
    packet = Packet(view, source, group, protocol, port, group.version)
    for check in (_addresses, _unknown, _egress):
        if (decided := check(packet)) is not None:
            return decided
    packet.destination = member
    if source.network != member.network:
        return packet.decide(False, ISOLATION, "multicast stays on its network", rule=ISOLATION)
    return _unknown(packet) or _ingress(packet)


def _addresses(packet: Packet) -> Verdict | None:
    """Deny what can't be sent at all: IPv6 where an end has none, and link-local addresses."""
    for end in (packet.source, packet.destination):
        address = address_of(end, packet.version)
        if address is None:
            reason = f"{name_of(end, packet.view.networks)} has no IPv{packet.version} address"
            return packet.decide(False, ISOLATION, reason, rule=ISOLATION)
        if address in LINK_LOCAL6:
            reason = "link-local addresses carry nothing but neighbour discovery"
            return packet.decide(False, ISOLATION, reason, rule=ISOLATION)
    return None


def _unknown(packet: Packet) -> Verdict | None:
    view = packet.view
    for direction, end in ((Direction.EGRESS, packet.source), (Direction.INGRESS, packet.destination)):
        if isinstance(end, Endpoint) and not end.known and any(cuts_off(view, policy, end) for policy in view.policies):
            name = name_of(end, view.networks)
            reason = f"{name} is cut off: policies speak of its network, and Docker has not told its labels yet"
            return packet.decide(False, direction, reason, rule=unknown_id(direction))
    return None


def _egress(packet: Packet) -> Verdict | None:
    """Deny what the source's policies don't let out."""
    if not isinstance(packet.source, Endpoint):
        return None
    found = judge(packet, Direction.EGRESS, packet.source, packet.destination)
    if found is None or not found.allow:
        return found
    packet.egress = found
    return None


def _way(packet: Packet) -> Verdict | None:
    """Deny what no route joins, or the hosts' firewalls stop. What goes to a group stays on its network."""
    if isinstance(packet.destination, IPv4Address | IPv6Address) and packet.destination.is_multicast:
        return None
    networks = packet.view.networks
    ends = [networks.get(end.network) for end in (packet.source, packet.destination) if isinstance(end, Endpoint)]
    if len(ends) == 2 and ends[0] is not None and ends[0] == ends[1]:
        packet.steps.append("both are on one network")
        return None
    for network in ends:
        if network is None:
            return packet.decide(False, ISOLATION, "its network does not exist", rule=ISOLATION)
        if network.internal and _asks(packet):
            return _default(packet, "its host's resolver answers, about containers of its own networks")
        if network.internal:
            reason = f"network {network.name or network.id} is internal: nothing leads in or out"
            return packet.decide(False, ISOLATION, reason, rule=ISOLATION)
    if isinstance(packet.destination, IPv4Address | IPv6Address):
        return _to_address(packet, packet.destination)
    if isinstance(packet.source, IPv4Address | IPv6Address):
        return _from_outside(packet, packet.source)
    packet.steps.append("the router joins the two ends")
    return None


def _asks(packet: Packet) -> bool:
    """Return whether a container asks for names: the one thing that leads out of an internal network."""
    source = packet.source
    return isinstance(source, Endpoint) and asks_resolver(
        packet.view.hosts, source, packet.destination, packet.protocol, packet.port
    )


def _from_outside(packet: Packet, source: Address) -> Verdict | None:
    """Judge the way from an address that is no container's: hosts let in what is published or floats, and to
    routed networks.
    """
    cluster, end = packet.view.cluster, packet.destination
    way = None
    if isinstance(end, Endpoint):
        network, floating = packet.view.networks[end.network], floats(packet.view, end)
        way = way_in(network, end, packet.protocol, packet.port, floating, source.version)
    if way is None or source in cluster.pool_of(source.version) or source in cluster.hosts_of(source.version):
        reason = "hosts let nothing in from outside but to published ports, floating addresses and routed networks"
        return packet.decide(False, ISOLATION, reason, rule=ISOLATION)
    packet.steps.append(way)
    return None


def _to_address(packet: Packet, address: Address) -> Verdict | None:
    """Judge the way to an address that is no container's."""
    if any(address in network.gateways and not network.internal for network in packet.view.networks.values()):
        reason = "the router answers pings at a network's gateway, and refuses everything else"
        if packet.protocol is None:
            return _default(packet, reason)
        return packet.decide(False, ISOLATION, reason, rule=ISOLATION)
    if address in packet.view.cluster.pool_of(address.version):
        return packet.decide(False, ISOLATION, f"no container has the address {address}", rule=ISOLATION)
    return None


def _ingress(packet: Packet) -> Verdict:
    """Judge by the destination's policies, then by the defaults."""
    source, destination = packet.source, packet.destination
    if isinstance(destination, IPv4Address | IPv6Address) and destination.is_multicast:
        return _default(packet, "members of the group on its network get it, as their ingress policies say of the sender")
    if not isinstance(destination, Endpoint):
        return _default(packet, "it leaves through the container's own host")
    if isinstance(source, Host) and source.name == destination.host:
        return _default(packet, "a host always reaches its own containers")
    found = judge(packet, Direction.INGRESS, destination, source)
    if found is not None:
        return found
    if isinstance(source, Host):
        return _default(packet, "hosts reach containers that no ingress policy selects")
    if isinstance(source, Endpoint) and source.network == destination.network:
        return _default(packet, "free inside a network: no ingress policy selects the destination")
    if isinstance(source, IPv4Address | IPv6Address):
        held = [each for each in floats(packet.view, destination) if each.version == source.version]
        what = "floating addresses" if held else "published ports and routed networks"
        return _default(packet, f"{what} are open to all outside: no ingress policy selects it")
    reason = "networks are isolated unless an ingress policy of the target allows it"
    return packet.decide(False, ISOLATION, reason, rule=ISOLATION)


def _default(packet: Packet, reason: str) -> Verdict:
    """Allow: nothing on the destination's side decides. What let it out is named, as its conntrack label says."""
    if packet.egress is None:
        return packet.decide(True, DEFAULT, reason)
    packet.steps.append(reason)
    return replace(packet.egress, steps=(*packet.steps, packet.egress.reason), would_deny=packet.would_deny)
