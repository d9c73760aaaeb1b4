"""How figures are shown: a table for people, rows of JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: values in `unit`, the ratio to a peer's median where there is a goal for it."""

    name: str
    unit: str
    values: tuple[float, ...]
    against: str = ""
    """Name of the peer that `ratio` is to."""
    ratio: float | None = None
    goal: str = ""
    ratios: tuple[float, ...] = ()
    """Of each round, where `ratio` is their median."""

    @property
    def median(self) -> float:
        """Return the median of all values."""
        return median(self.values)


def show(title: str, figures: Sequence[Figure]) -> str:
    """Return a Markdown table."""
    lines = [f"### {title}", "", "| what | median | min to max | ratio | goal |", "|---|---|---|---|---|"]
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}{_span(figure.ratios)} x {figure.against}"
        span = f"{min(figure.values):.4g} to {max(figure.values):.4g}" if len(figure.values) > 1 else ""
        lines.append(f"| {figure.name} | {figure.median:.4g} {figure.unit} | {span} | {ratio} | {figure.goal} |")
    return "\n".join(lines) + "\n"


def _span(ratios: Sequence[float]) -> str:
    return f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""


def as_json(sections: dict[str, Sequence[Figure]]) -> str:
    """Return all figures as one JSON object by section."""
    rows = {title: [{**asdict(f), "median": f.median} for f in figures] for title, figures in sections.items()}
    return json.dumps(rows, indent=2)
