"""The figures about policies, each size in a process of its own, and how they grow, as a picture."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench.plot import Panel, svg
from bench.policy import OTHERS
from bench.table import Figure

TITLE = "Policies of all kinds, real northbound"
PICTURE = "policy-growth.svg"
POLICIES = 1000
ABOUT = (
    "1,000 policies on 10,000 endpoints in 20 networks: 980 NetworkPolicies (five rules each: peers of the own "
    "network, with expressions, of other networks, blocks, ranges) and 20 ClusterNetworkPolicies; made by "
    "`bench/policy_intent.py`. Times of the compiler are of the processor, so that others on the machine weigh "
    "little."
)
SIZES = (100, 300, 1000, 3000, 10_000)
FEWER = (10, 100)
"""Numbers of policies with which ACLs are counted, too."""

Figures = Mapping[str, Sequence[float]]


def measure() -> tuple[list[Figure], str]:
    """Return the table and the picture."""
    sizes = {size: child("bench.policy", "-o", "json", f"--endpoints={size}") for size in SIZES}
    fewer = {count: child("bench.policy", "-o", "json", f"--policies={count}") for count in FEWER}
    through = child("bench.policy_controller")
    return [*_figures(sizes, fewer), *_through(through)], picture(sizes)


def child(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """Return what a benchmark in a process of its own prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(done.stdout)


def _figures(sizes: Mapping[int, Figures], fewer: Mapping[int, Figures]) -> list[Figure]:
    most, least = sizes[max(SIZES)], sizes[min(SIZES)]

    def figure(name: str, key: str, unit: str, goal: str = "", of: Figures = most) -> Figure:
        return Figure(name, unit, tuple(of[key]), goal=goal)

    found = [
        figure("compile all from nothing, processor time", "compile_s", "s", "at most 5"),
        figure("peak memory of that, the intent and Python with it", "compile_peak_mib", "MiB", "at most 1024"),
        figure("the same with all of it written, and a replica", "peak_mib", "MiB"),
        figure("write all to an empty northbound", "written_s", "s"),
        figure("full pass that finds nothing to do, processor time", "full_pass_s", "s"),
    ]
    for key, name in (("attach", "attached"), ("relabel", "relabelled"), ("remove", "removed")):
        found.append(figure(f"endpoint {name}: compiler and operations", f"{key}_own_ms", "ms", "at most 3"))
        found.append(figure(f"endpoint {name}: with encoding and replica", f"{key}_all_ms", "ms", "at most 3"))
        found.append(figure(f"endpoint {name}: until it is committed", f"{key}_commit_ms", "ms"))
    base = median(most[f"attach_beside_{OTHERS[0]}_own_ms"])
    for others in OTHERS:
        values = tuple(most[f"attach_beside_{others}_own_ms"])
        name = f"endpoint attached, beside {others:,} policies that don't select it"
        found.append(Figure(name, "ms", values, f"beside {OTHERS[0]}", median(values) / base))
    for kind, name in (("policy", "NetworkPolicy"), ("guard", "ClusterNetworkPolicy")):
        found.append(figure(f"{name} edited: rows that change", f"{kind}_edited_rows", ""))
        found.append(figure(f"{name} edited: compiler and operations", f"{kind}_edited_own_ms", "ms"))
    found.append(figure(f"ACLs of {POLICIES:,} policies, {min(SIZES):,} endpoints", "acls", "", of=least))
    found.append(figure(f"ACLs of {POLICIES:,} policies, {max(SIZES):,} endpoints", "acls", "", "as many"))
    found += [figure(f"ACLs of {count} policies, 10,000 endpoints", "acls", "", of=fewer[count]) for count in FEWER]
    return found


def _through(figures: Figures) -> list[Figure]:
    names = (
        ("attach_without_ms", "controller: one endpoint attached, no policies", "ms"),
        ("attach_ms", "controller: one endpoint attached, 1,000 policies", "ms"),
        ("apply_all_s", "controller: 1,000 policies applied at once", "s"),
        ("apply_one_ms", "controller: one policy applied, its warnings with it", "ms"),
        ("memory_mib", "controller: resident memory", "MiB"),
    )
    return [Figure(name, unit, tuple(figures[key])) for key, name, unit in names]


def picture(sizes: Mapping[int, Figures]) -> str:
    """Return how it grows with the endpoints."""

    def line(key: str) -> list[tuple[float, float]]:
        return [(size, median(figures[key])) for size, figures in sizes.items()]

    changes = {"attached": "attach_own_ms", "relabelled": "relabel_own_ms", "removed": "remove_own_ms"}
    changes["NetworkPolicy edited"] = "policy_edited_own_ms"
    panels = [
        Panel("All compiled from nothing", "endpoints", "s", {"1,000 policies": line("compile_s")}, goal=5),
        Panel("One change compiled", "endpoints", "ms", {name: line(key) for name, key in changes.items()}, goal=3),
        Panel(
            "Rows of the northbound",
            "endpoints",
            "rows",
            {"ACLs": line("acls"), "port groups": line("groups"), "memberships": line("edges")},
        ),
    ]
    return svg(panels)
