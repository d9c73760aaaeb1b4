"""Floating addresses: addresses of the outside that lead to a container, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from types import MappingProxyType

from socketplane.errors import InvalidInput
from socketplane.model.spec import Labels
from socketplane.model.types import LABEL_CONTAINER, Address, Cluster, Network, Subnet

_NONE: Labels = MappingProxyType({})
_ENDS = 2
"""Bits of the smallest subnet that has a first and a last address which nobody can have."""
_LARGEST = 1 << 64
"""As many as a link's subnet of IPv6 has."""


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Addresses of the outside that may be given to containers."""

    name: str
    first: Address
    last: Address
    created: float = 0.0

    def __contains__(self, address: object) -> bool:
        return isinstance(address, type(self.first)) and int(self.first) <= int(address) <= int(self.last)

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return int(self.last) - int(self.first) + 1

    def overlaps(self, subnet: Subnet) -> bool:
        """Return whether an address of it is in a subnet."""
        return subnet.version == self.first.version and (
            int(self.first) <= int(subnet.broadcast_address) and int(subnet.network_address) <= int(self.last)
        )

    def free(self, taken: Iterable[Address]) -> Address | None:
        """Return the lowest address that is not taken; None where all are."""
        number = int(self.first)
        for other in sorted(int(address) for address in taken if address in self):
            if other > number:
                break
            number = other + 1
        return type(self.first)(number) if number <= int(self.last) else None

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Floating:
    """An address that leads to one of the containers with these labels, on the network of that name."""

    address: Address
    network: str
    labels: Labels = field(default_factory=lambda: _NONE)
    """Effective ones: a container's name is `socketplane.io/container`."""
    holder: str = ""
    """The endpoint that has it; empty while there is none that may."""
    created: float = 0.0

    @property
    def subject(self) -> str:
        """Whom it is for, as people write it."""
        return subject_of(self.labels)


def subject_of(labels: Labels) -> str:
    """Return whom labels mean, as people write it: a container's name, or the labels."""
    if tuple(labels) == (LABEL_CONTAINER,):
        return labels[LABEL_CONTAINER]
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def parse_range(text: str, field: str = "range") -> tuple[Address, Address]:
    """Return the first and last address of `192.0.2.64/27` or `192.0.2.70-192.0.2.80`.

    Of a subnet these are the ones between its first and its last address, which nobody can have. InvalidInput: it is
    neither, or holds what can't be a container's address.
    """
    try:
        first, last = _ends(text)
    except ValueError as error:
        raise InvalidInput(
            f"{text[:80]!r} is no range of addresses: {error}", field=field, remedy="write a CIDR, or FIRST-LAST"
        ) from None
    if first.version != last.version or int(first) > int(last):
        raise InvalidInput(f"{first} does not come before {last}", field=field, remedy="write the lower one first")
    for address in (first, last):
        link_local = address.version == 6 and address.is_link_local
        if address.is_multicast or address.is_loopback or address.is_unspecified or address.is_reserved or link_local:
            raise InvalidInput(f"{address} can't be a container's address", field=field, remedy="choose others")
    if int(last) - int(first) >= _LARGEST:
        raise InvalidInput("a pool has 2^64 addresses at most", field=field, remedy="name a /64, or a part of it")
    return first, last


def _ends(text: str) -> tuple[Address, Address]:
    start, dash, end = text.partition("-")
    if dash:
        return ip_address(start.strip()), ip_address(end.strip())
    subnet = ip_network(text.strip())
    inner = 1 if subnet.max_prefixlen - subnet.prefixlen >= _ENDS else 0
    return subnet[inner], subnet[-1 - inner]


def taken_by(pool: AddressPool, cluster: Cluster, networks: Iterable[Network]) -> str:
    """Return what of the cluster has addresses of a pool; empty where nothing has."""
    inside: Mapping[str, Subnet] = {
        "the cluster's pool": cluster.pool,
        "the hosts' own ports": cluster.hosts,
        "the cluster's IPv6 pool": cluster.pool6,
        "the hosts' own ports over IPv6": cluster.hosts6,
    }
    found = next((f"{subnet}, {what}" for what, subnet in inside.items() if pool.overlaps(subnet)), "")
    if found:
        return found
    subnets = ((subnet, network) for network in networks for subnet in network.subnets)
    return next((f"{subnet}, of network {net.name or net.id}" for subnet, net in subnets if pool.overlaps(subnet)), "")
