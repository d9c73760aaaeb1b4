"""`socketplane reach`: who reaches whom on which ports, as policies say and, with `--probe`, as connections do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from socketplane.cli import connect, reach_probe
from socketplane.cli.complete import network_names
from socketplane.cli.output import Column, Output, OutputOption, examples, show, show_json

ByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="KEY",
        help="Label to group by; service and project are Compose's. Repeatable. Without it: what there is.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "reach",
        epilog=examples(
            "socketplane reach",
            "socketplane reach --network web --by app --by tier",
            "socketplane reach --ipv6",
            "socketplane reach -o json | jq '.lines[] | select(.ports == [\"any\"])'",
            "socketplane reach --network web --probe",
        ),
    )(reach)


def reach(
    ctx: typer.Context,
    network: Annotated[
        str | None,
        typer.Option(
            "--network", metavar="NETWORK", help="Only what has one end on this network.", autocompletion=network_names
        ),
    ] = None,
    by: ByOption = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Try it with connections between containers, and show what is expected beside.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, max=5000, help="With --probe: connections to try at most (200).")
    ] = None,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="With IPv6, on networks that have it.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show who reaches whom on which ports, as policies say now.

    Every line is about all of its sources and all of its destinations. NETWORK/* is all of a network, */* every
    container, hosts are those that a container does not run on (its own always reaches it); outside is who comes to ports
    that are published (named as the container has them) and to routed networks; of addresses outside the longest prefix
    counts.

    With --probe, agents try connections out of containers: of every line, and of what reaches nobody, some pairs of
    containers, at the ends of the ports that are allowed and next to them, and pings. They show in containers and logs as
    any others. Exit code 0: nothing contradicts, 1: something does. UDP that is allowed and that nobody answers says
    nothing.
    """
    if limit is not None and not probe:
        raise typer.BadParameter("it needs --probe", param_hint="--limit")
    query = {"network": network, "by": by or None, "version": 6 if ipv6 else None}
    with connect.session(connect.of(ctx)) as session:
        if probe:
            if not reach_probe.probe(session, {**query, "limit": limit}, output):
                raise typer.Exit(1)
            return
        found = session.get("/v1/reach", query)
    if output is Output.JSON:
        show_json(found)
    else:
        show(found["lines"], COLUMNS, output)


def ends(items: list[Mapping[str, Any]]) -> str:
    """Return ends for people: each name with the number of those that have it."""
    return ", ".join(item["name"] + _count(item) for item in items)


def _count(item: Mapping[str, Any]) -> str:
    if not item["total"]:  # addresses
        return ""
    return f" ({item['size']})" if item["size"] == item["total"] else f" ({item['size']} of {item['total']})"


COLUMNS = [
    Column("FROM", lambda line: ends(line["sources"])),
    Column("TO", lambda line: ends(line["destinations"])),
    Column("PORTS", lambda line: line["summary"]),
]
