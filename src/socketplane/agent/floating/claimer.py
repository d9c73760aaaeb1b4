"""Floating addresses of this host's containers: claimed where nobody else has them, kept, and given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

import structlog

from socketplane import wire
from socketplane.agent.floating.kernel import BY_ROUTES, NO_LINK, Held, Nowhere, Place
from socketplane.agent.floating.rules import Claim
from socketplane.agent.link import Link
from socketplane.agent.state import State
from socketplane.agent.wake import woken
from socketplane.model.types import Address

INTERVAL = 10.0
PATIENCE = 3
"""Attempts after which a person is told: who had the address before may need a moment to give it back."""
ANNOUNCED = 3
"""Times that the LAN is told of an address."""
_SOON = 1.0
_log = structlog.get_logger()


class Ground(Protocol):
    """The host."""

    @property
    def lead(self) -> Callable[[Collection[Claim]], Awaitable[None]]:
        """Has the firewall lead addresses to containers, and no others; it is so when this returns."""

    async def held(self) -> frozenset[Held]:
        """Return the addresses that the kernel answers for."""

    async def places(self, addresses: Collection[Address]) -> Mapping[Address, Place | Nowhere]:
        """Return where addresses are at home."""

    async def hold(self, addresses: Mapping[Address, Place]) -> None:
        """Answer for addresses, and tell the LAN."""

    async def release(self, addresses: Collection[Held]) -> None:
        """Answer for addresses no longer."""

    async def taken(self, addresses: Mapping[Address, Place]) -> Mapping[Address, str]:
        """Return which of these can't be taken, and why."""

    async def announce(self, addresses: Mapping[Address, Place]) -> None:
        """Tell the LAN that addresses are here."""


class Claimer:
    """Keeps claims as the controller says, which the state file remembers: they need neither it nor the agent."""

    def __init__(self, state: State, link: Link, ground: Ground | None, *, interval: float = INTERVAL) -> None:
        self._state = state
        self._link = link
        self._ground = ground
        self._interval = interval
        self._wanted = asyncio.Event()
        self._places: dict[Address, Place] = {}
        """Of what is claimed."""
        self._problems: dict[Address, str] = {}
        self._attempts: dict[Address, int] = {}
        self._announced: dict[Address, int] = {}
        self._seen: dict[Address, Address] = {}
        """What was wanted when it was last looked at."""
        self.by_routes: Callable[[int], bool] = lambda _: False
        """Tells whether routers are told of addresses of a version of IP, so that some may be of no link's subnet."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when other addresses are claimed."""
        link.on_floating(self._take)
        link.on_bgp(self._wanted.set)
        state.on_change(self._look)

    @property
    def alarms(self) -> list[str]:
        """What only a person can put right."""
        return [
            f"floating address {address} is not claimed: {problem}"
            for address, problem in self._problems.items()
            if self._attempts.get(address, 0) >= PATIENCE
        ]

    @property
    def claims(self) -> list[wire.Claim]:
        """What the controller is told."""
        good = [wire.Claim(address=address, link=place.name or "BGP") for address, place in self._places.items()]
        return [*good, *(wire.Claim(address=address, problem=problem) for address, problem in self._problems.items())]

    async def restore(self) -> None:
        """Lead again what is held, before anybody makes the firewall anew: what is open goes on."""
        if self._ground is None:
            return
        held = {each.address for each in await self._ground.held()}
        targets = {address: target for address, target in self._targets().items() if address in held}
        for address, place in self._reachable(await self._ground.places(targets), held).items():
            if isinstance(place, Place):
                self._places[address] = place
        await self._lead(targets)

    async def run(self) -> None:
        """Keep it so for ever."""
        while True:
            await self.reconcile()
            await woken(self._wanted, self._pause())

    async def look(self) -> None:
        """See whether the kernel gave up what is claimed, as it does with IPv6's when their link goes down."""
        six = {place.holding(address) for address, place in self._places.items() if address.version == 6}
        if six and self._ground is not None and not six <= await self._ground.held():
            self._wanted.set()

    async def reconcile(self) -> None:
        """Claim what is wanted and not here, give back what is here and not wanted."""
        if self._ground is None:
            return
        ground, targets = self._ground, self._targets()
        self._seen = targets
        holding = await ground.held()
        places = self._reachable(await ground.places(targets), {each.address for each in holding})
        self._forget(targets)
        good = {address: place for address, place in places.items() if isinstance(place, Place)}
        problems = {address: place.reason for address, place in places.items() if isinstance(place, Nowhere)}
        right = holding & {place.holding(address) for address, place in good.items()}
        held = {each.address for each in right}
        if leaving := holding - right:
            await ground.release(leaving)
            _log.info("floating.released", addresses=sorted(str(each.address) for each in leaving))
        coming = {address: place for address, place in good.items() if address not in held}
        if coming:
            await self._lead_only(targets, good.keys() & held)  # whom it leads to no more shall not wait for a probe
            others = await ground.taken(coming)
            problems |= others
            coming = {address: place for address, place in coming.items() if address not in others}
        before = set(self._places)
        self._places = {address: place for address, place in good.items() if address in held or address in coming}
        self._note(problems)
        await self._lead(targets)  # before anybody sends
        coming = {address: place for address, place in coming.items() if self._targets().get(address) == targets[address]}
        if coming:
            await ground.hold(coming)
            self._announced.update(dict.fromkeys(coming, 1))
            _log.info("floating.claimed", addresses={str(address): place.name for address, place in coming.items()})
        if before != set(self._places):
            self.on_change()
        await self._announce()

    def _reachable(
        self, places: Mapping[Address, Place | Nowhere], held: Collection[Address]
    ) -> dict[Address, Place | Nowhere]:
        """Return where addresses are at home, of no link's subnet those that routers are told of.

        What is held stays while the controller has not said yet whether they are.
        """
        unsure = held if not self._link.synced else ()
        return {
            address: BY_ROUTES if place == NO_LINK and (address in unsure or self.by_routes(address.version)) else place
            for address, place in places.items()
        }

    async def _announce(self) -> None:
        """Tell the LAN again what it may have missed."""
        due = {address: place for address, place in self._places.items() if address in self._announced}
        if due and self._ground is not None:
            await self._ground.announce(due)
            told = {address: self._announced[address] + 1 for address in due}
            self._announced = {address: times for address, times in told.items() if times < ANNOUNCED}

    async def _lead(self, targets: Mapping[Address, Address]) -> None:
        await self._lead_only(targets, self._places)

    async def _lead_only(self, targets: Mapping[Address, Address], which: Collection[Address]) -> None:
        if self._ground is not None:
            here = {address: self._places[address] for address in which if address in self._places}
            await self._ground.lead({Claim(address, targets[address], place.name) for address, place in here.items()})

    def _take(self, told: Mapping[Address, str]) -> None:
        if told != self._state.floating:
            self._attempts.clear()
            self._state.floating = dict(told)
            self._state.changed()

    def _look(self) -> None:
        if self._targets() != self._seen:
            self._wanted.set()

    def _targets(self) -> dict[Address, Address]:
        """Return what is wanted: addresses that endpoints of this host hold, and those endpoints' own."""
        found: dict[Address, Address] = {}
        for address, key in self._state.floating.items():
            record = self._state.endpoints.get(key)
            target = record and (record.address if address.version == 4 else record.address6)
            if target:
                found[address] = target
        return found

    def _forget(self, targets: Collection[Address]) -> None:
        self._attempts = {address: count for address, count in self._attempts.items() if address in targets}
        self._announced = {address: times for address, times in self._announced.items() if address in targets}

    def _note(self, problems: dict[Address, str]) -> None:
        for address, problem in problems.items():
            if self._problems.get(address) != problem:
                _log.warning("floating.not_claimed", address=str(address), reason=problem)
        self._problems = problems
        self._attempts = {address: self._attempts.get(address, 0) + 1 for address in problems}

    def _pause(self) -> float:
        if self._announced or any(count < PATIENCE for count in self._attempts.values()):
            return _SOON
        return min([self._interval, *(_SOON * count for count in self._attempts.values())])
