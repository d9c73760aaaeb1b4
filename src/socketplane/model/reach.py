"""Who reaches whom on which ports, for all ends at once, and what a change of policies changes of that.

The same meaning as `verdict`, one packet of which is judged here as part of a set; laws compare the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from socketplane.model.cells import Cells, Mask, bits, blocks_in
from socketplane.model.groups import Groups, Line, Part, lines, naming, text_of
from socketplane.model.portset import EVERYTHING, NOTHING, PING_ONLY, PortSet
from socketplane.model.selection import Party, View, address_of, cuts_off
from socketplane.model.sides import Partition, Side, product
from socketplane.model.spec import Direction, Policy
from socketplane.model.types import LINK_LOCAL6, Address, Endpoint, Host


class Reach:
    """What may be opened between the ends of a view: its endpoints, its hosts, and any address."""

    def __init__(self, view: View, cells: Cells | None = None) -> None:
        """`cells` may be shared by views of the same endpoints, if they know the policies of all. They tell the version."""
        self._view = view
        self.cells = cells or Cells(view, view.policies, lambda _: "")
        cells = self.cells
        self._cut = self._cut_off(view.policies)
        self._routed = 0
        for network in view.networks.values():
            self._routed |= 0 if network.internal else cells.of_network.get(network.id, 0)
        self.ingress = Side(cells, view, Direction.INGRESS, partial(_free_in, cells))
        self.egress = Side(cells, view, Direction.EGRESS, lambda _: cells.everyone)
        self._behaviours = self._behave()

    def _cut_off(self, policies: Collection[Policy]) -> Mask:
        """Return the cells of endpoints that nothing gets in or out of: not known, and policies might mean them."""
        found = 0
        for index in bits(self.cells.endpoints):
            endpoint = self.cells.cells[index].endpoint
            gone = endpoint is None or endpoint.network not in self._view.networks
            if gone or (self.cells.unknown >> index & 1 and any(self._cuts(policy, index) for policy in policies)):
                found |= 1 << index
        return found

    def _cuts(self, policy: Policy, index: int) -> bool:
        endpoint = self.cells.cells[index].endpoint
        return endpoint is not None and cuts_off(self._view, policy, endpoint)

    def cuts_off(self, policy: Policy) -> bool:
        """Return whether a policy cuts off any endpoint because it is not known."""
        return any(self._cuts(policy, index) for index in bits(self.cells.unknown))

    def _behave(self) -> list[tuple[Mask, Partition[PortSet]]]:
        """Return the sources, put together where their egress policies are the same."""
        found: dict[int, tuple[Mask, Partition[PortSet]]] = {}
        for index, cell in enumerate(self.cells.cells):
            if cell.endpoint is not None:
                partition = self.egress.allowed(index)
                mask, _ = found.get(id(partition), (0, partition))
                found[id(partition)] = (mask | 1 << index, partition)
        free: Partition[PortSet] = [(self.cells.everyone, EVERYTHING)]
        outside = [(1 << index, ports) for index, ports in enumerate(self.cells.opened) if ports]
        return [*found.values(), (self.cells.hosts, free), (self.cells.outside, outside)]

    def ways_in(self, index: int) -> Mask:
        """Return the sources that have a way to a cell, whatever policies say."""
        endpoint = self.cells.cells[index].endpoint
        if self._cut >> index & 1:
            return 0
        if endpoint is None:
            return self._routed & ~self._cut
        routed = self._routed | self.cells.hosts if self._routed >> index & 1 else 0
        outside = self.cells.outside if routed and self.cells.opened[index] else 0
        return (self.cells.of_network[endpoint.network] | routed | outside) & ~self._cut

    def ways_out(self, index: int) -> Mask:
        """Return the destinations to which a cell of endpoints has a way, whatever policies say."""
        endpoint = self.cells.cells[index].endpoint
        if self._cut >> index & 1 or endpoint is None:
            return 0
        routed = self._routed | self.cells.hosts | self.cells.outside if self._routed >> index & 1 else 0
        return (self.cells.of_network[endpoint.network] | routed) & ~self._cut

    def into(self, index: int) -> Partition[PortSet]:
        """Return who reaches a cell on which ports; who does not reach it at all is left out.

        A host stands for one that the endpoint does not run on: its own always reaches it.
        """
        sources = self.ways_in(index)
        policed = self.cells.cells[index].endpoint is not None
        ingress = self.ingress.allowed(index) if policed else [(self.cells.everyone, EVERYTHING)]
        wanted = [(mask & sources, ports) for mask, ports in ingress if ports and mask & sources]
        found: dict[PortSet, Mask] = defaultdict(int)
        for some, partition in self._behaviours:
            here = [(mask & some, ports) for mask, ports in wanted if mask & some]
            if here:
                out = next((ports for mask, ports in partition if mask >> index & 1), NOTHING)
                for mask, ports in here:
                    found[ports & out] |= mask
        found.pop(NOTHING, None)
        return [(mask, ports) for ports, mask in found.items()]

    def ports(self, source: Party, destination: Party) -> PortSet:
        """Return the services that one end may open to another. Endpoints and hosts have to be the view's."""
        if isinstance(source, Endpoint) and isinstance(destination, Endpoint) and source.id == destination.id:
            return EVERYTHING
        ends = (source, destination)
        if any(address_of(end, self.cells.version) is None for end in ends):
            return NOTHING
        if isinstance(source, IPv4Address | IPv6Address) and not self._is_outside(source):
            return NOTHING
        if isinstance(source, Host) and isinstance(destination, Endpoint) and source.name == destination.host:
            index = self.cells.index(destination)
            return EVERYTHING if self._routed & ~self._cut & 1 << index else NOTHING
        limit = self._answering(destination) if isinstance(destination, IPv4Address | IPv6Address) else EVERYTHING
        start = self.cells.index(source)
        return limit & next(
            (ports for mask, ports in self.into(self.cells.index(destination)) if mask >> start & 1), NOTHING
        )

    def _is_outside(self, address: Address) -> bool:
        cluster = self._view.cluster
        taken = (cluster.pool_of(address.version), cluster.hosts_of(address.version), LINK_LOCAL6)
        return not any(address in block for block in taken)

    def _answering(self, address: Address) -> PortSet:
        """Return what an address that is no container's may answer at all."""
        if any(address in network.gateways for network in self._view.networks.values() if not network.internal):
            return PING_ONLY
        unheard = address in LINK_LOCAL6 or address in self._view.cluster.pool_of(address.version)
        return NOTHING if unheard else EVERYTHING


def _free_in(cells: Cells, index: int) -> Mask:
    """Return who reaches an endpoint that no ingress policy selects: its network, hosts, and who comes from outside."""
    endpoint = cells.cells[index].endpoint
    return cells.hosts | cells.outside | (cells.of_network[endpoint.network] if endpoint else 0)


@dataclass(frozen=True, slots=True)
class Opening:
    """All of the sources reach all of the destinations on these ports."""

    sources: tuple[Part, ...]
    destinations: tuple[Part, ...]
    ports: PortSet


@dataclass(frozen=True, slots=True)
class Matrix:
    """Who reaches whom. Endpoints are in groups; a group that no opening has as destination is reached by nobody.

    Hosts as sources are those that a container does not run on: its own always reaches it. What is outside reaches the
    containers' ports that are published, and routed networks. A container by itself, and pings that the router answers at
    gateways, are left out.
    """

    groups: tuple[Part, ...]
    openings: tuple[Opening, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What all of the sources gain or lose towards all of the destinations."""

    source: str
    destination: str
    ports: str
    sources: int
    """Number of endpoints and hosts."""
    destinations: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What a change of policies allows and denies that was not so before."""

    allowed: list[Change]
    denied: list[Change]


def matrix(view: View, by: Sequence[str] = (), network: UUID | None = None, version: int = 4) -> Matrix:
    """Return who reaches whom with a version of IP, by groups of these labels; of a network, what has one end there."""
    cells = Cells(view, view.policies, naming(view, view.policies, by), version)
    reach, groups = Reach(view, cells), _groups(view, cells)
    inside = cells.everyone if network is None else cells.of_network.get(network, 0)
    sources = _sources(cells)
    columns = []
    for index in bits(cells.endpoints | cells.hosts | cells.outside):
        near = sources if inside >> index & 1 else sources & inside
        columns.append((index, [(mask & near, ports) for mask, ports in reach.into(index) if mask & near]))
    found = (
        Opening(tuple(groups.parts(line.sources)), tuple(groups.parts(line.destinations)), line.ports)
        for line in lines(cells, columns)
    )
    return Matrix(tuple(groups.named(inside)), tuple(sorted(found, key=_place)))


def changes(before: View, after: View, by: Sequence[str] = ()) -> Changes:
    """Return what the policies of `after` newly allow and deny, by groups, to the endpoints and hosts of `after`.

    What holds for IPv4 and not for IPv6 alike is told of both: lines of IPv6 alone say so behind their ports.
    """
    found = _of_version(before, after, by, 4)
    if not _differs(before, after):
        return found
    six = _of_version(before, after, by, 6)
    return Changes(_with(found.allowed, six.allowed), _with(found.denied, six.denied))


def _of_version(before: View, after: View, by: Sequence[str], version: int) -> Changes:
    cells, gained, lost = difference(before, after, by, version)
    groups = _groups(after, cells)
    return Changes(_changes(groups, gained), _changes(groups, lost))


def _differs(before: View, after: View) -> bool:
    """Return whether IPv6 may be judged otherwise than IPv4: only where a block means addresses."""
    policies = (*before.policies, *after.policies)
    return any(network.subnet6 for network in after.networks.values()) and any(
        True for policy in policies for _ in blocks_in(policy)
    )


def _with(four: list[Change], six: list[Change]) -> list[Change]:
    return [*four, *(replace(change, ports=f"{change.ports} (IPv6)") for change in six if change not in four)]


def difference(before: View, after: View, by: Sequence[str] = (), version: int = 4) -> tuple[Cells, list[Line], list[Line]]:
    """Return what `changes` does as sets of cells: newly allowed, newly denied, with one version of IP."""
    policies = [*before.policies, *after.policies]
    cells = Cells(after, policies, naming(after, policies, by), version)
    old, new = Reach(replace(after, policies=before.policies), cells), Reach(after, cells)
    sources = _sources(cells)
    gained, lost = [], []
    for index in bits(cells.endpoints | cells.hosts | cells.outside):
        was, now = _whole(cells, old.into(index)), _whole(cells, new.into(index))
        if was == now:
            continue
        both = product(was, now, lambda a, b: (b - a, a - b))
        gained.append((index, [(mask & sources, more) for mask, (more, _) in both if more and mask & sources]))
        lost.append((index, [(mask & sources, less) for mask, (_, less) in both if less and mask & sources]))
    return cells, lines(cells, gained), lines(cells, lost)


def _groups(view: View, cells: Cells) -> Groups:
    return Groups(cells, {network.id: network.name or str(network.id) for network in view.networks.values()})


def _sources(cells: Cells) -> Mask:
    """Return the sources that are worth a line: a host only where there is another that containers run on."""
    return cells.endpoints | cells.outside | (cells.hosts if cells.count(cells.hosts) > 1 else 0)


def _whole(cells: Cells, column: Partition[PortSet]) -> Partition[PortSet]:
    """Return a column with those who reach nothing."""
    rest = cells.everyone
    for mask, _ in column:
        rest &= ~mask
    return [*column, (rest, NOTHING)]


def _place(opening: Opening) -> tuple[list[str], list[str], str]:
    return [part.name for part in opening.sources], [part.name for part in opening.destinations], str(opening.ports)


def _changes(groups: Groups, found: Iterable[Line]) -> list[Change]:
    return sorted((_change(groups, line) for line in found), key=lambda change: (change.source, change.destination))


def _change(groups: Groups, line: Line) -> Change:
    sources, destinations = groups.parts(line.sources), groups.parts(line.destinations)
    return Change(
        text_of(sources),
        text_of(destinations),
        str(line.ports),
        sum(part.size for part in sources),
        sum(part.size for part in destinations),
    )
