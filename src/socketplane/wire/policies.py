"""Policies, and changes of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from socketplane.wire.base import Name, PolicyKind, Wire


class Policy(Wire):
    """A policy; `document` is what was applied. A ClusterNetworkPolicy belongs to no network: `network` is empty."""

    kind: PolicyKind = "NetworkPolicy"
    network: str
    name: str
    number: int
    tier: Literal["Admin", "Baseline"] | None = None
    """Of a ClusterNetworkPolicy, as its priority."""
    priority: int | None = None
    mode: Literal["enforce", "audit"] = "enforce"
    subjects: int = 0
    """Endpoints that it selects now."""
    network_exists: bool = True
    document: dict[str, object]


class PolicyDocuments(Wire):
    """Policy documents; `metadata.namespace` names a NetworkPolicy's network, `network` stands in where it is absent."""

    documents: Annotated[list[dict[str, object]], Field(min_length=1, max_length=10_000)]
    network: Name | None = None


class PolicyApply(PolicyDocuments):
    """Create or replace these policies, all or none."""

    confirm_within: Annotated[float, Field(ge=1, le=86400)] | None = None
    """Seconds after which the change takes itself back, unless it is confirmed."""


class PolicyRemove(Wire):
    """Remove these policies as one change: NETWORK/NAME, or NAME of what belongs to no network.

    Of a name that no policy has, nothing is removed, and the answer has no item.
    """

    policies: Annotated[list[str], Field(min_length=1, max_length=100_000)]


class PolicyTrial(PolicyDocuments):
    """What would these documents change?"""

    by: Annotated[list[str], Field(max_length=10)] = []
    """Keys of labels that group endpoints; without any, Compose's service, `app`, or what policies use."""


class PolicyApplied(Wire):
    """What became of one policy."""

    kind: PolicyKind = "NetworkPolicy"
    network: str
    name: str
    change: Literal["created", "configured", "unchanged", "removed"]
    network_exists: bool = True
    """False: it waits for a network of that name."""


class PolicyOutcome(Wire):
    """What a change of policies did."""

    items: list[PolicyApplied]
    revision: int | None = None
    """Its number in the history; None where nothing changed."""
    confirm_by: float | None = None
    """When the latest change is taken back unless it is confirmed; None where none waits."""
    warnings: list[str] = []


class ReachChange(Wire):
    """Services that all of the sources gain or lose towards all of the destinations."""

    source: str
    """Groups of endpoints (NETWORK/LABELS), hosts, outside, or addresses."""
    destination: str
    ports: str
    sources: int
    """Number of endpoints and hosts."""
    destinations: int


class PolicyPlan(Wire):
    """What applying would do now."""

    items: list[PolicyApplied]
    allowed: list[ReachChange]
    """Newly, to the endpoints that there are."""
    denied: list[ReachChange]
    warnings: list[str] = []


class PolicyConfirm(Wire):
    """Keep the change that waits; `revision` says which one is meant."""

    revision: int | None = None


class PolicyRollback(Wire):
    """Go back to the state right after a revision; 0 is the state before the first one."""

    revision: Annotated[int, Field(ge=0)]


class PolicyChanged(Wire):
    """One policy that a revision changed."""

    kind: PolicyKind
    network: str
    name: str
    change: Literal["created", "configured", "removed"]


class PolicyRevision(Wire):
    """One change of policies. `target` is the revision whose state a rollback or an expiry brought back."""

    number: int
    time: float
    who: str
    """`local` over the controller's socket, `CN=name` with a certificate, `controller` for its own doing."""
    action: Literal["apply", "remove", "rollback", "expire"]
    target: int | None = None
    changes: list[PolicyChanged]
    confirm_by: float | None = None
    confirmed: float | None = None
    state: Literal["", "waiting", "confirmed", "taken back"] = ""
    """Empty where it needed no confirmation."""


class Explanation(Wire):
    """Whether a packet passes, and by which rule."""

    verdict: Literal["allow", "deny"]
    source: str
    destination: str
    protocol: str
    port: int | None
    direction: str
    """Which side decided: ingress, egress, isolation or default."""
    policy: str = ""
    """The deciding policy: NETWORK/NAME, of a ClusterNetworkPolicy its name; empty where none decides."""
    rule: str = ""
    """Id of the deciding rule, as conntrack labels and drop logs carry it."""
    reason: str
    """A sentence."""
    steps: list[str] = []
    would_deny: str = ""
    """Allowed, but a policy in audit mode would deny it if it were enforced: the id of that denial."""
    note: str = ""
    """What policy does not decide, and who asks should know: a container that answers elsewhere."""
