"""What a user asks of one endpoint with driver options: a rate, and labels beside the container's own. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from socketplane.errors import InvalidInput
from socketplane.model import units
from socketplane.model.fields import nearest

PREFIX = "socketplane."
RATE = "socketplane.rate"
LABELS = "socketplane.labels"
RESERVED = "socketplane.io/"
"""Begins labels that are ours to give."""
_KNOWN = (RATE, LABELS)
_BETWEEN = re.compile(r"[,\s]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. `labels` win over the container's labels of the same key."""

    rate: int | None = None
    """Bits a second, in both directions."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def over(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return the labels that the container has on this network."""
        return {**labels, **self.labels}


NOTHING = Asked()


def asked(options: Mapping[str, Any]) -> Asked:
    """Return what an endpoint's options ask for. Options of others, Docker's own among them, are none of ours.

    InvalidInput: a value can't be understood, or a name that begins like ours is not known.
    """
    for name in options:
        if name.startswith(PREFIX) and name not in _KNOWN:
            raise InvalidInput("unknown driver option", field=name, remedy=nearest(name, _KNOWN))
    rate, labels = options.get(RATE), options.get(LABELS)
    if labels is not None:
        _refuse_lost(options)
    return Asked(None if rate is None else units.rate(rate, RATE), {} if labels is None else _labels(labels))


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, str):
        raise InvalidInput("has to be text", field=LABELS, remedy="write KEY=VALUE, several with blanks between them")
    found: dict[str, str] = {}
    for pair in filter(None, _BETWEEN.split(value)):
        key, equals, label = pair.partition("=")
        if not key or not equals:
            raise InvalidInput(f"{pair[:80]!r} is not KEY=VALUE", field=LABELS)
        if key.startswith(RESERVED):
            raise InvalidInput(f"{key[:80]} is a label of SocketPlane's own", field=LABELS, remedy="leave it out")
        if key in found:
            raise InvalidInput(f"{key[:80]} is there twice", field=LABELS, remedy="leave one out")
        found[key] = label
    return found


def _refuse_lost(options: Mapping[str, Any]) -> None:
    """Refuse what was a label, before `docker network connect --driver-opt` took the text apart at its commas."""
    for name in options:
        if "." not in name and "/" not in name:
            message = f"{name[:80]} arrived as an option of its own: Docker's command line parts options at commas"
            raise InvalidInput(message, field=LABELS, remedy="write blanks between labels: socketplane.labels='a=b c=d'")
