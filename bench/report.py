"""docs/benchmarks.md: a section for each benchmark, each replaced when it is measured anew."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

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
    where: str = ""
    """When and on what it was measured."""

    def text(self, title: str) -> str:
        """Return it as Markdown."""
        heading, _, rest = table.show(title, self.figures).partition("\n\n")
        parts = [heading, " ".join(part for part in (self.about, self.where) if part)]
        if self.picture:
            parts.append(f"![{title}: growth](img/{self.picture[0]})")
        return "\n\n".join([*parts, rest])


def measured(section: Section, load: float) -> Section:
    """Return it with what is known of this machine; `load` is what it had before."""
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, {os.cpu_count()} processors, load {load:.1f} before it."
    )
    return replace(section, where=where)


def saved(sections: Mapping[str, Section]) -> str:
    """Return sections as JSON, for `loaded`."""
    return json.dumps({title: asdict(section) for title, section in sections.items()})


def loaded(text: str) -> dict[str, Section]:
    """Return the sections that were saved."""
    found = {}
    for title, fields in json.loads(text).items():
        figures = [
            Figure(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})
            for row in fields["figures"]
        ]
        picture = tuple(fields["picture"]) if fields["picture"] else None
        found[title] = Section(figures, fields["about"], picture, fields["where"])
    return found


def merged(old: str, new: Mapping[str, str]) -> str:
    """Return the report with these sections in the place of those of the same titles; new ones come last."""
    head, *sections = re.split(r"^(?=### )", old, flags=re.MULTILINE)
    kept = {section.partition("\n")[0].removeprefix("### "): section for section in sections}
    texts = [text.rstrip("\n") for text in (kept | dict(new)).values()]
    return (head if head.strip() else HEAD) + "\n\n".join(texts) + "\n"
