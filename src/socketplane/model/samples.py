"""Connections by which to see whether a matrix is true: of each of its lines some pairs, and ports at the edges."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from uuid import UUID

from socketplane.model.cells import Cells, Mask, bits
from socketplane.model.groups import Line, lines, naming
from socketplane.model.portset import NOTHING, PortSet
from socketplane.model.reach import Reach
from socketplane.model.selection import View
from socketplane.model.spec import Protocol
from socketplane.model.types import Endpoint

TCP_PORT, UDP_PORT = 80, 65535
"""Ports that stand for all where no policy tells them apart. Of UDP one where nobody listens, for that is answered."""
_LAST = 65535
_INTERVALS = 3
"""Intervals of a protocol's ports that are looked at."""
_CANDIDATES, _CHOICE = 50, 3
"""Endpoints of a group that are looked at, and among how many of these a pair is looked for."""
Service = tuple[Protocol | None, int | None]
"""A protocol and a port; both None for a ping."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A connection to try, and whether policy lets it pass."""

    source: Endpoint
    destination: Endpoint
    source_group: str
    destination_group: str
    protocol: Protocol | None
    port: int | None
    allow: bool


def samples(
    view: View, by: Sequence[str] = (), network: UUID | None = None, limit: int = 200, version: int = 4
) -> tuple[list[Sample], bool]:
    """Return connections between containers, `limit` of them at most, and whether these are all that there would be.

    `version` is of IP. Lines are those of `matrix`, and in addition who reaches whom on no port at all. Each line has one
    of its pairs of groups before any has its second.
    """
    cells = Cells(view, view.policies, naming(view, view.policies, by), version)
    table = _Table(view, cells)
    found = list(islice(_in_turn([table.pairs(line) for line in _lines(view, cells, network)]), limit + 1))
    return found[:limit], len(found) <= limit


def _in_turn(queues: list[Iterator[list[Sample]]]) -> Iterator[Sample]:
    """Yield the first of every queue, then the second, and so on."""
    while queues:
        for queue in list(queues):
            some = next(queue, None)
            if some is None:
                queues.remove(queue)
            else:
                yield from some


def services(ports: PortSet) -> list[Service]:
    """Return what tells these ports from others: the ends of intervals, a port next to them, and a ping."""
    found: list[Service] = [
        (protocol, port) for protocol in (Protocol.TCP, Protocol.UDP) for port in _ports(ports, protocol)
    ]
    return [*found, (None, None)]


def _ports(ports: PortSet, protocol: Protocol) -> Iterator[int]:
    some = [port for port in ports.ports() if port.protocol is protocol]
    if not some or some[0].port is None:
        yield TCP_PORT if protocol is Protocol.TCP else UDP_PORT
        return
    spans = [(port.port, port.end or port.port) for port in some[:_INTERVALS] if port.port is not None]
    yield from dict.fromkeys(chain.from_iterable(spans))
    around = (near for first, last in spans for near in (last + 1, first - 1) if 0 < near <= _LAST)
    yield from islice((port for port in around if not ports.includes(protocol, port)), 1)


def _lines(view: View, cells: Cells, network: UUID | None) -> list[Line]:
    """Return who reaches whom, and who does not; the containers of a network, and what has to do with them."""
    reach = Reach(view, cells)
    inside = cells.everyone if network is None else cells.of_network.get(network, 0)
    columns = []
    for index in bits(cells.endpoints):
        near = cells.endpoints if inside >> index & 1 else cells.endpoints & inside
        column = [(mask & near, ports) for mask, ports in reach.into(index) if mask & near]
        rest = near
        for mask, _ in column:
            rest &= ~mask
        columns.append((index, [*column, (rest, NOTHING)] if rest else column))
    return lines(cells, columns)


class _Table:
    """Who there is in each group, to choose from."""

    def __init__(self, view: View, cells: Cells) -> None:
        self._cells = cells
        self._homes = Counter(endpoint.container for endpoint in view.endpoints)
        self._groups: defaultdict[str, Mask] = defaultdict(int)
        for index in bits(cells.endpoints):
            self._groups[cells.cells[index].group] |= 1 << index

    def pairs(self, line: Line) -> Iterator[list[Sample]]:
        """Yield what to try between each two groups of a line, other ones in turn."""
        wanted = [(service, line.ports.includes(*service)) for service in services(line.ports)]
        sources = self._parts(line.sources & self._cells.known)
        destinations = self._parts(line.destinations)
        for shift in range(len(destinations)):
            for place, (source_group, starts) in enumerate(sources):
                group, ends = destinations[(place + shift) % len(destinations)]
                pair = _apart(starts, ends)
                if pair is not None:
                    yield [Sample(*pair, source_group, group, *service, allow) for service, allow in wanted]

    def _parts(self, mask: Mask) -> list[tuple[str, list[Endpoint]]]:
        found = []
        for name, whole in self._groups.items():
            some = self._candidates(whole & mask) if whole & mask else ()
            if some:
                found.append((name, list(some)))
        return found

    def _candidates(self, mask: Mask) -> Collection[Endpoint]:
        """Return one endpoint for each host; preferably of containers that are on no other network."""
        members = chain.from_iterable(self._cells.cells[index].members for index in bits(mask))
        some = [each for each in islice(members, _CANDIDATES) if isinstance(each, Endpoint) and each.container]
        some.sort(key=lambda each: self._homes[each.container] > 1)
        found: dict[str, Endpoint] = {}
        for each in some:
            found.setdefault(each.host, each)
        return [*found.values(), *(each for each in some if each not in found.values())][:_CHOICE]


def _apart(starts: Collection[Endpoint], ends: Collection[Endpoint]) -> tuple[Endpoint, Endpoint] | None:
    """Return two of different containers, preferably on different hosts; None where there are no such two."""
    pairs = [(start, end) for start in starts for end in ends if start.container != end.container]
    return next((pair for pair in pairs if pair[0].host != pair[1].host), pairs[0] if pairs else None)
