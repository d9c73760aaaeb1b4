"""The intent as the REST API shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from typing import Literal

import orjson

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.controller.limits import LimitBook
from socketplane.controller.policyrows import Document, Revision, kind_of
from socketplane.controller.reports import Reports
from socketplane.controller.subjects import Subjects
from socketplane.model.floating import AddressPool, Floating
from socketplane.model.published import Published
from socketplane.model.spec import ClusterSpec, PolicySpec
from socketplane.model.traffic import Limit, Limits
from socketplane.model.types import Endpoint, Host, Lease, Network, Token


class Views:
    """Makes wire types. `is_up` tells of an endpoint id whether its flows are installed, `clock` the time."""

    def __init__(
        self,
        intent: Intent,
        reports: Reports,
        limits: LimitBook,
        is_up: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self._intent = intent
        self._reports = reports
        self._limits = limits
        self._is_up = is_up
        self._clock = clock

    def host(self, host: Host) -> wire.Host:
        """Show a host."""
        report, seen = self._reports.get(host.name)
        return wire.Host(
            name=host.name,
            system_id=host.system_id,
            address=host.address,
            gateway=host.gateway,
            labels=dict(host.labels),
            endpoints=len(self._intent.endpoints_of_host.get(host.name, ())),
            ready=self._reports.is_ready(host.name, self._clock()),
            seen=seen,
            report=report,
            underlay_mtu=host.underlay_mtu,
            silent=self._reports.is_silent(host.name, self._clock()),
            tunnel=self._tunnel(host),
            public_key=host.public_key,
        )

    def _tunnel(self, host: Host) -> IPv4Address | None:
        cluster = self._intent.cluster.cluster
        return cluster.encryption.address(host.gateway, cluster.hosts) if cluster.encryption else None

    def network(self, network: Network) -> wire.Network:
        """Show a network."""
        return wire.Network(
            id=network.id,
            name=network.name or "",
            subnet=network.subnet,
            gateway=network.gateway,
            ip_range=network.ip_range,
            subnet6=network.subnet6,
            gateway6=network.gateway6,
            internal=network.internal,
            routed=network.routed,
            labels=dict(network.labels),
            endpoints=len(self._intent.endpoints_of_network.get(network.id, ())),
            created=network.created,
            origin=network.origin,
            reserved=dict(network.reserved),
        )

    def lease(self, lease: Lease) -> wire.Lease:
        """Show a lease."""
        return wire.Lease(
            network=lease.network,
            address=lease.address,
            prefix=next(net.prefixlen for net in self._intent.networks[lease.network].subnets if lease.address in net),
            kind=lease.kind.value,
            host=lease.host,
            created=lease.created,
        )

    def endpoint(self, endpoint: Endpoint) -> wire.Endpoint:
        """Show an endpoint."""
        return wire.Endpoint(
            id=endpoint.id,
            network=endpoint.network,
            network_name=self._intent.network_name(endpoint.network),
            host=endpoint.host,
            address=endpoint.address,
            address6=endpoint.address6,
            mac=endpoint.mac,
            container=endpoint.container,
            name=endpoint.name,
            labels=dict(endpoint.labels),
            known=endpoint.known,
            rate=endpoint.rate,
            aliases=list(endpoint.aliases),
            limits=limits_of(limits) if (limits := self._limits.of(endpoint.id)) else None,
            published=[published_port(published) for published in endpoint.published],
            floating=sorted(self._intent.floating_of_holder.get(endpoint.id, ()), key=int),
            up=self._is_up(endpoint.id),
            conditions=dict(endpoint.conditions),
            draining=endpoint.draining,
            created=endpoint.created,
        )

    def pool(self, pool: AddressPool) -> wire.Pool:
        """Show a pool of addresses."""
        used = sorted((address for address in self._intent.floating if address in pool), key=int)
        return wire.Pool(name=pool.name, first=pool.first, last=pool.last, size=pool.size, used=used, created=pool.created)

    def floating(self, floating: Floating) -> wire.Floating:
        """Show a floating address, and what the holder's host says of it."""
        holder = self._intent.endpoints.get(floating.holder)
        claim = self._reports.claim(holder.host, floating.address) if holder else None
        pool = next((pool.name for pool in self._intent.pools.values() if floating.address in pool), "")
        return wire.Floating(
            address=floating.address,
            pool=pool,
            network=floating.network,
            subject=floating.subject,
            labels=dict(floating.labels),
            state="vacant" if holder is None else _state(claim),
            problem=claim.problem if claim else "",
            endpoint=holder.id if holder else "",
            container=holder.name if holder else "",
            host=holder.host if holder else "",
            link=claim.link if claim else "",
            created=floating.created,
        )

    def policies(self, policies: Iterable[Document], subjects: Subjects) -> list[wire.Policy]:
        """Show policies, each with how many endpoints it selects."""
        return [self._policy(policy, subjects.count(policy)) for policy in policies]

    def _policy(self, policy: Document, subjects: int) -> wire.Policy:
        spec = policy.spec
        of_cluster = spec if isinstance(spec, ClusterSpec) else None
        return wire.Policy(
            kind=kind_of(policy),
            network=policy.network,
            name=policy.name,
            number=policy.number,
            tier=of_cluster.tier.value if of_cluster else None,
            priority=of_cluster.priority if of_cluster else None,
            mode="audit" if isinstance(spec, PolicySpec) and spec.audit else "enforce",
            subjects=subjects,
            network_exists=of_cluster is not None or policy.network in self._intent.network_of_name,
            document=orjson.loads(policy.document),
        )

    def revision(self, revision: Revision) -> wire.PolicyRevision:
        """Show one change of policies."""
        return wire.PolicyRevision(
            number=revision.number,
            time=revision.time,
            who=revision.who,
            action=revision.action,
            target=revision.target,
            changes=[
                wire.PolicyChanged(kind=item.kind, network=item.network, name=item.name, change=item.effect)
                for item in revision.changes
            ],
            confirm_by=revision.deadline,
            confirmed=revision.confirmed,
            state=self._state(revision),
        )

    def _state(self, revision: Revision) -> Literal["", "waiting", "confirmed", "taken back"]:
        if revision.deadline is None:
            return ""
        if revision.confirmed is not None:
            return "confirmed"
        return "waiting" if revision.number == max(self._intent.revisions, default=0) else "taken back"

    def token(self, token: Token) -> wire.Token:
        """Show a token, without its secret's hash."""
        return wire.Token(id=token.id, created=token.created, expires=token.expires, uses=token.uses)


def _state(claim: wire.Claim | None) -> Literal["claimed", "pending", "refused"]:
    if claim is None:
        return "pending"
    return "refused" if claim.problem else "claimed"


def published_port(published: Published) -> wire.PublishedPort:
    """Show a published port."""
    return wire.PublishedPort(
        protocol=published.protocol.value,
        address=published.address,
        host_port=published.host_port,
        port=published.port,
    )


def limits_of(limits: Limits) -> wire.Limits:
    """Show an endpoint's limits."""

    def one(limit: Limit | None) -> wire.Limit | None:
        return None if limit is None else wire.Limit(rate=limit.rate, burst=limit.burst)

    return wire.Limits(egress=one(limits.egress), ingress=one(limits.ingress))
