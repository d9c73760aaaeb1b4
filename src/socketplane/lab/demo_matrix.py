"""Who reaches whom, as a table: what is expected beside what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Reached = Mapping[tuple[str, str, int], bool]
"""By source, destination and port."""
OPEN, CUT, SELF = "yes", ".", "-"


def show(names: Sequence[str], port: int, expected: Reached, observed: Reached) -> RenderableType:
    """Return both tables for a port: rows connect to columns; what was not expected is marked."""
    left = _table(names, port, expected, expected, "expected")
    right = _table(names, port, observed, expected, "observed")
    return Group(Text(f"port {port}, row connects to column:"), Columns([left, right], padding=(0, 4)))


def _table(names: Sequence[str], port: int, reached: Reached, expected: Reached, title: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(title, style="bold", header_style="bold", min_width=len("expected"))
    for name in names:
        table.add_column(name, justify="center")
    for source in names:
        cells = (_cell(reached, expected, (source, target, port)) for target in names)
        table.add_row(source, *cells)
    return table


def _cell(reached: Reached, expected: Reached, key: tuple[str, str, int]) -> Text:
    if key not in reached:
        return Text(SELF, style="dim")
    text = OPEN if reached[key] else CUT
    if reached[key] != expected[key]:
        return Text(f"{text}!", style="bold white on red")
    return Text(text, style="green" if reached[key] else "red")
