"""The intent as the compiler holds it, with the indexes that keep a change at its own size."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from socketplane.compile.lookup import Labelled, take
from socketplane.compile.segment import PolicyKey, Scope, SegmentKey
from socketplane.model.floating import Floating
from socketplane.model.spec import Labels, Policy, Selector
from socketplane.model.types import Address, Endpoint, Host, Network, effective_labels, network_labels


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
        self.floating: dict[Address, Floating] = {}
        self.floating_by_holder: dict[str, set[Address]] = {}
        self._with_ipv6: set[UUID] = set()
        self._networks_by_label: Labelled[UUID] = Labelled()
        self._endpoints_by_label: dict[UUID, Labelled[str]] = {}

    def put_endpoint(self, endpoint: Endpoint | None, old: Endpoint | None) -> None:
        """Replace an endpoint (None: it is not there)."""
        if old is not None:
            del self.endpoints[old.id]
            take(self.endpoints_by_network, old.network, old.id)
            take(self.endpoints_by_host, old.host, old.id)
            labelled = self._endpoints_by_label[old.network]
            labelled.put(old.id, None)
            if not labelled:
                del self._endpoints_by_label[old.network]
        if endpoint is not None:
            self.endpoints[endpoint.id] = endpoint
            self.endpoints_by_network.setdefault(endpoint.network, set()).add(endpoint.id)
            self.endpoints_by_host.setdefault(endpoint.host, set()).add(endpoint.id)
            self._label(endpoint, self.networks.get(endpoint.network))

    def put_network(self, network: Network | None, old: Network | None) -> None:
        """Replace a network (None: it is not there)."""
        if old is not None:
            del self.networks[old.id]
            self._with_ipv6.discard(old.id)
            self._networks_by_label.put(old.id, None)
            if old.name:
                take(self.networks_by_name, old.name, old.id)
        if network is not None:
            self.networks[network.id] = network
            if network.subnet6 is not None:
                self._with_ipv6.add(network.id)
            self._networks_by_label.put(network.id, network_labels(network))
            if network.name:
                self.networks_by_name.setdefault(network.name, set()).add(network.id)
        some = network or old
        if some is not None and (network and network.name) != (old and old.name):
            for key in self.endpoints_by_network.get(some.id, ()):
                self._label(self.endpoints[key], network)

    def put_policy(self, policy: Policy | None, old: Policy | None) -> None:
        """Replace a policy (None: it is not there)."""
        if old is not None:
            del self.policies[old.network, old.name]
            take(self.policies_by_network, old.network, (old.network, old.name))
        if policy is not None:
            key = (policy.network, policy.name)
            self.policies[key] = policy
            self.policies_by_network.setdefault(policy.network, set()).add(key)

    def put_floating(self, floating: Floating | None, old: Floating | None) -> None:
        """Replace a floating address (None: it is not there)."""
        if old is not None:
            del self.floating[old.address]
            take(self.floating_by_holder, old.holder, old.address)
        if floating is not None:
            self.floating[floating.address] = floating
            self.floating_by_holder.setdefault(floating.holder, set()).add(floating.address)

    @property
    def ipv6(self) -> bool:
        """Whether any network has IPv6."""
        return bool(self._with_ipv6)

    def policies_on(self, network: Network | None) -> list[Policy]:
        """Return the NetworkPolicies of a network."""
        if network is None or not network.name:
            return []
        return [self.policies[key] for key in self.policies_by_network.get(network.name, ())]

    def networks_named(self, name: str) -> list[Network]:
        """Return the networks of a name: one, but for the moment in which two swap theirs."""
        return [self.networks[uuid] for uuid in self.networks_by_name.get(name, ())]

    def networks_selected(self, selector: Selector) -> list[UUID]:
        """Return the networks that a selector selects."""
        return self._networks_by_label.selected(selector)

    def networks_of(self, scope: Scope) -> list[UUID]:
        """Return the networks of a segment's scope that are there."""
        if isinstance(scope, Selector):
            return self.networks_selected(scope)
        return [scope] if scope in self.networks else []

    def labels_of(self, endpoint: Endpoint) -> Labels:
        """Return the effective labels of an endpoint that is there."""
        return self._endpoints_by_label[endpoint.network].labels(endpoint.id)

    def members(self, segment: SegmentKey) -> Iterable[str]:
        """Return the endpoints that a segment selects, those that are unknown too."""
        scope, selector = segment
        for network in self.networks_of(scope):
            if (labelled := self._endpoints_by_label.get(network)) is not None:
                yield from labelled.selected(selector)

    def _label(self, endpoint: Endpoint, network: Network | None) -> None:
        labels = effective_labels(endpoint, network.name if network else None)
        self._endpoints_by_label.setdefault(endpoint.network, Labelled()).put(endpoint.id, labels)
