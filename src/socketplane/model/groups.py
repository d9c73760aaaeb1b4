"""Names that people give to ends: groups by label, and sets of cells as few groups. Lines of ends that reach others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from socketplane.model.cells import Cells, Mask, Naming, Vocabulary, bits, selectors_in
from socketplane.model.portset import PortSet
from socketplane.model.selection import View, labels_of
from socketplane.model.sides import Partition
from socketplane.model.spec import Labels, Policy
from socketplane.model.types import LABEL_NETWORK, Endpoint

COMPOSE_SERVICE = "com.docker.compose.service"
ALIASES: Mapping[str, str] = {"service": COMPOSE_SERVICE, "project": "com.docker.compose.project"}
"""Short for Compose's labels, where keys are given and in names."""
_SHORT = {key: alias for alias, key in ALIASES.items()}
EVERY_ENDPOINT, HOSTS, OUTSIDE = "*/*", "hosts", "outside"
_FEW, _SHOWN = 2, 6
"""Exceptions that a name of a whole network may have, and names that a text shows."""


@dataclass(frozen=True, slots=True)
class Part:
    """Ends under one name: NETWORK/LABELS, NETWORK/* for all of a network, hosts, outside, or a prefix.

    The longest prefix counts, as in a routing table. `size` of the `total` that have the name; addresses are not counted.
    """

    name: str
    size: int
    total: int
    example: Endpoint | None = None
    """One of them."""

    def __str__(self) -> str:
        return self.name if self.size == self.total else f"{self.name} ({self.size} of {self.total})"


@dataclass(frozen=True, slots=True)
class Line:
    """All of the sources, to all of the destinations, on these ports."""

    sources: Mask
    destinations: Mask
    ports: PortSet


def naming(view: View, policies: Iterable[Policy], by: Sequence[str] = ()) -> Naming:
    """Return what names endpoints: by these keys of labels, or else by what there is.

    That is Compose's service, or `app`, or else the keys that policies use.
    """
    wanted = [ALIASES.get(key, key) for key in by]
    used = sorted(Vocabulary(selectors_in(policies)).values.keys() - {LABEL_NETWORK})

    def name(endpoint: Endpoint) -> str:
        network = view.networks.get(endpoint.network)
        place = (network.name if network else None) or str(endpoint.network)
        if not endpoint.known:
            return f"{place}/unknown"
        labels = labels_of(view, endpoint)
        return f"{place}/{_by(labels, wanted) if wanted else _usual(labels, used)}"

    return name


def _by(labels: Labels, keys: Iterable[str]) -> str:
    return ",".join(_pair(labels, key) if key in labels else f"!{_SHORT.get(key, key)}" for key in keys)


def _usual(labels: Labels, used: Iterable[str]) -> str:
    for key in (COMPOSE_SERVICE, "app"):
        if key in labels:
            return _pair(labels, key)
    return ",".join(_pair(labels, key) for key in used if key in labels) or "unlabelled"


def _pair(labels: Labels, key: str) -> str:
    return f"{_SHORT.get(key, key)}={labels[key]}"


def lines(cells: Cells, columns: Sequence[tuple[int, Partition[PortSet]]]) -> list[Line]:
    """Return who reaches whom in few lines: of destinations, with what reaches each of them.

    Destinations that the same sources reach on the same ports come together, and then sources likewise. A single
    container is no source of its own: it stays among the sources only where that brings destinations together.
    """
    alike: Counter[tuple[Mask, PortSet]] = Counter()
    for index, column in columns:
        for mask, ports in column:
            alike.update({(mask, ports), (_others(cells, index, mask), ports)})
    destinations: defaultdict[tuple[Mask, PortSet], Mask] = defaultdict(int)
    for index, column in columns:
        for mask, ports in column:
            others = _others(cells, index, mask)
            if others:
                chosen = mask if alike[mask, ports] > alike[others, ports] else others
                destinations[chosen, ports] |= 1 << index
    sources: defaultdict[tuple[Mask, PortSet], Mask] = defaultdict(int)
    for (mask, ports), found in destinations.items():
        sources[found, ports] |= mask
    return [Line(mask, found, ports) for (found, ports), mask in sources.items()]


def _others(cells: Cells, index: int, mask: Mask) -> Mask:
    """Return a set without the destination itself, if that is a single container."""
    return mask & ~(1 << index) if cells.cells[index].size == 1 else mask


class Groups:
    """Says sets of cells in groups."""

    def __init__(self, cells: Cells, names: Mapping[UUID, str]) -> None:
        """`names` are those of networks by their id."""
        self._cells = cells
        self._networks = sorted((name, cells.of_network[key]) for key, name in names.items() if key in cells.of_network)
        self.masks: defaultdict[str, Mask] = defaultdict(int)
        """The groups of endpoints."""
        for index in bits(cells.endpoints):
            self.masks[cells.cells[index].group] |= 1 << index

    def named(self, mask: Mask) -> list[Part]:
        """Return the groups that have a part in a set of endpoints."""
        return [self._part(name, whole, whole) for name, whole in self.masks.items() if whole & mask]

    def parts(self, mask: Mask) -> list[Part]:
        """Return the groups, or wholes of groups, that make a set."""
        found = []
        if len(self._networks) > 1 and mask & self._cells.endpoints == self._cells.endpoints:
            found.append(self._part(EVERY_ENDPOINT, mask & self._cells.endpoints, self._cells.endpoints))
        else:
            for name, whole in self._networks:
                if mask & whole:
                    found += self._of_network(name, mask & whole, whole)
        if mask & self._cells.hosts:
            found.append(self._part(HOSTS, mask & self._cells.hosts, self._cells.hosts))
        return found + self._addresses(mask & self._cells.outside)

    def _of_network(self, network: str, mask: Mask, whole: Mask) -> list[Part]:
        groups = self._groups_in(whole)
        there = [name for name in groups if self.masks[name] & mask]
        absent = [name for name in groups if not self.masks[name] & mask]
        if mask == whole and len(groups) > 1:
            return [self._part(f"{network}/*", mask, whole)]
        whole_there = all(self.masks[name] & whole == self.masks[name] & mask for name in there)
        if whole_there and 0 < len(absent) <= _FEW and len(there) > len(absent) + 1:
            name = f"{network}/* except {', '.join(name.partition('/')[2] for name in absent)}"
            return [self._part(name, mask, mask)]
        return [self._part(name, self.masks[name] & mask, self.masks[name]) for name in there]

    def _groups_in(self, whole: Mask) -> list[str]:
        return list(dict.fromkeys(self._cells.cells[index].group for index in bits(whole)))

    def _addresses(self, mask: Mask) -> list[Part]:
        if mask and mask == self._cells.outside:
            return [Part(OUTSIDE, 0, 0)]
        return [Part(self._cells.cells[index].group, 0, 0) for index in bits(mask)]

    def _part(self, name: str, mask: Mask, whole: Mask) -> Part:
        example = next(
            (cell.endpoint for cell in (self._cells.cells[index] for index in bits(mask)) if cell.endpoint), None
        )
        return Part(name, self._cells.count(mask), self._cells.count(whole), example)


def text_of(parts: Collection[Part]) -> str:
    """Return parts as one text; of many, the first."""
    names = [str(part) for part in parts]
    if len(names) > _SHOWN:
        names = [*names[: _SHOWN - 1], f"and {len(names) - _SHOWN + 1} more"]
    return ", ".join(names)
