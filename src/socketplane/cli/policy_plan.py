"""`socketplane policy plan`: what applying would change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from socketplane.cli import connect, parse, policy_files
from socketplane.cli.output import Column, Output, OutputOption, clean, examples, note, out, show, show_json, title
from socketplane.cli.policy_files import FilesOption, NamespaceOption
from socketplane.cli.reach import ByOption

CHANGES = 3
"""Exit code with --exit-code where something would change: 2 is wrong usage here."""

COLUMNS = [
    Column("CHANGE", lambda change: change["change"], lambda cell: "green" if cell == "allow" else "red"),
    Column("FROM", lambda change: change["source"]),
    Column("TO", lambda change: change["destination"]),
    Column("PORTS", lambda change: change["ports"]),
    Column("SOURCES", lambda change: change["sources"]),
    Column("DESTINATIONS", lambda change: change["destinations"]),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "plan",
        epilog=examples(
            "socketplane policy plan -f policies.yaml",
            "socketplane policy plan -f policies.yaml --by app --by tier",
            "socketplane policy plan -f policies.yaml --exit-code || echo something would change",
        ),
    )(plan)


def plan(
    ctx: typer.Context,
    files: FilesOption,
    network: NamespaceOption = None,
    by: ByOption = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help=f"Exit with {CHANGES} where something would change.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what `policy apply` would change, and change nothing.

    First each policy, then what the endpoints of the moment could newly reach (allow) or not any more (deny): all of FROM
    towards all of TO.
    """
    from socketplane import wire  # heavy: pydantic

    body = {"documents": policy_files.read(files, network), "network": network, "by": by or []}
    wanted = parse.body(wire.PolicyTrial, body)
    with connect.session(connect.of(ctx)) as session:
        planned = session.call("POST", "/v1/policies/plan", wanted)
    if output is Output.JSON:
        show_json(planned)
    else:
        _show(planned)
    if exit_code and any(item["change"] != "unchanged" for item in planned["items"]):
        raise typer.Exit(CHANGES)


def _show(planned: Mapping[str, Any]) -> None:
    for item in planned["items"]:
        out(f"{item['kind'].lower()} {clean(title(item))} {item['change']}")
    found = [{**item, "change": change} for change in ("allow", "deny") for item in planned[_LISTS[change]]]
    if found:
        out()
        show(found, COLUMNS, Output.TABLE)
    else:
        note("Nothing would change for the endpoints that there are now.")
    for warning in planned["warnings"]:
        note(f"Warning: {clean(warning)}")


_LISTS = {"allow": "allowed", "deny": "denied"}
