"""Ends that no policy in use can tell apart, as cells, and sets of cells as the bits of a number.

Ten thousand endpoints are a few hundred cells; who is meant by a rule is a number, and all set algebra one operation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from uuid import UUID

from socketplane.model.behind import opened
from socketplane.model.portset import NOTHING, PortSet
from socketplane.model.prefixes import Prefixes
from socketplane.model.selection import Party, View, address_of, labels_of, rules_of, subject_of
from socketplane.model.spec import (
    Block,
    Direction,
    Hosts,
    Labels,
    Members,
    Operator,
    Peer,
    Policy,
    Requirement,
    Selector,
)
from socketplane.model.types import Address, Endpoint, Host, Subnet, host_labels, network_labels

Mask = int
"""A set of cells: bit N is cell N."""
Naming = Callable[[Endpoint], str]
"""Tells the group that an endpoint belongs to, for people. A cell has one group."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Ends that are alike: endpoints of one network and group, hosts, or the addresses that belong to a prefix."""

    group: str
    members: tuple[Endpoint, ...] | tuple[Host, ...] = ()
    prefix: Subnet | None = None

    @property
    def size(self) -> int:
        """Number of endpoints or hosts; addresses are not counted."""
        return len(self.members)

    @property
    def endpoint(self) -> Endpoint | None:
        """One endpoint that stands for all; None where it has none."""
        first = self.members[0] if self.members else None
        return first if isinstance(first, Endpoint) else None


class Vocabulary:
    """What selectors ask for: the keys of labels, and of each the values."""

    def __init__(self, selectors: Iterable[Selector]) -> None:
        self.values: defaultdict[str, set[str]] = defaultdict(set)
        for selector in selectors:
            for key, value in selector.match_labels:
                self.values[key].add(value)
            for expression in selector.expressions:
                self.values[expression.key].update(expression.values)
        self._wanted = sorted(self.values.items())

    def signature(self, labels: Labels) -> tuple[str | bool, ...]:
        """Return what selectors can know of labels: values that any asks for, and else whether the key is there."""
        found: list[str | bool] = []
        for key, values in self._wanted:
            value = labels.get(key)
            found.append(value if value is not None and value in values else value is not None)
        return tuple(found)


class Cells:
    """The cells of a view's endpoints and hosts, for these policies, and the masks of what policies mean.

    Of a version of IP: who has no address of it is left out.
    """

    def __init__(self, view: View, policies: Collection[Policy], name: Naming, version: int = 4) -> None:
        self.version = version
        self._view = view
        self._floating = {each.holder for each in view.floating if each.address.version == version}
        blocks = {block for policy in policies for block in blocks_in(policy)}
        self._underlay = underlay(view, policies) if version == 4 else {}
        self._prefixes = Prefixes(view.cluster, [*blocks, *(Block(cidr) for cidr in self._underlay)], version)
        self._words = Vocabulary(selectors_in(policies))
        self._host_words = Vocabulary(peer.selector for policy in policies for peer in hosts_in(policy))
        self._name = name
        self._keys: dict[object, int] = {}
        self.cells: list[Cell] = self._make()
        self._fill()
        self._selected: dict[Selector, Mask] = {}
        self._networks: dict[tuple[Selector | None, str], Mask] = {}

    def _make(self) -> list[Cell]:
        endpoints: defaultdict[object, list[Endpoint]] = defaultdict(list)
        hosts: defaultdict[object, list[Host]] = defaultdict(list)
        for endpoint in self._view.endpoints:
            if address_of(endpoint, self.version) is not None:
                endpoints[self._key(endpoint)].append(endpoint)
        for host in self._view.hosts:
            if address_of(host, self.version) is not None:
                hosts[self._key(host)].append(host)
        cells = [(key, Cell(self._name(members[0]), tuple(members))) for key, members in endpoints.items()]
        cells.sort(key=lambda pair: pair[1].group)
        cells += [(key, Cell("hosts", tuple(members))) for key, members in hosts.items()]
        for prefix in self._prefixes:
            there = self._underlay.get(prefix)
            cells.append((prefix, Cell(f"{there.name} ({there.address})" if there else str(prefix), prefix=prefix)))
        self._keys = {key: index for index, (key, _) in enumerate(cells)}
        return [cell for _, cell in cells]

    def _key(self, party: Party) -> object:
        prefix = self._prefixes.of(self._address(party))
        if isinstance(party, Host):
            return "host", prefix, self._host_words.signature(host_labels(party))
        if not isinstance(party, Endpoint):
            return prefix
        words = self._words.signature(labels_of(self._view, party)) if party.known else ()
        return party.network, self._name(party), party.known, prefix, words, self._opened(party)

    def _opened(self, endpoint: Endpoint) -> PortSet:
        """Return to what ports of an endpoint the outside comes with this version of IP, whatever policies say."""
        network = self._view.networks.get(endpoint.network)
        if network is None:
            return NOTHING
        return opened(network, endpoint, floating=endpoint.id in self._floating, version=self.version)

    def _address(self, party: Party) -> Address:
        address = address_of(party, self.version)
        if address is None:
            raise ValueError(f"{party} has no IPv{self.version} address")
        return address

    def _fill(self) -> None:
        """Make the masks from which all others follow."""
        self.everyone: Mask = (1 << len(self.cells)) - 1
        self.opened = [self._opened(cell.endpoint) if cell.endpoint else NOTHING for cell in self.cells]
        """To what ports of each cell the outside comes."""
        self.known = self.unknown = self.hosts = self.outside = 0
        self.of_network: defaultdict[UUID, Mask] = defaultdict(int)
        self._of_prefix: defaultdict[Subnet, Mask] = defaultdict(int)
        self._of_key: defaultdict[str, Mask] = defaultdict(int)
        self._of_label: defaultdict[tuple[str, str], Mask] = defaultdict(int)
        outside = set(self._prefixes.outside())
        for index, cell in enumerate(self.cells):
            bit = 1 << index
            if cell.prefix is not None:
                self._of_prefix[cell.prefix] |= bit
                self.outside |= bit if cell.prefix in outside else 0
                continue
            self._of_prefix[self._prefixes.of(self._address(cell.members[0]))] |= bit
            if cell.endpoint is None:
                self.hosts |= bit
                continue
            self.of_network[cell.endpoint.network] |= bit
            if not cell.endpoint.known:
                self.unknown |= bit
                continue
            self.known |= bit
            labels = labels_of(self._view, cell.endpoint)
            for key in self._words.values.keys() & labels.keys():
                self._of_key[key] |= bit
                self._of_label[key, labels[key]] |= bit
        self.endpoints = self.known | self.unknown

    def index(self, party: Party) -> int:
        """Return the cell of an end: of one of the view's endpoints or hosts, or of any address."""
        return self._keys[self._key(party)]

    def subjects(self, policy: Policy) -> Mask:
        """Return whom a policy selects."""
        return self.members(subject_of(policy), policy.network)

    def peers(self, peers: Collection[Peer] | None, own: str) -> Mask:
        """Return who is one of a rule's peers; `own` names the policy's network."""
        if peers is None:
            return self.everyone
        found = 0
        for peer in peers:
            if isinstance(peer, Hosts):
                found |= self.hosts_of(peer)
            else:
                found |= self.block(peer) if isinstance(peer, Block) else self.members(peer, own)
        return found

    def hosts_of(self, peer: Hosts) -> Mask:
        """Return the hosts that are meant, with their addresses on the underlay."""
        found = 0
        for index in bits(self.hosts):
            member = self.cells[index].members[0]
            found |= 1 << index if isinstance(member, Host) and peer.selector.matches(host_labels(member)) else 0
        for prefix, host in self._underlay.items():
            found |= self._of_prefix[prefix] if peer.selector.matches(host_labels(host)) else 0
        return found

    def members(self, members: Members, own: str) -> Mask:
        """Return which endpoints are meant."""
        return self.on(members.networks, own) & self.selected(members.endpoints)

    def on(self, networks: Selector | None, own: str) -> Mask:
        """Return what is on the networks that are meant; without a selector, on the one of that name."""
        key = (networks, own if networks is None else "")
        if key not in self._networks:
            found = 0
            for network in self._view.networks.values():
                if network.name == own if networks is None else networks.matches(network_labels(network)):
                    found |= self.of_network.get(network.id, 0)
            self._networks[key] = found
        return self._networks[key]

    def selected(self, selector: Selector) -> Mask:
        """Return which endpoints, on whatever network, a selector matches: of the known ones only."""
        if selector not in self._selected:
            found = self.known
            for pair in selector.match_labels:
                found &= self._of_label.get(pair, 0)
            for expression in selector.expressions:
                found &= self._holds(expression)
            self._selected[selector] = found
        return self._selected[selector]

    def _holds(self, expression: Requirement) -> Mask:
        if expression.operator in (Operator.IN, Operator.NOT_IN):
            found = 0
            for value in expression.values:
                found |= self._of_label.get((expression.key, value), 0)
        else:
            found = self._of_key.get(expression.key, 0)
        return found if expression.operator in (Operator.IN, Operator.EXISTS) else ~found

    def block(self, block: Block) -> Mask:
        """Return whose addresses are meant."""
        found = 0
        for prefix in self._prefixes.meant(block):
            found |= self._of_prefix.get(prefix, 0)
        return found

    def count(self, mask: Mask) -> int:
        """Return how many endpoints and hosts are in these cells."""
        return sum(self.cells[index].size for index in bits(mask))


def bits(mask: Mask) -> Iterator[int]:
    """Yield the cells of a set."""
    text = bin(mask)[:1:-1]
    index = text.find("1")
    while index >= 0:
        yield index
        index = text.find("1", index + 1)


def members_in(policy: Policy) -> Iterator[Members]:
    """Yield a policy's subject and those peers that are members."""
    yield subject_of(policy)
    yield from (peer for peer in _peers(policy) if isinstance(peer, Members))


def selectors_in(policies: Iterable[Policy]) -> Iterator[Selector]:
    """Yield the selectors of endpoints that policies use."""
    return (members.endpoints for policy in policies for members in members_in(policy))


def hosts_in(policy: Policy) -> Iterator[Hosts]:
    """Yield those of a policy's peers that are hosts."""
    return (peer for peer in _peers(policy) if isinstance(peer, Hosts))


def underlay(view: View, policies: Iterable[Policy]) -> dict[Subnet, Host]:
    """Return the hosts' addresses on the underlay, where policies speak of hosts: else nothing tells them from others."""
    if not any(True for policy in policies for _ in hosts_in(policy)):
        return {}
    return {ip_network(host.address): host for host in view.hosts if host.address}


def blocks_in(policy: Policy) -> Iterator[Block]:
    """Yield those of a policy's peers that are addresses."""
    return (peer for peer in _peers(policy) if isinstance(peer, Block))


def _peers(policy: Policy) -> Iterator[Peer]:
    for direction in Direction:
        for rule in rules_of(policy, direction):
            yield from rule.peers or ()
