"""What policies mean: selectors, peers, ports, rules. Parsed from documents elsewhere; no syntax here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

Labels = Mapping[str, str]
Cidr = IPv4Network | IPv6Network


class Direction(StrEnum):
    """As the container sees it."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Protocol(StrEnum):
    """Transport protocols that a rule can name."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


class Operator(StrEnum):
    """How a requirement reads a label (Kubernetes' label selectors)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One expression of a selector. `values` are sorted and distinct; empty for Exists and DoesNotExist.

    A label that is absent satisfies NotIn and DoesNotExist, as in Kubernetes.
    """

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def holds(self, labels: Labels) -> bool:
        """Return whether these labels satisfy it."""
        if self.operator is Operator.IN:
            return labels.get(self.key) in self.values
        if self.operator is Operator.NOT_IN:
            return labels.get(self.key) not in self.values
        return (self.key in labels) is (self.operator is Operator.EXISTS)

    def __str__(self) -> str:
        if self.operator in (Operator.IN, Operator.NOT_IN):
            return f"{self.key} {self.operator.lower()} ({','.join(self.values)})"
        return self.key if self.operator is Operator.EXISTS else f"!{self.key}"


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """What has all of these labels and satisfies all expressions; empty selects all.

    Equal meaning does not imply equality, but `of` brings the common forms together: both parts sorted and distinct,
    and `In` with one value is a label to match.
    """

    match_labels: tuple[tuple[str, str], ...] = ()
    expressions: tuple[Requirement, ...] = ()

    @staticmethod
    def of(labels: Labels, expressions: Iterable[Requirement] = ()) -> Selector:
        """Return the selector that wants exactly this."""
        pairs = set(labels.items())
        rest = set()
        for expression in expressions:
            if expression.operator is Operator.IN and len(expression.values) == 1:
                pairs.add((expression.key, expression.values[0]))
            else:
                rest.add(expression)
        return Selector(tuple(sorted(pairs)), tuple(sorted(rest)))

    @property
    def everything(self) -> bool:
        """Whether it asks for nothing and so selects all."""
        return not self.match_labels and not self.expressions

    def matches(self, labels: Labels) -> bool:
        """Return whether something with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels) and all(
            expression.holds(labels) for expression in self.expressions
        )

    def __str__(self) -> str:
        """Return it for people, as in Docker's and kubectl's filters: a=b,c in (d,e),!f. Empty selects all."""
        return ",".join([*(f"{key}={value}" for key, value in self.match_labels), *map(str, self.expressions)])


@dataclass(frozen=True, slots=True)
class Members:
    """Endpoints as an end of a rule: those that `endpoints` selects, on the networks that `networks` selects.

    Without `networks` it is the policy's own network. Networks are selected by their effective labels
    (`types.network_labels`), endpoints by theirs (`types.effective_labels`).
    """

    endpoints: Selector = Selector()
    networks: Selector | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses as an end of a rule: those in `cidr` and in none of `excepts`.

    `pool` tells whether addresses of the cluster's own pool are meant too: not in a NetworkPolicy's ipBlock, so that
    0.0.0.0/0 opens no network to another, but in a ClusterNetworkPolicy's networks, whose authors expect it.
    """

    cidr: Cidr
    excepts: tuple[Cidr, ...] = ()
    pool: bool = False


@dataclass(frozen=True, slots=True)
class Hosts:
    """Hosts as an end of a rule: those that the selector selects by their labels (`types.host_labels`)."""

    selector: Selector = Selector()


Peer = Members | Block | Hosts


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A protocol, and of it one port, the ports from `port` to `end`, or (None) all."""

    protocol: Protocol
    port: int | None = None
    end: int | None = None
    """Last port of a range, at least `port`; None for a single one."""

    def includes(self, protocol: Protocol | None, port: int | None) -> bool:
        """Return whether a packet of that protocol to that port is meant; what has no ports never is."""
        if self.protocol is not protocol:
            return False
        return self.port is None or (port is not None and self.port <= port <= (self.end or self.port))

    def __str__(self) -> str:
        """Return it for people: tcp/80, tcp/80-90, udp/any."""
        if self.port is None:
            return f"{self.protocol}/any"
        return f"{self.protocol}/{self.port}" + (f"-{self.end}" if self.end else "")


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may talk, on what. None means anyone, or anything."""

    peers: tuple[Peer, ...] | None = None
    ports: tuple[Port, ...] | None = None


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A NetworkPolicy's meaning. A direction that is None is left alone; an empty tuple denies all of it."""

    subject: Selector = Selector()
    """Of endpoints on the policy's network."""
    ingress: tuple[Rule, ...] | None = None
    egress: tuple[Rule, ...] | None = None
    audit: bool = False
    """Changes no verdict; what it would deny is recorded."""


class Tier(StrEnum):
    """Where a ClusterNetworkPolicy stands: before all NetworkPolicies, or after them where none selects."""

    ADMIN = "Admin"
    BASELINE = "Baseline"


class Action(StrEnum):
    """What a ClusterNetworkPolicy's rule does with what it matches. Pass goes on to the next tier."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105


@dataclass(frozen=True, slots=True)
class ClusterRule:
    """The first rule that matches decides, for its direction alone."""

    action: Action
    peers: tuple[Peer, ...]
    """At least one."""
    ports: tuple[Port, ...] | None = None
    """None means anything, what has no ports included."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """A ClusterNetworkPolicy's meaning. Policies of a tier are asked in the order of (priority, number)."""

    tier: Tier
    priority: int
    """0 to 1000; lower comes first."""
    subject: Members
    """With networks."""
    ingress: tuple[ClusterRule, ...] = ()
    egress: tuple[ClusterRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy on the network of that name, whether or not the network exists now (it outlives it).

    A ClusterNetworkPolicy belongs to no network: its `network` is empty and its spec a ClusterSpec.
    """

    network: str
    name: str
    number: int
    """1 to 2**20-1, unique, never used again: names the policy in conntrack labels and drop logs."""
    spec: PolicySpec | ClusterSpec
    document: str = field(compare=False, default="")
    """The document as applied, in canonical JSON."""

    @property
    def title(self) -> str:
        """Return NETWORK/NAME, or the name alone where it belongs to no network."""
        return f"{self.network}/{self.name}" if self.network else self.name
