"""What is under `spec` of a TrafficPolicy (socketplane.io/v1alpha1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from socketplane.errors import InvalidInput, Unsupported
from socketplane.model import units
from socketplane.model.fields import Fields
from socketplane.model.network_policy import MODE, read_peer, read_port
from socketplane.model.parts import optional_selector
from socketplane.model.spec import Selector
from socketplane.model.traffic import Limit, Limits, Mark, TrafficSpec

MAX_MARKS = 100
MAX_BURST_SECONDS = 60
_ELSEWHERE = {"limits": "egress or ingress", "marks": "mark", "subject": "podSelector", "selector": "podSelector"}


def read(value: Any, annotations: Mapping[str, str]) -> TrafficSpec:
    """Return the meaning of a TrafficPolicy's spec."""
    if MODE in annotations:
        path = f"metadata.annotations[{MODE}]"
        raise Unsupported("a TrafficPolicy has no mode", field=path, remedy="remove it: nothing is denied by one")
    fields = Fields(value, "spec")
    subject = optional_selector(fields.take("podSelector"), "spec.podSelector") or Selector()
    limits = Limits(*(_limit(fields.take(way), f"spec.{way}") for way in ("egress", "ingress")))
    marks = tuple(_mark(item, path) for item, path in fields.items("mark") or ())
    fields.finish(**_ELSEWHERE)
    if not limits and not marks:
        raise InvalidInput("limits and marks nothing", field="spec", remedy="write egress, ingress or mark")
    if len(marks) > MAX_MARKS:
        raise InvalidInput(f"has more than {MAX_MARKS} marks", field="spec.mark", remedy="split it into several policies")
    return TrafficSpec(subject, limits, marks)


def _limit(value: object, path: str) -> Limit | None:
    if value is None:
        return None
    fields = Fields(value, path)
    rate = units.rate(fields.required("rate", "write how much may pass: rate: 100Mbit"), fields.at("rate"))
    given = fields.take("burst")
    burst = None if given is None else units.size(given, fields.at("burst"))
    fields.finish(bandwidth="rate", limit="rate")
    if burst is not None and burst * 8 > rate * MAX_BURST_SECONDS:
        message = f"is more than passes in {MAX_BURST_SECONDS} s at {units.show_rate(rate)}"
        raise InvalidInput(message, field=fields.at("burst"), remedy="write less, or leave it out")
    return Limit(rate, burst)


def _mark(value: object, path: str) -> Mark:
    fields = Fields(value, path)
    dscp = units.dscp(fields.required("dscp", "write a number from 0 to 63 or a name: dscp: EF"), fields.at("dscp"))
    peers = tuple(read_peer(item, at) for item, at in fields.items("to") or ())
    ports = tuple(read_port(item, at) for item, at in fields.items("ports") or ())
    fields.finish(peers="to")
    # As in a NetworkPolicy: empty as well as absent is anyone, or anything.
    return Mark(dscp, tuple(dict.fromkeys(peers)) or None, tuple(dict.fromkeys(ports)) or None)
