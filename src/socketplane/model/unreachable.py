"""Published ports that policies leave nobody outside to reach: valid, and probably not meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from socketplane.model.outside import outside
from socketplane.model.published import Published
from socketplane.model.selection import View, is_member, rules_of, subject_of
from socketplane.model.shadows import Found
from socketplane.model.spec import Direction, Policy, PolicySpec
from socketplane.model.types import Address, Endpoint
from socketplane.model.verdict import verdict

NAMED = 3
"""Ports that a warning names; of more it tells the number."""


def unreachable(view: View, policy: Policy) -> Iterator[Found]:
    """Yield what to say of a policy's subjects whose published ports nobody outside reaches."""
    if not _narrows(policy):
        return
    ports = [
        (endpoint, published)
        for endpoint in view.endpoints
        if endpoint.published and is_member(view, subject_of(policy), policy.network, endpoint)
        for published in endpoint.published
        if not published.local
    ]
    versions = {published.address.version for _, published in ports}
    sources = {version: list(outside(view, view.policies, version).values()) for version in versions}
    found = [
        f"{published} of {endpoint.name or endpoint.address}"
        for endpoint, published in ports
        if not _reached(view, sources[published.address.version], endpoint, published)
    ]
    if found:
        names = ", ".join(found[:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")
        message = f"nobody outside reaches what is published: {names}"
        yield "", message, "allow an ipBlock on the container's port, or publish it to 127.0.0.1 only"


def _reached(view: View, outside: Iterable[Address], endpoint: Endpoint, published: Published) -> bool:
    return any(verdict(view, source, endpoint, published.protocol, published.port).allow for source in outside)


def _narrows(policy: Policy) -> bool:
    if isinstance(policy.spec, PolicySpec):
        return policy.spec.ingress is not None and not policy.spec.audit
    return bool(rules_of(policy, Direction.INGRESS))
