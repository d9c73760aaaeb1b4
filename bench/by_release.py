"""What our network adds to `docker run -d` with ever more ports present, on each release's Open vSwitch and OVN."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from releases.programs import SUITES, environment, versions

from bench import attach, peers
from bench.table import Figure
from socketplane.lab import build, labs

TITLE = "docker run -d by release of OVN"
ABOUT = (
    "Our network alone, on labs of two hosts, one after the other; other ports are on hosts that only the controller knows."
)
STEPS = ((0, "10 ports"), (990, "1,000 ports"), (4000, "5,000 ports"), (5000, "10,000 ports"))
"""How many ports are added, and how many are there then in words."""


async def measure(name: str, rounds: int) -> list[Figure]:
    """Return the extra time on each release, beside that on the first."""
    found: list[Figure] = []
    for suite in SUITES:
        with _release(suite) as release:
            lab = await build.up(name, 2, say=lambda line: print(line, file=sys.stderr))
            try:
                ready = await peers.prepare(lab)
                for step, (more, ports) in enumerate(STEPS):
                    if more:
                        await peers.haunt(ready.near, f"ghost{step}", more)
                    (figure,) = await attach.measure_ours(ready, ports, rounds)
                    first = found[step] if len(found) >= len(STEPS) else figure
                    ratio = None if first is figure else figure.median / first.median
                    found.append(replace(figure, name=f"{release}: {ports}", against="the first", ratio=ratio))
            finally:
                await asyncio.to_thread(labs.remove, name)
    return found


@contextmanager
def _release(suite: str) -> Iterator[str]:
    """Have labs run a release's programs; yield what these call themselves."""
    before, variables = dict(os.environ), environment(suite)
    try:
        os.environ.clear()
        os.environ.update(variables)
        yield versions(variables)
    finally:
        os.environ.clear()
        os.environ.update(before)
