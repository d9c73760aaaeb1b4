"""Intent to northbound, unit by unit. What a unit becomes depends on the indexes alone, never on the order of changes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any
from uuid import UUID

from socketplane.compile import qos
from socketplane.compile.audit import Audit
from socketplane.compile.features import Features
from socketplane.compile.index import Index
from socketplane.compile.nodes import HostGroups
from socketplane.compile.ranks import Ranks
from socketplane.compile.rows import Desired, Difference, Output
from socketplane.compile.segment import (
    PolicyKey,
    Segment,
    SegmentKey,
    Segments,
    User,
    isolation_of,
    segments_of,
    subject_of,
)
from socketplane.compile.service import Services
from socketplane.compile.units import Context, Unit, compile_unit
from socketplane.compile.unknown import Cuts
from socketplane.model.floating import Floating
from socketplane.model.services.types import Service
from socketplane.model.spec import ClusterSpec, Policy, PolicySpec, Tier
from socketplane.model.traffic import TrafficPolicy
from socketplane.model.types import Address, Cluster, Endpoint, Host, Network, host_labels, network_labels

Intent = Host | Network | Endpoint | Policy | TrafficPolicy | Floating | Service


class Compiler:
    """Holds the intent and what it means for the northbound; each change costs what it affects.

    `put` and `remove` take values in any order: what refers to something absent waits for it. `flush` compiles what
    they affected and returns the difference; `desired` is the whole as of the last flush.
    """

    def __init__(self, cluster: Cluster, features: Features | None = None) -> None:
        self.cluster = cluster
        self.features = features or Features()
        self.desired = Desired(owner=str(cluster.id))
        self.index = Index()
        self._segments = Segments(cluster.id)
        self._ranks = Ranks()
        self._cuts = Cuts()
        self._marks = qos.Marks()
        self._nodes = HostGroups()
        self.services = Services()
        self._outputs: dict[Unit, Output] = {}
        self._dirty: dict[Unit, None] = {("cluster", ""): None}

    def put(self, thing: Intent) -> None:
        """Take in a value, new or changed. The same again costs nothing."""
        self._replace(thing, thing)

    def remove(self, thing: Intent) -> None:
        """Forget the value of that identity; one that is not there is no error."""
        self._replace(thing, None)

    def _replace(self, thing: Intent, new: Any) -> None:
        if isinstance(thing, Endpoint):
            self._replace_endpoint(thing.id, new)
        elif isinstance(thing, Network):
            self._replace_network(thing.id, new)
        elif isinstance(thing, Policy):
            self._replace_policy((thing.network, thing.name), new)
        elif isinstance(thing, TrafficPolicy):
            self._replace_traffic((thing.network, thing.name), new)
        elif isinstance(thing, Floating):
            self._replace_floating(thing.address, new)
        elif isinstance(thing, Service):
            self._replace_service(thing, new)
        else:
            self._replace_host(thing.name, new)

    def flush(self) -> Difference:
        """Compile what was affected since the last flush; return what changed.

        It is returned once: a difference that could not be written is kept by the caller, or made good by a pass over
        `desired` as a whole.
        """
        difference = Difference(owner=self.desired.owner)
        dirty, self._dirty = self._dirty, {}
        audit = Audit(tiers=self.features.acl_tier, baseline=self._ranks.any_of(Tier.BASELINE))
        held = (self.index, self._segments, self._ranks, self._cuts, audit, self._marks, self._nodes, self.services)
        context = Context(self.cluster, self.features, *held)
        for unit in dirty:
            output = compile_unit(context, unit)
            self._note(difference, self._outputs.get(unit), output)
            if output.rows or output.edges:
                self._outputs[unit] = output
            else:
                self._outputs.pop(unit, None)
        return difference

    def _note(self, difference: Difference, old: Output | None, new: Output) -> None:
        rows, edges = self.desired.rows, self.desired.edges
        for key, row in new.rows.items():
            if old is None or old.rows.get(key) != row:
                difference.rows[key] = rows[key] = row
        for edge in new.edges:
            if old is None or edge not in old.edges:
                difference.edges[edge] = True
                edges.add(edge)
        if old is None:
            return
        for key in old.rows.keys() - new.rows.keys():
            difference.rows[key] = None
            del rows[key]
        for edge in old.edges - new.edges:
            difference.edges[edge] = False
            edges.discard(edge)

    # What a change affects

    def _mark(self, kind: str, keys: Iterable[Hashable]) -> None:
        self._dirty.update(((kind, key), None) for key in keys)

    def _replace_endpoint(self, key: str, endpoint: Endpoint | None) -> None:
        old = self.index.endpoints.get(key)
        if old == endpoint:
            return
        self._mark_services(old)
        self.index.put_endpoint(endpoint, old)
        self._mark_services(endpoint)
        self._mark("endpoint", [key])

    def _replace_floating(self, key: Address, floating: Floating | None) -> None:
        old = self.index.floating.get(key)
        if old == floating:
            return
        self.index.put_floating(floating, old)
        self._mark("endpoint", [item.holder for item in (old, floating) if item is not None])

    def _mark_services(self, endpoint: Endpoint | None) -> None:
        """Mark the services that an endpoint, which is there, may be a backend of."""
        network = self.index.networks.get(endpoint.network) if endpoint else None
        if endpoint is not None and network is not None:
            self._mark("service", list(self.services.selecting(network.name, self.index.labels_of(endpoint))))

    def _replace_service(self, thing: Service, service: Service | None) -> None:
        old = self.services.get((thing.network, thing.name))
        if old != service:
            self.services.replace(old, service)
            self._mark("service", [(thing.network, thing.name)])

    def _replace_host(self, key: str, host: Host | None) -> None:
        old = self.index.hosts.get(key)
        if old == host:
            return
        if host is None:
            del self.index.hosts[key]
        else:
            self.index.hosts[key] = host
        self._mark("host", [key])
        if getattr(old, "lost", None) != getattr(host, "lost", None):
            for endpoint in self.index.endpoints_by_host.get(key, ()):
                self._mark_services(self.index.endpoints[endpoint])
        if _endpoints_see(old) != _endpoints_see(host):
            self._mark("endpoint", self.index.endpoints_by_host.get(key, ()))

    def _replace_network(self, key: UUID, network: Network | None) -> None:
        old = self.index.networks.get(key)
        if old == network:
            return
        self._mark("network", [key])
        had_ipv6 = self.index.ipv6
        self._put_network(key, old, network)
        if had_ipv6 != self.index.ipv6:
            self._mark("cluster", [""])
            self._mark("host", self.index.hosts)
            self._mark("policy", [policy for policy in self.index.policies if not policy[0]])

    def _put_network(self, key: UUID, old: Network | None, network: Network | None) -> None:
        for each in (old, network):
            self._mark("service", self.services.on(each.name if each else None))
        if _policies_see(old) == _policies_see(network):
            self.index.put_network(network, old)
            return
        self._mark("endpoint", self.index.endpoints_by_network.get(key, ()))
        for labels in (network_labels(it) for it in (old, network) if it is not None):
            self._mark("segment", list(self._segments.reaching(labels)))  # for its anchor
        for policy in self.index.policies_on(old):
            self._use(key, policy, None)
        self.index.put_network(network, old)
        for policy in self.index.policies_on(network):
            self._use(key, None, policy)
        for before, after in ((old, None), (None, network)):
            for marking in self._marks.on(getattr(before or after, "name", None)):
                self._use_marks(key, marking if before else None, marking if after else None)

    def _replace_policy(self, key: PolicyKey, policy: Policy | None) -> None:
        old = self.index.policies.get(key)
        if old == policy:
            return
        networks = [network.id for network in self.index.networks_named(key[0])]
        for network in networks if key[0] else [None]:
            self._use(network, old, policy)
        self.index.put_policy(policy, old)
        self._mark("policy", [key])
        self._mark("network", networks)
        if not key[0]:
            self._replace_cluster_policy(old, policy)

    def _replace_cluster_policy(self, old: Policy | None, policy: Policy | None) -> None:
        """Note a ClusterNetworkPolicy's place in its tier, and the networks whose unknown endpoints it cuts off."""
        had_baseline = self._ranks.any_of(Tier.BASELINE)
        if old is not None and isinstance(old.spec, ClusterSpec):
            self._mark("policy", self._ranks.remove(old, old.spec))
        if policy is not None and isinstance(policy.spec, ClusterSpec):
            self._mark("policy", self._ranks.put(policy, policy.spec))
        for selector in self._cuts.replace(old, policy):
            self._mark("network", self.index.networks_selected(selector))
        for selector in self._nodes.replace(old, policy):
            self._mark("nodes", [selector])
            self._mark("host", [host.name for host in self.index.hosts.values() if selector.matches(host_labels(host))])
        if had_baseline != self._ranks.any_of(Tier.BASELINE):
            self._mark_audits()

    def _replace_traffic(self, key: PolicyKey, policy: TrafficPolicy | None) -> None:
        old = self._marks.get(key)
        if policy is not None and not policy.spec.marks:
            policy = None
        if qos.same_marks(old, policy):
            return
        for network in self.index.networks_named(key[0]):
            self._use_marks(network.id, old, policy)
        self._mark("traffic", self._marks.replace(old, policy))

    def _mark_audits(self) -> None:
        for key, policy in self.index.policies.items():
            if isinstance(policy.spec, PolicySpec) and policy.spec.audit:
                self._mark("policy", [key])
                networks = self.index.networks_named(policy.network)
                self._mark("segment", [subject_of(policy, network.id) for network in networks])

    # Segments live as long as a policy uses them

    def _use(self, network: UUID | None, old: Policy | None, new: Policy | None) -> None:
        """Note that `new` stands on a network (a ClusterNetworkPolicy on none) in the place of `old`."""
        policy = new or old
        if policy is None:
            return
        user = (network, (policy.network, policy.name))
        self._mark("policy", [user[1]])
        had = segments_of(old, network) if old else set()
        wanted = segments_of(new, network) if new else set()
        self._want(user, wanted)
        if old is not None:
            self._isolate(network, old, False)
        if new is not None:
            self._isolate(network, new, True)
        self._leave(user, had - wanted)

    def _use_marks(self, network: UUID, old: TrafficPolicy | None, new: TrafficPolicy | None) -> None:
        """Note likewise which segments the marks of a TrafficPolicy need."""
        policy = new or old
        if policy is None:
            return
        user = (network, (policy.network, f"traffic/{policy.name}"))  # which no policy can be called
        self._mark("traffic", [(policy.network, policy.name)])
        had = qos.segments_of(old, network) if old else set()
        wanted = qos.segments_of(new, network) if new else set()
        self._want(user, wanted)
        self._leave(user, had - wanted)

    def _want(self, user: User, segments: Iterable[SegmentKey]) -> None:
        for key in segments:
            segment = self._segments.get(key) or self._add_segment(key)
            segment.users.add(user)

    def _leave(self, user: User, segments: Iterable[SegmentKey]) -> None:
        for key in segments:
            segment = self._segments[key]
            segment.users.discard(user)
            if not segment.users:
                self._drop_segment(segment)

    def _isolate(self, network: UUID | None, policy: Policy, on: bool) -> None:
        if not isinstance(policy.spec, PolicySpec):
            return
        segment = self._segments[subject_of(policy, network)]
        key = (policy.network, policy.name)
        noted = segment.audits if policy.spec.audit else segment.isolates
        for direction, isolates in isolation_of(policy.spec).items():
            noted[direction].pop(key, None)
            if on and isolates:
                noted[direction][key] = policy.number
        self._mark("segment", [segment.key])

    def _add_segment(self, key: SegmentKey) -> Segment:
        segment = self._segments.add(key)
        self._mark_segment(segment)
        return segment

    def _drop_segment(self, segment: Segment) -> None:
        self._segments.discard(segment)
        self._mark_segment(segment)

    def _mark_segment(self, segment: Segment) -> None:
        self._mark("segment", [segment.key])
        if segment.own_group:
            self._mark("endpoint", self.index.members(segment.key))


def _endpoints_see(host: Host | None) -> object:
    """Return what the endpoints of a host depend on."""
    return host and (host.system_id, host.address, host.gateway)


def _policies_see(network: Network | None) -> object:
    """Return what policies depend on."""
    return network and (network.name, network.subnets, network_labels(network))


def compile_all(cluster: Cluster, features: Features, intent: Iterable[Intent]) -> Desired:
    """Return what the whole intent means, from scratch: what a Compiler holds after any history that ends in it."""
    compiler = Compiler(cluster, features)
    for thing in intent:
        compiler.put(thing)
    compiler.flush()
    return compiler.desired
