"""Applying and removing policies."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.controller.plans.documents import read_all
from socketplane.controller.policyrows import Document, kind_of
from socketplane.errors import Exhausted, NameInUse, NotFound
from socketplane.model.policy import Parsed, parse
from socketplane.model.rules import MAX_NUMBER
from socketplane.model.spec import ClusterSpec, Policy

Key = tuple[str, str]


class Outcome(NamedTuple):
    """What applying makes of one policy."""

    policy: Document
    change: Literal["created", "configured", "unchanged"]


def read(body: wire.PolicyDocuments) -> list[Parsed]:
    """Parse the documents; an error says which document it is about."""
    return read_all(body.documents, partial(parse, network=body.network), "policy")


def documents(intent: Intent) -> Mapping[Key, Document]:
    """Return what all documents became, by network and name."""
    return ChainMap({}, intent.policies, intent.traffic)  # type: ignore[arg-type]


def outcomes(there: Mapping[Key, Document], next_number: int, wanted: Sequence[Parsed]) -> list[Outcome]:
    """Return what applying makes of each policy. Who is new gets a number that no policy ever had.

    Conntrack and logs may still speak of a removed one.

    Raises:
        NameInUse: a document of another kind has the name.
        Exhausted: there are no more numbers.
    """
    found: list[Outcome] = []
    for new in wanted:
        old = there.get((new.network, new.name))
        if old is not None:
            _refuse_other_kind(old, new)
            same = old.document == new.document
            found.append(Outcome(old, "unchanged") if same else Outcome(new.numbered(old.number), "configured"))
            continue
        if next_number > MAX_NUMBER:
            remedy = "change existing policies instead of making new ones"
            raise Exhausted("all numbers for policies are used up", remedy=remedy)
        found.append(Outcome(new.numbered(next_number), "created"))
        next_number += 1
    return found


def _refuse_other_kind(old: Document, new: Parsed) -> None:
    kind = kind_of(new.numbered(old.number))
    if kind_of(old) != kind:
        message = f"there is a {kind_of(old)} {old.title} already, so that no {kind} can have its name"
        raise NameInUse(message, field="metadata.name", remedy="give it another name, or remove that one first")


def apply(draft: Draft, wanted: Sequence[Parsed]) -> list[wire.PolicyApplied]:
    """Create or replace policies, all or none."""
    record = draft.intent.cluster
    found = outcomes(documents(draft.intent), record.next_policy, wanted)
    created = sum(outcome.change == "created" for outcome in found)
    if created:
        draft.put(replace(record, next_policy=record.next_policy + created))
    for policy, change in found:
        if change != "unchanged":
            draft.put(policy)
    return [applied(draft.intent, policy, change) for policy, change in found]


def applied(
    intent: Intent, policy: Document, change: Literal["created", "configured", "unchanged", "removed"]
) -> wire.PolicyApplied:
    """Say what became of a policy."""
    return wire.PolicyApplied(
        kind=kind_of(policy),
        network=policy.network,
        name=policy.name,
        change=change,
        network_exists=not policy.network or policy.network in intent.network_of_name,
    )


def find(intent: Intent, network: str, name: str) -> Document:
    """Return the policy of a name, on a network or (with an empty one) on none.

    Raises:
        NotFound: there is none.
    """
    policy = documents(intent).get((network, name))
    if policy is None:
        if network:
            raise NotFound(f"no policy {network}/{name}", field="name", remedy="`socketplane policy ls` lists them")
        remedy = "`socketplane policy ls` lists them; a network's policy is NETWORK/NAME"
        raise NotFound(f"no ClusterNetworkPolicy {name}", field="name", remedy=remedy)
    return policy


def named(intent: Intent, title: str) -> Document:
    """Return the policy that NETWORK/NAME, or NAME of one without a network, names.

    Raises:
        NotFound: there is none.
    """
    network, slash, name = title.partition("/")
    return find(intent, network, name) if slash else find(intent, "", title)


def counts_together(policy: Policy) -> bool:
    """Return whether it depends on other policies, too, that this one can be compiled."""
    return isinstance(policy.spec, ClusterSpec) or policy.spec.audit


def remove(draft: Draft, titles: Collection[str]) -> list[wire.PolicyApplied]:
    """Remove the policies of these names; one that is not there is left out of what is returned."""
    there = {policy.title: policy for policy in documents(draft.intent).values()}
    found = [there[title] for title in dict.fromkeys(titles) if title in there]
    for policy in found:
        draft.remove(policy)
    return [applied(draft.intent, policy, "removed") for policy in found]
