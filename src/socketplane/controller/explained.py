"""A verdict, as it is told."""

from __future__ import annotations

from socketplane import wire
from socketplane.model.verdict import Verdict

OUTSIDE = "outside"
"""Names all addresses outside, where no container is called so."""


def explained(
    found: Verdict, source: str, destination: str, protocol: str, port: int | None, note: str = ""
) -> wire.Explanation:
    """Return a verdict about a packet between ends of these names."""
    return wire.Explanation(
        verdict="allow" if found.allow else "deny",
        source=source,
        destination=destination,
        protocol=protocol,
        port=port,
        direction=found.direction,
        policy=found.policy,
        rule=found.rule,
        reason=found.reason,
        steps=list(found.steps),
        would_deny=found.would_deny,
        note=note,
    )
