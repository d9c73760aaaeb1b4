"""docs/benchmarks.md: a section for each benchmark, each replaced when it is measured anew."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bench import table
from bench.table import Figure

HEAD = (
    "# Benchmarks\n\n"
    "Written by `make bench ARGS=--write`. Runs are interleaved and medians quoted; a ratio is to the peer's median "
    "in the same run. Absolute figures vary from run to run and machine to machine; ratios are what to compare. The "
    "lab's cables have checksum and segmentation offload off, which the userspace datapath needs, and which costs "
    "Swarm's overlay across hosts most of its speed. *Floor* is a driver that hands out addresses and veth pairs and "
    "forwards nothing: what Docker's plugin protocol costs by itself.\n\n"
)


@dataclass(frozen=True)
class Section:
    """What one benchmark found: its table, what to know about it, and a picture (file name and SVG) if it grows."""

    figures: Sequence[Figure]
    about: str = ""
    picture: tuple[str, str] | None = None

    def text(self, title: str, when: datetime, load: float) -> str:
        """Return it as Markdown; `load` is the machine's before it."""
        heading, _, rest = table.show(title, self.figures).partition("\n\n")
        where = f"{when:%Y-%m-%d}, Linux {platform.release()}, {os.cpu_count()} processors, load {load:.1f} before it."
        parts = [heading, " ".join(part for part in (self.about, where) if part)]
        if self.picture:
            parts.append(f"![{title}: growth](img/{self.picture[0]})")
        return "\n\n".join([*parts, rest])


def merged(old: str, new: Mapping[str, str]) -> str:
    """Return the report with these sections in the place of those of the same titles; new ones come last."""
    head, *sections = re.split(r"^(?=### )", old, flags=re.MULTILINE)
    kept = {section.partition("\n")[0].removeprefix("### "): section for section in sections}
    texts = [text.rstrip("\n") for text in (kept | dict(new)).values()]
    return (head if head.strip() else HEAD) + "\n\n".join(texts) + "\n"
