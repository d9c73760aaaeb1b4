"""What rules match, in OVN's language: peers and ports as terms of one set on one field each.

Anything richer than one address set in a match makes ovn-controller recompute all of its flows when the set changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.prefixes import Range, merged, prefixes
from socketplane.compile.segment import segment_of
from socketplane.model.spec import Block, Direction, Hosts, Members, Peer, Port, Protocol
from socketplane.model.types import Address, Cluster, Subnet

IPV4 = (4,)
BOTH = (4, 6)
"""Versions of IP that packets of a rule may have. Where no network has IPv6, nothing is said of it."""


def subject(direction: Direction, group: str) -> str:
    """Return the match for packets whose end of that direction is in the port group."""
    return f"{'inport' if direction is Direction.EGRESS else 'outport'} == @{group}"


def within(direction: Direction, networks: Iterable[Subnet]) -> str:
    """Return the match for packets whose other end of that direction has one of these addresses, of one version."""
    found = list(networks)
    version = found[0].version
    if found[0].prefixlen == 0:
        return f"ip{version}"
    texts = [str(network.network_address if network.num_addresses == 1 else network) for network in found]
    return f"{_field(direction, version)} == {one_of(texts)}"


def rule_matches(
    direction: Direction,
    peers: Iterable[Peer] | None,
    ports: Iterable[Port] | None,
    *,
    network: UUID | None,
    cluster: Cluster,
    versions: Iterable[int] = IPV4,
) -> Iterator[tuple[str, str]]:
    """Yield one match for every version of IP, peer and protocol of a rule, with what names it within the rule.

    All blocks of a rule are one peer. `network` is the policy's own, if it has one.
    """
    wanted = list(_port_matches(ports))
    for version in versions:
        for peer_name, peer in _peer_matches(direction, peers, network, cluster.pool_of(version), version):
            for port_name, port in wanted:
                name = f"{peer_name}/{port_name}" + ("/ip6" if version == 6 else "")
                yield name, f"{peer} && {port}" if port else peer


def _peer_matches(
    direction: Direction, peers: Iterable[Peer] | None, network: UUID | None, pool: Subnet, version: int
) -> Iterator[tuple[str, str]]:
    if peers is None:
        yield "*", f"ip{version}"
        return
    found = list(peers)
    groups = {names.segment_group(*segment_of(peer, network)) for peer in found if isinstance(peer, Members)}
    groups |= {names.hosts_group(peer.selector) for peer in found if isinstance(peer, Hosts)}
    for group in sorted(groups):
        yield group, f"{_field(direction, version)} == ${group}_ip{version}"
    addresses = prefixes((peer for peer in found if isinstance(peer, Block)), pool, version)
    if addresses:
        yield "blocks", within(direction, addresses)


def _port_matches(ports: Iterable[Port] | None) -> Iterator[tuple[str, str]]:
    """Yield one match per protocol, its ports merged."""
    if ports is None:
        yield "*", ""
        return
    wanted = list(ports)
    for protocol in Protocol:
        mine = [port for port in wanted if port.protocol is protocol]
        if any(port.port is None for port in mine):
            yield protocol, str(protocol)
        elif mine:
            yield protocol, _numbers(f"{protocol}.dst", mine)


def _numbers(field: str, ports: Iterable[Port]) -> str:
    """Return the match for some ports: single ones as a set, beside it the ranges."""
    pairs = {(port.port, port.end or port.port) for port in ports if port.port is not None}
    ranges = merged((first, last) for first, last in pairs if first != last)
    single = sorted(first for first, last in pairs if first == last and not _is_in(first, ranges))
    terms = [f"{field} == {one_of([str(number) for number in single])}"] if single else []
    terms += [f"{first} <= {field} <= {last}" for first, last in ranges]
    return terms[0] if len(terms) == 1 else f"({' || '.join(terms)})"


def _is_in(number: int, ranges: list[Range]) -> bool:
    return any(first <= number <= last for first, last in ranges)


def place(address: Address, port: int) -> str:
    """Return an address and a port as load balancers name them."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def one_of(texts: list[str]) -> str:
    """Return the set of these, as a match writes it."""
    return texts[0] if len(texts) == 1 else f"{{{', '.join(texts)}}}"


def _field(direction: Direction, version: int) -> str:
    return f"ip{version}.dst" if direction is Direction.EGRESS else f"ip{version}.src"
