"""`socketplane policy violations`: what policies refused, or would have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from socketplane.cli import connect, parse
from socketplane.cli.complete import policy_names
from socketplane.cli.output import Column, Output, OutputOption, examples, moment, show


def _service(violation: Mapping[str, Any]) -> str:
    port = violation["port"]
    return str(violation["protocol"]) + ("" if port is None else f"/{port}")


COLUMNS = [
    Column("LAST", lambda violation: moment(violation["last"])),
    Column("COUNT", lambda violation: violation["count"]),
    Column("MODE", lambda violation: violation["mode"], lambda cell: "yellow" if cell == "audit" else "red"),
    Column("POLICY", lambda violation: violation["policy"], lambda _: "bold"),
    Column("RULE", lambda violation: violation["rule"]),
    Column("FROM", lambda violation: violation["source_name"] or violation["source"]),
    Column("TO", lambda violation: violation["destination_name"] or violation["destination"]),
    Column("SERVICE", _service),
    Column("HOST", lambda violation: violation["host"]),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "violations",
        epilog=examples(
            "socketplane policy violations",
            "socketplane policy violations --policy web/allow-app --since 1h",
            "socketplane policy violations -o json | jq '.[] | select(.mode == \"audit\")'",
        ),
    )(violations)


def violations(
    ctx: typer.Context,
    policy: Annotated[
        str | None,
        typer.Option("--policy", metavar="POLICY", help="Of this policy only.", autocompletion=policy_names),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION", help="Seen within that time (10m, 1h, 7d).")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List packets that policies refused (MODE enforce) or would have refused (audit), the latest first.

    COUNT is of packets that were logged: of many alike some are not. The controller remembers some hundred kinds of packets
    of each host, since its start.
    """
    seconds = None if since is None else f"{parse.duration(since, '--since'):g}"
    with connect.session(connect.of(ctx)) as session:
        found = session.items("/v1/policies/violations", {"policy": policy, "since": seconds})
    show(found, COLUMNS, output)
