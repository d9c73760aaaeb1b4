"""Traffic: every way between two containers beside its peers, in turns, across two hosts and on one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from statistics import median

from bench import bars, peers, speeds, ways
from bench.peers import BRIDGE, OURS, OVERLAY
from bench.report import Section
from bench.speeds import METRICS, Metric
from bench.table import Figure
from bench.ways import ACROSS, ONE_HOST, Way
from socketplane.errors import SocketPlaneError
from socketplane.lab import build, labs
from socketplane.lab.labs import Lab
from socketplane.model.forwarding import BY_KIND, KERNEL, USERSPACE, Kind

TITLE = "Traffic, {} datapath"
ABOUT = (
    "Ways between two containers, in turns: each figure is a median of rounds in which every way was measured once. "
    "Ratios are medians of each round's ratio, with their range; those of times are the other way up, so that above 1 "
    f"is better everywhere. *{ways.POLICIES} policies*: NetworkPolicies on the network, {ways.SELECTING} of which select "
    "both containers. *Without labels*: the same, and what names the rule in conntrack taken out of OVN by hand. *Linux "
    "VXLAN*: a bridge and a VXLAN device without any filter. *Encrypted*: in a second lab of the same run."
)
PICTURE = "traffic-{}.svg"
ROUNDS = 5
SWARM, SECRET, DOCKER = "Swarm overlay", "Swarm overlay, encrypted", "Docker bridge"
PLAIN, POLICED, UNLABELLED, ENCRYPTED = (
    "SocketPlane",
    f"SocketPlane, {ways.POLICIES} policies",
    f"SocketPlane, {ways.POLICIES} policies, without labels",
    "SocketPlane, encrypted",
)
TUNNEL = "Linux VXLAN"
GOALS: Mapping[tuple[str, str], tuple[tuple[str, float | None], ...]] = {
    (PLAIN, ACROSS): ((SWARM, 1.0), (TUNNEL, None)),
    (PLAIN, ONE_HOST): ((DOCKER, 1.0),),
    (POLICED, ACROSS): ((PLAIN, 0.95),),
    (POLICED, ONE_HOST): ((PLAIN, 0.95),),
    (UNLABELLED, ACROSS): ((PLAIN, None),),
    (UNLABELLED, ONE_HOST): ((PLAIN, None),),
    (ENCRYPTED, ACROSS): ((SECRET, 3.0),),
}
"""Whom a way is compared with, and how well it is to do."""
UNITS = {metric.name: metric.unit for metric in METRICS}
NAMES = ("bench-traffic", "bench-encrypted")
_NETWORKS = {
    PLAIN: (OURS, (ACROSS, ONE_HOST)),
    POLICED: (ways.POLICED, (ACROSS, ONE_HOST)),
    UNLABELLED: (ways.UNLABELLED, (ACROSS, ONE_HOST)),
    SWARM: (OVERLAY, (ACROSS,)),
    TUNNEL: (ways.VXLAN, (ACROSS,)),
    DOCKER: (BRIDGE, (ONE_HOST,)),
}
Values = dict[tuple[str, str, str], list[float]]
"""By metric, way and place."""


def measure(rounds: int = ROUNDS) -> tuple[str, Section]:
    """Return what was found, and its title; labs are removed afterwards."""
    found: Values = {}
    datapath = asyncio.run(_measure(rounds, found))
    panels = [
        bars.Panel(f"{metric.name}, {where}", metric.unit, _spans(found, metric, where))
        for where in (ACROSS, ONE_HOST)
        for metric in METRICS
    ]
    picture = (PICTURE.format(datapath), bars.svg(panels))
    return TITLE.format(datapath), Section(figures(found), ABOUT, picture)


def _spans(found: Values, metric: Metric, where: str) -> dict[str, tuple[float, float, float]]:
    return {
        name: (median(values), min(values), max(values))
        for (which, name, place), values in found.items()
        if (which, place) == (metric.name, where)
    }


async def _measure(rounds: int, found: Values) -> Kind:
    """Measure in two labs, one after the other; return which datapath their hosts have."""
    lab = await build.up(NAMES[0], 2, say=_say)
    try:
        datapath = await _plain(lab, rounds, found)
    finally:
        await asyncio.to_thread(labs.remove, NAMES[0])
    if BY_KIND[datapath].encrypts:
        await _secret(rounds, found)
    return datapath


async def _plain(lab: Lab, rounds: int, found: Values) -> Kind:
    ready = await peers.prepare(lab)
    _say(f"the hosts' datapath: {ready.datapath}")
    await ways.make_policed(ready)
    await ways.make_vxlan(ready)
    measured = [
        Way(name, where, *pair)
        for name, (network, places) in _NETWORKS.items()
        for where, pair in (await ways.ends(ready, network, places)).items()
    ]

    async def before() -> None:
        await ways.unlabel(ready)

    await _rounds(measured, rounds, found, before)
    return KERNEL.kind if ready.datapath == KERNEL.kind else USERSPACE.kind


async def _secret(rounds: int, found: Values) -> None:
    """Measure what is encrypted, where this kernel can."""
    try:
        lab = await build.up(NAMES[1], 2, encrypt=True, say=_say)
    except SocketPlaneError as error:  # say so, and report the rest
        _say(f"encrypted tunnels are left out: {error}")
        return
    try:
        ready = await peers.prepare(lab)
        measured = []
        networks = {ENCRYPTED: OURS}
        if await ways.make_secret(ready):
            networks[SECRET] = ways.SECRET_OVERLAY
        else:
            _say("this kernel has no ESP: Swarm's encrypted overlay is left out")
        for name, network in networks.items():
            pair = (await ways.ends(ready, network, (ACROSS,)))[ACROSS]
            measured.append(Way(name, ACROSS, *pair))
        await _rounds(measured, rounds, found)
    finally:
        await asyncio.to_thread(labs.remove, NAMES[1])


async def _nothing() -> None:
    return


async def _rounds(
    measured: Sequence[Way], rounds: int, found: Values, before: Callable[[], Awaitable[None]] = _nothing
) -> None:
    async with AsyncExitStack() as stack:
        for way in measured:
            stack.callback(asyncio.create_task(speeds.serve(way)).cancel)
        await before()
        for way in measured:
            await speeds.warm(way)
        for number in range(rounds):
            _say(f"round {number + 1} of {rounds}")
            await before()
            for metric in METRICS:
                for way in measured:
                    found.setdefault((metric.name, way.name, way.where), []).append(await metric.measure(way))


def figures(found: Values) -> list[Figure]:
    """Return a figure for each, beside those that it is compared with."""
    return [
        figure
        for where in (ACROSS, ONE_HOST)
        for metric in METRICS
        for name in dict.fromkeys(name for which, name, place in found if (which, place) == (metric.name, where))
        for figure in _compared(found, metric, name, where)
    ]


def _compared(found: Values, metric: Metric, name: str, where: str) -> list[Figure]:
    values = tuple(found[metric.name, name, where])
    title = f"{where}: {metric.name}: {name}"
    made = []
    for peer, goal in GOALS.get((name, where), ()):
        others = found.get((metric.name, peer, where))
        if not others:
            continue
        pairs = zip(values, others, strict=True)
        ratios = tuple(value / other if metric.more else other / value for value, other in pairs)
        text = f"{goal:g} or more" if goal and not metric.name.startswith("UDP") else ""
        made.append(Figure(title, metric.unit, values, peer, median(ratios), text, ratios))
    return made or [Figure(title, metric.unit, values)]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
