"""Who there is: finding those that an assertion's end means.

An end is an address, or NETWORK/WHOM, or WHOM on any network, where WHOM is a container's name, a Compose service, or
labels (`app=web`, `app=web,tier=front`). It means all that it names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Address

from socketplane.errors import InvalidInput, NotFound
from socketplane.model.compose.project import SERVICE
from socketplane.model.spec import Labels
from socketplane.model.types import Endpoint, effective_labels


@dataclass(frozen=True, slots=True)
class Place:
    """A container's place on a network."""

    endpoint: Endpoint
    network: str
    internal: bool = False

    @property
    def container(self) -> str:
        """Return what tells containers apart."""
        return self.endpoint.container or self.endpoint.id

    @property
    def names(self) -> tuple[str, str]:
        """Return the container's name and its Compose service's, each empty where there is none."""
        return self.endpoint.name, self.endpoint.labels.get(SERVICE, "")

    def is_called(self, whom: str) -> bool:
        """Return whether a name or an address means it."""
        return whom in (*self.names, str(self.endpoint.address))

    def has(self, labels: Labels) -> bool:
        """Return whether it has all of these labels, as policies see them."""
        return self.endpoint.known and labels.items() <= effective_labels(self.endpoint, self.network).items()

    def __str__(self) -> str:
        return f"{self.network}/{self.endpoint.name or self.endpoint.address}"


End = Place | IPv4Address


@dataclass(frozen=True, slots=True)
class Population:
    """All containers' places. `absent` are services that are known and have no place, with the reason.

    `arbitrary` are addresses that mean nothing: only this run has given them out.
    """

    places: Collection[Place]
    networks: Collection[str]
    absent: Mapping[str, str]
    arbitrary: Collection[IPv4Address] = ()

    def find(self, text: str) -> tuple[Place, ...] | IPv4Address:
        """Return all that an end means. Raises NotFound where it means nobody, so that no assertion holds of nothing."""
        network, slash, whom = text.partition("/")
        if not slash or network not in self.networks:
            network, whom = "", text
        address = _address(whom)
        if address in self.arbitrary:
            raise InvalidInput(f"{address} is nobody's address before Docker gives it", remedy="name the container")
        wanted = dict(pair.partition("=")[::2] for pair in whom.split(",")) if "=" in whom else None
        found = tuple(
            place
            for place in self.places
            if network in ("", place.network) and (place.is_called(whom) if wanted is None else place.has(wanted))
        )
        if found:
            return found
        if address is not None and not network:
            return address
        raise self._nobody(network, whom)

    def _nobody(self, network: str, whom: str) -> NotFound:
        where = f" on the network {network}" if network else ""
        if "=" in whom:
            return NotFound(f"no container{where} has the labels {whom}")
        if whom in self.absent:
            return NotFound(f"{whom} is on no network: {self.absent[whom]}")
        first, slash, _ = whom.partition("/")
        if slash:
            return NotFound(f"there is no network {first}", remedy=_near(first, self.networks))
        known = {name for place in self.places if network in ("", place.network) for name in place.names}
        return NotFound(f"no container or service{where} is called {whom}", remedy=_near(whom, known))


def _near(name: str, known: Collection[str]) -> str | None:
    found = get_close_matches(name, known, n=1)
    return f"did you mean {found[0]}?" if found else None


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None
