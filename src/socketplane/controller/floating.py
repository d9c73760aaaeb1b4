"""Which floating addresses have to be looked at, and whom changes are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from socketplane.controller.intent import Intent
from socketplane.controller.store import Change
from socketplane.model.floating import Floating
from socketplane.model.types import Address, Endpoint, Network


class FloatingBook:
    """Follows committed changes of `intent`, which has each before it comes here.

    An endpoint's change has looked at what it holds and what nobody holds, and no other address.
    """

    def __init__(self, intent: Intent) -> None:
        self._intent = intent
        self._due: dict[Address, None] = dict.fromkeys(intent.floating)
        self.wake = asyncio.Event()
        """Set while addresses may need another holder."""
        if self._due:
            self.wake.set()

    def all_of(self, host: str) -> dict[Address, str]:
        """Return what a host's endpoints hold."""
        held = self._intent.floating_of_holder
        if not held:
            return {}
        endpoints = self._intent.endpoints_of_host.get(host, ())
        return {address: endpoint for endpoint in endpoints for address in held.get(endpoint, ())}

    def take(self, changes: Sequence[Change]) -> set[str]:
        """Take in committed changes; return the hosts that have others now."""
        told: set[str] = set()
        for change in changes:
            some = change.new or change.old
            if isinstance(some, Endpoint):
                for key in (some.id, ""):
                    self.look_at(self._intent.floating_of_holder.get(key, ()))
            elif isinstance(some, Network) and self._intent.floating:
                self.look_at(self._intent.floating)
            elif isinstance(some, Floating):
                holders = (item.holder for item in (change.old, change.new) if isinstance(item, Floating))
                told |= {self._intent.endpoints[key].host for key in holders if key in self._intent.endpoints}
                self.look_at([some.address])
        return told

    def look_at(self, addresses: Iterable[Address]) -> None:
        """Have these looked at."""
        self._due.update(dict.fromkeys(addresses))
        if self._due:
            self.wake.set()

    def take_due(self) -> list[Address]:
        """Return what has to be looked at; it is looked at now."""
        due, self._due = list(self._due), {}
        self.wake.clear()
        return due
