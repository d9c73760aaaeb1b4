"""Bars as SVG: a panel for each kind of figure, a bar for each that is compared, its range as a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.plot import COLOURS

WIDTH, LABEL, BAR, GAP, HEAD = 760, 250, 14, 5, 26
_INK = "#808894"


@dataclass(frozen=True)
class Panel:
    """Bars: name to (median, least, most)."""

    title: str
    unit: str
    bars: Mapping[str, tuple[float, float, float]]


def svg(panels: Sequence[Panel]) -> str:
    """Return a picture of the panels, one below the other."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.bars))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    parts, top = [], 0
    for panel in panels:
        if panel.bars:
            parts.append(_panel(panel, top, colours))
            top += HEAD + len(panel.bars) * (BAR + GAP) + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}" '
        f'font-family="sans-serif" font-size="11" fill="{_INK}">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(panel: Panel, top: int, colours: Mapping[str, str]) -> str:
    most = max(high for _, _, high in panel.bars.values()) or 1.0
    scale = (WIDTH - LABEL - 80) / most
    parts = [
        f'<text x="4" y="{top + 17}" font-size="13" font-weight="bold">{escape(panel.title)} ({escape(panel.unit)})</text>'
    ]
    for number, (name, (middle, low, high)) in enumerate(panel.bars.items()):
        y = top + HEAD + number * (BAR + GAP)
        left, right, half = LABEL + low * scale, LABEL + high * scale, y + BAR / 2
        parts += [
            f'<text x="{LABEL - 6}" y="{y + 11}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{middle * scale:.1f}" height="{BAR}" fill="{colours[name]}"/>',
            f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{half}" y2="{half}" stroke="{_INK}"/>',
            f'<text x="{right + 6:.1f}" y="{y + 11}">{middle:.3g}</text>',
        ]
    return "\n".join(parts)
