"""What the nouns' commands share: remove and inspect several, as Docker does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import typer

from socketplane.cli import connect
from socketplane.cli.group import each, finish
from socketplane.cli.output import Output, clean, out, show_objects
from socketplane.errors import Conflict, NotFound, SocketPlaneError

Found = Mapping[str, Any]


def inspect(
    ctx: typer.Context, names: Iterable[str], output: Output, find: Callable[[connect.Session, str], list[Found]]
) -> None:
    """Print what `find` returns for each name, in one array; a name without any is an error, and the rest goes on."""
    with connect.session(connect.of(ctx)) as session:
        found, good = each(names, lambda name: find(session, name))
    show_objects([item for items in found for item in items], output)
    finish(good)


def remove(ctx: typer.Context, names: Iterable[str], delete: Callable[[connect.Session, str], object]) -> None:
    """Delete each name and print it; an error is printed and the rest goes on."""
    change(ctx, names, delete)


def change(ctx: typer.Context, names: Iterable[str], do: Callable[[connect.Session, str], object]) -> None:
    """Do something to each name and print it; likewise."""
    with connect.session(connect.of(ctx)) as session:

        def one(name: str) -> None:
            do(session, name)
            out(clean(name))

        _, good = each(names, one)
    finish(good)


def by_prefix(items: Iterable[Found], reference: str, what: str, missing: SocketPlaneError | None = None) -> Found:
    """Return the item whose id starts with `reference`.

    Raises:
        NotFound: none does (`missing` is raised in its place where given).
        Conflict: several do.
    """
    matches = [item for item in items if reference and item["id"].startswith(reference)]
    if not matches:
        raise missing or NotFound(f"no {what} {reference!r}", remedy=f"socketplane {what} ls shows what there is")
    if len(matches) > 1:
        raise Conflict(f"{len(matches)} {what}s have an id that starts with {reference!r}", remedy="give more of the id")
    return matches[0]
