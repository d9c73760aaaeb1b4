"""Applying and removing policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.errors import Exhausted, InvalidInput, NotFound, SocketPlaneError
from socketplane.model.policy import ParsedPolicy, parse
from socketplane.model.rules import MAX_NUMBER
from socketplane.model.spec import Policy


def read(body: wire.PolicyApply) -> list[ParsedPolicy]:
    """Parse the documents; an error says which document it is about."""
    parsed: dict[tuple[str, str], ParsedPolicy] = {}
    for number, document in enumerate(body.documents):
        where = f"documents[{number}]"
        try:
            policy = parse(document, network=body.network)
        except SocketPlaneError as error:
            field = f"{where}.{error.field}" if error.field else where
            raise type(error)(error.message, field=field, remedy=error.remedy) from None
        key = (policy.network, policy.name)
        if key in parsed:
            raise InvalidInput(f"policy {policy.network}/{policy.name} is there twice", field=where, remedy="leave one out")
        parsed[key] = policy
    return list(parsed.values())


def apply(draft: Draft, policies: Sequence[ParsedPolicy]) -> list[wire.PolicyApplied]:
    """Create or replace policies, all or none."""
    return [
        wire.PolicyApplied(
            network=new.network,
            name=new.name,
            change=_apply(draft, new),
            network_exists=new.network in draft.intent.network_of_name,
        )
        for new in policies
    ]


def _apply(draft: Draft, new: ParsedPolicy) -> Literal["created", "configured", "unchanged"]:
    there = draft.intent.policies.get((new.network, new.name))
    if there is None:
        draft.put(new.numbered(_next_number(draft)))
        return "created"
    if there.document == new.document:
        return "unchanged"
    draft.put(new.numbered(there.number))
    return "configured"


def remove(draft: Draft, network: str, name: str) -> Policy:
    """Remove a policy."""
    policy = draft.intent.policies.get((network, name))
    if policy is None:
        raise NotFound(f"no policy {network}/{name}", field="name", remedy="`socketplane policy ls` lists them")
    draft.remove(policy)
    return policy


def _next_number(draft: Draft) -> int:
    """Return a number that no policy ever had: conntrack and logs may still speak of a removed one."""
    record = draft.intent.cluster
    if record.next_policy > MAX_NUMBER:
        raise Exhausted(
            "all numbers for policies are used up", remedy="change existing policies instead of making new ones"
        )
    draft.put(replace(record, next_policy=record.next_policy + 1))
    return record.next_policy
