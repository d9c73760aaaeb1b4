"""What each unit becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.anchor import anchor
from socketplane.compile.audit import Audit
from socketplane.compile.features import Features
from socketplane.compile.hosts import compile_host
from socketplane.compile.index import Index
from socketplane.compile.nodes import HostGroups, compile_group
from socketplane.compile.policy import compile_cluster_policy, compile_isolation, compile_policy
from socketplane.compile.port import compile_endpoint
from socketplane.compile.published import compile_balancers, compile_floating
from socketplane.compile.qos import Marks, compile_marks
from socketplane.compile.ranks import Ranks
from socketplane.compile.router import compile_cluster
from socketplane.compile.rows import Output, identity
from socketplane.compile.segment import Segment, Segments
from socketplane.compile.service import Services, compile_service
from socketplane.compile.switch import compile_network
from socketplane.compile.unknown import Cuts
from socketplane.model.services.readiness import ready
from socketplane.model.services.types import Service
from socketplane.model.spec import ClusterSpec, Policy, Selector
from socketplane.model.types import Cluster, Endpoint, network_labels

Unit = tuple[str, Any]
"""Kind and key."""


@dataclass(frozen=True, slots=True)
class Context:
    """What units depend on."""

    cluster: Cluster
    features: Features
    index: Index
    segments: Segments
    ranks: Ranks
    cuts: Cuts
    audit: Audit
    marks: Marks
    nodes: HostGroups
    services: Services


def compile_unit(context: Context, unit: Unit) -> Output:
    """Return what a unit becomes; nothing if it is not there."""
    kind, key = unit
    output = Output(context.cluster.id, _text(unit), context.features)
    index = context.index
    if kind == "endpoint" and key in index.endpoints:
        _endpoint(output, context, index.endpoints[key])
    elif kind == "network" and key in index.networks:
        network = index.networks[key]
        cut_off = bool(index.policies_on(network)) or context.cuts.any_of(network_labels(network))
        compile_network(output, context.cluster, network, unknown_cut_off=cut_off)
    elif kind == "host" and key in index.hosts:
        host = index.hosts[key]
        compile_host(output, context.cluster, host, context.nodes.of(host), ipv6=index.ipv6)
    elif kind == "nodes" and key in context.nodes:
        compile_group(output, key)
    elif kind == "policy" and key in index.policies:
        _policy(output, context, index.policies[key])
    elif kind == "segment":
        segment = context.segments.get(key)
        if segment is not None:
            _segment(output, context, segment)
    elif kind == "traffic" and (marking := context.marks.get(key)) is not None:
        for network in index.networks_named(marking.network):
            compile_marks(output, marking, network, context.cluster, context.marks.before(marking))
    elif kind == "service" and (service := context.services.get(key)) is not None:
        _service(output, context, service)
    elif kind == "cluster":
        compile_cluster(output, context.cluster, ipv6=index.ipv6)
    return output


def _endpoint(output: Output, context: Context, endpoint: Endpoint) -> None:
    index = context.index
    host, network = index.hosts.get(endpoint.host), index.networks.get(endpoint.network)
    if host is None or network is None:
        return
    groups = [_group(output, names.network_group(network.id))]
    if endpoint.known:
        segments = context.segments.matching(network.id, network_labels(network), index.labels_of(endpoint))
        groups += [segment.group for segment in segments]
    else:
        groups.append(_group(output, names.unknown_group(network.id)))
    if not network.internal:
        floating = index.floating_by_holder.get(endpoint.id, ())
        if floating or any(not published.local for published in endpoint.published):
            groups.append(_group(output, names.PUBLISHED_GROUP))
        compile_balancers(output, context.cluster, endpoint, host)
        compile_floating(output, context.cluster, endpoint, floating)
    switch = identity(output.cluster, "Logical_Switch", str(network.id))
    compile_endpoint(output, endpoint, chassis=host.system_id, switch=switch, groups=groups)


def _service(output: Output, context: Context, service: Service) -> None:
    index = context.index
    for network in index.networks_named(service.network):
        selected = [index.endpoints[key] for key in index.members((network.id, service.spec.selector))]
        backends = ready(service, [each for each in selected if each.known], index.hosts)
        compile_service(output, context.cluster, service, network, backends)


def _policy(output: Output, context: Context, policy: Policy) -> None:
    spec, index = policy.spec, context.index
    if isinstance(spec, ClusterSpec):
        compile_cluster_policy(output, policy, spec, context.ranks.rank(policy, spec), context.cluster, ipv6=index.ipv6)
        return
    for network in index.networks_named(policy.network):
        compile_policy(output, policy, spec, network, context.cluster, context.audit)


def _segment(output: Output, context: Context, segment: Segment) -> None:
    scope = segment.scope
    if segment.own_group:
        notes = {"networks": str(scope) or "all"} if isinstance(scope, Selector) else {}
        notes["selector"] = str(segment.selector) or "all"
        output.row("Port_Group", segment.name, {"name": segment.name}, notes)
        anchor(output, segment.group, context.index.networks_of(scope))
    compile_isolation(output, segment)
    if isinstance(scope, UUID) and (network := context.index.networks.get(scope)) is not None:
        context.audit.compile(output, segment, network, context.cluster)


def _group(output: Output, name: str) -> UUID:
    return identity(output.cluster, "Port_Group", name)


def _text(unit: Unit) -> str:
    kind, key = unit
    if kind == "segment":
        return f"segment/{names.segment_group(*key)}"
    if kind == "nodes":
        return f"nodes/{names.hosts_group(key)}"
    if kind in ("policy", "traffic", "service"):
        return f"{kind}/{'/'.join(part for part in key if part)}"
    return f"{kind}/{key}"
