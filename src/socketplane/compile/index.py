"""The intent as the compiler holds it, with the indexes that keep a change at its own size."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from socketplane.compile.segment import PolicyKey
from socketplane.model.spec import Policy
from socketplane.model.types import Endpoint, Host, Network

K = TypeVar("K")
V = TypeVar("V")


class Index:
    """Hosts, networks, endpoints and policies, by id and by what refers to them."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.networks: dict[UUID, Network] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.policies: dict[PolicyKey, Policy] = {}
        self.networks_by_name: dict[str, set[UUID]] = {}
        self.policies_by_network: dict[str, set[PolicyKey]] = {}
        self.endpoints_by_network: dict[UUID, set[str]] = {}
        self.endpoints_by_host: dict[str, set[str]] = {}

    def put_endpoint(self, endpoint: Endpoint | None, old: Endpoint | None) -> None:
        """Replace an endpoint (None: it is not there)."""
        if old is not None:
            del self.endpoints[old.id]
            take(self.endpoints_by_network, old.network, old.id)
            take(self.endpoints_by_host, old.host, old.id)
        if endpoint is not None:
            self.endpoints[endpoint.id] = endpoint
            self.endpoints_by_network.setdefault(endpoint.network, set()).add(endpoint.id)
            self.endpoints_by_host.setdefault(endpoint.host, set()).add(endpoint.id)

    def put_network(self, network: Network | None, old: Network | None) -> None:
        """Replace a network (None: it is not there)."""
        if old is not None:
            del self.networks[old.id]
            if old.name:
                take(self.networks_by_name, old.name, old.id)
        if network is not None:
            self.networks[network.id] = network
            if network.name:
                self.networks_by_name.setdefault(network.name, set()).add(network.id)

    def put_policy(self, policy: Policy | None, old: Policy | None) -> None:
        """Replace a policy (None: it is not there)."""
        if old is not None:
            del self.policies[old.network, old.name]
            take(self.policies_by_network, old.network, (old.network, old.name))
        if policy is not None:
            key = (policy.network, policy.name)
            self.policies[key] = policy
            self.policies_by_network.setdefault(policy.network, set()).add(key)

    def policies_on(self, network: Network | None) -> list[Policy]:
        """Return the policies that apply to a network."""
        if network is None or not network.name:
            return []
        return [self.policies[key] for key in self.policies_by_network.get(network.name, ())]

    def networks_named(self, name: str) -> list[Network]:
        """Return the networks of a name: one, but for the moment in which two swap theirs."""
        return [self.networks[uuid] for uuid in self.networks_by_name.get(name, ())]


def take(index: dict[K, set[V]], key: K, value: V) -> None:
    """Remove a value from an index, and the entry with its last value."""
    values = index[key]
    values.remove(value)
    if not values:
        del index[key]
