"""`socketplane policy history`, `rollback` and `confirm`: the changes of policies, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from socketplane.cli import connect
from socketplane.cli.output import Column, Output, OutputOption, examples, moment, note, out, show, show_json, title
from socketplane.cli.policy_change import show_outcome

NAMED = 3
"""Policies that a line of the table names; of more it says how many."""


def changes(revision: Mapping[str, Any]) -> str:
    """Return what a revision changed, in a line."""
    found = [f"{item['change']} {title(item)}" for item in revision["changes"]]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return ", ".join(found[:NAMED] + more)


def action(revision: Mapping[str, Any]) -> str:
    """Return what was done; going back says where to."""
    target = revision.get("target")
    return revision["action"] if target is None else f"{revision['action']} to {target}"


COLUMNS = [
    Column("REVISION", lambda revision: revision["number"], lambda _: "bold"),
    Column("TIME", lambda revision: moment(revision["time"])),
    Column("WHO", lambda revision: revision["who"]),
    Column("ACTION", action),
    Column("STATE", lambda revision: revision["state"], lambda cell: "yellow" if cell == "waiting" else ""),
    Column("CHANGES", changes),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "history", epilog=examples("socketplane policy history", "socketplane policy history -o json | jq '.[-1].changes'")
    )(history)
    app.command("rollback", epilog=examples("socketplane policy history", "socketplane policy rollback 7"))(rollback)
    app.command("confirm", epilog=examples("socketplane policy confirm", "socketplane policy confirm 12"))(confirm)


def history(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """List the changes of policies, the latest last: when, who, and what. The last 200 are kept.

    WHO is `local` over the manager's socket, or the name in a certificate.
    """
    with connect.session(connect.of(ctx)) as session:
        revisions = session.items("/v1/policies/history")
    show(revisions, COLUMNS, output)


def rollback(
    ctx: typer.Context,
    revision: Annotated[
        int, typer.Argument(metavar="REVISION", min=0, help="A number of `policy history`; 0 is before the first.")
    ],
    output: OutputOption = Output.TABLE,
) -> None:
    """Bring back all policies as they were right after a revision. This is a revision, too."""
    from socketplane import wire  # heavy: pydantic

    with connect.session(connect.of(ctx)) as session:
        outcome = session.call("POST", "/v1/policies/rollback", wire.PolicyRollback(revision=revision))
    show_outcome(outcome, output)
    if not outcome["items"]:
        note(f"All policies are as they were after revision {revision}.")


def confirm(
    ctx: typer.Context,
    revision: Annotated[
        int | None,
        typer.Argument(metavar="[REVISION]", min=1, help="Which change is meant, where another's could wait by now."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Keep the change that was applied with --confirm-within, and that is taken back otherwise."""
    from socketplane import wire  # heavy: pydantic

    with connect.session(connect.of(ctx)) as session:
        kept = session.call("POST", "/v1/policies/confirm", wire.PolicyConfirm(revision=revision))
    if output is Output.JSON:
        show_json(kept)
    else:
        out(f"revision {kept['number']} confirmed")
