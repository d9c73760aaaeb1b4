"""Plots as SVG, drawn here: lines over a logarithmic axis, panels side by side. Reads well on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 400, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 36, 46
LEGEND = 16
COLOURS = ("#2f6fde", "#d9542b", "#2e9d5b", "#9a55c9", "#b8860b", "#5f6b7a")
_INK, _GRID = "#808894", "#80889440"
_Place = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """Lines: name to (x, y) points. Both axes are logarithmic, unless `linear` says that y starts at 0."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    linear: bool = False
    goal: float | None = None
    """Drawn as a broken line, if given."""


def svg(panels: Sequence[Panel]) -> str:
    """Return a picture of all panels in a row."""
    legend = LEGEND * max(len(panel.lines) for panel in panels)
    width, height = WIDTH * len(panels), HEIGHT + legend
    body = "\n".join(
        f'<g transform="translate({number * WIDTH},0)">\n{_panel(panel)}\n</g>' for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11" fill="{_INK}">\n{body}\n</svg>\n'
    )


def ticks(low: float, high: float, *, linear: bool) -> list[float]:
    """Return round values of an axis that shows low to high: powers of ten, or up to six even steps from 0."""
    if not linear:
        first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        return [10.0**power for power in range(first, max(last, first + 1) + 1)]
    step: float = 10.0 ** math.floor(math.log10(high / 5))
    step *= next(factor for factor in (1, 2, 5, 10) if high / (step * factor) <= 5)
    return [step * number for number in range(math.ceil(high / step - 1e-9) + 1)]


def _panel(panel: Panel) -> str:
    points = [point for line in panel.lines.values() for point in line]
    xs, ys = [x for x, _ in points], [y for _, y in points] + ([panel.goal] if panel.goal else [])
    across, up = ticks(min(xs), max(xs), linear=False), ticks(min(ys), max(ys), linear=panel.linear)

    def place(x: float, y: float) -> tuple[float, float]:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        return (
            LEFT + (right - LEFT) * _share(x, across, linear=False),
            bottom - (bottom - TOP) * _share(y, up, linear=panel.linear),
        )

    parts = [f'<text x="{LEFT}" y="18" font-size="13" font-weight="bold">{escape(panel.title)}</text>']
    parts += _axes(panel, across, up, place)
    for number, (name, line) in enumerate(panel.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        placed = [place(x, y) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        y = HEIGHT + LEGEND * number
        parts.append(f'<rect x="{LEFT}" y="{y - 7}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 20}" y="{y}">{escape(name)}</text>')
    return "\n".join(parts)


def _axes(panel: Panel, across: Sequence[float], up: Sequence[float], place: _Place) -> Iterator[str]:
    for x in across:
        (at, low), (_, high) = place(x, up[0]), place(x, up[-1])
        yield f'<line x1="{at:.1f}" y1="{low:.1f}" x2="{at:.1f}" y2="{high:.1f}" stroke="{_GRID}"/>'
        yield f'<text x="{at:.1f}" y="{low + 15:.1f}" text-anchor="middle">{x:,.0f}</text>'
    for y in up:
        (left, at), (right, _) = place(across[0], y), place(across[-1], y)
        yield f'<line x1="{left:.1f}" y1="{at:.1f}" x2="{right:.1f}" y2="{at:.1f}" stroke="{_GRID}"/>'
        yield f'<text x="{left - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">{y:,.6g}</text>'
    if panel.goal:
        (left, at), (right, _) = place(across[0], panel.goal), place(across[-1], panel.goal)
        line = f'x1="{left:.1f}" y1="{at:.1f}" x2="{right:.1f}" y2="{at:.1f}"'
        yield f'<line {line} stroke="{_INK}" stroke-dasharray="5 4"/>'
        yield f'<text x="{right:.1f}" y="{at - 4:.1f}" text-anchor="end">goal</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:.1f}" y="{HEIGHT - BOTTOM + 32}" text-anchor="middle">{escape(panel.x)}</text>'
    yield f'<text x="6" y="{TOP - 6}">{escape(panel.y)}</text>'


def _share(value: float, axis: Sequence[float], *, linear: bool) -> float:
    low, high = axis[0], axis[-1]
    if linear:
        return (value - low) / (high - low)
    return math.log(value / low) / math.log(high / low)
