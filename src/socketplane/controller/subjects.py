"""How many endpoints policies select, without asking each endpoint about each policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from socketplane.controller.policyrows import Document
from socketplane.model.selection import subject_of
from socketplane.model.spec import Labels, Selector
from socketplane.model.types import Endpoint, Network, effective_labels, network_labels


class Subjects:
    """Counts the subjects of policies among these endpoints; what is not known is no policy's subject."""

    def __init__(self, networks: Iterable[Network], endpoints: Iterable[Endpoint]) -> None:
        self._networks = {network.id: network for network in networks if network.name}
        self._named: Mapping[str | None, UUID] = {network.name: network.id for network in self._networks.values()}
        self._members: dict[UUID, list[Labels]] = {}
        self._having: dict[tuple[UUID, str, str], list[Labels]] = {}
        for endpoint in endpoints:
            network = self._networks.get(endpoint.network)
            if network is None or not endpoint.known:
                continue
            labels = effective_labels(endpoint, network.name)
            self._members.setdefault(network.id, []).append(labels)
            for key, value in labels.items():
                self._having.setdefault((network.id, key, value), []).append(labels)

    def count(self, policy: Document) -> int:
        """Return how many endpoints a policy selects."""
        subject = subject_of(policy)
        if subject.networks is None:
            own = self._named.get(policy.network)
            return self._count(own, subject.endpoints) if own else 0
        selected = (key for key, network in self._networks.items() if subject.networks.matches(network_labels(network)))
        return sum(self._count(key, subject.endpoints) for key in selected)

    def _count(self, network: UUID, selector: Selector) -> int:
        members = self._members.get(network, [])
        if selector.everything:
            return len(members)
        having = [self._having.get((network, key, value), []) for key, value in selector.match_labels]
        fewest = min(having, key=len, default=members)
        return sum(map(selector.matches, fewest))
