"""Published ports and floating addresses that policies leave nobody outside to reach: valid, and probably not meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from socketplane.model.behind import floats
from socketplane.model.outside import outside
from socketplane.model.published import Published
from socketplane.model.reach import Reach
from socketplane.model.selection import View, is_member, rules_of, subject_of
from socketplane.model.shadows import Found
from socketplane.model.spec import Direction, Policy, PolicySpec
from socketplane.model.types import Address, Endpoint
from socketplane.model.verdict import verdict

NAMED = 3
"""Ports or addresses that a warning names; of more it tells the number."""


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
        message = f"nobody outside reaches what is published: {_some(found)}"
        yield "", message, "allow an ipBlock on the container's port, or publish it to 127.0.0.1 only"


def unentered(view: View, policy: Policy, reach: Callable[[int], Reach]) -> Iterator[Found]:
    """Yield what to say of a policy's subjects at whose floating addresses nobody gets in. `reach`: by a version of IP."""
    holders = {each.holder for each in view.floating}
    if not holders or not _narrows(policy):
        return
    found = [
        f"{address} of {endpoint.name or endpoint.address}"
        for endpoint in view.endpoints
        if endpoint.id in holders and is_member(view, subject_of(policy), policy.network, endpoint)
        for address in floats(view, endpoint)
        if not _entered(reach(address.version), endpoint)
    ]
    if found:
        yield "", f"nobody outside gets in at {_some(found)}", "allow an ipBlock, or take it back: `socketplane expose rm`"


def _entered(reach: Reach, endpoint: Endpoint) -> bool:
    return any(mask & reach.cells.outside for mask, _ in reach.into(reach.cells.index(endpoint)))


def _some(found: list[str]) -> str:
    return ", ".join(found[:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")


def _reached(view: View, outside: Iterable[Address], endpoint: Endpoint, published: Published) -> bool:
    return any(verdict(view, source, endpoint, published.protocol, published.port).allow for source in outside)


def _narrows(policy: Policy) -> bool:
    if isinstance(policy.spec, PolicySpec):
        return policy.spec.ingress is not None and not policy.spec.audit
    return bool(rules_of(policy, Direction.INGRESS))
