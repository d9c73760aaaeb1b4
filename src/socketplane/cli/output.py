"""What commands print: tables on a terminal, stable columns in a pipe, JSON on request; errors on stderr.

Answers are shown as the controller sent them (plain dictionaries, not wire types), so that an older command line
still works with a newer controller that knows more fields.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from socketplane.errors import SocketPlaneError

Row = Mapping[str, Any]
GAP = "  "
EMPTY = "-"
"""What an empty cell shows, so that columns can be counted."""
MOMENTS = frozenset({"created", "expires", "seen"})
"""Fields of the API that are seconds since 1970."""


class Output(StrEnum):
    """How a reading command answers."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", metavar="table|json", help="How to answer.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print the ids only.")]


def no_style(_cell: str) -> str:
    """Return the style of a cell that has none."""
    return ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, what it shows of a row, and a rich style that follows from the text."""

    title: str
    value: Callable[[Row], object]
    style: Callable[[str], str] = no_style


def examples(*lines: str) -> str:
    """Return a help epilog with these command lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def clean(text: object) -> str:
    """Return text that can't steer a terminal: control characters escaped, white space a single blank."""
    joined = " ".join(str(text).split())
    if joined.isprintable():
        return joined
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in joined)


def cell(value: object) -> str:
    """Return what a table shows for a value of the API."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        value = ",".join(f"{key}={_inner(item)}" for key, item in sorted(value.items()))
    elif isinstance(value, list | tuple):
        value = ",".join(_inner(item) for item in value)
    return EMPTY if value is None else clean(value) or EMPTY


def _inner(value: object) -> str:
    """Return a value inside of another: what has parts itself is JSON, as in the documents that people write."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping | list | tuple) else str(value)


def moment(seconds: float) -> str:
    """Return a point in time as text, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def age(since: float | None, now: float) -> str:
    """Return the time from `since` to `now` in its largest unit; negative times are shown as 0s."""
    if not since:
        return EMPTY
    return span(now - since)


def span(seconds: float) -> str:
    """Return a duration in its largest unit: 42s, 7m, 3h, 2d."""
    whole = max(0, int(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= 2 * length or (whole >= length and unit != "m"):
            return f"{whole // length}{unit}"
    return f"{whole}s"


def title(policy: Row) -> str:
    """Return what names a policy: NETWORK/NAME, or the name alone where it belongs to no network."""
    return f"{policy['network']}/{policy['name']}" if policy["network"] else str(policy["name"])


def out(text: str = "") -> None:
    """Print a line on stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print a line for a person on stderr, out of the way of what a script captures."""
    sys.stderr.write(text + "\n")


def fail(error: SocketPlaneError | str) -> None:
    """Print an error on stderr; the exit code is the caller's."""
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    prefix = typer.style("Error:", fg="red", bold=True) if colour else "Error:"
    note(f"{prefix} {clean(error)}")


def show_json(data: object) -> None:
    """Print JSON, indented; escaped where stdout's encoding can't hold every character."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    out(json.dumps(data, indent=2, ensure_ascii=not unicode))


def show(
    items: Sequence[Row], columns: Sequence[Column], output: Output, quiet: Callable[[Row], object] | None = None
) -> None:
    """Print a list: as JSON, as a table, or (with `quiet`) one value a line."""
    if output is Output.JSON:
        show_json([quiet(item) for item in items] if quiet else list(items))
    elif quiet:
        for item in items:
            out(clean(quiet(item)))
    else:
        table(
            [column.title for column in columns],
            [[cell(column.value(item)) for column in columns] for item in items],
            [column.style for column in columns],
        )


def show_objects(items: Sequence[Row], output: Output) -> None:
    """Print what `inspect` found: a JSON array, or each object's fields."""
    if output is Output.JSON:
        show_json(list(items))
        return
    for index, item in enumerate(items):
        if index:
            out()
        fields(item)


def fields(item: Row) -> None:
    """Print an object's fields, one a line."""
    table(["FIELD", "VALUE"], [[cell(key), _field(key, value)] for key, value in item.items()])


def _field(key: str, value: object) -> str:
    return moment(value) if key in MOMENTS and isinstance(value, int | float) and value else cell(value)


def table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[Callable[[str], str]] | None = None
) -> None:
    """Print rows under their titles: coloured on a terminal, else aligned columns parted by two blanks."""
    if sys.stdout.isatty():
        _rich_table(titles, rows, styles or [no_style] * len(titles))
        return
    widths = [max(map(_width, column)) for column in zip(titles, *rows, strict=True)]
    for row in [titles, *rows]:
        padded = (text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True))
        out(GAP.join(padded).rstrip())


def pairs(values: Mapping[str, object], style: str = "") -> None:
    """Print names and values, one pair a line; `style` is the first value's on a terminal."""
    width = max(map(len, values)) + len(GAP)
    for index, (name, value) in enumerate(values.items()):
        if sys.stdout.isatty():
            _rich_print((name.ljust(width), "bold"), (cell(value), "" if index else style))
        else:
            out(name.ljust(width) + cell(value))


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # only where a name needs it

    return cell_len(text)


def _rich_table(titles: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[Callable[[str], str]]) -> None:
    from rich.console import Console  # a pipe does without
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="bold")
    for title in titles:
        grid.add_column(title, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(text, style=style(text)) for text, style in zip(row, styles, strict=True)))
    Console().print(grid)


def _rich_print(*parts: tuple[str, str]) -> None:
    from rich.console import Console
    from rich.text import Text

    Console().print(Text.assemble(*parts))
