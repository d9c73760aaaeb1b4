"""Holding assertions against a judge: a model of policy, or a controller.

An end may mean several containers, and a container may be on several networks. `deny` holds if there is no way at all:
no container, network or service by which the packet passes. `allow` holds if each container reaches each other one, on
every network that the two share; where they share none, from every network to every network. Who reaches an address, or
is reached from one, is asked on networks that are not internal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from itertools import islice
from typing import NamedTuple

from socketplane.errors import InvalidInput, NotFound
from socketplane.model.assertions.population import End, Place, Population
from socketplane.model.assertions.statement import ANYTHING, PING, Assertion
from socketplane.model.spec import Policy, Port, Protocol

Packet = tuple[Protocol | None, int | None]
MAX_SHOWN = 3
"""Ways that speak against an assertion and are told; there may be more."""


class Judgement(NamedTuple):
    """Whether a packet passes; which policy and rule decided, empty where none did; and why, in a sentence."""

    allow: bool
    policy: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What the judge said of one packet. `service` is 5432/tcp, or icmp."""

    source: str
    target: str
    service: str
    judgement: Judgement


Judge = Callable[[End, End, Protocol | None, int | None], Judgement]


class Outcome(StrEnum):
    """How an assertion fared."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    ERROR = "error"
    """It speaks of nobody: nothing is known to hold."""


@dataclass(frozen=True, slots=True)
class Result:
    """An assertion's outcome: findings that speak against it, or what kept it from being judged."""

    assertion: Assertion
    outcome: Outcome
    against: tuple[Finding, ...] = ()
    problem: str = ""


def hold(assertion: Assertion, population: Population, judge: Judge, ports: Sequence[int]) -> Result:
    """Judge one assertion. `ports` are those to try where it names none (see `telling_ports`)."""
    try:
        ways = _ways(assertion, population)
        findings = (_against(assertion, judge, source, target, ports) for source, target in ways)
        against = tuple(islice(filter(None, findings), MAX_SHOWN))
    except (InvalidInput, NotFound) as error:
        return Result(assertion, Outcome.ERROR, problem=str(error))
    return Result(assertion, Outcome.FAIL if against else Outcome.PASS, against)


def telling_ports(policies: Sequence[Policy]) -> list[int]:
    """Return ports such that whatever these policies say of any port, they say of one of these.

    What they say changes only where a port of a rule begins or ends.
    """
    edges = {1}
    for policy in policies:
        for rule in (*(policy.spec.ingress or ()), *(policy.spec.egress or ())):
            for port in rule.ports or ():
                edges |= _edges(port)
    return sorted(edges)


def _edges(port: Port) -> set[int]:
    if port.port is None:
        return set()
    return {port.port, *([after] if (after := (port.end or port.port) + 1) <= 65535 else [])}


def _against(assertion: Assertion, judge: Judge, source: End, target: End, ports: Sequence[int]) -> Finding | None:
    """Return the first packet of a way that speaks against an assertion."""
    for protocol, port in _packets(assertion, ports):
        judgement = judge(source, target, protocol, port)
        if judgement.allow is not assertion.allow:
            return Finding(str(source), str(target), PING if protocol is None else f"{port}/{protocol}", judgement)
    return None


def _packets(assertion: Assertion, ports: Sequence[int]) -> Iterator[Packet]:
    """Yield the packets that stand for what an assertion is about."""
    if assertion.protocol in (ANYTHING, PING):
        yield None, None
    for protocol in Protocol:
        if assertion.protocol in (ANYTHING, protocol):
            yield from ((protocol, port) for port in (ports if assertion.port is None else [assertion.port]))


def _ways(assertion: Assertion, population: Population) -> list[tuple[End, End]]:
    """Return the ways to judge. Raises InvalidInput or NotFound where there is none."""
    sources, targets = population.find(assertion.source), population.find(assertion.target)
    if isinstance(targets, IPv4Address):
        if isinstance(sources, IPv4Address):
            raise InvalidInput("neither end is a container", remedy="name a container on one side")
        return [(place, targets) for place in _outward(sources, assertion.allow)]
    if isinstance(sources, IPv4Address):
        return [(sources, place) for place in _outward(targets, assertion.allow)]
    ones, others = _by_container(sources), _by_container(targets)
    apart = [(one, other) for one in ones for other in others if one[0].container != other[0].container]
    if not apart:
        raise InvalidInput("both ends are the same container", remedy="name another one")
    return [pair for one, other in apart for pair in _between(one, other, assertion.allow)]


def _between(one: Sequence[Place], other: Sequence[Place], allow: bool) -> list[tuple[End, End]]:
    """Return the ways between two containers by which a packet has to pass, or must not."""
    every = [(source, target) for source in one for target in other]
    shared = [(source, target) for source, target in every if source.network == target.network]
    return list(shared if allow and shared else every)


def _outward(places: Sequence[Place], allow: bool) -> list[Place]:
    """Return the places from which a container has to reach an address, or must not."""
    return [place for place in places if not place.internal] or list(places) if allow else list(places)


def _by_container(places: Sequence[Place]) -> list[list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place.container, []).append(place)
    return list(found.values())
