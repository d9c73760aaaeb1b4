"""Connections between containers that are really tried, by the agents of the hosts that the containers run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Literal
from uuid import UUID, uuid4

from starlette.concurrency import run_in_threadpool

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.controller.reach import snapshot
from socketplane.errors import Conflict, InvalidInput
from socketplane.model.samples import samples
from socketplane.model.selection import View, address_of
from socketplane.model.spec import Protocol
from socketplane.model.types import Endpoint
from socketplane.model.verdict import name_of, verdict

GRACE = 4.0
"""Seconds that an agent has beside what it waits for answers."""
PATIENCE = 2.0
"""Seconds that a request waits for others to end. All in all it is less than a client waits for its answer."""
_GONE = wire.ProbeSeen(outcome="skipped", detail="the container is gone")
_CHANGED = wire.ProbeSeen(outcome="skipped", detail="the policies changed meanwhile")
_PROTOCOLS: Mapping[Protocol | None, Literal["tcp", "udp", "icmp"]] = {
    Protocol.TCP: "tcp",
    Protocol.UDP: "udp",
    None: "icmp",
}
_REACHED = ("open", "refused")
Pair = tuple[Endpoint, Endpoint]


class Probes:
    """Has connections tried, those of one request at a time. `tell` hands an order to a host, if its agent listens."""

    def __init__(self, tell: Callable[[str, wire.ProbeOrder], bool]) -> None:
        self._tell = tell
        self.grace = GRACE
        self.patience = PATIENCE
        self._turn = asyncio.Lock()
        self._awaited: dict[tuple[str, str], asyncio.Future[list[wire.ProbeSeen]]] = {}

    async def run(self, intent: Intent, wanted: wire.ProbeRequest) -> wire.ProbeResults:
        """Try connections, and compare them with what policy says of them before and after.

        Raises:
            Conflict: other connections are being tried.
            InvalidInput: both ends are the same container's.
        """
        try:
            async with asyncio.timeout(self.patience):
                await self._turn.acquire()
        except TimeoutError:
            raise Conflict("other connections are being tried", remedy="wait for that to end, and try again") from None
        try:
            pairs = _pairs(intent, wanted.items)
            before = await _judged(intent, wanted.items, pairs)
            seen = await self._try(wanted, pairs)
            after = await _judged(intent, wanted.items, _pairs(intent, wanted.items))
        finally:
            self._turn.release()
        return wire.ProbeResults(items=[_result(*each) for each in zip(wanted.items, seen, before, after, strict=True)])

    def answer(self, host: str, answer: wire.ProbeAnswer) -> None:
        """Take in what a host's agent saw; what comes too late is nobody's any more."""
        awaited = self._awaited.get((host, answer.order))
        if awaited is not None and not awaited.done():
            awaited.set_result(answer.seen)

    async def _try(self, wanted: wire.ProbeRequest, pairs: Sequence[Pair | None]) -> list[wire.ProbeSeen]:
        places: dict[str, list[int]] = {}
        items: dict[int, wire.ProbeItem] = {}
        for place, pair in enumerate(pairs):
            if pair is not None:
                places.setdefault(pair[0].host, []).append(place)
                items[place] = _item(wanted.items[place], pair)
        answers = await asyncio.gather(
            *(self._order(host, wanted.wait, [items[place] for place in chosen]) for host, chosen in places.items())
        )
        seen = [_GONE] * len(pairs)
        for chosen, answer in zip(places.values(), answers, strict=True):
            for place, each in zip(chosen, answer, strict=True):
                seen[place] = each
        return seen

    async def _order(self, host: str, wait: float, items: list[wire.ProbeItem]) -> list[wire.ProbeSeen]:
        """Return how these ended, as a host's agent says; or of each that the agent says nothing."""
        order = wire.ProbeOrder(id=str(uuid4()), wait=wait, items=items)
        key = (host, order.id)
        self._awaited[key] = asyncio.get_running_loop().create_future()
        try:
            if self._tell(host, order):
                with suppress(TimeoutError):
                    async with asyncio.timeout(order.wait + self.grace):
                        seen = await self._awaited[key]
                        if len(seen) == len(order.items):
                            return seen
        finally:
            del self._awaited[key]
        return [wire.ProbeSeen(outcome="skipped", detail=f"the agent of {host} does not answer")] * len(items)


def sampled(view: View, by: Sequence[str], network: UUID | None, limit: int, version: Literal[4, 6]) -> wire.ReachSamples:
    """Choose connections that show whether what reach tells is so. Takes seconds with thousands of endpoints."""
    found, complete = samples(view, by, network, limit, version)
    return wire.ReachSamples(
        items=[
            wire.ReachSample(
                source=each.source.id,
                destination=each.destination.id,
                protocol=_PROTOCOLS[each.protocol],
                port=each.port,
                version=version,
                source_name=name_of(each.source, view.networks),
                destination_name=name_of(each.destination, view.networks),
                source_group=each.source_group,
                destination_group=each.destination_group,
                expected="allow" if each.allow else "deny",
            )
            for each in found
        ],
        complete=complete,
    )


def _pairs(intent: Intent, items: Sequence[wire.Probe]) -> list[Pair | None]:
    """Return the two ends of each; None where one is gone."""
    found: list[Pair | None] = []
    for place, item in enumerate(items):
        source, destination = intent.endpoints.get(item.source), intent.endpoints.get(item.destination)
        if source is None or destination is None:
            found.append(None)
            continue
        if source.id == destination.id or (source.container and source.container == destination.container):
            raise InvalidInput("a container reaches itself without a network", field=f"items[{place}]")
        if None in (address_of(source, item.version), address_of(destination, item.version)):
            raise InvalidInput(f"not both ends have an IPv{item.version} address", field=f"items[{place}]")
        found.append((source, destination))
    return found


async def _judged(intent: Intent, items: Sequence[wire.Probe], pairs: Sequence[Pair | None]) -> list[bool | None]:
    """Return of each what policy says; in a thread, for with many policies it takes a while."""
    view = snapshot(intent)
    return await run_in_threadpool(
        lambda: [_allows(view, item, pair) if pair else None for item, pair in zip(items, pairs, strict=True)]
    )


def _allows(view: View, item: wire.Probe, pair: Pair) -> bool:
    protocol = None if item.protocol == "icmp" else Protocol(item.protocol)
    return verdict(view, *pair, protocol, item.port, version=item.version).allow


def _item(item: wire.Probe, pair: Pair) -> wire.ProbeItem:
    source, destination = pair
    return wire.ProbeItem(
        endpoint=source.id,
        container=source.container,
        source=_address(source, item),
        destination=_address(destination, item),
        protocol=item.protocol,
        port=item.port,
    )


def _address(end: Endpoint, item: wire.Probe) -> IPv4Address | IPv6Address:
    return end.address6 if item.version == 6 and end.address6 is not None else end.address


def _result(item: wire.Probe, seen: wire.ProbeSeen, before: bool | None, after: bool | None) -> wire.ProbeResult:
    if after is None:
        seen = _GONE
    elif before is not after:
        seen = _CHANGED
    expected: Literal["allow", "deny"] | None = None if after is None else "allow" if after else "deny"
    agrees = None if after is None else _agrees(item, seen.outcome, expected=after)
    return wire.ProbeResult(**item.model_dump(), **seen.model_dump(), expected=expected, agrees=agrees)


def _agrees(item: wire.Probe, outcome: str, *, expected: bool) -> bool | None:
    """Return whether an outcome is what policy says. That nobody answers a datagram does not show that it was lost."""
    if outcome == "skipped" or (outcome == "timeout" and item.protocol == "udp" and expected):
        return None
    return (outcome in _REACHED) is expected
