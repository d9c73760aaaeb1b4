"""What hosts saw refused, told by the names of policies and containers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.model.types import Address, Endpoint, Host
from socketplane.model.verdict import name_of

_OF_POLICY = re.compile(r"([ard])(\d+)\.")
"""Ids of rules that begin with a policy's number (`model.rules`)."""
_SKEW = 60.0
"""Seconds by which a host's clock may be behind ours; an address rests for longer before another gets it."""


class Names:
    """The names of the moment: of policies by their numbers, of containers and hosts by their addresses."""

    def __init__(self, intent: Intent) -> None:
        self._titles = {policy.number: policy.title for policy in intent.policies.values()}
        self._holders: dict[Address, Endpoint | Host] = {host.gateway: host for host in intent.hosts.values()}
        self._holders.update(
            (address, endpoint) for endpoint in intent.endpoints.values() for address in endpoint.addresses
        )
        self._networks = dict(intent.networks)

    def violations(self, denials: Iterable[wire.Denial], number: int | None = None) -> Iterator[wire.PolicyViolation]:
        """Yield denials with names; those of one policy only, where its number is given."""
        for denial in denials:
            rule = _OF_POLICY.match(denial.rule)
            decider = int(rule[2]) if rule else 0
            if number in (None, decider):
                yield wire.PolicyViolation(
                    **dict(denial),
                    mode="audit" if rule and rule[1] == "a" else "enforce",
                    policy=self._titles.get(decider, ""),
                    source_name=self._name(denial.source, denial.last),
                    destination_name=self._name(denial.destination, denial.last),
                )

    def _name(self, address: Address, at: float) -> str:
        """Return who has an address; nobody, if that is another than had it at the time."""
        holder = self._holders.get(address)
        if holder is None or (isinstance(holder, Endpoint) and holder.created > at + _SKEW):
            return ""
        return name_of(holder, self._networks)
