"""Intent to northbound, unit by unit. What a unit becomes depends on the indexes alone, never on the order of changes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any
from uuid import UUID

from socketplane.compile import acl, names
from socketplane.compile.features import Features
from socketplane.compile.hosts import compile_host
from socketplane.compile.index import Index
from socketplane.compile.port import compile_endpoint
from socketplane.compile.router import compile_cluster
from socketplane.compile.rows import Desired, Difference, Output, identity
from socketplane.compile.segment import PolicyKey, Segment, Segments, compile_segment
from socketplane.compile.switch import compile_network
from socketplane.model.spec import Direction, Policy, PolicySpec, Selector
from socketplane.model.types import Cluster, Endpoint, Host, Network, effective_labels

Intent = Host | Network | Endpoint | Policy
Unit = tuple[str, Any]


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
        self._outputs: dict[Unit, Output] = {}
        self._dirty: dict[Unit, None] = {("cluster", ""): None}

    def put(self, thing: Intent) -> None:
        """Take in a value, new or changed. The same again costs nothing."""
        if isinstance(thing, Endpoint):
            self._replace_endpoint(thing.id, thing)
        elif isinstance(thing, Network):
            self._replace_network(thing.id, thing)
        elif isinstance(thing, Policy):
            self._replace_policy((thing.network, thing.name), thing)
        else:
            self._replace_host(thing.name, thing)

    def remove(self, thing: Intent) -> None:
        """Forget the value of that identity; one that is not there is no error."""
        if isinstance(thing, Endpoint):
            self._replace_endpoint(thing.id, None)
        elif isinstance(thing, Network):
            self._replace_network(thing.id, None)
        elif isinstance(thing, Policy):
            self._replace_policy((thing.network, thing.name), None)
        else:
            self._replace_host(thing.name, None)

    def flush(self) -> Difference:
        """Compile what was affected since the last flush; return what changed.

        It is returned once: a difference that could not be written is kept by the caller, or made good by a pass over
        `desired` as a whole.
        """
        difference = Difference(owner=self.desired.owner)
        dirty, self._dirty = self._dirty, {}
        for unit in dirty:
            output = self._compile(unit)
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
        self.index.put_endpoint(endpoint, old)
        self._mark("endpoint", [key])

    def _replace_host(self, key: str, host: Host | None) -> None:
        old = self.index.hosts.get(key)
        if old == host:
            return
        if host is None:
            del self.index.hosts[key]
        else:
            self.index.hosts[key] = host
        self._mark("host", [key])
        if (old.system_id if old else None) != (host.system_id if host else None):
            self._mark("endpoint", self.index.endpoints_by_host.get(key, ()))

    def _replace_network(self, key: UUID, network: Network | None) -> None:
        old = self.index.networks.get(key)
        if old == network:
            return
        self._mark("network", [key])
        if old is not None and network is not None and old.name == network.name:
            self.index.put_network(network, old)
            return
        self._mark("endpoint", self.index.endpoints_by_network.get(key, ()))
        for policy in self.index.policies_on(old):
            self._use(key, policy, None)
        self.index.put_network(network, old)
        for policy in self.index.policies_on(network):
            self._use(key, None, policy)

    def _replace_policy(self, key: PolicyKey, policy: Policy | None) -> None:
        old = self.index.policies.get(key)
        if old == policy:
            return
        networks = [network.id for network in self.index.networks_named(key[0])]
        for network in networks:
            self._use(network, old, policy)
        self.index.put_policy(policy, old)
        self._mark("policy", [key])
        self._mark("network", networks)

    # Segments live as long as a policy uses them

    def _use(self, network: UUID, old: Policy | None, new: Policy | None) -> None:
        """Note that `new` stands on a network in the place of `old`."""
        policy = new or old
        if policy is None:
            return
        key = (policy.network, policy.name)
        self._mark("policy", [key])
        had = _selectors(old.spec) if old else set()
        wanted = _selectors(new.spec) if new else set()
        for selector in wanted:
            segment = self._segments.get(network, selector) or self._add_segment(network, selector)
            segment.users.add(key)
        if old is not None:
            self._isolate(network, old, False)
        if new is not None:
            self._isolate(network, new, True)
        for selector in had - wanted:
            self._drop_segment(network, selector, key)

    def _isolate(self, network: UUID, policy: Policy, on: bool) -> None:
        segment = self._segments.get(network, policy.spec.subject)
        if segment is None:
            return
        key = (policy.network, policy.name)
        rules = {Direction.INGRESS: policy.spec.ingress, Direction.EGRESS: policy.spec.egress}
        for direction, policies in segment.isolates.items():
            policies.pop(key, None)
            if on and rules[direction] is not None:
                policies[key] = policy.number
        self._mark("segment", [(network, policy.spec.subject)])

    def _add_segment(self, network: UUID, selector: Selector) -> Segment:
        segment = self._segments.add(network, selector)
        self._mark("segment", [(network, selector)])
        self._mark_members(segment)
        return segment

    def _drop_segment(self, network: UUID, selector: Selector, user: PolicyKey) -> None:
        segment = self._segments.get(network, selector)
        if segment is None:
            return
        segment.users.discard(user)
        if segment.users:
            return
        self._segments.discard(segment)
        self._mark("segment", [(network, selector)])
        self._mark_members(segment)

    def _mark_members(self, segment: Segment) -> None:
        if not segment.selector.match_labels:
            return
        network = self.index.networks.get(segment.network)
        name = network.name if network else None
        endpoints = self.index.endpoints
        members = self.index.endpoints_by_network.get(segment.network, ())
        selects = segment.selector.matches
        self._mark("endpoint", [key for key in members if selects(effective_labels(endpoints[key], name))])

    # What units become

    def _compile(self, unit: Unit) -> Output:
        kind, key = unit
        output = Output(self.cluster.id, _text(unit))
        index = self.index
        if kind == "endpoint" and key in index.endpoints:
            self._endpoint(output, index.endpoints[key])
        elif kind == "network" and key in index.networks:
            network = index.networks[key]
            compile_network(output, network, has_policy=bool(index.policies_on(network)))
        elif kind == "host" and key in index.hosts:
            compile_host(output, self.cluster, index.hosts[key])
        elif kind == "policy" and key in index.policies:
            self._policy(output, index.policies[key])
        elif kind == "segment":
            segment = self._segments.get(*key)
            if segment is not None:
                compile_segment(output, segment)
        elif kind == "cluster":
            compile_cluster(output, self.cluster)
        return output

    def _endpoint(self, output: Output, endpoint: Endpoint) -> None:
        host = self.index.hosts.get(endpoint.host)
        network = self.index.networks.get(endpoint.network)
        if host is None or network is None:
            return
        groups = [self._group(names.network_group(network.id))]
        if endpoint.known:
            segments = self._segments.matching(network.id, effective_labels(endpoint, network.name))
            groups += [segment.group for segment in segments]
        else:
            groups.append(self._group(names.unknown_group(network.id)))
        switch = identity(self.cluster.id, "Logical_Switch", str(network.id))
        compile_endpoint(output, endpoint, chassis=host.system_id, switch=switch, groups=groups)

    def _policy(self, output: Output, policy: Policy) -> None:
        for network in self.index.networks_named(policy.network):
            group = self._group(names.segment_group(network.id, policy.spec.subject))
            acl.policy_acls(output, policy, network.id, group)

    def _group(self, name: str) -> UUID:
        return identity(self.cluster.id, "Port_Group", name)


def compile_all(cluster: Cluster, features: Features, intent: Iterable[Intent]) -> Desired:
    """Return what the whole intent means, from scratch: what a Compiler holds after any history that ends in it."""
    compiler = Compiler(cluster, features)
    for thing in intent:
        compiler.put(thing)
    compiler.flush()
    return compiler.desired


def _selectors(spec: PolicySpec) -> set[Selector]:
    rules = (*(spec.ingress or ()), *(spec.egress or ()))
    return {spec.subject, *(peer.endpoints for rule in rules for peer in rule.peers or ())}


def _text(unit: Unit) -> str:
    kind, key = unit
    if kind == "segment":
        return f"segment/{names.segment_group(*key)}"
    return f"policy/{key[0]}/{key[1]}" if kind == "policy" else f"{kind}/{key}"
