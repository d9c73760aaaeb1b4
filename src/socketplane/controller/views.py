"""The intent as the REST API shows it."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.controller.reports import Reports
from socketplane.model.selection import View, subjects_of
from socketplane.model.spec import ClusterSpec, Policy
from socketplane.model.types import Endpoint, Host, Lease, Network, Token


class Views:
    """Makes wire types. `is_up` tells of an endpoint id whether its flows are installed, `clock` the time."""

    def __init__(self, intent: Intent, reports: Reports, is_up: Callable[[str], bool], clock: Callable[[], float]) -> None:
        self._intent = intent
        self._reports = reports
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
        )

    def network(self, network: Network) -> wire.Network:
        """Show a network."""
        return wire.Network(
            id=network.id,
            name=network.name or "",
            subnet=network.subnet,
            gateway=network.gateway,
            ip_range=network.ip_range,
            internal=network.internal,
            labels=dict(network.labels),
            endpoints=len(self._intent.endpoints_of_network.get(network.id, ())),
            created=network.created,
            origin=network.origin,
        )

    def lease(self, lease: Lease) -> wire.Lease:
        """Show a lease."""
        return wire.Lease(
            network=lease.network,
            address=lease.address,
            prefix=self._intent.networks[lease.network].subnet.prefixlen,
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
            mac=endpoint.mac,
            container=endpoint.container,
            name=endpoint.name,
            labels=dict(endpoint.labels),
            known=endpoint.known,
            up=self._is_up(endpoint.id),
            created=endpoint.created,
        )

    def policy(self, policy: Policy) -> wire.Policy:
        """Show a policy, and how many endpoints it selects."""
        intent = self._intent
        network = intent.network_of_name.get(policy.network)
        view = View(intent.cluster.cluster, intent.networks, ())
        places = intent.endpoints_of_network if isinstance(policy.spec, ClusterSpec) else [network] if network else []
        members = [intent.endpoints[key] for place in places for key in intent.endpoints_of_network.get(place, ())]
        return wire.Policy(
            network=policy.network,
            name=policy.name,
            number=policy.number,
            subjects=subjects_of(view, policy, members),
            network_exists=network is not None or isinstance(policy.spec, ClusterSpec),
            document=orjson.loads(policy.document),
        )

    def token(self, token: Token) -> wire.Token:
        """Show a token, without its secret's hash."""
        return wire.Token(id=token.id, created=token.created, expires=token.expires, uses=token.uses)
