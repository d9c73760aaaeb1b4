"""All names that this host's containers may ask for, and who may ask for which. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from sys import intern
from typing import NamedTuple
from uuid import UUID


class Named(NamedTuple):
    """A container's place on a network. Names are lower case, the container's own first."""

    network: UUID
    address: int
    container: str
    host: str
    """Empty: it is a service, which is everywhere."""
    names: tuple[str, ...]
    address6: int = 0
    """0: it has none."""


Address = IPv4Address | IPv6Address
Record = tuple[str, Named]
"""With the endpoint's id before it."""


class Table:
    """Names by network, and this host's own endpoints, whose addresses tell who asks.

    An entry of this host counts while the endpoint is here (`set_local`), one of another while that host is heard.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._entries: dict[str, Named] = {}
        self._by_name: dict[UUID, dict[str, tuple[str, ...]]] = {}
        self._at: dict[int, str] = {}
        self._networks: dict[UUID, str] = {}
        self._internal: set[UUID] = set()
        self._local: dict[str, tuple[UUID, int, str]] = {}
        self._asking: dict[int, str] = {}
        self._of_container: dict[str, set[str]] = {}
        self._silent: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, endpoint: str) -> Named | None:
        """Return an entry."""
        return self._entries.get(endpoint)

    def entries(self) -> Iterator[Record]:
        """Yield all entries."""
        yield from self._entries.items()

    def locals(self) -> Iterator[tuple[str, tuple[UUID, int, str]]]:
        """Yield this host's endpoints with network, address and container."""
        yield from self._local.items()

    def networks(self) -> dict[UUID, tuple[str, bool]]:
        """Return the networks' names, and which are internal."""
        return {network: (name, network in self._internal) for network, name in self._networks.items()}

    def closed(self, networks: Sequence[UUID]) -> bool:
        """Return whether who is on these networks, and no others, asks nobody outside."""
        return bool(networks) and self._internal.issuperset(networks)

    @property
    def silent(self) -> frozenset[str]:
        """Hosts whose entries don't count."""
        return self._silent

    def put(self, endpoint: str, named: Named) -> None:
        """Add or replace an entry."""
        self.discard(endpoint)
        entry = named._replace(host=intern(named.host), names=tuple(map(intern, named.names)))
        self._entries[endpoint] = entry
        for address in _numbers(entry):
            self._at[address] = endpoint
        names = self._by_name.setdefault(entry.network, {})
        for name in entry.names:
            names[name] = (*names.get(name, ()), endpoint)

    def discard(self, endpoint: str) -> None:
        """Remove an entry; one that is not there is no error."""
        entry = self._entries.pop(endpoint, None)
        if entry is None:
            return
        for address in _numbers(entry):
            if self._at.get(address) == endpoint:
                del self._at[address]
        names = self._by_name[entry.network]
        for name in entry.names:
            left = tuple(key for key in names[name] if key != endpoint)
            if left:
                names[name] = left
            else:
                del names[name]
        if not names:
            del self._by_name[entry.network]

    def name_network(self, network: UUID, name: str, *, internal: bool = False) -> None:
        """Note a network's name; empty: it is gone."""
        self._networks.pop(network, None)
        self._internal.discard(network)
        if name:
            self._networks[network] = name.lower()
        if name and internal:
            self._internal.add(network)

    def set_local(self, endpoint: str, network: UUID, address: int, container: str) -> None:
        """Note an endpoint of this host."""
        self.drop_local(endpoint)
        self._local[endpoint] = (network, address, container)
        self._asking[address] = endpoint
        if container:
            self._of_container.setdefault(container, set()).add(endpoint)

    def drop_local(self, endpoint: str) -> None:
        """Note that an endpoint is not here any more."""
        network, address, container = self._local.pop(endpoint, (None, 0, ""))
        if network is None:
            return
        if self._asking.get(address) == endpoint:
            del self._asking[address]
        if container:
            self._of_container[container].discard(endpoint)
            if not self._of_container[container]:
                del self._of_container[container]

    def set_silent(self, hosts: Iterable[str]) -> None:
        """Say which hosts are not heard."""
        self._silent = frozenset(hosts)

    def sees(self, source: IPv4Address) -> Sequence[UUID] | None:
        """Return the networks of the container with this address; None where it is no container of this host."""
        endpoint = self._asking.get(int(source))
        if endpoint is None:
            return None
        network, _, container = self._local[endpoint]
        if not container:
            return (network,)
        return sorted({self._local[key][0] for key in self._of_container[container]})

    def addresses(self, networks: Sequence[UUID], name: str) -> list[Address] | None:
        """Return what a name means on these networks: NAME, else NAME.NETWORK. None where it means nothing there."""
        wanted = name.lower()
        found = [entry for network in networks for entry in self._means(network, wanted)]
        if not found:
            for network in networks:
                suffix = f".{self._networks.get(network, '')}"
                if len(suffix) > 1 and wanted.endswith(suffix):
                    found += self._means(network, wanted.removesuffix(suffix))
        fours: list[Address] = [IPv4Address(entry.address) for entry in found]
        return fours + [IPv6Address(entry.address6) for entry in found if entry.address6] or None

    def name_at(self, networks: Sequence[UUID], address: Address) -> str | None:
        """Return NAME.NETWORK of who has an address, if it is on one of these networks."""
        endpoint = self._at.get(int(address))
        if endpoint is None:
            return None
        entry = self._entries[endpoint]
        if entry.network not in networks or not entry.names or not self._counts(endpoint, entry):
            return None
        network = self._networks.get(entry.network)
        return f"{entry.names[0]}.{network}" if network else entry.names[0]

    def _means(self, network: UUID, name: str) -> list[Named]:
        """Return what has a name: where a service has, that alone, for containers that are called so are behind it."""
        found = list(self._called(network, name))
        return [entry for entry in found if not entry.host] or found

    def _called(self, network: UUID, name: str) -> Iterator[Named]:
        for endpoint in self._by_name.get(network, {}).get(name, ()):
            entry = self._entries[endpoint]
            if self._counts(endpoint, entry):
                yield entry

    def _counts(self, endpoint: str, entry: Named) -> bool:
        if entry.host == self._host:
            return endpoint in self._local
        return entry.host not in self._silent


def _numbers(entry: Named) -> tuple[int, ...]:
    return (entry.address, entry.address6) if entry.address6 else (entry.address,)
