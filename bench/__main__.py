"""make bench: the controller alone, then networks on real engines beside their peers.

python -m bench [--only SECTION] [--rounds N] [-o table|json] [--write] [--save FILE]
python -m bench --load FILE [-o table|json] [--write]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import (
    attach,
    by_release,
    controller,
    naming,
    peers,
    policy_lab,
    policy_report,
    published,
    report,
    scale_report,
    serving,
    shaping,
    table,
    traffic,
)
from bench.peers import Peers
from bench.report import Section
from bench.table import Figure
from socketplane.lab import build, labs

NAME = "bench"
REPORT = peers.CHECKOUT / "docs" / "benchmarks.md"
FEW, MANY = 990, 9000
ON_ENGINES = ("attach", "published", "shaping", "names", "services")
CHOICES = ("controller", "policy", "scale", "enforcement", "traffic", "releases", *ON_ENGINES)
ABOUTS = {module.TITLE: module.ABOUT for module in (naming, published, serving)}
DAEMONS = ("controller", "agent", "plugin")


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure SocketPlane beside its peers.")
    parser.add_argument("--only", choices=CHOICES)
    parser.add_argument(
        "--rounds", type=int, help="how often each way of traffic is measured, and docker runs of each kind"
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--write", action="store_true", help=f"also write {REPORT.relative_to(peers.CHECKOUT)}")
    parser.add_argument("--save", type=Path, metavar="FILE", help="also write what was found into a file")
    parser.add_argument("--load", type=Path, metavar="FILE", help="take what such a file holds, and measure nothing")
    options = parser.parse_args()
    sections = report.loaded(options.load.read_text()) if options.load else _measured(options.only, options.rounds)
    if options.save:
        options.save.write_text(report.saved(sections))
    found = {title: section.figures for title, section in sections.items()}
    text = "\n".join(table.show(title, figures) for title, figures in found.items())
    sys.stdout.write(table.as_json(found) + "\n" if options.output == "json" else text)
    if options.write:
        _write(sections)


def _measured(only: str | None, rounds: int | None) -> dict[str, Section]:
    """Measure what was asked for."""
    load = os.getloadavg()[0]
    sections: dict[str, Section] = {}
    if only in (None, "controller"):
        sections["Controller, real ovsdb-servers, no switch"] = Section(_controller())
    for name, module in (("policy", policy_report), ("scale", scale_report)):
        if only in (None, name):
            figures, picture = module.measure()
            sections[module.TITLE] = Section(figures, module.ABOUT, (module.PICTURE, picture))
    if only in (None, "enforcement"):
        sections[policy_lab.TITLE] = Section(asyncio.run(policy_lab.measure()), policy_lab.ABOUT)
    if only in (None, "traffic"):
        title, section = traffic.measure(rounds or traffic.ROUNDS)
        sections[title] = section
    if only in (None, "releases"):
        figures = asyncio.run(by_release.measure(NAME, rounds or attach.ROUNDS))
        sections[by_release.TITLE] = Section(figures, by_release.ABOUT)
    if only in (None, *ON_ENGINES):
        on_engines = asyncio.run(_on_engines(only, rounds or attach.ROUNDS))
        sections |= {title: Section(figures, ABOUTS.get(title, "")) for title, figures in on_engines.items()}
    return {title: report.measured(section, load) for title, section in sections.items()}


def _write(sections: Mapping[str, Section]) -> None:
    """Replace these sections of the report, and their pictures."""
    for section in sections.values():
        if section.picture:
            name, svg = section.picture
            (REPORT.parent / "img").mkdir(exist_ok=True)
            (REPORT.parent / "img" / name).write_text(svg)
    texts = {title: section.text(title) for title, section in sections.items()}
    REPORT.write_text(report.merged(REPORT.read_text() if REPORT.exists() else "", texts))


def _controller() -> list[Figure]:
    """Run it as a process of its own: this one's memory and event loop stay out of it."""
    done = subprocess.run([sys.executable, "-m", "bench.controller", "-o", "json"], check=True, stdout=subprocess.PIPE)
    measured = json.loads(done.stdout)
    rows = ((key, text.format(bulk=controller.BULK, present="10,000"), goal) for key, text, goal in controller.ROWS)
    return [Figure(text, "", (float(measured[key]),), goal=goal) for key, text, goal in rows]


async def _on_engines(only: str | None, rounds: int) -> dict[str, Sequence[Figure]]:
    """Measure on a lab of two hosts, which is removed afterwards."""
    sections: dict[str, Sequence[Figure]] = {}
    lab = await build.up(NAME, 2, say=lambda line: print(line, file=sys.stderr))
    try:
        ready = await peers.prepare(lab)
        if only in (None, "published"):
            sections[published.TITLE] = await published.measure(ready, lab.fabric)
        if only in (None, "shaping"):
            sections["Limits of TrafficPolicies"] = await shaping.measure(ready)
        if only in (None, "names"):
            sections[naming.TITLE] = await naming.measure(ready)
        if only in (None, "services"):
            sections[serving.TITLE] = await serving.measure(ready)
        if only in (None, "attach"):
            sections["docker run -d"] = await _attach(ready, rounds)
    finally:
        await asyncio.to_thread(labs.remove, NAME)
    return sections


async def _attach(ready: Peers, rounds: int) -> list[Figure]:
    """Measure with ever more ports present, last of all ours alone."""
    figures = await attach.measure(ready, "10 ports", rounds)
    await peers.haunt(ready.near, "ghost", FEW)
    figures += await attach.measure(ready, "1,000 ports", rounds)
    figures += await _memory(ready, "1,000 ports")
    await peers.haunt(ready.near, "spectre", MANY)
    figures += await attach.measure_ours(ready, "10,000 ports", max(1, rounds // 3))
    return figures + await _memory(ready, "10,000 ports")


async def _memory(ready: Peers, ports: str) -> list[Figure]:
    resident = {daemon: await peers.resident(ready.near, daemon) for daemon in DAEMONS}
    return [Figure(f"resident memory: {daemon}, {ports}", "MiB", (value,)) for daemon, value in resident.items()]


if __name__ == "__main__":
    main()
