"""What TrafficPolicies mean: how much endpoints may send and get, and how their packets are marked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from socketplane.model.spec import Direction, Peer, Port, Selector


@dataclass(frozen=True, slots=True)
class Limit:
    """Bits a second, and bytes that may pass above it after a pause (None: what holds the rate best)."""

    rate: int
    burst: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What an endpoint may send (`egress`) and get (`ingress`); None where it is not limited."""

    egress: Limit | None = None
    ingress: Limit | None = None

    def __bool__(self) -> bool:
        return self.egress is not None or self.ingress is not None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Mark:
    """How packets that an endpoint sends are marked, on their way to any of the peers on any of the ports (None: all)."""

    dscp: int
    peers: tuple[Peer, ...] | None = None
    ports: tuple[Port, ...] | None = None


@dataclass(frozen=True, slots=True)
class TrafficSpec:
    """A TrafficPolicy's meaning. Of its marks the first that matches a packet counts."""

    subject: Selector = Selector()
    """Of endpoints on the policy's network."""
    limits: Limits = NO_LIMITS
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """A TrafficPolicy on the network of that name, whether or not the network exists now."""

    network: str
    name: str
    number: int
    """As a `Policy`'s: unique among both, never used again. The lower, the older."""
    spec: TrafficSpec
    document: str = field(compare=False, default="")

    @property
    def title(self) -> str:
        """Return NETWORK/NAME."""
        return f"{self.network}/{self.name}"


def effective(policies: Iterable[TrafficPolicy], own: int | None = None) -> Limits:
    """Return what holds for an endpoint that these policies select, and that asks itself for a rate of `own`.

    In each direction the lowest rate holds, with its burst. Of equal ones the oldest policy's.
    """
    sides: dict[Direction, list[tuple[int, int, Limit]]] = {way: [] for way in Direction}
    for policy in policies:
        for way, limit in ((Direction.EGRESS, policy.spec.limits.egress), (Direction.INGRESS, policy.spec.limits.ingress)):
            if limit is not None:
                sides[way].append((limit.rate, policy.number, limit))
    if own is not None:
        for limits in sides.values():
            limits.append((own, 1 << 30, Limit(own)))
    held = {way: min(limits, key=lambda entry: entry[:2], default=(0, 0, None))[2] for way, limits in sides.items()}
    return Limits(held[Direction.EGRESS], held[Direction.INGRESS])
