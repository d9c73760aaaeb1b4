"""Questions about all endpoints at once: answered from a snapshot, so that a thread can."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.model.groups import Part
from socketplane.model.reach import matrix
from socketplane.model.selection import View


def snapshot(intent: Intent) -> View:
    """Return the intent as it is now, which later changes leave alone. Takes no time to speak of."""
    return View(
        intent.cluster.cluster,
        dict(intent.networks),
        tuple(intent.policies.values()),
        tuple(intent.endpoints.values()),
        tuple(intent.hosts.values()),
        tuple(intent.floating.values()),
    )


def reach(view: View, by: Sequence[str] = (), network: UUID | None = None, version: int = 4) -> wire.Reach:
    """Tell who reaches whom on which ports, with a version of IP. Takes seconds with thousands of endpoints."""
    found = matrix(view, by, network, version)
    return wire.Reach(
        groups=_ends(found.groups),
        lines=[
            wire.ReachLine(
                sources=_ends(opening.sources),
                destinations=_ends(opening.destinations),
                ports=opening.ports.names(),
                summary=str(opening.ports),
            )
            for opening in found.openings
        ],
    )


def _ends(parts: Collection[Part]) -> list[wire.ReachEnds]:
    return [
        wire.ReachEnds(
            name=part.name, size=part.size, total=part.total, example=part.example.id if part.example is not None else ""
        )
        for part in parts
    ]
