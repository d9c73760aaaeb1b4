"""What is measured of a way: streams of TCP, small datagrams, pings, connections."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.ways import Way

SECONDS = 1
PINGS = 100
STREAMS = 8
SMALL = 64
"""Bytes of a datagram's payload."""
PORT = 7070
CONNECTING = str(Path(__file__).resolve().parent / "connecting.py")
_PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Metric:
    """A kind of measurement; `more` of it is better, or less."""

    name: str
    unit: str
    measure: Callable[[Way], Awaitable[float]]
    more: bool = True


async def _tcp(way: Way, streams: int) -> float:
    sums = await _iperf(way, "-P", str(streams))
    return float(sums["sum_received"]["bits_per_second"]) / 1e9


async def one_stream(way: Way) -> float:
    """Return Gbit/s of one TCP stream."""
    return await _tcp(way, 1)


async def streams(way: Way) -> float:
    """Return Gbit/s of several TCP streams together."""
    return await _tcp(way, STREAMS)


async def datagrams(way: Way) -> float:
    """Return how many thousand small UDP datagrams a second arrive, of as many as the sender can send."""
    found = (await _iperf(way, "-u", "-b", "0", "-l", str(SMALL)))["sum"]
    return (found["packets"] - found["lost_packets"]) / found["seconds"] / 1000


async def round_trip(way: Way) -> float:
    """Return the mean time of a ping, each sent when the one before was answered, ms."""
    command = way.client.inside("busybox", "ping", "-q", "-A", "-c", str(PINGS), way.server.address)
    done = await way.client.machine.run(*command)
    found = re.search(r"= [\d.]+/([\d.]+)/", done.out)
    if not found:
        raise RuntimeError(f"{way.name}, {way.where}: {done.out}")
    return float(found[1])


async def connections(way: Way) -> float:
    """Return how many TCP connections a second are opened, one after the other."""
    script = (sys.executable, "-I", "-S", CONNECTING)
    command = way.client.inside(*script, "open", way.server.address, str(PORT), str(SECONDS))
    return float((await way.client.machine.run(*command)).out)


METRICS = (
    Metric("TCP, 1 stream", "Gbit/s", one_stream),
    Metric(f"TCP, {STREAMS} streams", "Gbit/s", streams),
    Metric("round trip", "ms", round_trip, more=False),
    Metric("connections", "1/s", connections),
    Metric(f"UDP of {SMALL} bytes", "1000/s", datagrams),
)


async def serve(way: Way) -> None:
    """Have the server's end answer, until it is cancelled."""
    iperf = way.server.inside("iperf3", "-s")
    accepting = way.server.inside(sys.executable, "-I", "-S", CONNECTING, "serve", str(PORT))
    await asyncio.gather(*(way.server.machine.run(*command, timeout=7200.0, check=False) for command in (iperf, accepting)))


async def warm(way: Way) -> None:
    """Return once the server answers in every way."""
    for metric in (METRICS[2], METRICS[0], METRICS[3]):
        await _until_it_works(metric, way)


async def _until_it_works(metric: Metric, way: Way) -> None:
    last = ""
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    await metric.measure(way)
                except Exception as error:
                    last = str(error)
                    await asyncio.sleep(0.2)
                else:
                    return
    except TimeoutError:
        raise RuntimeError(f"{metric.name}, {way.name}, {way.where}: {last}") from None


async def _iperf(way: Way, *options: str) -> dict[str, dict[str, float]]:
    command = way.client.inside("iperf3", "-c", way.server.address, "-t", str(SECONDS), "-J", *options)
    done = await way.client.machine.run(*command, check=False)
    if done.code:
        raise RuntimeError(f"iperf3, {way.name}, {way.where}: {done.out[-300:] or done.err}")
    found: dict[str, dict[str, float]] = json.loads(done.out)["end"]
    return found
