"""The figures about OVN with many policies and ports, of each supported release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from releases.programs import SUITES, environment

from bench.plot import Panel, svg
from bench.policy_report import child
from bench.scale import WITH, WITHOUT
from bench.table import Figure

TITLE = "OVN with 1,000 policies on 10,000 ports, one host"
PICTURE = "scale.svg"
ABOUT = (
    "The same cluster on databases, ovn-northd, ovn-controller and a switch (userspace datapath) of one machine, all "
    "other ports bound on ten more hosts. *Attach*: from our write into the northbound to `ovn-installed` on the "
    "container's host. *Remove* and *policy*: to `ovn-nb-cfg` on `br-int`, when the host has installed it. Anchors "
    "are one port without address per network, which keep a group from being empty on a switch; SocketPlane writes "
    "them where northd is incremental."
)
SIZES = (100, 1000, 10_000)
_TIMES = (
    ("attach_known", "attach, segments that have members"),
    ("attach_first", "attach, the first of a segment"),
    ("remove_known", "remove, segments that have members"),
    ("remove_first", "remove, the last of a segment"),
    ("policy_edit", "policy edited"),
    ("policy_new", "policy added"),
)
_SPACES = (("ovn-northd", "ovn-northd"), ("sb", "southbound"), ("ovn-controller", "ovn-controller"))

Sizes = Mapping[int, Mapping[str, Sequence[float]]]


def measure() -> tuple[list[Figure], str]:
    """Return the table and the picture."""
    measured: dict[str, Sizes] = {}
    for suite in SUITES:
        sizes = {size: _one(size, environment(suite)) for size in SIZES}
        measured[sizes[SIZES[0]]["ovn"]] = {size: found["figures"] for size, found in sizes.items()}
    return [figure for name, sizes in measured.items() for figure in _figures(name, sizes[SIZES[-1]])], picture(measured)


def _one(size: int, variables: Mapping[str, str]) -> Any:
    return child("bench.scale", "-o", "json", f"--endpoints={size}", environment=variables)


def _figures(release: str, figures: Mapping[str, Sequence[float]]) -> list[Figure]:
    found = []
    for key, name in _TIMES:
        plain, anchored = (tuple(figures[f"{key}{suffix}_ms"]) for suffix in (WITHOUT, WITH))
        found.append(Figure(f"OVN {release}: {name}", "ms", plain))
        ratio = median(anchored) / median(plain)
        found.append(Figure(f"OVN {release}: {name}, anchors", "ms", anchored, "without", ratio))
    found.append(Figure(f"OVN {release}: everything from nothing", "s", tuple(figures["load_s"])))
    return found + [Figure(f"OVN {release}: memory, {name}", "MiB", tuple(figures[f"{key}_mib"])) for key, name in _SPACES]


def picture(releases: Mapping[str, Sizes]) -> str:
    """Return how it grows with the ports."""

    def lines(keys: Mapping[str, str]) -> dict[str, list[tuple[float, float]]]:
        return {
            f"{release}, {name}": [(size, median(figures[f"{key}_ms"])) for size, figures in sizes.items()]
            for release, sizes in releases.items()
            for name, key in keys.items()
        }

    first = {
        "has members": f"attach_known{WITH}",
        "first, anchors": f"attach_first{WITH}",
        "first, no anchors": f"attach_first{WITHOUT}",
    }
    panels = [
        Panel("Attach, until installed", "ports", "ms", lines(first)),
        Panel("Policy edited, until enforced", "ports", "ms", lines({"anchors": f"policy_edit{WITH}"})),
    ]
    return svg(panels)
