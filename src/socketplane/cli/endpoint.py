"""`socketplane endpoint`: containers on networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from socketplane.cli import connect, endpoint_drain, nouns, parse
from socketplane.cli.complete import host_names, network_names
from socketplane.cli.output import Column, Output, OutputOption, QuietOption, examples, show

app = typer.Typer(help="Endpoints: containers on networks.", no_args_is_help=True)

SHORT = 12
"""Characters of an id in a table, as in Docker's."""

NetworkFilter = Annotated[
    str | None, typer.Option("--network", metavar="NETWORK", help="Only on this network.", autocompletion=network_names)
]
HostFilter = Annotated[
    str | None, typer.Option("--host", metavar="HOST", help="Only on this host.", autocompletion=host_names)
]


def state(endpoint: Mapping[str, Any]) -> str:
    """Return `unknown` (Docker has not told whose it is), `up`, or `starting` until its flows are installed."""
    if not endpoint.get("known", True):
        return "unknown"
    return "up" if endpoint.get("up") else "starting"


def state_style(cell: str) -> str:
    """Return green for up, red for unknown, yellow between."""
    return {"up": "green", "unknown": "red"}.get(cell, "yellow")


def ports(endpoint: Mapping[str, Any]) -> str:
    """Return an endpoint's published ports as `docker ps` writes them."""
    form = "{host_port}->{port}/{protocol}"
    return ", ".join(
        f"{f'[{address}]' if ':' in (address := port['address']) else address}:{form.format_map(port)}"
        for port in endpoint.get("published", ())
    )


def columns(full: bool) -> list[Column]:
    """Return the columns of a table of endpoints, with whole ids or their starts."""
    return [
        Column("ENDPOINT ID", lambda endpoint: endpoint["id"] if full else endpoint["id"][:SHORT]),
        Column("CONTAINER", lambda endpoint: endpoint["name"] or endpoint["container"][:SHORT], lambda _: "bold"),
        Column("NETWORK", lambda endpoint: endpoint["network_name"] or endpoint["network"]),
        Column("HOST", lambda endpoint: endpoint["host"]),
        Column("ADDRESS", lambda endpoint: ", ".join(filter(None, (endpoint["address"], endpoint.get("address6"))))),
        Column("FLOATING", lambda endpoint: ", ".join(endpoint.get("floating", ()))),
        Column("PORTS", ports),
        Column("STATE", state, state_style),
    ]


def find(session: connect.Session, reference: str) -> list[Mapping[str, Any]]:
    """Return the endpoints of a container (NAME, NETWORK/NAME or its id), or the one of an endpoint's id or its start."""
    network, _, name = reference.rpartition("/")
    endpoints = session.items("/v1/endpoints")
    named = [
        endpoint
        for endpoint in endpoints
        if name in (endpoint["name"], endpoint["container"]) and network in ("", endpoint["network_name"])
    ]
    return list(named) if name and named else [nouns.by_prefix(endpoints, reference, "endpoint")]


@app.command(
    "ls",
    epilog=examples(
        "socketplane endpoint ls",
        "socketplane endpoint ls --network web --host h1 -l app=shop -l tier=front",
        "socketplane endpoint ls --published",
    ),
)
def ls(
    ctx: typer.Context,
    network: NetworkFilter = None,
    host: HostFilter = None,
    label: Annotated[
        list[str],
        typer.Option(
            "--label", "-l", metavar="KEY=VALUE", help="Only with this label, as policies see it; repeatable, all must fit."
        ),
    ] = [],  # noqa: B006
    published: Annotated[bool, typer.Option("--published", help="Only with published ports.")] = False,
    output: OutputOption = Output.TABLE,
    quiet: QuietOption = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Show whole ids.")] = False,
) -> None:
    """List endpoints."""
    filters = {"network": network, "host": host, "label": parse.label_filters(label) or None}
    filters |= {"published": "true"} if published else {}
    with connect.session(connect.of(ctx)) as session:
        endpoints = session.items("/v1/endpoints", filters)
    show(endpoints, columns(no_trunc), output, (lambda endpoint: endpoint["id"]) if quiet else None)


@app.command(
    "inspect", epilog=examples("socketplane endpoint inspect web-1", "socketplane endpoint inspect web/web-1 -o table")
)
def inspect(
    ctx: typer.Context,
    endpoints: Annotated[
        list[str], typer.Argument(metavar="ENDPOINT...", help="Containers, NETWORK/CONTAINER, ids or their starts.")
    ],
    output: OutputOption = Output.JSON,
) -> None:
    """Show all that is known of endpoints. A container's name stands for its endpoints on all networks."""
    nouns.inspect(ctx, endpoints, output, find)


endpoint_drain.register(app, find)
