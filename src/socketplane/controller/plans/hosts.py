"""Joining, changing and leaving."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.controller.plans import bgp, services
from socketplane.errors import Exhausted, InUse, InvalidInput, NameInUse, NotFound, Unauthenticated
from socketplane.model.services import shorthand
from socketplane.model.types import LABEL_HOST, LABEL_HOST_NAME, Host, Token
from socketplane.pki import hash_secret

OUR_LABELS = {LABEL_HOST, LABEL_HOST_NAME}
CLOCK_SKEW = 300.0
"""Seconds that a joining host's clock may be off: certificates would not be valid for it yet, or any more."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who wants to be a host."""

    name: str
    system_id: str
    address: str


def check_token(intent: Intent, body: wire.JoinRequest, now: float) -> Token:
    """Return the token of a join request; each thing that may be wrong with it is an error of its own."""
    token = intent.tokens.get(body.token_id)
    # An unknown token costs the same comparison: its answer's time tells nothing.
    known = hmac.compare_digest(hash_secret(body.secret), token.hash if token else "0" * 64)
    remedy = "make a new one with `socketplane token create`"
    if token is None:
        raise Unauthenticated(
            "there is no such token: it was removed, or is another cluster's", field="token", remedy=remedy
        )
    if not known:
        raise Unauthenticated("the token's secret is wrong", field="token", remedy=remedy)
    if token.expires <= now:
        raise Unauthenticated("the token has expired", field="token", remedy=remedy)
    if token.uses < 1:
        raise Unauthenticated("the token is used up", field="token", remedy=remedy)
    skew = body.time - now
    if abs(skew) > CLOCK_SKEW:
        raise InvalidInput(
            f"the joining host's clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}",
            field="time",
            remedy="set its clock, then join again",
        )
    return token


def check_encryption(intent: Intent, body: wire.JoinRequest) -> None:
    """Raise InvalidInput where hosts encrypt what they send one another, and the joining one could not."""
    if intent.cluster.cluster.encryption is not None and body.unencryptable:
        raise InvalidInput(
            f"hosts of this cluster encrypt what they send one another, and this one can't: {body.unencryptable}",
            field="encryption",
            remedy="it was made with `up --encrypt`, which holds for all hosts",
        )


def join(draft: Draft, body: wire.JoinRequest) -> Host:
    """Use a token up by one, and make or renew the host's record."""
    token = check_token(draft.intent, body, draft.now)
    host = put(draft, Newcomer(body.name, body.system_id, str(body.address)))
    draft.put(replace(token, uses=token.uses - 1))
    return host


def put(draft: Draft, newcomer: Newcomer) -> Host:
    """Make a host's record, or renew that of the same name and system id."""
    intent = draft.intent
    there = intent.hosts.get(newcomer.name)
    if there is not None and there.system_id != newcomer.system_id:
        raise NameInUse(
            f"another machine is host {newcomer.name} already",
            field="name",
            remedy="choose another name, or remove it with `socketplane leave` there",
        )
    namesake = intent.host_of_system.get(newcomer.system_id)
    if namesake is not None and namesake != newcomer.name:
        raise NameInUse(
            f"this machine is host {namesake} already", field="system_id", remedy="leave first, to join under another name"
        )
    _check_address(intent, newcomer)
    if there is not None:
        host = replace(there, address=newcomer.address)
    else:
        host = Host(newcomer.name, newcomer.system_id, newcomer.address, _free_gateway(intent), created=draft.now)
    if host != there:
        draft.put(host)
    return host


def patch(draft: Draft, name: str, body: wire.HostPatch) -> Host:
    """Change a host's labels. Removing one that is not there is no error."""
    old = draft.intent.host(name)
    labels = {**(old.labels if body.labels is None else body.labels), **body.add}
    for key in OUR_LABELS & labels.keys():
        raise InvalidInput(f"{key} is the host's name", field="labels", remedy="choose another key")
    host = replace(old, labels={key: value for key, value in labels.items() if key not in body.remove})
    if host != old:
        draft.put(host)
    return host


def reported(intent: Intent, name: str, report: wire.HostReport) -> Host:
    """Return a host with what is kept of its report.

    Where its containers reach its resolver: no policy but one of the Admin tier may forbid that. What lies inside the
    cluster is a container's or a host's. And the underlay's MTU, which counts for all hosts while this one is away, too.
    And its public key: other hosts take no packets of it under another.
    """
    cluster = intent.cluster.cluster
    inside = (cluster.pool, cluster.hosts)
    resolvers = {found for found in report.resolvers if not any(found in block for block in inside)}
    host = intent.host(name)
    mtu = report.underlay_mtu or host.underlay_mtu
    key = report.public_key or host.public_key
    return replace(host, resolvers=tuple(sorted(resolvers)), underlay_mtu=mtu, public_key=key)


def put_reported(draft: Draft, name: str, report: wire.HostReport) -> None:
    """Keep what of a host's report has to last."""
    host = reported(draft.intent, name, report)
    if host == draft.intent.host(name):
        return
    for other in draft.intent.hosts.values():
        if host.public_key and other.public_key == host.public_key and other.name != name:
            raise NameInUse(f"host {other.name} has this key", field="public_key", remedy="make another one")
    draft.put(host)


def remove(draft: Draft, name: str, *, force: bool) -> Host:
    """Remove a host, its leases, and with `force` its endpoints."""
    intent = draft.intent
    host = intent.host(name)
    endpoints = [intent.endpoints[key] for key in intent.endpoints_of_host.get(name, ())]
    if endpoints and not force:
        raise InUse(
            f"host {name} has {len(endpoints)} endpoint(s)",
            field="host",
            remedy="remove its containers first, or force it: they lose their network",
        )
    for endpoint in endpoints:
        draft.remove(endpoint)
        services.follow(draft, endpoint.network, [shorthand.name_of(endpoint.labels)])
    for key in list(intent.leases_of_host.get(name, ())):
        if (lease := intent.leases[key]).released is None:
            draft.put(replace(lease, released=draft.now))
    bgp.forget_host(draft, name)
    draft.remove(host)
    return host


def of_system(intent: Intent, system_id: str) -> Host:
    """Return the host whose certificate names this system id.

    Raises:
        Unauthenticated: there is none: it left, or was removed.
    """
    name = intent.host_of_system.get(system_id)
    if name is None:
        raise Unauthenticated("this host is not in the cluster any more", remedy="join it again")
    return intent.hosts[name]


def _check_address(intent: Intent, newcomer: Newcomer) -> None:
    for host in intent.hosts.values():
        if host.address == newcomer.address and host.name != newcomer.name:
            raise NameInUse(
                f"host {host.name} has the address {newcomer.address}",
                field="address",
                remedy="give the joining host an address of its own, or remove that host",
            )


def _free_gateway(intent: Intent) -> IPv4Address:
    """Return the lowest free address of the switch of hosts; the first is the router's, the last usable nobody's."""
    hosts = intent.cluster.cluster.hosts
    taken = {host.gateway for host in intent.hosts.values()}
    first = int(hosts.network_address) + 2
    for number in range(first, int(hosts.broadcast_address) - 1):
        if (address := IPv4Address(number)) not in taken:
            return address
    raise Exhausted(f"{hosts} has no address left for another host", field="hosts")


def token_remove(draft: Draft, key: str) -> None:
    """Remove a token."""
    token = draft.intent.tokens.get(key)
    if token is None:
        raise NotFound(f"no token {key}", field="id", remedy="`socketplane token ls` lists them")
    draft.remove(token)
